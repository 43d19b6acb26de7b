"""Stage `response`: ask a model version the questions under a condition, and compute its answer distributions.

Partitions: model_version × condition. Asking, journalling and the arithmetic stand in `opinion_assets.elicitation`.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Self, TypedDict

import dagster as dg
import pandas as pd
from pydantic import Field, model_validator

from opinion_assets.assets.checks import ANSWER_WARNINGS, MASS_WARNING, every_question_answered
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
from opinion_assets.elicitation.budget import PROJECT_BUDGET_VARIABLE, check_budget, project_budget, run_limit_usd
from opinion_assets.elicitation.collect import CollectReport, ElicitationSettings, answers, collect, plan
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.elicitation.distributions import distributions
from opinion_assets.elicitation.importing import current_import, import_answers, imported_model
from opinion_assets.elicitation.prompts import ENGLISH, Instructions
from opinion_assets.errors import InputError, OpinionAssetsError
from opinion_assets.models.registry import ModelVersion, get_model, load_registry
from opinion_assets.questions.countries import country_name
from opinion_assets.translation.phrases import instructions as phrases
from opinion_assets.translation.questions import localised
from opinion_assets.warehouse import Store

PARTITION = ["model_version", "condition"]
#: Progress of asking, a line a second, for whoever listens in this process: the command line does.
PROGRESS = logging.getLogger("opinion_assets.progress")
PROGRESS.setLevel(logging.INFO)
_LOG_EVERY_S = 10.0


class AskConfig(dg.Config):
    """Which questions to ask, how, and for how much. Checked before anything is asked."""

    sources: list[str] = Field(default_factory=list, description="Survey sources to ask about. Empty: all ingested.")
    limit: int = Field(default=0, description="Ask at most so many questions of each source. 0: all.")
    orders: str = Field(
        default="identity",
        description="Option orders: identity, reversed, identity+reversed, permutations:K (seeded) or all.",
    )
    order_seed: int = Field(default=0, description="Seed of the permutations.")
    n_samples: int = Field(default=20, description="Method sampling: answers per question and round, over all orders.")
    max_samples: int | None = Field(
        default=None,
        description="Method sampling: more rounds follow until half_width is reached, or so many answers per question. "
        "Unset: one round.",
    )
    half_width: float = Field(
        default=0.1,
        description="Method sampling: half-width of the widest 95 % interval of an option's share at which rounds end, "
        "above 0 and at most 0.5.",
    )
    temperature: float | None = Field(default=None, description="Sampling temperature, 0 to 2. Unset: the registry's.")
    max_tokens: int | None = Field(default=None, description="Length of a reply in tokens. Unset: the registry's.")
    seed: int = Field(default=0, description="Method sampling: seed sent to servers that take one.")
    use_batch_api: bool = Field(
        default=False, description="Ask through the provider's batch API: cheaper, and done within a day."
    )
    max_attempts: int = Field(default=8, description="Attempts at a request before it is recorded as failed.")
    budget_usd: float | None = Field(
        default=None, description="Stop before this run's cost would pass so many US dollars. Unset: no limit."
    )
    project_budget_usd: float | None = Field(
        default=None,
        description=f"The same for all runs in the data folder. Unset: ${PROJECT_BUDGET_VARIABLE}, else no limit.",
    )
    from_journal: bool = Field(
        default=False, description="Ask nothing: store the answers that are in the journal, however many there are."
    )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        # InputError passes through pydantic as it is: one line that names the field.
        if self.limit < 0:
            raise InputError(f"must be at least 0, not {self.limit}", field="limit")
        for name in ("budget_usd", "project_budget_usd"):
            check_budget(getattr(self, name), name)
        self.settings()
        return self

    def settings(self) -> ElicitationSettings:
        """The settings of asking, and of reading what was asked."""
        shared = {field.name for field in fields(ElicitationSettings)} & set(type(self).model_fields)
        return ElicitationSettings(**{name: getattr(self, name) for name in shared}, progress_every_s=1.0)


class Asking(TypedDict):
    """What is asked in a partition: the arguments that `collect` and `plan` share."""

    questions: pd.DataFrame
    options: pd.DataFrame
    model: ModelVersion
    condition: Condition
    settings: ElicitationSettings
    country_name: str | None
    instructions: Instructions


def asking(
    target: Store,
    config: AskConfig,
    model: ModelVersion,
    condition: Condition,
    question: pd.DataFrame,
    option: pd.DataFrame,
) -> Asking:
    """What is to be asked under a condition, of the given questions; their translations come from the store."""
    instructions = ENGLISH
    if condition.kind == "linguistic":
        question, option = _in_language(target, condition.argument, question, option)
        spoken = phrases(condition.argument)
        instructions = Instructions(**{field.name: getattr(spoken, field.name) for field in fields(Instructions)})
    chosen = choose_questions(question, config.sources, config.limit)
    return Asking(
        questions=chosen,
        options=option[option["question_id"].isin(chosen["question_id"])],
        model=model,
        condition=condition,
        settings=config.settings(),
        country_name=country_name(condition.argument) if condition.kind == "cross_national" else None,
        instructions=instructions,
    )


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


ANSWER_CHECKS = (not_empty(), unique_rows(["request_hash"]), *ANSWER_WARNINGS)


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
    question = target.read("question.question")
    ask = asking(target, config, model, condition, question, target.read("question.option"))
    journal = target.folder / "journal"
    report = None if config.from_journal else _collect(context, ask, journal, config)
    frame = answers(journal, model, condition, ask["settings"])
    frame = frame[frame["question_id"].isin(question["question_id"])].reset_index(drop=True)
    metadata: dict[str, Any] = report.metadata() if report is not None else {"n_asked": 0, "n_from_journal": len(frame)}
    metadata |= {
        "questions": int(frame["question_id"].nunique()),
        "invalid_rate": float((frame["status"] == "invalid").mean()),
        "failed_rate": float((frame["status"] == "failed").mean()),
    }
    if frame["letter_mass"].notna().any():
        metadata["mean_letter_mass"] = float(frame["letter_mass"].mean())
    yield from store_tables(
        context,
        target,
        [Output("response.answer", frame, ANSWER_CHECKS, metadata)],
        partition=partition,
        upstream=["question.question", "question.option"],
    )


def _collect(context: dg.AssetExecutionContext, ask: Asking, journal: Path, config: AskConfig) -> CollectReport:
    """Ask, and show in Dagster what is planned, how far it is and what it cost, also where it ends with an error.

    Where the budget or the endpoint ends it, the step fails and the warehouse keeps what it had: a part of the
    questions would look like all of them. The answers stay in the journal; ``from_journal`` stores them.
    """
    model, key = ask["model"], context.asset_key
    tags = {"opinion/model_version": model.model_version, "opinion/condition": ask["condition"].key}
    context.instance.add_run_tags(context.run.run_id, tags)
    planned = plan(**ask, journal_dir=journal)
    context.log_event(
        dg.AssetObservation(
            key,
            partition=context.partition_key,
            description="What is to be asked, before it is.",
            metadata={f"planned_{name}": value for name, value in asdict(planned).items()},
        )
    )
    told = time.monotonic()

    def progress(line: str) -> None:
        nonlocal told
        PROGRESS.info(line)
        if time.monotonic() - told >= _LOG_EVERY_S:
            told = time.monotonic()
            context.log.info(line)

    report: CollectReport | None = None
    try:
        report = collect(
            **ask,
            journal_dir=journal,
            budget_usd=run_limit_usd(journal, model, config.budget_usd),
            project_budget_usd=project_budget(config.project_budget_usd),
            progress=progress,
        )
    except OpinionAssetsError as error:
        report = getattr(error, "report", None)
        if report is not None:
            context.log_event(
                dg.AssetObservation(
                    key,
                    partition=context.partition_key,
                    description="What was asked and kept in the journal until the run was stopped.",
                    metadata=report.metadata(),
                )
            )
        raise
    finally:
        if report is not None:
            context.instance.add_run_tags(context.run.run_id, {"opinion/cost_usd": f"{report.cost_usd:.6f}"})
    context.log.info(report.line(report.n_requested))
    return report


def _in_language(
    target: Store, language: str, question: pd.DataFrame, option: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The questions that have a usable translation, with translated texts and options."""
    translation = target.read("translation.question", language=language)
    if translation.empty:
        raise dg.Failure(f"there are no translations into {language}; materialise translation/question for it first")
    if not translation["is_usable"].any():
        raise dg.Failure(
            f"none of the {len(translation)} translations into {language} is usable; review them "
            f"(opinion-assets review-export) or translate with another translator"
        )
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
    MASS_WARNING,
)


@dg.asset(
    **table_asset(
        "response.distribution",
        code=("elicitation/distributions.py", "sql/tables/response.sql"),
        checks=[
            *DISTRIBUTION_CHECKS,
            option_counts_agree([*PARTITION, "question_id"], pd.DataFrame),
            every_question_answered(pd.DataFrame),
        ],
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
                [*DISTRIBUTION_CHECKS, agree, every_question_answered(lambda: given)],
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
