"""Means with confidence intervals by a bootstrap clustered by question, topic or wave (Cameron, Gelbach & Miller 2008).

One set of resamples of a source's clusters serves every country, metric, model and condition that answered the same
questions: differences are then paired. Products have one shape and BLAS one thread, so a series' numbers are the same
to the last bit however the work is divided among threads and workers, and in any company.

Belongs here: from values per question to means and intervals. Does not belong here: the values themselves
(`distances`, sql/similarity), what a mean is read against (`references`), differences (`comparison`).
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from threading import Lock

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri
from threadpoolctl import ThreadpoolController

PARTITION = ["model_version", "condition", "source"]
COUNTRY = ["country", "sample_type", "group_by", "group_value"]
METRIC = ["metric", "base"]
INTERVALS = ("percentile", "bca")
# What cluster_by may name, and the column that holds it.
CLUSTERS = {"question": "question_id", "topic": "topic", "wave": "wave"}
WORLD = "World"
# Series whose resampled means are held at once: a block has 256 × n_resamples numbers.
_BLOCK = 256
# Rows of one product. A multiple of what BLAS kernels take at once, so that all rows are computed in the same way.
_TILE = 16
_BLAS_LOCK = Lock()
_blas = lru_cache(maxsize=1)(ThreadpoolController)
_ENDS = ["mean", "ci_low", "ci_high", "interval", "confidence", "cluster_by"]
_NUMBERS = ["n_questions", "n_clusters", "n_effective", "order_effect", "invalid_rate", "n_resamples", "seed"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def cluster_weights(clusters: Sequence[str], n_resamples: int, seed: int) -> Floats:
    """How often each cluster is drawn in each resample with replacement, shape (n_resamples, n_clusters); read-only.

    Rows sum to n_clusters. The draw depends on the seed and the names of the clusters only, in the order given.
    """
    return _weights(tuple(clusters), n_resamples, seed)


@lru_cache(maxsize=2)
def _weights(clusters: tuple[str, ...], n_resamples: int, seed: int) -> Floats:
    digest = hashlib.sha256("\n".join(clusters).encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    n = len(clusters)
    # Stored cluster by cluster, since a series takes the rows of its own clusters; counted a few resamples at a time,
    # which stay in the cache.
    weights = np.empty((n, n_resamples)).T
    for start in range(0, n_resamples, 64):
        part = weights[start : start + 64]
        drawn = generator.integers(0, n, size=part.shape)
        drawn += n * np.arange(len(part))[:, None]
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    weights.flags.writeable = False
    return weights


def _check_intervals(intervals: Sequence[str]) -> None:
    unknown = sorted(set(intervals) - set(INTERVALS))
    if unknown:
        raise ValueError(f"unknown interval {unknown[0]!r}; there are {', '.join(INTERVALS)}")


@dataclass(frozen=True)
class Intervals:
    """Means and intervals of several series, each an array of shape (n_series,).

    ``low`` and ``high`` by kind of interval; NaN for a series with fewer than 2 clusters. ``n_effective`` is the number
    of values divided by the design effect, capped by the caller.
    """

    mean: Floats
    low: dict[str, Floats]
    high: dict[str, Floats]
    n_clusters: Integers
    n_effective: Floats


def bootstrap_means(
    values: Floats,
    series: Integers,
    cluster: Integers,
    weights: Floats,
    *,
    confidence: float = 0.95,
    intervals: Sequence[str] = ("percentile",),
    n_threads: int | None = None,
) -> Intervals:
    """Mean of each series and its intervals.

    ``values``, ``series`` and ``cluster`` have the shape (n_values,): a value, the number of its series (0 to
    n_series − 1, none empty) and of its cluster. ``weights``, from `cluster_weights`, has the shape (n_resamples,
    n_clusters). A resampled mean is Σ w·value / Σ w over the series' values; resamples that hold none of them say
    nothing about the series and do not count.

    Percentile: the quantiles (linear, Hyndman & Fan type 7) of the resampled means (Efron 1979). BCa: Efron 1987, eqs.
    2.2 and 6.6, with the acceleration by the jackknife over the series' own clusters; NaN where all resampled means
    lie on one side of the mean. Effective number: s² / V with s² the variance of the values and
    V = K/(K−1) Σ_k (Σ_i∈k (x_i − mean))² / n² the variance of their mean with K clusters (Kish 1965, design effect).

    Raises ValueError for an unknown kind of interval.
    """
    _check_intervals(intervals)
    n_series, n_clusters = int(series.max()) + 1, weights.shape[1]
    shape = (n_series, n_clusters)
    sums = csr_array((values, (series, cluster)), shape=shape)
    sums.sum_duplicates()
    if sums.nnz == len(values):
        counts = csr_array((np.ones(len(values)), sums.indices, sums.indptr), shape=shape)
    else:
        counts = csr_array((np.ones(len(values)), (series, cluster)), shape=shape)
        counts.sum_duplicates()
    first = sums.indptr[:-1]
    total, number = np.add.reduceat(sums.data, first), np.add.reduceat(counts.data, first)
    mean = total / number
    own = np.diff(sums.indptr)
    row = np.repeat(np.arange(n_series), own)
    n_effective = _effective(values - mean[series], series, sums.data - counts.data * mean[row], row, number, own)
    acceleration = (
        _acceleration(sums.data, counts.data, total, number, row, own) if "bca" in intervals else np.empty(n_series)
    )
    quantiles = ((1 - confidence) / 2, (1 + confidence) / 2)

    def ends_of(here: Integers, means: Floats) -> dict[str, tuple[Floats, Floats]]:
        means.sort(axis=1)  # NaN last
        valid = np.isfinite(means).sum(axis=1)
        ends: dict[str, tuple[Floats, Floats]] = {}
        if "percentile" in intervals:
            ends["percentile"] = (
                sorted_quantile(means, valid, quantiles[0]),
                sorted_quantile(means, valid, quantiles[1]),
            )
        if "bca" in intervals:
            with np.errstate(invalid="ignore", divide="ignore"):
                centre = mean[here, None]
                bias = ndtri(((means < centre).sum(axis=1) + 0.5 * (means == centre).sum(axis=1)) / valid)
                low, high = (
                    ndtr(bias + (bias + ndtri(q)) / (1 - acceleration[here] * (bias + ndtri(q)))) for q in quantiles
                )
            ends["bca"] = sorted_quantile(means, valid, low), sorted_quantile(means, valid, high)
        return ends

    low = {kind: np.full(n_series, np.nan) for kind in intervals}
    high = {kind: np.full(n_series, np.nan) for kind in intervals}

    def work(groups: list[Integers]) -> None:
        here = np.concatenate(groups)
        for kind, (lower, upper) in ends_of(here, _resampled(sums, counts, groups, weights)).items():
            both = (own[here] > 1) & np.isfinite(lower) & np.isfinite(upper)
            low[kind][here], high[kind][here] = np.where(both, lower, np.nan), np.where(both, upper, np.nan)

    # BLAS with one thread, and work for the threads here: how BLAS would divide a product changes its last bits.
    with _BLAS_LOCK, _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads or os.cpu_count()) as pool:
        list(pool.map(work, _blocks(counts)))
    return Intervals(mean, low, high, own.astype(np.int64), n_effective)


def _blocks(counts: csr_array) -> list[list[Integers]]:
    """The series, as lists of groups that have values in the same clusters; lists of about `_BLOCK` series."""
    alike: dict[bytes, list[int]] = {}
    for index, (start, stop) in enumerate(pairwise(counts.indptr.tolist())):
        alike.setdefault(counts.indices[start:stop].tobytes() + counts.data[start:stop].tobytes(), []).append(index)
    blocks: list[list[Integers]] = [[]]
    size = 0
    for group in alike.values():
        for start in range(0, len(group), _BLOCK):
            part = np.array(group[start : start + _BLOCK])
            if size and size + len(part) > _BLOCK:
                blocks.append([])
                size = 0
            blocks[-1].append(part)
            size += len(part)
    return blocks


def _resampled(sums: csr_array, counts: csr_array, groups: list[Integers], weights: Floats) -> Floats:
    """Resampled means, shape (n_series of all groups, n_resamples); NaN where a resample holds none of the values.

    Of each group only the weights of its own clusters are multiplied, in tiles of `_TILE` rows: products of one shape,
    in which a row's bits do not depend on its place or on the other rows.
    """
    by_cluster = weights.T
    n_own = np.diff(counts.indptr)
    means = np.empty((sum(map(len, groups)), len(weights)))
    most = max(int(n_own[group[0]]) for group in groups)
    room, tile = np.empty((most, len(weights))), np.zeros((_TILE, most))
    done = 0
    for group in groups:
        n = n_own[group[0]]
        first = slice(counts.indptr[group[0]], counts.indptr[group[0]] + n)
        # Every index is one of the clusters; without "clip" NumPy would copy once more.
        drawn = np.take(by_cluster, counts.indices[first], axis=0, out=room[:n], mode="clip")
        # The last row of each tile: how many values a resample draws.
        for start in range(0, len(group), _TILE - 1):
            part = group[start : start + _TILE - 1]
            tile[: len(part), :n] = sums.data[sums.indptr[part][:, None] + np.arange(n)]
            tile[len(part) : -1, :n] = 0
            tile[-1, :n] = counts.data[first]
            product = tile[:, :n] @ drawn
            with np.errstate(invalid="ignore", divide="ignore"):
                np.divide(product[: len(part)], product[-1], out=means[done : done + len(part)])
            done += len(part)
    return means


def sorted_quantile(ordered: Floats, n_valid: Integers, quantile: float | Floats) -> Floats:
    """Quantile of each row of ``ordered``, whose first n_valid values are sorted; NaN where the quantile is NaN."""
    with np.errstate(invalid="ignore"):
        place = (n_valid - 1) * np.asarray(quantile, dtype=np.float64)
    known = np.isfinite(place) & (n_valid > 0)
    place = np.where(known, place, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(n_valid - 1, 0))
    rows = np.arange(len(ordered))
    lower, upper = ordered[rows, below], ordered[rows, above]
    return np.where(known, lower + (upper - lower) * (place - below), np.nan)


def _effective(
    deviation: Floats, series: Integers, of_cluster: Floats, row: Integers, number: Floats, own: Integers
) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.bincount(series, weights=deviation**2) / (number - 1)
        of_mean = np.bincount(row, weights=of_cluster**2) / number**2 * own / (own - 1)
        # Rounding of equal values is no variance.
        alike = np.sqrt(variance) < 1e-12
        found: Floats = np.where((own > 1) & ~alike, variance / of_mean, np.nan)
    return found


def _acceleration(sums: Floats, counts: Floats, total: Floats, number: Floats, row: Integers, own: Integers) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out = (total[row] - sums) / (number[row] - counts)
        deviation = (np.bincount(row, weights=left_out) / own)[row] - left_out
        acceleration = np.bincount(row, weights=deviation**3) / (6 * np.bincount(row, weights=deviation**2) ** 1.5)
    return np.nan_to_num(acceleration, posinf=0, neginf=0)


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """What every bootstrap is told: ``n_resamples``, their seed, the nominal coverage and the kinds of interval.

    Raises ValueError for an unknown kind of interval.
    """

    n_resamples: int = 1000
    seed: int = 20230628
    confidence: float = 0.95
    intervals: tuple[str, ...] = ("percentile",)

    def __post_init__(self) -> None:
        _check_intervals(self.intervals)


@dataclass(frozen=True, kw_only=True)
class Settings(Resampling):
    """How the intervals of means are computed. ``cluster_by``, a key of `CLUSTERS`, says what is resampled.

    Raises ValueError for an unknown kind of interval or cluster.
    """

    cluster_by: str = "question"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster_by not in CLUSTERS:
            raise ValueError(f"unknown cluster_by {self.cluster_by!r}; there are {', '.join(CLUSTERS)}")


def mean_intervals(
    frame: pd.DataFrame,
    by: Sequence[str],
    settings: Settings | None = None,
    *,
    universe: Sequence[str] = ("source",),
) -> pd.DataFrame:
    """One row for each group of ``by`` and kind of interval, with its mean and interval; sorted by both.

    ``frame`` has the columns of ``by``, ``question_id``, ``value``, the column of the clusters (``topic``, ``wave``)
    and, where known, ``order_effect``, ``n_invalid`` and ``n_answers`` of the question behind each value. Clusters are
    resampled within each group of ``universe``, whose columns are among those of ``by``. Raises ValueError for a
    cluster column that is missing.
    """
    settings = settings or Settings()
    column = CLUSTERS[settings.cluster_by]
    if column not in frame:
        raise ValueError(f"cluster_by {settings.cluster_by!r} needs the column {column!r}")
    # What has the same clusters has the same resamples, and is computed together.
    alike: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for _, part in frame.groupby(list(universe), sort=True, observed=True):
        alike.setdefault(tuple(sorted(part[column].unique())), []).append(part)
    parts = []
    for names, together in alike.items():
        part = pd.concat(together)
        cluster = pd.Index(names).get_indexer(pd.Index(part[column]))
        grouped = part.groupby(list(by), sort=True, observed=True)
        series = np.asarray(grouped.ngroup(), dtype=np.int64)
        found = bootstrap_means(
            part["value"].to_numpy(dtype=np.float64),
            series,
            cluster,
            cluster_weights(names, settings.n_resamples, settings.seed),
            confidence=settings.confidence,
            intervals=settings.intervals,
        )
        n_questions = _distinct(series, pd.factorize(part["question_id"])[0])
        keys = (
            grouped.size()
            .index.to_frame(index=False)
            .assign(
                mean=found.mean,
                cluster_by=settings.cluster_by,
                confidence=settings.confidence,
                n_questions=n_questions,
                n_clusters=found.n_clusters,
                n_effective=np.minimum(found.n_effective, n_questions),
                **_diagnostics(part, series),
                n_resamples=settings.n_resamples,
                seed=settings.seed,
            )
        )
        parts += [
            keys.assign(ci_low=found.low[kind], ci_high=found.high[kind], interval=kind) for kind in settings.intervals
        ]
    columns = [*by, *_ENDS, *_NUMBERS]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True).sort_values([*by, "interval"], ignore_index=True)[columns]


def _distinct(series: Integers, question: Integers) -> Integers:
    """Number of different questions in each series."""
    pairs = np.unique(series * (int(question.max()) + 1) + question)
    return np.bincount(pairs // (int(question.max()) + 1))


def _diagnostics(part: pd.DataFrame, series: Integers) -> dict[str, Floats]:
    """Order effect and invalid rate of the answers behind each series; NaN where the frame does not know them."""
    n = int(series.max()) + 1
    found = {"order_effect": np.full(n, np.nan), "invalid_rate": np.full(n, np.nan)}
    with np.errstate(invalid="ignore", divide="ignore"):
        if "order_effect" in part:
            effect = part["order_effect"].to_numpy(dtype=np.float64)
            known = np.isfinite(effect)
            summed = np.bincount(series[known], weights=effect[known], minlength=n)
            found["order_effect"] = summed / np.bincount(series[known], minlength=n)
        if "n_invalid" in part:
            invalid, valid = (
                np.bincount(series, weights=part[name].to_numpy(dtype=np.float64), minlength=n)
                for name in ("n_invalid", "n_answers")
            )
            found["invalid_rate"] = invalid / (invalid + valid)
    return found


def _scored(question_country: pd.DataFrame, answers: pd.DataFrame | None, topics: pd.DataFrame | None) -> pd.DataFrame:
    """The rows that enter means, those of the newest waves, with what is known of the question behind each."""
    frame = question_country[question_country["is_latest_wave"].astype(bool)]
    if answers is not None:
        key = ["model_version", "condition", "question_id"]
        of_question = answers.drop_duplicates(key)[[*key, "order_effect", "n_invalid", "n_answers"]]
        frame = frame.merge(of_question, on=key, how="left", validate="many_to_one")
    if topics is not None:
        key = ["source", "question_id"]
        frame = frame.merge(topics[[*key, "topic"]], on=key, how="left", validate="many_to_one")
    return frame


def country_intervals(
    question_country: pd.DataFrame,
    settings: Settings | None = None,
    *,
    answers: pd.DataFrame | None = None,
    topics: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows of ``similarity.country`` from rows of ``similarity.question_country``, newest waves only.

    ``answers``: rows of ``response.distribution``, for order effect and invalid rate; ``topics``: rows of
    ``question.question``, needed to cluster by topic. Raises ValueError as `mean_intervals` does.
    """
    return mean_intervals(
        _scored(question_country, answers, topics),
        [*PARTITION, *COUNTRY, *METRIC],
        settings,
        universe=PARTITION,
    )


