"""Stage `similarity`: how close a model's answers are to each country's.

The definitions stand in sql/similarity and `opinion_assets.metrics`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from opinion_assets.assets.checks import QUESTIONS_WARNING
from opinion_assets.assets.common import (
    WAREHOUSE_POOL,
    Check,
    Output,
    StoreResource,
    as_images,
    as_markdown,
    asset_key,
    by_model_and_condition,
    not_empty,
    partition_of,
    same_columns,
    store_tables,
    table_asset,
    unique_rows,
)
from opinion_assets.metrics.bootstrap import Settings, country_intervals, region_intervals, topic_intervals
from opinion_assets.metrics.references import references
from opinion_assets.report.figures import small_maps
from opinion_assets.warehouse import read_sql

PARTITION = ["model_version", "condition"]
METRIC = ["metric", "base"]
HUMAN = ["source", "question_id", "wave", "country_label", "group_by", "group_value"]
COUNTRY = ["source", "country", "sample_type", "group_by", "group_value"]


def js_out_of_range(frame: pd.DataFrame) -> pd.DataFrame:
    """Jensen-Shannon similarities outside [0, 1]."""
    return frame[(frame["metric"] == "js_similarity") & ~frame["value"].between(0, 1)]


QUESTION_COUNTRY_CHECKS = (
    not_empty(),
    Check("js_similarity_in_0_1", "Every Jensen-Shannon similarity lies between 0 and 1.", js_out_of_range),
    unique_rows([*PARTITION, *HUMAN, *METRIC]),
)


@dg.asset(
    **table_asset(
        "similarity.question_country",
        code=("sql/similarity/question_country.sql", "sql/tables/similarity.sql"),
        checks=QUESTION_COUNTRY_CHECKS,
        lineage=same_columns("response.distribution", *PARTITION, "question_id")
        | same_columns(
            "question.human_distribution",
            "source", "wave", "is_latest_wave", "country_label", "country", "sample_type", "group_by", "group_value",
        )
        | {"value": [("response.distribution", "probability"), ("question.human_distribution", "share")]},
        kinds=("sql", "duckdb", "parquet"),
    ),
    partitions_def=by_model_and_condition,
    deps=[asset_key(name) for name in ("response.distribution", "question.human_distribution", "question.option")],
    pool=WAREHOUSE_POOL,
)  # fmt: skip
def question_country(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
    """Every metric for every question and human distribution (sql/similarity/question_country.sql)."""
    target = store.store()
    partition = partition_of(context)
    inputs = ["response.distribution", "question.human_distribution", "question.option"]
    with target.working_copy(inputs, **partition) as connection:
        frame = connection.execute(read_sql("similarity/question_country.sql")).df()
    default = frame[(frame["metric"] == "js_similarity") & (frame["base"] == "e") & frame["is_latest_wave"]]
    yield from store_tables(
        context,
        target,
        [
            Output(
                "similarity.question_country",
                frame,
                QUESTION_COUNTRY_CHECKS,
                {
                    "mean_js_similarity": float(default["value"].mean()),
                    "questions": int(frame["question_id"].nunique()),
                    "countries": int(frame["country"].nunique()),
                },
            )
        ],
        partition=partition,
        upstream=inputs,
    )


class BootstrapConfig(dg.Config):
    """How the confidence intervals are computed."""

    n_resamples: int = Field(default=1000, ge=100, description="Bootstrap resamples.")
    seed: int = Field(default=20230628, description="Seed; the same seed and answers give the same table.")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Nominal coverage of the intervals.")
    intervals: list[str] = Field(default=["percentile"], description="Kinds of interval: percentile, bca.")
    cluster_by: str = Field(default="question", description="What is resampled: question, topic or wave.")

    def settings(self) -> Settings:
        return Settings(
            n_resamples=self.n_resamples,
            seed=self.seed,
            confidence=self.confidence,
            intervals=tuple(self.intervals),
            cluster_by=self.cluster_by,
        )


def interval_misses_mean(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose interval ends are out of order or only one of which is there."""
    low, high = frame["ci_low"], frame["ci_high"]
    return frame[(low.isna() != high.isna()) | (low > high)]


def mean_checks(by: list[str]) -> tuple[Check, ...]:
    """Checks of a table of means: rows, ordered ends, one row per series, kind of interval and cluster."""
    return (
        not_empty(),
        Check("interval_is_ordered", "ci_low ≤ ci_high, and both or neither are given.", interval_misses_mean),
        unique_rows([*PARTITION, *by, *METRIC, "interval", "cluster_by"]),
    )


