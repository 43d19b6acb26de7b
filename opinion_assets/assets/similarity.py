"""Stage `similarity`: how close a model's answers are to each country's.

The definitions stand in sql/similarity and `opinion_assets.metrics`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from opinion_assets.assets.common import (
    WAREHOUSE_POOL,
    Check,
    Output,
    StoreResource,
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
from opinion_assets.metrics.bootstrap import country_intervals
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


def interval_misses_mean(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose interval ends are out of order or only one of which is there."""
    low, high = frame["ci_low"], frame["ci_high"]
    return frame[(low.isna() != high.isna()) | (low > high)]


COUNTRY_CHECKS = (
    not_empty(),
    Check("interval_is_ordered", "ci_low ≤ ci_high, and both or neither are given.", interval_misses_mean),
    unique_rows([*PARTITION, *COUNTRY, *METRIC, "interval", "cluster_by"]),
)


@dg.asset(
    **table_asset(
        "similarity.country",
        code=("metrics", "sql/tables/similarity.sql"),
        checks=COUNTRY_CHECKS,
        lineage=same_columns("similarity.question_country", *PARTITION, *COUNTRY, *METRIC)
        | {
            column: [("similarity.question_country", "value"), ("similarity.question_country", "is_latest_wave")]
            for column in ("mean", "ci_low", "ci_high")
        }
        | {"n_questions": [("similarity.question_country", "question_id")]},
    ),
    partitions_def=by_model_and_condition,
    deps=[asset_key("similarity.question_country")],
    pool=WAREHOUSE_POOL,
)
def country(context: dg.AssetExecutionContext, config: BootstrapConfig, store: StoreResource) -> Iterator[Any]:
    """Mean per country with confidence intervals by a bootstrap clustered by question."""
    target = store.store()
    partition = partition_of(context)
    frame = country_intervals(
        target.read("similarity.question_country", **partition),
        n_resamples=config.n_resamples,
        seed=config.seed,
        confidence=config.confidence,
        intervals=config.intervals,
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
                    "closest": dg.MetadataValue.md(as_markdown(ranked[shown].head(10))),
                    "farthest": dg.MetadataValue.md(as_markdown(ranked[shown].tail(10).iloc[::-1])),
                },
            )
        ],
        partition=partition,
        upstream=["similarity.question_country"],
    )
