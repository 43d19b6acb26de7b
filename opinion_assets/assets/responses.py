"""Stage `response`: ask a model version the questions under a condition, and compute its answer distributions.

Partitions: model_version × condition. Asking, journalling and the arithmetic stand in `opinion_assets.elicitation`.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from opinion_assets.assets.common import (
    WAREHOUSE_POOL,
    Output,
    StoreResource,
    asset_key,
    by_model_and_condition,
    not_empty,
    option_counts_agree,
    partition_of,
    same_columns,
    store_tables,
    sums_to_one,
    table_asset,
    unique_rows,
    within_unit_interval,
)
from opinion_assets.elicitation.budget import run_limit_usd
from opinion_assets.elicitation.collect import ElicitationSettings, answers, collect
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.elicitation.distributions import distributions
from opinion_assets.elicitation.importing import current_import, import_answers, imported_model
from opinion_assets.elicitation.prompts import ENGLISH, Instructions
from opinion_assets.models.registry import get_model, load_registry
from opinion_assets.questions.countries import country_name
from opinion_assets.translation.phrases import instructions as phrases
from opinion_assets.translation.questions import localised
from opinion_assets.warehouse import Store

PARTITION = ["model_version", "condition"]


class AskConfig(dg.Config):
    """Which questions to ask, and how."""

    sources: list[str] = Field(default_factory=list, description="Survey sources to ask about. Empty: all ingested.")
    limit: int = Field(default=0, ge=0, description="Ask at most so many questions of each source. 0: all.")
    orders: str = Field(
        default="identity",
        description="Option orders: identity, reversed, identity+reversed, permutations:K (seeded) or all.",
    )
    budget_usd: float = Field(default=0.0, ge=0, description="Stop before this run's cost would pass it. 0: no limit.")


def choose_questions(question: pd.DataFrame, sources: list[str], limit: int) -> pd.DataFrame:
    """Questions to ask, each once: at most ``limit`` of each source, in the order of their ids; none without a text.

    The id is a content hash, so the first ``limit`` are a sample that does not follow the source's order and stays
    the same from run to run.
    """
    known = set(question["source"])
    unknown = [source for source in sources if source not in known]
    if unknown:
        raise dg.Failure(
            f"survey source {unknown[0]!r} has no questions stored; there are {', '.join(sorted(known)) or 'none'}"
        )
    chosen = question[question["source"].isin(sources)] if sources else question
    chosen = chosen[chosen["text"].str.strip() != ""].sort_values(["source", "question_id"])
    if limit:
        chosen = chosen.groupby("source", sort=False).head(limit)
    return chosen.drop_duplicates("question_id")


ANSWER_CHECKS = (not_empty(), unique_rows(["request_hash"]))


@dg.asset(
    **table_asset(
        "response.answer",
        code=("elicitation", "models", "sql/tables/response.sql"),
        checks=ANSWER_CHECKS,
        lineage=same_columns("question.question", "question_id")
        | {
            "prompt": [("question.question", "text"), ("question.option", "option")],
            "option_order": [("question.option", "option_index")],
        },
        kinds=("llm", "duckdb", "parquet"),
    ),
    partitions_def=by_model_and_condition,
    deps=[
        asset_key("question.question"),
        asset_key("question.option"),
        dg.AssetDep(asset_key("translation.question"), partition_mapping=dg.AllPartitionMapping()),
    ],
)
def answer(context: dg.AssetExecutionContext, config: AskConfig, store: StoreResource) -> Iterator[Any]:
    """Ask what is not in the journal yet, then store all of the partition's answers."""
    target = store.store()
    partition = partition_of(context)
    condition = Condition.parse(partition["condition"])
    imported = current_import(target.folder, partition["model_version"])
    if imported is not None:
        yield from _imported(context, target, imported, partition)
        return
    model = get_model(partition["model_version"], load_registry())
    settings = ElicitationSettings(orders=config.orders)
    question, option = target.read("question.question"), target.read("question.option")
    instructions = ENGLISH
    if condition.kind == "linguistic":
        question, option = _in_language(target, condition.argument, question, option)
        spoken = phrases(condition.argument)
        instructions = Instructions(**{field.name: getattr(spoken, field.name) for field in fields(Instructions)})
    chosen = choose_questions(question, config.sources, config.limit)
    journal = target.folder / "journal"
    report = collect(
        chosen,
        option[option["question_id"].isin(chosen["question_id"])],
        model,
        condition,
        settings,
        country_name=country_name(condition.argument) if condition.kind == "cross_national" else None,
        instructions=instructions,
        journal_dir=journal,
        budget_usd=run_limit_usd(journal, model, config.budget_usd or None),
        progress=lambda line: context.log.info(line),
    )
    frame = answers(journal, model, condition, settings)
    frame = frame[frame["question_id"].isin(question["question_id"])].reset_index(drop=True)
    yield from store_tables(
        context,
        target,
        [
            Output(
                "response.answer",
                frame,
                ANSWER_CHECKS,
                report.metadata() | {"questions": int(frame["question_id"].nunique())},
            )
        ],
        partition=partition,
        upstream=["question.question", "question.option"],
    )