def mean_lineage(*by: str) -> dict[str, list[tuple[str, str]]]:
    """Column lineage of a table of means; ``by`` are its columns that question_country has too."""
    return (
        same_columns("similarity.question_country", *PARTITION, *by, *METRIC)
        | {
            column: [("similarity.question_country", "value"), ("similarity.question_country", "is_latest_wave")]
            for column in ("mean", "ci_low", "ci_high", "n_effective")
        }
        | {
            "n_questions": [("similarity.question_country", "question_id")],
            "order_effect": [("response.distribution", "order_effect")],
            "invalid_rate": [("response.distribution", "n_invalid"), ("response.distribution", "n_answers")],
        }
    )


MEAN_INPUTS = ["similarity.question_country", "response.distribution", "question.question"]
COUNTRY_CHECKS = (*mean_checks(COUNTRY), QUESTIONS_WARNING)


@dg.asset(
    **table_asset(
        "similarity.country",
        code=("metrics/bootstrap.py", "sql/tables/similarity.sql"),
        checks=COUNTRY_CHECKS,
        lineage=mean_lineage(*COUNTRY),
    ),
    partitions_def=by_model_and_condition,
    deps=[asset_key(name) for name in MEAN_INPUTS],
    pool=WAREHOUSE_POOL,
)
def country(context: dg.AssetExecutionContext, config: BootstrapConfig, store: StoreResource) -> Iterator[Any]:
    """Mean per country with confidence intervals by a clustered bootstrap."""
    target = store.store()
    partition = partition_of(context)
    frame = country_intervals(
        target.read("similarity.question_country", **partition),
        config.settings(),
        answers=target.read("response.distribution", **partition),
        topics=target.read("question.question"),
    )
    default = frame[(frame["metric"] == "js_similarity") & (frame["base"] == "e") & (frame["group_by"] == "")]
    ranked = default.drop_duplicates(COUNTRY).sort_values("mean", ascending=False)
    shown = ["source", "country", "sample_type", "mean", "ci_low", "ci_high", "n_questions"]
    yield from store_tables(
        context,
        target,
        [
            Output(
                "similarity.country",
                frame,
                COUNTRY_CHECKS,
                {
                    "map": dg.MetadataValue.md(as_images(small_maps(frame))),
                    "mean_js_similarity": float(ranked["mean"].mean()),
                    "countries": int(ranked["country"].nunique()),
                    "closest": dg.MetadataValue.md(as_markdown(ranked[shown].head(10))),
                    "farthest": dg.MetadataValue.md(as_markdown(ranked[shown].tail(10).iloc[::-1])),
                },
            )
        ],
        partition=partition,
        upstream=MEAN_INPUTS,
    )


TOPIC = ["source", "country", "sample_type", "topic"]
TOPIC_CHECKS = mean_checks(TOPIC)


@dg.asset(
    **table_asset(
        "similarity.topic",
        code=("metrics/bootstrap.py", "sql/tables/similarity.sql"),
        checks=TOPIC_CHECKS,
        lineage=mean_lineage("source", "country", "sample_type") | same_columns("question.question", "topic"),
    ),
    partitions_def=by_model_and_condition,
    deps=[asset_key(name) for name in MEAN_INPUTS],
    pool=WAREHOUSE_POOL,
)
def topic(context: dg.AssetExecutionContext, config: BootstrapConfig, store: StoreResource) -> Iterator[Any]:
    """Mean per country and topic with confidence intervals."""
    target = store.store()
    partition = partition_of(context)
    frame = topic_intervals(
        target.read("similarity.question_country", **partition),
        target.read("question.question"),
        config.settings(),
        answers=target.read("response.distribution", **partition),
    )
    yield from store_tables(
        context,
        target,
        [Output("similarity.topic", frame, TOPIC_CHECKS, {"topics": int(frame["topic"].nunique())})],
        partition=partition,
        upstream=MEAN_INPUTS,
    )


REGION = ["source", "region", "sample_type"]
REGION_CHECKS = mean_checks(REGION)
REGION_INPUTS = [*MEAN_INPUTS, "question.country"]


