"""Stage `similarity`, across partitions: model versions against each other, conditions against default.

What is computed stands in `opinion_assets.metrics`. These tables have no partitions: each row needs two of them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc
from pydantic import Field

from opinion_assets.assets.common import (
    WAREHOUSE_POOL,
    Check,
    Output,
    StoreResource,
    as_markdown,
    asset_key,
    same_columns,
    store_tables,
    table_asset,
    unique_rows,
)
from opinion_assets.metrics.comparison import model_comparison
from opinion_assets.metrics.conditions import (
    CLOSER_IS_LARGER,
    condition_effect,
    condition_entropy,
    condition_targets,
)
from opinion_assets.metrics.paired import COLUMNS, Settings
from opinion_assets.warehouse import Store

CODE = ("metrics", "sql/tables/similarity.sql")
UPSTREAM = "similarity.question_country"


class PairedConfig(dg.Config):
    """How paired differences are tested."""

    n_resamples: int = Field(default=1000, ge=100, description="Bootstrap resamples behind the intervals.")
    n_permutations: int = Field(
        default=9999,
        ge=99,
        description="Sign patterns behind the p values; with m countries no Holm value is below m / (this + 1).",
    )
    seed: int = Field(default=20230628, description="Seed; the same seed and answers give the same table.")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Nominal coverage of the intervals.")
    intervals: list[str] = Field(default=["percentile"], description="Kinds of interval: percentile, bca.")

    def settings(self) -> Settings:
        return Settings(
            n_resamples=self.n_resamples,
            n_permutations=self.n_permutations,
            seed=self.seed,
            confidence=self.confidence,
            intervals=tuple(self.intervals),
        )


class MetricsConfig(PairedConfig):
    """The same for chosen metrics."""

    metrics: list[str] = Field(
        default=["js_similarity"],
        description=f"Metrics to compare, in every base there is: {', '.join(CLOSER_IS_LARGER)}.",
    )

    def known_metrics(self) -> list[str]:
        """The metrics; dg.Failure where one cannot be compared."""
        unknown = sorted(set(self.metrics) - set(CLOSER_IS_LARGER))
        if unknown:
            raise dg.Failure(f"metric {unknown[0]!r} cannot be compared; there are {', '.join(CLOSER_IS_LARGER)}")
        return self.metrics


class ComparisonConfig(MetricsConfig):
    """Which pairs are compared."""

    baseline: str = Field(
        default="", description="Model version to compare all others with. Empty: every two models under one condition."
    )
    all_conditions: bool = Field(
        default=False, description="Compare every two conditions of a model, not only each with default."
    )
    max_pairs: int = Field(
        default=2000, ge=1, description="Fail, rather than run for long, where there are more pairs."
    )


def values_of(store: Store, metrics: Sequence[str]) -> pd.DataFrame:
    """Values that enter country means: newest waves, whole countries."""
    chosen = pc.field("is_latest_wave") & (pc.field("group_by") == "") & pc.field("metric").isin(list(metrics))
    return store.read_where(UPSTREAM, COLUMNS, chosen)


KEY = ["source", "country", "sample_type", "interval"]
INTERVAL_ORDER = Check(
    "interval_is_ordered",
    "ci_low ≤ ci_high, and both or neither are given.",
    lambda frame: frame[(frame["ci_low"].isna() != frame["ci_high"].isna()) | (frame["ci_low"] > frame["ci_high"])],
)
COMPARISON_CHECKS = (
    INTERVAL_ORDER,
    unique_rows([*KEY, "model_version_a", "condition_a", "model_version_b", "condition_b", "metric", "base"]),
)
EFFECT_CHECKS = (INTERVAL_ORDER, unique_rows([*KEY, "model_version", "condition", "metric", "base", "effect"]))
ENTROPY_CHECKS = (INTERVAL_ORDER, unique_rows([*KEY, "model_version", "condition", "comparison"]))
TESTED = {column: [(UPSTREAM, "value")] for column in ("difference", "ci_low", "ci_high", "p_value", "p_holm", "p_bh")}
SAME = same_columns(UPSTREAM, "source", "country", "sample_type", "base")


@dg.asset(
    **table_asset(
        "similarity.model_comparison",
        code=CODE,
        checks=COMPARISON_CHECKS,
        lineage=SAME
        | TESTED
        | {f"{column}_{side}": [(UPSTREAM, column)] for column in ("model_version", "condition") for side in "ab"},
    ),
    deps=[asset_key(UPSTREAM)],
    pool=WAREHOUSE_POOL,
)
def comparison(context: dg.AssetExecutionContext, config: ComparisonConfig, store: StoreResource) -> Iterator[Any]:
    """Paired differences between models, versions of a model, and conditions."""
    target = store.store()
    frame = model_comparison(
        values_of(target, config.known_metrics()),
        config.settings(),
        baseline=config.baseline,
        all_conditions=config.all_conditions,
        max_pairs=config.max_pairs,
    )
    pairs = frame.groupby(["comparison", "model_version_a", "condition_a", "model_version_b", "condition_b"])
    shown = pairs["p_holm"].agg(countries="count", holm_below_5_percent=lambda p: int((p < 0.05).sum())).reset_index()
    yield from store_tables(
        context,
        target,
        [
            Output(
                "similarity.model_comparison",
                frame,
                COMPARISON_CHECKS,
                {"pairs": len(shown), "differences": dg.MetadataValue.md(as_markdown(shown.head(30)))},
            )
        ],
        upstream=[UPSTREAM],
    )


def _targets(store: Store, values: pd.DataFrame) -> dict[str, set[str]]:
    return condition_targets(set(map(str, values["condition"].unique())), store.read("translation.speakers"))


@dg.asset(
    **table_asset(
        "similarity.condition_effect",
        code=CODE,
        checks=EFFECT_CHECKS,
        lineage=SAME
        | TESTED
        | same_columns(UPSTREAM, "model_version", "condition", "metric")
        | {"is_target": [(UPSTREAM, "condition"), ("translation.speakers", "share")]}
        | {f"{side}_mean": [(UPSTREAM, "value")] for side in ("default", "condition")},
    ),
    deps=[asset_key(UPSTREAM), asset_key("translation.speakers")],
    pool=WAREHOUSE_POOL,
)
def effect(context: dg.AssetExecutionContext, config: MetricsConfig, store: StoreResource) -> Iterator[Any]:
    """Whom each prompt condition moves a model toward, in all and beyond everybody else."""
    target = store.store()
    values = values_of(target, config.known_metrics())
    frame = condition_effect(values, _targets(target, values), config.settings())
    shown = frame.loc[
        frame["is_target"] & (frame["base"] != "2"),
        ["model_version", "condition", "country", "metric", "effect", "difference", "ci_low", "ci_high", "p_value",
         "default_rank", "condition_rank", "n_questions"],
    ]  # fmt: skip
    yield from store_tables(
        context,
        target,
        [
            Output(
                "similarity.condition_effect",
                frame,
                EFFECT_CHECKS,
                {"toward_the_target": dg.MetadataValue.md(as_markdown(shown.head(30)))},
            )
        ],
        upstream=[UPSTREAM, "translation.speakers"],
    )


@dg.asset(
    **table_asset(
        "similarity.condition_entropy",
        code=CODE,
        checks=ENTROPY_CHECKS,
        lineage=SAME
        | TESTED
        | same_columns(UPSTREAM, "model_version", "condition")
        | {"is_target": [(UPSTREAM, "condition"), ("translation.speakers", "share")]}
        | {f"mean_{side}": [(UPSTREAM, "value")] for side in "ab"},
    ),
    deps=[asset_key(UPSTREAM), asset_key("translation.speakers")],
    pool=WAREHOUSE_POOL,
)
def entropy(context: dg.AssetExecutionContext, config: PairedConfig, store: StoreResource) -> Iterator[Any]:
    """Whether a prompt condition makes the answers less varied than by default and than people's."""
    target = store.store()
    values = values_of(target, ["model_entropy", "human_entropy"])
    frame = condition_entropy(values, _targets(target, values), config.settings())
    shown = frame.loc[
        (frame["country"] == "") | frame["is_target"],
        ["model_version", "condition", "country", "comparison", "mean_a", "mean_b", "difference", "ci_low", "ci_high"],
    ]
    yield from store_tables(
        context,
        target,
        [
            Output(
                "similarity.condition_entropy",
                frame,
                ENTROPY_CHECKS,
                {"entropies": dg.MetadataValue.md(as_markdown(shown.head(30)))},
            )
        ],
        upstream=[UPSTREAM, "translation.speakers"],
    )