def _in_language(
    target: Store, language: str, question: pd.DataFrame, option: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The questions that have a usable translation, with translated texts and options."""
    translation = target.read("translation.question", language=language)
    if translation.empty:
        raise dg.Failure(f"there are no translations into {language}; materialise translation/question for it first")
    return localised(question, option, translation)


def _imported(
    context: dg.AssetExecutionContext, target: Store, file: Path, partition: dict[str, str]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Option probabilities that somebody else collected, as brought in by ``opinion-assets import-answers``."""
    if partition["condition"] != "default":
        raise dg.Failure(
            f"{partition['model_version']} was imported from {file.name}; it has the condition default only"
        )
    frame = import_answers(
        file,
        imported_model(partition["model_version"]),
        target.read("question.question"),
        target.read("question.option"),
    )
    metadata = {
        "imported_from": file.name,
        "questions": len(frame),
        "rows_of_unknown_questions": len(frame.attrs["unmatched"]),
    }
    yield from store_tables(
        context,
        target,
        [Output("response.answer", frame, ANSWER_CHECKS, metadata)],
        partition=partition,
        upstream=["question.question", "question.option"],
    )


DISTRIBUTION_CHECKS = (
    not_empty(),
    sums_to_one("probability", [*PARTITION, "question_id"]),
    within_unit_interval("probability"),
    unique_rows([*PARTITION, "question_id", "option_index"]),
)


@dg.asset(
    **table_asset(
        "response.distribution",
        code=("elicitation/distributions.py", "sql/tables/response.sql"),
        checks=[*DISTRIBUTION_CHECKS, option_counts_agree([*PARTITION, "question_id"], pd.DataFrame)],
        lineage=same_columns("response.answer", *PARTITION, "question_id", "letter_mass", "method")
        | {
            "probability": [("response.answer", "option_logprobs"), ("response.answer", "answer_index")],
            "order_effect": [("response.answer", "option_order"), ("response.answer", "option_logprobs")],
            "n_invalid": [("response.answer", "status")],
            "option_index": [("question.option", "option_index")],
        },
    ),
    partitions_def=by_model_and_condition,
    deps=[asset_key("response.answer"), asset_key("question.option")],
    pool=WAREHOUSE_POOL,
)
def distribution(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
    """Answer distributions from log-probabilities or samples, one per question that has a valid answer."""
    target = store.store()
    partition = partition_of(context)
    given, option = target.read("response.answer", **partition), target.read("question.option")
    frame = distributions(given, option)
    agree = option_counts_agree([*PARTITION, "question_id"], lambda: option)
    asked = given["question_id"].nunique()
    answered = frame["question_id"].nunique()
    first = frame.drop_duplicates("question_id")
    yield from store_tables(
        context,
        target,
        [
            Output(
                "response.distribution",
                frame,
                [*DISTRIBUTION_CHECKS, agree],
                {
                    "questions_asked": asked,
                    "questions_without_valid_answer": asked - answered,
                    "invalid_rate": float((given["status"] == "invalid").mean()),
                    "failed_rate": float((given["status"] == "failed").mean()),
                    "mean_letter_mass": float(first["letter_mass"].mean())
                    if first["letter_mass"].notna().any()
                    else "not measured",
                    "mean_order_effect": float(first["order_effect"].mean())
                    if first["order_effect"].notna().any()
                    else "one order",
                },
            )
        ],
        partition=partition,
        upstream=["response.answer", "question.option"],
    )