@dg.asset(
    **table_asset(
        "similarity.region",
        code=("metrics/bootstrap.py", "sql/tables/similarity.sql"),
        checks=REGION_CHECKS,
        lineage=mean_lineage("source", "sample_type")
        | same_columns("question.country", "region")
        | {"n_countries": [("similarity.question_country", "country")]},
    ),
    partitions_def=by_model_and_condition,
    deps=[asset_key(name) for name in REGION_INPUTS],
    pool=WAREHOUSE_POOL,
)
def region(context: dg.AssetExecutionContext, config: BootstrapConfig, store: StoreResource) -> Iterator[Any]:
    """Mean per world region and sample type, and over the world, with confidence intervals."""
    target = store.store()
    partition = partition_of(context)
    frame = region_intervals(
        target.read("similarity.question_country", **partition),
        target.read("question.country"),
        config.settings(),
        answers=target.read("response.distribution", **partition),
        topics=target.read("question.question"),
    )
    default = frame[(frame["metric"] == "js_similarity") & (frame["base"] == "e")]
    ranked = default.drop_duplicates(REGION).sort_values("mean", ascending=False)
    shown = ["source", "region", "sample_type", "mean", "ci_low", "ci_high", "n_countries", "n_questions"]
    yield from store_tables(
        context,
        target,
        [
            Output(
                "similarity.region",
                frame,
                REGION_CHECKS,
                {"regions": dg.MetadataValue.md(as_markdown(ranked[shown].head(30)))},
            )
        ],
        partition=partition,
        upstream=REGION_INPUTS,
    )


class ReferenceConfig(dg.Config):
    """How the references are computed."""

    n_resamples: int = Field(default=1000, ge=100, description="Bootstrap resamples.")
    seed: int = Field(default=20230628, description="Seed of the bootstrap and of the noise ceiling's samples.")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Nominal coverage of the intervals.")
    n_draws: int = Field(default=200, ge=20, description="Samples drawn per question for the noise ceiling.")
    assumed_n: int | None = Field(
        default=None,
        ge=2,
        description="Respondents to assume for the noise ceiling where a source does not say; by default none are "
        "assumed and the ceiling is NULL. What was assumed stands in the column detail.",
    )


def reference_is_no_row(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows without a mean that are no unknown noise ceiling."""
    return frame[frame["mean"].isna() & (frame["reference"] != "noise_ceiling")]


REFERENCE_CHECKS = (
    not_empty(),
    Check("interval_is_ordered", "ci_low ≤ ci_high, and both or neither are given.", interval_misses_mean),
    Check("only_the_ceiling_is_unknown", "Only a noise ceiling has no mean.", reference_is_no_row),
    unique_rows(["source", "country", "sample_type", "reference", *METRIC]),
)
REFERENCE_INPUTS = ["question.human_distribution", "question.option"]


@dg.asset(
    **table_asset(
        "similarity.reference",
        code=("metrics/references.py", "metrics/bootstrap.py", "metrics/distances.py", "sql/tables/similarity.sql"),
        checks=REFERENCE_CHECKS,
        lineage=same_columns("question.human_distribution", "source", "country", "sample_type")
        | {
            "mean": [
                ("question.human_distribution", "share"),
                ("question.human_distribution", "n"),
                ("question.human_distribution", "n_effective"),
                ("question.option", "ordinal_value"),
            ],
            "detail": [("question.human_distribution", "country"), ("question.human_distribution", "n")],
            "n_questions": [("question.human_distribution", "question_id")],
        },
    ),
    deps=[asset_key(name) for name in REFERENCE_INPUTS],
    pool=WAREHOUSE_POOL,
)
def reference(context: dg.AssetExecutionContext, config: ReferenceConfig, store: StoreResource) -> Iterator[Any]:
    """Uniform and majority answers, other countries and sampling noise, as what a model's mean is read against."""
    target = store.store()
    frame = references(
        target.read("question.human_distribution"), target.read("question.option"), **config.model_dump()
    )
    default = frame[(frame["metric"] == "js_similarity") & (frame["base"] == "e")]
    summary = default.groupby(["source", "reference"])["mean"].agg(["mean", "min", "max", "count"]).reset_index()
    yield from store_tables(
        context,
        target,
        [
            Output(
                "similarity.reference",
                frame,
                REFERENCE_CHECKS,
                {"js_similarity_over_countries": dg.MetadataValue.md(as_markdown(summary))},
            )
        ],
        upstream=REFERENCE_INPUTS,
    )
