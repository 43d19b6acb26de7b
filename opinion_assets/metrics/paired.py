"""Paired differences of country means: intervals by the cluster bootstrap, p values by sign flips, both by question.

Belongs here: the arithmetic on one matrix of scores. Does not belong here: which pairs are worth comparing
(`comparison`, `conditions`) and the weights of the bootstrap (`bootstrap`).

**Intervals.** One set of resamples of the questions serves all pairs and countries: a pair's resampled difference is
the difference of its two sides' resampled sums, so the cost of the matrix product grows with the models, not with
their pairs.

**p values** come from a sign-flip permutation test, not from the bootstrap. If A and B are alike, swapping their
answers to a question changes nothing, so the differences of that question (in all countries at once) may take either
sign; the p value is the share of random sign patterns whose mean is at least as far from 0 as the observed one, the
observed pattern counted (Phipson & Smyth 2010, so p is never 0). The test is exact for any number of questions when
differences are symmetric around 0. Inverting the bootstrap's percentile interval instead rejects a true null at 5 %
in 21 % of studies with 4 questions, 11 % with 10 and 7 % with 30 (benchmarks/comparing.py measures both), while four
questions never give a sign-flip p below 1/8, which is all that four questions can show. Skewed differences cost the
test its exactness (9 % at 10 questions, 7 % at 30, 6 % from 100), and the interval as much or more.

**Corrections** for many countries are Holm 1979 (family-wise error) and Benjamini & Hochberg 1995 (false discovery
rate). With m countries the smallest Holm value is m / (n_permutations + 1), which is why n_permutations is not small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import false_discovery_control

from opinion_assets.metrics.bootstrap import Resampling, cluster_weights, sorted_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: What a table of scores needs: the columns of ``similarity.question_country`` that tell its rows apart, and the value.
COLUMNS = [
    "model_version", "condition", "source", "question_id", "wave", "country_label", "country", "sample_type", "metric",
    "base", "value",
]  # fmt: skip
PLACE = ["country", "sample_type"]
# Columns of one matrix product: bounds memory at (n_questions + n_resamples) × 4096 numbers.
_COLUMNS_AT_ONCE = 4096
_FLIPS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Settings(Resampling):
    """How differences are tested: by a bootstrap, and by ``n_permutations`` random sign patterns from the same seed."""

    n_permutations: int = 9999


@dataclass(frozen=True)
class Scores:
    """One metric over one source.

    ``values``, shape (n_series, n_rows): a series is a model version under a condition, a row a human distribution; NaN
    where the series has no answer to the question. ``question`` and ``place``, shape (n_rows,), point into
    ``questions`` (question_id, sorted) and ``places`` (country and sample type).
    """

    series: list[tuple[str, str]]
    questions: list[str]
    question: Ints
    places: pd.DataFrame
    place: Ints
    values: Floats


@dataclass(frozen=True)
class Differences:
    """Results of :func:`paired_differences`, each of shape (n_pairs, n_places); NaN where they are not defined.

    ``ends`` has (low, high) for each kind of interval.
    """

    n_questions: Ints
    mean_a: Floats
    mean_b: Floats
    p_value: Floats
    ends: dict[str, tuple[Floats, Floats]]

    @property
    def difference(self) -> Floats:
        """Mean of A minus mean of B."""
        return self.mean_a - self.mean_b


def _codes(column: pd.Series) -> tuple[Ints, list[str]]:
    """Integer codes into the sorted distinct texts of a column."""
    categories = column.astype("category")
    names = sorted(map(str, categories.cat.categories))
    place = {name: number for number, name in enumerate(names)}
    order = np.array([place[str(name)] for name in categories.cat.categories], dtype=np.int64)
    return order[categories.cat.codes.to_numpy()], names


def _combined(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[Ints, pd.DataFrame]:
    """Integer codes of the distinct rows of some columns, and these rows in sorted order."""
    code = np.zeros(len(frame), dtype=np.int64)
    names = []
    for column in columns:
        codes, texts = _codes(frame[column])
        code = code * max(len(texts), 1) + codes
        names.append(texts)
    distinct, inverse = np.unique(code, return_inverse=True)
    parts = {}
    for column, texts in zip(reversed(columns), reversed(names), strict=True):
        distinct, digit = np.divmod(distinct, max(len(texts), 1))
        parts[column] = [texts[index] for index in digit]
    return inverse.astype(np.int64), pd.DataFrame(parts)[list(columns)]


def scores(frame: pd.DataFrame) -> Iterator[tuple[dict[str, str], Scores]]:
    """Scores of each source, metric and base of a frame with :data:`COLUMNS`, with these three names.

    Rows must be distinct; ValueError where two stand for one series and human distribution.
    """
    kind, kinds = _combined(frame, ["source", "metric", "base"])
    for number, names in enumerate(kinds.to_dict("records")):
        part = frame[kind == number]
        series, all_series = _combined(part, ["model_version", "condition"])
        row, rows = _combined(part, ["question_id", "wave", "country_label", *PLACE])
        values = np.full((len(all_series), len(rows)), np.nan)
        values[series, row] = part["value"].to_numpy(dtype=np.float64)
        if np.isfinite(values).sum() != len(part):
            raise ValueError(f"{names}: two values of one series and human distribution, or a value that is no number")
        question, questions = _codes(rows["question_id"])
        place, places = _combined(rows, PLACE)
        pairs = list(all_series.itertuples(index=False, name=None))
        yield (
            {str(key): str(value) for key, value in names.items()},
            Scores(pairs, questions, question, places, place, values),
        )


@lru_cache(maxsize=2)
def _sign_flips(n_questions: int, n_permutations: int, seed: int) -> NDArray[np.int8]:
    """Random signs of shape (n_permutations, n_questions)."""
    generator = np.random.default_rng([seed, n_questions, 1])
    flips: NDArray[np.int8] = generator.integers(0, 2, size=(n_permutations, n_questions), dtype=np.int8)
    flips *= 2
    flips -= 1
    return flips


def paired_differences(table: Scores, pairs: Sequence[tuple[int, int]], settings: Settings) -> Differences:
    """Mean difference A - B of every pair of series in every place, over the rows that both have.

    ``pairs`` index ``table.series``. Intervals and p values are NaN in a place with fewer than 2 questions.
    """
    shape = (len(pairs), len(table.places))
    found = Differences(
        np.zeros(shape, dtype=np.int64),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        {kind: (np.full(shape, np.nan), np.full(shape, np.nan)) for kind in settings.intervals},
    )
    present = np.isfinite(table.values)
    # Pairs with the same questions in common share the resamples and every product.
    by_rows: dict[bytes, list[int]] = {}
    for number, (a, b) in enumerate(pairs):
        by_rows.setdefault(np.packbits(present[a] & present[b]).tobytes(), []).append(number)
    for numbers in by_rows.values():
        a, b = pairs[numbers[0]]
        rows = np.flatnonzero(present[a] & present[b])
        if len(rows):
            _compare(table, rows, pairs, numbers, settings, found)
    return found


def _compare(
    table: Scores,
    rows: Ints,
    pairs: Sequence[tuple[int, int]],
    numbers: Sequence[int],
    settings: Settings,
    found: Differences,
) -> None:
    """Fill in the pairs ``numbers``, all of which have the ``rows`` in common."""
    asked, question = np.unique(table.question[rows], return_inverse=True)
    questions = [table.questions[index] for index in asked]
    weights = cluster_weights(questions, settings.n_resamples, settings.seed)
    flips = _sign_flips(len(questions), settings.n_permutations, settings.seed)
    used = sorted({side for number in numbers for side in pairs[number]})
    local = {series: position for position, series in enumerate(used)}
    place = table.place[rows]
    width = max(1, _COLUMNS_AT_ONCE // len(used))
    all_places = np.unique(place)
    for start in range(0, len(all_places), width):
        places = all_places[start : start + width]
        here = np.flatnonzero(np.isin(place, places))
        cell = np.searchsorted(places, place[here]) * len(questions) + question[here]
        size = len(places) * len(questions)

        def by_cluster(values: Floats | None, cell: Ints = cell, size: int = size, n: int = len(places)) -> Floats:
            summed = np.bincount(cell, weights=values, minlength=size)
            return summed.reshape(n, len(questions)).astype(np.float64)

        counts = by_cluster(None)
        sums = np.stack([by_cluster(table.values[series, rows[here]]) for series in used])
        total, number_of_rows = sums.sum(axis=2), counts.sum(axis=1)
        n_questions = (counts > 0).sum(axis=1)
        enough = n_questions > 1
        resampled = (sums.reshape(-1, len(questions)) @ weights.T).reshape(len(used), len(places), -1)
        drawn = counts @ weights.T
        n_drawn = (drawn > 0).sum(axis=1)
        # Only differences between series matter: without what they share, single precision is enough for the signs.
        apart = (sums - sums.mean(axis=0)).astype(np.float32)
        observed = apart.sum(axis=2, dtype=np.float64)
        rounding = 2e-6 * np.abs(apart).sum(axis=2)
        flat = apart.reshape(-1, len(questions))
        extreme = np.ones((len(numbers), len(places)))
        for first in range(0, len(flips), _FLIPS_AT_ONCE):
            signs = flips[first : first + _FLIPS_AT_ONCE].astype(np.float32)
            flipped = (flat @ signs.T).reshape(len(used), len(places), -1)
            for position, number in enumerate(numbers):
                a, b = (local[side] for side in pairs[number])
                least = (np.abs(observed[a] - observed[b]) - rounding[a] - rounding[b]).astype(np.float32)
                extreme[position] += (np.abs(flipped[a] - flipped[b]) >= least[:, None]).sum(axis=1)
        for position, number in enumerate(numbers):
            a, b = (local[side] for side in pairs[number])
            found.n_questions[number, places] = n_questions
            found.mean_a[number, places] = total[a] / number_of_rows
            found.mean_b[number, places] = total[b] / number_of_rows
            found.p_value[number, places] = np.where(enough, extreme[position] / (len(flips) + 1), np.nan)
            # A resample without any question of a place says nothing about it.
            with np.errstate(invalid="ignore", divide="ignore"):
                means = np.sort((resampled[a] - resampled[b]) / drawn, axis=1)  # NaN last
            for kind, ends in found.ends.items():
                levels: list[Floats] = [np.full(len(places), (1 + side * settings.confidence) / 2) for side in (-1, 1)]
                if kind == "bca":
                    levels = _bca_levels(means, sums[a] - sums[b], counts, levels)
                for end, quantile in zip(ends, levels, strict=True):
                    end[number, places] = np.where(enough, sorted_quantile(means, n_drawn, quantile), np.nan)


def _bca_levels(means: Floats, sums: Floats, counts: Floats, levels: Sequence[Floats]) -> list[Floats]:
    """Quantiles of the resampled means that are the ends of the BCa interval (Efron 1987, eqs. 2.2 and 6.6).

    ``means`` has the shape (n_places, n_resamples), ``sums`` and ``counts`` (n_places, n_questions). Acceleration by
    the jackknife over a place's own questions.
    """
    total, number = sums.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True)
    own = counts > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number
        below = ((means < mean).sum(axis=1) + 0.5 * (means == mean).sum(axis=1)) / np.isfinite(means).sum(axis=1)
        left_out = np.where(own, (total - sums) / (number - counts), 0)
        centre = left_out.sum(axis=1, keepdims=True) / own.sum(axis=1, keepdims=True)
        deviation = np.where(own, centre - left_out, 0)
        acceleration = np.nan_to_num((deviation**3).sum(axis=1) / (6 * (deviation**2).sum(axis=1) ** 1.5))
        bias = ndtri(below)
        return [ndtr(bias + (bias + ndtri(level)) / (1 - acceleration * (bias + ndtri(level)))) for level in levels]


def holm(p: Floats) -> Floats:
    """p values corrected by Holm 1979 for as many tests as there are values."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(stepped)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def corrected(p: Floats) -> tuple[Floats, Floats]:
    """Holm and Benjamini-Hochberg values of p values of shape (n_families, n_tests); NaN is no test."""
    by_holm, by_bh = np.full(p.shape, np.nan), np.full(p.shape, np.nan)
    for family, row in enumerate(p):
        tested = np.isfinite(row)
        if tested.any():
            by_holm[family, tested] = holm(row[tested])
            by_bh[family, tested] = false_discovery_control(row[tested])
    return by_holm, by_bh


