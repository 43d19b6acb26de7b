"""Paired differences between model versions and between conditions."""

import itertools

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from opinion_assets.metrics.bootstrap import cluster_weights

_PAIR = ["source", "question_id", "wave", "country_label", "country", "sample_type", "metric", "base"]
COLUMNS = [
    "source", "comparison", "model_version_a", "condition_a", "model_version_b", "condition_b", "country",
    "sample_type", "metric", "base", "n_questions", "difference", "ci_low", "ci_high", "p_value", "p_holm", "p_bh",
    "n_resamples", "seed",
]  # fmt: skip


def holm(p: np.ndarray) -> np.ndarray:
    """p values corrected by Holm 1979 for as many tests as there are values."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(stepped)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def model_comparison(question_country: pd.DataFrame, *, n_resamples: int = 1000, seed: int = 20230628) -> pd.DataFrame:
    """Rows of ``similarity.model_comparison``, over the questions that both sides answered.

    Newest waves and whole countries only.

    Compared are every two models under one condition and every two conditions of one model.

    The p value is two-sided from the bootstrap: twice the smaller share of resampled differences on one side of 0.
    """
    frame = question_country[question_country["is_latest_wave"].astype(bool) & (question_country["group_by"] == "")]
    parts = list(
        frame[["model_version", "condition"]]
        .drop_duplicates()
        .sort_values(["model_version", "condition"])
        .itertuples(index=False, name=None)
    )
    rows = []
    for (model_a, condition_a), (model_b, condition_b) in itertools.combinations(parts, 2):
        if (model_a == model_b) == (condition_a == condition_b):
            continue
        same_name = model_a.partition("@")[0] == model_b.partition("@")[0]
        comparison = "condition" if model_a == model_b else "version" if same_name else "model"
        sides = [
            frame[(frame["model_version"] == model) & (frame["condition"] == condition)][[*_PAIR, "value"]]
            for model, condition in ((model_a, condition_a), (model_b, condition_b))
        ]
        both = sides[0].merge(sides[1], on=_PAIR, suffixes=("_a", "_b"))
        both["difference"] = both["value_a"] - both["value_b"]
        for (source, country, sample, metric, base), values in both.groupby(
            ["source", "country", "sample_type", "metric", "base"]
        ):
            per_question = values.groupby("question_id", sort=True)["difference"].agg(["sum", "size"])
            low = high = p_value = None
            if len(per_question) > 1:
                weights = cluster_weights([str(name) for name in per_question.index], n_resamples, seed)
                means = (weights @ per_question["sum"].to_numpy()) / (weights @ per_question["size"].to_numpy())
                low, high = np.quantile(means, [0.025, 0.975])
                p_value = min(1.0, 2 * (min((means <= 0).sum(), (means >= 0).sum()) + 1) / (n_resamples + 1))
            rows.append(
                (
                    source, comparison, model_a, condition_a, model_b, condition_b, country, sample, metric, base,
                    len(per_question), values["difference"].mean(), low, high, p_value, None, None, n_resamples, seed,
                )
            )  # fmt: skip
    result = pd.DataFrame(rows, columns=COLUMNS).astype({"p_value": float, "p_holm": float, "p_bh": float})
    family = ["source", "model_version_a", "condition_a", "model_version_b", "condition_b", "metric", "base"]
    for _, index in result[result["p_value"].notna()].groupby(family).groups.items():
        p = result.loc[index, "p_value"].to_numpy()
        result.loc[index, "p_holm"] = holm(p)
        result.loc[index, "p_bh"] = false_discovery_control(p)
    return result
