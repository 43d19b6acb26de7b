"""Confidence intervals of country means by a bootstrap clustered by question (Cameron, Gelbach & Miller 2008).

The same resamples of a source's questions serve every country, model and condition: differences are then paired, and
the numbers do not depend on how the work is divided.
"""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COUNTRY = ["source", "country", "sample_type", "group_by", "group_value"]
SERIES = ["model_version", "condition", *COUNTRY, "metric", "base"]


def cluster_weights(clusters: list[str], n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Multinomial weights of shape (n_resamples, n_clusters): how often each cluster is drawn in each resample.

    Rows sum to n_clusters. The draw depends on the seed and the sorted names of the clusters only.
    """
    digest = hashlib.sha256("\n".join(clusters).encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    n = len(clusters)
    return generator.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)


def country_intervals(
    question_country: pd.DataFrame, *, n_resamples: int = 1000, seed: int = 20230628, confidence: float = 0.95
) -> pd.DataFrame:
    """Rows of ``similarity.country`` from rows of ``similarity.question_country``, newest waves only.

    Percentile intervals; NULL for a country with fewer than 2 questions. A resample in which none of a country's
    questions is drawn says nothing about that country and is left out for it.
    """
    frame = question_country[question_country["is_latest_wave"].astype(bool)]
    rows = []
    for series, values in frame.groupby(SERIES, sort=True):
        per_question = values.groupby("question_id", sort=True)["value"].agg(["sum", "size"])
        clusters = [str(name) for name in per_question.index]
        low = high = None
        if len(clusters) > 1:
            weights = cluster_weights(clusters, n_resamples, seed)
            means = (weights @ per_question["sum"].to_numpy()) / (weights @ per_question["size"].to_numpy())
            low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
        rows.append(
            (
                *series, values["value"].mean(), low, high, "percentile", confidence, "question", len(clusters),
                len(clusters), n_resamples, seed,
            )
        )  # fmt: skip
    columns = [
        *SERIES, "mean", "ci_low", "ci_high", "interval", "confidence", "cluster_by", "n_questions", "n_clusters",
        "n_resamples", "seed",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