def as_frame(table: Scores, differences: Differences, settings: Settings, **per_pair: Sequence[object]) -> pd.DataFrame:
    """One row a pair, place with a common question, and kind of interval.

    ``per_pair`` are columns with one value a pair. Pairs are the families of the corrections.
    """
    by_holm, by_bh = corrected(differences.p_value)
    pair, place = np.nonzero(differences.n_questions)
    columns = {name: np.asarray(values, dtype=object)[pair] for name, values in per_pair.items()}
    columns |= {name: table.places[name].to_numpy()[place] for name in PLACE}
    measured = {
        "n_questions": differences.n_questions, "mean_a": differences.mean_a, "mean_b": differences.mean_b,
        "difference": differences.difference, "p_value": differences.p_value, "p_holm": by_holm, "p_bh": by_bh,
    }  # fmt: skip
    frame = pd.DataFrame(columns | {name: values[pair, place] for name, values in measured.items()})
    frame = frame.assign(
        confidence=settings.confidence,
        n_resamples=settings.n_resamples,
        n_permutations=settings.n_permutations,
        seed=settings.seed,
    )
    return pd.concat(
        [
            frame.assign(interval=kind, ci_low=low[pair, place], ci_high=high[pair, place])
            for kind, (low, high) in differences.ends.items()
        ],
        ignore_index=True,
    )
