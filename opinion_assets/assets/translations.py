"""Stage `translation`: questions in other languages, one partition a language.

Translating, scoring and reviewing stand in `opinion_assets.translation`.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import dagster as dg
import pandas as pd
from pydantic import Field, model_validator

from opinion_assets.assets.common import (
    WAREHOUSE_POOL,
    Output,
    StoreResource,
    as_markdown,
    asset_key,
    same_columns,
    store_tables,
    table_spec,
    unique_rows,
    within_unit_interval,
)
from opinion_assets.elicitation.budget import (
    PROJECT_BUDGET_VARIABLE,
    Budget,
    check_budget,
    project_budget,
    run_limit_usd,
)
from opinion_assets.models import embedded
from opinion_assets.models.registry import get_model, load_registry
from opinion_assets.paths import path_key
from opinion_assets.translation.languages import speaker_table
from opinion_assets.translation.questions import coverage, translate_questions
from opinion_assets.translation.translators import (
    ApertiumTranslator,
    CatalogueTranslator,
    Journal,
    ModelTranslator,
    Translator,
)

languages = dg.DynamicPartitionsDefinition(name="language")
CODE = ("translation", "sql/tables/translation.sql")
CHECKS = (unique_rows(["language", "question_id"]), within_unit_interval("quality"))


class TranslationConfig(dg.Config):
    """Who translates, and which questions."""

    translator: str = Field(
        default="catalogue",
        description="catalogue (drafts of the embedded questions), apertium (offline, Debian packages), or a model "
        "version of the registry. Translations by people always win.",
    )
    sources: list[str] = Field(default_factory=list, description="Survey sources to translate. Empty: all ingested.")
    budget_usd: float | None = Field(
        default=None, description="Stop before this run's cost would pass so many US dollars. Unset: no limit."
    )
    project_budget_usd: float | None = Field(
        default=None,
        description=f"The same for all runs in the data folder. Unset: ${PROJECT_BUDGET_VARIABLE}, else no limit.",
    )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for name in ("budget_usd", "project_budget_usd"):
            check_budget(getattr(self, name), name)
        return self


def reviewed_path(folder: Path, language: str) -> Path:
    """Where people's translations of a language are kept (columns of translation.imported.IMPORTED_COLUMNS)."""
    return folder / "translation_by_people" / f"{path_key(language)}.parquet"


def keep_reviewed(folder: Path, language: str, rows: pd.DataFrame) -> int:
    """Add people's translations of a language to those kept; a question's newest row replaces older ones."""
    path = reviewed_path(folder, language)
    kept = pd.read_parquet(path) if path.exists() else rows.head(0)
    both = pd.concat([frame for frame in (kept, rows) if not frame.empty] or [rows], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    both.drop_duplicates(["language", "question_id"], keep="last").to_parquet(temporary, index=False)
    temporary.replace(path)
    return len(rows)


def _translators(
    config: TranslationConfig, language: str, folder: Path, stack: contextlib.ExitStack
) -> tuple[Translator, Translator | None]:
    name = config.translator
    if name == "catalogue":
        return CatalogueTranslator(), None
    if name == "apertium":
        forward = ApertiumTranslator("en", language)
        return forward, forward.reverse()
    model = get_model(name, load_registry())
    endpoint = stack.enter_context(embedded.serve(model)) if model.provider == "embedded" else None
    journals = folder / "journal"
    limit = run_limit_usd(journals, model, config.budget_usd)
    budget = Budget(journals / "spent", limit, project_budget(config.project_budget_usd))
    stack.callback(budget.close)
    journal = Journal(journals / "translation" / f"{path_key(name)}.jsonl")
    translator = ModelTranslator(model, endpoint=endpoint, journal=journal, purse=budget)
    return translator, translator


@dg.multi_asset(
    name="translation",
    specs=[
        table_spec(
            "translation.question",
            code=CODE,
            deps=[asset_key("question.question"), asset_key("question.option")],
            lineage=same_columns("question.question", "question_id", "text")
            | {"options": [("question.option", "option")]},
        ),
        table_spec("translation.speakers", code=CODE),
    ],
    check_specs=[check.spec(asset_key("translation.question")) for check in CHECKS],
    partitions_def=languages,
    pool=WAREHOUSE_POOL,
)
def translation_tables(
    context: dg.AssetExecutionContext, config: TranslationConfig, store: StoreResource
) -> Iterator[Any]:
    """Translate the question dataset into the partition's language, with scores and failed checks."""
    target = store.store()
    language = context.partition_key
    question, option = target.read("question.question"), target.read("question.option")
    chosen = question[question["source"].isin(config.sources)] if config.sources else question
    chosen = chosen[chosen["text"].str.strip() != ""]
    people = reviewed_path(target.folder, language)
    imported = pd.read_parquet(people) if people.exists() else None
    by_people = set(imported["question_id"]) if imported is not None else set()
    with contextlib.ExitStack() as stack:
        translator, back = _translators(config, language, target.folder, stack)
        asked = chosen
        if isinstance(translator, CatalogueTranslator):
            covered = chosen["text"].map(lambda text: translator.covers(text, language))
            asked = chosen[covered | chosen["question_id"].isin(by_people)]
        frame = translate_questions(
            asked,
            option,
            language,
            translator,
            back,
            imported,
            previous=target.read("translation.question", language=language),
        )
    metadata: dict[str, Any] = {
        "coverage": dg.MetadataValue.md(as_markdown(coverage(chosen, frame))),
        "questions": int(chosen["question_id"].nunique()),
        "translated": len(frame),
        "usable": int(frame["is_usable"].sum()),
        "mean_quality": float(frame["quality"].mean()) if len(frame) else 0.0,
        "problems": ", ".join(f"{name} {n}" for name, n in frame["problems"].explode().value_counts().items()),
    }
    yield from store_tables(
        context,
        target,
        [
            Output("translation.question", frame, CHECKS, metadata),
            Output("translation.speakers", speaker_table([language])),
        ],
        partition={"language": language},
        upstream=["question.question", "question.option"],
    )
