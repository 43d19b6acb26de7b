"""Confidence intervals of country means by a bootstrap clustered by question (Cameron, Gelbach & Miller 2008).

One set of resamples of a source's questions serves every country, metric, model and condition that answered the same
questions: differences are then paired, and the numbers do not depend on how the work is divided among workers.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

COUNTRY = ["source", "country", "sample_type", "group_by", "group_value"]
SERIES = ["model_version", "condition", *COUNTRY, "metric", "base"]
INTERVALS = ("percentile", "bca")
# Series scored at once: bounds the memory of a block at n_resamples × 512 and n_clusters × 512 numbers.
_BLOCK = 512
_COLUMNS = [
    *SERIES, "mean", "ci_low", "ci_high", "interval", "confidence", "cluster_by", "n_questions", "n_clusters",
    "n_resamples", "seed",
]  # fmt: skip

Floats = NDArray[np.float64]


def cluster_weights(clusters: Sequence[str], n_resamples: int, seed: int) -> Floats:
    """Multinomial weights of shape (n_resamples, n_clusters): how often each cluster is drawn in each resample.

    Rows sum to n_clusters. The draw depends on the seed and the names of the clusters only, in the order given.
    """
    digest = hashlib.sha256("\n".join(clusters).encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    n = len(clusters)
    return generator.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)


def resampled_means(weights: Floats, sums: Floats, counts: Floats) -> Floats:
    """Mean of each series in each resample, shape (n_resamples, n_series).

    ``sums`` and ``counts`` have the shape (n_clusters, n_series): sum and number of a series' values in each cluster.
    NaN where a resample holds no value of a series; such a resample says nothing about it.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = (weights @ sums) / (weights @ counts)
    return means


def percentile_interval(means: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Percentile interval of each series (Efron 1979), from resampled means of shape (n_resamples, n_series)."""
    low, high = np.nanquantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def bca_interval(means: Floats, sums: Floats, counts: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Bias-corrected and accelerated interval of each series (Efron 1987, eqs. 2.2 and 6.6).

    Acceleration by the jackknife over the series' own clusters. NaN where all resampled means lie on one side.
    """
    total, number = sums.sum(axis=0), counts.sum(axis=0)
    mean = total / number
    below = (means < mean).sum(axis=0) + 0.5 * (means == mean).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        bias = norm.ppf(below / np.isfinite(means).sum(axis=0))
        left_out = (total - sums) / (number - counts)
        own = counts > 0
        centre = np.where(own, left_out, 0).sum(axis=0) / own.sum(axis=0)
        deviation = np.where(own, centre - left_out, 0)
        acceleration = (deviation**3).sum(axis=0) / (6 * (deviation**2).sum(axis=0) ** 1.5)
        acceleration = np.nan_to_num(acceleration)
        ends = []
        for quantile in ((1 - confidence) / 2, (1 + confidence) / 2):
            z = bias + norm.ppf(quantile)
            ends.append(norm.cdf(bias + z / (1 - acceleration * z)))
    low, high = np.full(means.shape[1], np.nan), np.full(means.shape[1], np.nan)
    for series in np.flatnonzero(np.isfinite(ends[0]) & np.isfinite(ends[1])):
        low[series], high[series] = np.nanquantile(means[:, series], [ends[0][series], ends[1][series]])
    return low, high


def country_intervals(
    question_country: pd.DataFrame,
    *,
    n_resamples: int = 1000,
    seed: int = 20230628,
    confidence: float = 0.95,
    intervals: Sequence[str] = ("percentile",),
) -> pd.DataFrame:
    """Rows of ``similarity.country`` from rows of ``similarity.question_country``, newest waves only.

    One row a series and kind of interval; NULL ends for a country with fewer than 2 questions. Raises ValueError for
    an unknown kind of interval.
    """
    unknown = set(intervals) - set(INTERVALS)
    if unknown:
        raise ValueError(f"unknown interval {sorted(unknown)[0]!r}; there are {', '.join(INTERVALS)}")
    frame = question_country[question_country["is_latest_wave"].astype(bool)]
    parts = [
        _partition_intervals(part, n_resamples, seed, confidence, intervals)
        for _, part in frame.groupby(["model_version", "condition", "source"], sort=True)
    ]
    if not parts:
        return pd.DataFrame(columns=_COLUMNS)
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values([*SERIES, "interval"], ignore_index=True)[_COLUMNS]


def _partition_intervals(
    part: pd.DataFrame, n_resamples: int, seed: int, confidence: float, intervals: Sequence[str]
) -> pd.DataFrame:
    clusters, cluster = np.unique(part["question_id"].to_numpy(dtype=str), return_inverse=True)
    grouped = part.groupby(SERIES, sort=True)
    series = grouped.ngroup().to_numpy()
    keys = grouped["value"].agg(mean="mean").reset_index()
    weights = cluster_weights(clusters.tolist(), n_resamples, seed)
    values = part["value"].to_numpy(dtype=np.float64)
    found: dict[str, list[tuple[Floats, Floats]]] = {kind: [] for kind in intervals}
    n_clusters = np.empty(len(keys), dtype=np.int64)
    for start in range(0, len(keys), _BLOCK):
        stop = min(start + _BLOCK, len(keys))
        here = (series >= start) & (series < stop)
        place = cluster[here] * (stop - start) + series[here] - start
        shape = (len(clusters), stop - start)
        summed = np.bincount(place, weights=values[here], minlength=shape[0] * shape[1])
        sums = summed.reshape(shape).astype(np.float64)
        counts = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
        n_clusters[start:stop] = (counts > 0).sum(axis=0)
        means = resampled_means(weights, sums, counts)
        for kind in intervals:
            found[kind].append(
                percentile_interval(means, confidence)
                if kind == "percentile"
                else bca_interval(means, sums, counts, confidence)
            )
    rows = []
    for kind, blocks in found.items():
        low, high = (np.concatenate(ends) for ends in zip(*blocks, strict=True))
        enough = (n_clusters > 1) & np.isfinite(low) & np.isfinite(high)
        rows.append(
            keys.assign(
                ci_low=np.where(enough, low, np.nan),
                ci_high=np.where(enough, high, np.nan),
                interval=kind,
                confidence=confidence,
                cluster_by="question",
                n_questions=n_clusters,
                n_clusters=n_clusters,
                n_resamples=n_resamples,
                seed=seed,
            )
        )
    return pd.concat(rows, ignore_index=True)