def topic_intervals(
    question_country: pd.DataFrame,
    topics: pd.DataFrame,
    settings: Settings | None = None,
    *,
    answers: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows of ``similarity.topic``: as `country_intervals`, by topic too, whole countries only."""
    whole = question_country[question_country["group_by"] == ""]
    return mean_intervals(
        _scored(whole, answers, topics),
        [*PARTITION, "country", "sample_type", "topic", *METRIC],
        settings,
        universe=PARTITION,
    )


def region_intervals(
    question_country: pd.DataFrame,
    regions: pd.DataFrame,
    settings: Settings | None = None,
    *,
    answers: pd.DataFrame | None = None,
    topics: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows of ``similarity.region`` from rows of ``similarity.question_country``, newest waves of whole countries.

    ``regions``: rows of ``question.country``. A question's value in a region is the mean over the region's countries
    that were asked it; the region's mean is the mean of these over questions. So a question asked in ten countries
    counts once, as in a country's mean, and the unit that is resampled is the unit of the mean. A further region,
    ``World``, holds all countries of a sample type.
    """
    whole = question_country[question_country["group_by"] == ""]
    frame = _scored(whole, answers, topics)
    frame = frame.merge(regions[["country_label", "region"]], on="country_label", how="left", validate="many_to_one")
    frame = pd.concat([frame, frame.assign(region=WORLD)], ignore_index=True)
    by = [*PARTITION, "region", "sample_type", *METRIC]
    n_countries = frame.groupby(by, sort=True)["country"].nunique().reset_index(name="n_countries")
    of_question = [name for name in ("topic", "order_effect", "n_invalid", "n_answers") if name in frame]
    # A question has one value per region: within it, the newest wave may differ between countries.
    per_question = frame.groupby([*by, "question_id"], sort=True).agg(
        value=("value", "mean"), wave=("wave", "max"), **{name: (name, "first") for name in of_question}
    )
    table = mean_intervals(per_question.reset_index(), by, settings, universe=PARTITION).merge(
        n_countries, on=by, how="left", validate="many_to_one"
    )
    return table[[*by, *_ENDS, "n_countries", *_NUMBERS]]
