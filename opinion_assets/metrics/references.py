"""What a country's similarity is read against: answers that come from no model.

Belongs here: uniform answers, the majority answer, other countries' answers, and a country's own sampling noise. Does
not belong here: models' answers (sql/similarity), intervals (`bootstrap`). How the five are defined and what they allow
to conclude stands in docs/methods.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opinion_assets.metrics.bootstrap import METRIC, Settings, mean_intervals
from opinion_assets.metrics.distances import measure

SAMPLE = ["source", "country", "sample_type"]
COLUMNS = [
    *SAMPLE, "reference", "detail", *METRIC, "mean", "ci_low", "ci_high", "confidence", "n_questions", "n_resamples",
    "seed",
]  # fmt: skip
# Measures of which a smaller value means more alike.
_DISTANCES = {"js_divergence", "total_variation", "wasserstein"}
# Pairs of distributions measured at once; bounds the memory.
_CHUNK = 200_000

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Measures = dict[tuple[str, str], Floats]


@dataclass(frozen=True)
class _Batch:
    """The samples of one source's questions with one number of options; rows sorted by question."""

    q: Floats  # (n_rows, n_options)
    scale: Floats  # (n_rows, n_options), option's place or NaN
    rows: pd.DataFrame  # (n_rows,): question_id, country, sample_type, n
    question: Integers  # (n_rows,), from 0, ascending
    place: Integers  # (n_rows,): number of (country, sample_type) within the source
    country: Integers  # (n_rows,): number of the country within the source

    def measure(self, p: Floats, rows: Integers) -> Measures:
        """Measures between ``p`` and the answers of ``rows``, both in the same order."""
        parts = []
        for start in range(0, len(rows), _CHUNK):
            here = rows[start : start + _CHUNK]
            n_options = np.full(len(here), self.q.shape[1])
            parts.append(measure(p[start : start + _CHUNK], self.q[here], self.scale[here], n_options))
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}


def references(
    human: pd.DataFrame,
    options: pd.DataFrame,
    *,
    n_resamples: int = 1000,
    seed: int = 20230628,
    confidence: float = 0.95,
    n_draws: int = 200,
    assumed_n: int | None = None,
    min_common: float = 0.5,
) -> pd.DataFrame:
    """Rows of ``similarity.reference`` from ``question.human_distribution`` and ``question.option``.

    Newest waves of whole countries; two labels of one country and sample type on one question are averaged. The noise
    ceiling draws ``n_draws`` samples a question, of size ``n_effective``, or ``n`` where that is unknown, or
    ``assumed_n`` where both are; without it the ceiling of such questions is unknown. The closest country shares at
    least ``min_common`` times as many questions with the country as the one that shares most.
    """
    parts = [
        _of_source(str(source), part, options, n_draws=n_draws, assumed_n=assumed_n, min_common=min_common, seed=seed)
        for source, part in _samples(human).groupby("source", sort=True)
    ]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    values = pd.concat([values for values, _ in parts], ignore_index=True)
    details = pd.concat([details for _, details in parts], ignore_index=True)
    by = [*SAMPLE, "reference", *METRIC]
    table = mean_intervals(values, by, Settings(n_resamples=n_resamples, seed=seed, confidence=confidence))
    table = table.astype(dict.fromkeys(by, object)).merge(details, on=by, how="outer", validate="one_to_one")
    unknown = table["mean"].isna()
    table["n_questions"] = table["n_questions"].fillna(0).astype("int64")
    table.loc[unknown, "confidence"] = confidence
    table["n_resamples"], table["seed"] = n_resamples, seed
    return table.sort_values(by, ignore_index=True)[COLUMNS]


def _samples(human: pd.DataFrame) -> pd.DataFrame:
    """One row per source, question, country, sample type and option, sorted; n summed over labels, NaN if unknown."""
    chosen = human[human["is_latest_wave"].astype(bool) & (human["group_by"] == "")]
    respondents, effective = chosen["n"].astype("float64"), chosen["n_effective"].astype("float64")
    chosen = chosen.assign(size=effective.fillna(respondents), origin=np.where(effective.notna(), "n_effective", "n"))
    key = [*SAMPLE, "question_id", "option_index"]
    found = chosen.groupby(key, sort=True).agg(
        share=("share", "mean"),
        n=("size", "sum"),
        origin=("origin", "max"),
        known=("size", "count"),
        of=("size", "size"),
    )
    found["n"] = found["n"].where(found["known"] == found["of"])
    return found.drop(columns=["known", "of"]).reset_index()


def _of_source(
    source: str,
    samples: pd.DataFrame,
    options: pd.DataFrame,
    *,
    n_draws: int,
    assumed_n: int | None,
    min_common: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values per question of every reference of one source, and the details of those that have some."""
    batches, places = _batches(samples, options)
    values: list[pd.DataFrame] = []
    for batch in batches:
        every = np.arange(len(batch.q))
        uniform = np.full(batch.q.shape, 1 / batch.q.shape[1])
        values.append(_long(batch, "uniform", every, batch.measure(uniform, every)))
        answer, has = _majority(batch)
        values.append(_long(batch, "majority", has, batch.measure(answer[has], has)))
    others, closest, details = _countries(batches, places, min_common)
    ceilings, ceiling_details = _ceilings(batches, places, n_draws, assumed_n, seed)
    table = pd.concat([frame for frame in [*values, *others, *closest, *ceilings] if len(frame)], ignore_index=True)
    # Few names in many rows: as categories they are grouped by number.
    names = [*SAMPLE[1:], "reference", *METRIC]
    return table.assign(source=source).astype({"source": "category"} | dict.fromkeys(names, "category")), pd.concat(
        [details, ceiling_details], ignore_index=True
    ).assign(source=source)


def _batches(samples: pd.DataFrame, options: pd.DataFrame) -> tuple[list[_Batch], pd.DataFrame]:
    """Samples by number of options, and the source's (country, sample_type) in the order of their numbers."""
    frame = samples.merge(
        options[["question_id", "option_index", "ordinal_value"]],
        on=["question_id", "option_index"],
        how="left",
        validate="many_to_one",
    ).sort_values(["question_id", "country", "sample_type", "option_index"], ignore_index=True)
    grouped = frame.groupby(["country", "sample_type"], sort=True)
    frame["place"] = grouped.ngroup()
    places = grouped.size().index.to_frame(index=False)
    frame["country_number"] = pd.factorize(frame["country"], sort=True)[0]
    row = (frame["option_index"] == 0).cumsum() - 1
    n_options = row.map(row.value_counts()).to_numpy()
    batches = []
    for size in np.unique(n_options):
        part = frame[n_options == size]
        rows = part.iloc[::size]
        batches.append(
            _Batch(
                q=part["share"].to_numpy(dtype=np.float64).reshape(-1, size),
                scale=part["ordinal_value"].to_numpy(dtype=np.float64).reshape(-1, size),
                rows=rows[["question_id", "country", "sample_type", "n", "origin"]].reset_index(drop=True),
                question=pd.factorize(rows["question_id"])[0],
                place=rows["place"].to_numpy(),
                country=rows["country_number"].to_numpy(),
            )
        )
    return batches, places


def _long(batch: _Batch, reference: str, rows: Integers, measures: Measures) -> pd.DataFrame:
    """One row per sample and measure that is defined."""
    keys = batch.rows.loc[rows, ["question_id", "country", "sample_type"]]
    parts = [
        keys.assign(reference=reference, metric=metric, base=base, value=values).loc[np.isfinite(values)]
        for (metric, base), values in measures.items()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _majority(batch: _Batch) -> tuple[Floats, Integers]:
    """All probability on the option that the mean of the other countries' samples has most; ties share it.

    Also the rows that have such an answer: those whose question another country was asked.
    """
    n_questions = int(batch.question.max()) + 1
    total = np.zeros((n_questions, batch.q.shape[1]))
    np.add.at(total, batch.question, batch.q)
    same = batch.question * (int(batch.country.max()) + 1) + batch.country
    names, number = np.unique(same, return_inverse=True)
    own = np.zeros((len(names), batch.q.shape[1]))
    np.add.at(own, number, batch.q)
    others = total[batch.question] - own[number]
    has = np.bincount(batch.question)[batch.question] > np.bincount(number)[number]
    # Sums of shares: what differs by rounding only is a tie.
    top = others >= others.max(axis=1, keepdims=True) - 1e-9
    return top / top.sum(axis=1, keepdims=True), np.flatnonzero(has)


def _pairs(batch: _Batch) -> Iterator[tuple[Integers, Integers]]:
    """Pairs i < j of samples of one question and different countries, about `_CHUNK` at a time."""
    starts = np.flatnonzero(np.diff(batch.question, prepend=-1))
    found: list[Integers] = []
    size = 0
    for start, stop in zip(starts, [*starts[1:], len(batch.q)], strict=True):
        i, j = np.triu_indices(stop - start, k=1)
        different = batch.country[start + i] != batch.country[start + j]
        found.append(start + np.stack([i[different], j[different]]))
        size += found[-1].shape[1]
        if size >= _CHUNK or stop == len(batch.q):
            pairs = np.concatenate(found, axis=1)
            yield pairs[0], pairs[1]
            found, size = [], 0


def _countries(
    batches: Sequence[_Batch], places: pd.DataFrame, min_common: float
) -> tuple[list[pd.DataFrame], list[pd.DataFrame], pd.DataFrame]:
    """`other_countries` and `closest_country`: values per question, and which country is the closest."""
    n = len(places)
    sums: dict[tuple[str, str], Floats] = {}
    counts: dict[tuple[str, str], Floats] = {}
    others = []
    for batch in batches:
        total: Measures = {}
        number: Measures = {}
        for i, j in _pairs(batch):
            one, other = np.concatenate([i, j]), np.concatenate([j, i])
            cell = batch.place[one] * n + batch.place[other]
            # All these measures are symmetric.
            for key, half in batch.measure(batch.q[j], i).items():
                defined = np.isfinite(half)
                both, values = np.concatenate([defined, defined]), np.concatenate([half, half])
                for add, count, of, length in ((total, number, one, len(batch.q)), (sums, counts, cell, n * n)):
                    added = np.bincount(of[both], weights=values[both], minlength=length)
                    add[key] = add.get(key, np.zeros(length)) + added
                    count[key] = count.get(key, np.zeros(length)) + np.bincount(of[both], minlength=length)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = {key: total[key] / number[key] for key in total}
        others.append(_long(batch, "other_countries", np.arange(len(batch.q)), mean))
    closest, details = [], []
    for (metric, base), total_of in sums.items():
        shared = counts[(metric, base)].reshape(n, n)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_of = total_of.reshape(n, n) / shared
        enough = shared >= np.maximum(min_common * shared.max(axis=1, keepdims=True), 1)
        sign = -1 if metric in _DISTANCES else 1
        ranked = np.where(enough, sign * mean_of, -np.inf)
        best = ranked.argmax(axis=1)
        known = np.isfinite(ranked[np.arange(n), best])
        for batch in batches:
            closest.append(_closest(batch, metric, base, best, known))
        named = places.iloc[best].reset_index(drop=True)
        national = named["sample_type"] == "national"
        code = named["country"].where(national, named["country"] + " " + named["sample_type"])
        details.append(
            places.assign(reference="closest_country", metric=metric, base=base, detail=code.to_numpy())[known]
        )
    return others, closest, pd.concat(details, ignore_index=True) if details else pd.DataFrame()


def _closest(batch: _Batch, metric: str, base: str, best: Integers, known: NDArray[np.bool_]) -> pd.DataFrame:
    """Values of one measure between each sample and its closest country's answers to the same question."""
    at = pd.Index(batch.question * len(best) + batch.place)
    partner = at.get_indexer(batch.question * len(best) + best[batch.place])
    rows = np.flatnonzero((partner >= 0) & known[batch.place])
    measures = batch.measure(batch.q[partner[rows]], rows)
    return _long(batch, "closest_country", rows, {(metric, base): measures[(metric, base)]} if measures else {})


def _ceilings(
    batches: Sequence[_Batch], places: pd.DataFrame, n_draws: int, assumed_n: int | None, seed: int
) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """`noise_ceiling` by a parametric bootstrap: values per question, and where n comes from.

    Samples without a known n on any question stand in the details alone, and so get a row with NULL.
    """
    generator = np.random.default_rng([seed, 1])
    values, origins = [], []
    metrics: list[tuple[str, str]] = []
    for batch in batches:
        size = batch.rows["n"].to_numpy(dtype=np.float64)
        origin = batch.rows["origin"].where(np.isfinite(size), "n unknown").to_numpy(dtype=object)
        if assumed_n is not None:
            origin[~np.isfinite(size)] = f"assumed n = {assumed_n}"
            size = np.where(np.isfinite(size), size, assumed_n)
        known = np.flatnonzero(np.isfinite(size))
        origins.append(batch.rows[["country", "sample_type"]].assign(detail=origin))
        metrics = metrics or list(batch.measure(batch.q[:1], np.zeros(1, dtype=np.int64)))
        step = max(1, _CHUNK // n_draws)
        for start in range(0, len(known), step):
            rows = known[start : start + step]
            people = np.maximum(np.rint(size[rows]).astype(np.int64), 1)
            truth = batch.q[rows] / batch.q[rows].sum(axis=1, keepdims=True)
            drawn = generator.multinomial(people[:, None], truth[:, None, :], size=(len(rows), n_draws))
            shares = (drawn / people[:, None, None]).reshape(-1, batch.q.shape[1])
            found = batch.measure(shares, np.repeat(rows, n_draws))
            means = {}
            for key, measured in found.items():
                table = measured.reshape(len(rows), n_draws)
                defined = np.isfinite(table)
                with np.errstate(invalid="ignore", divide="ignore"):
                    means[key] = np.where(defined, table, 0).sum(axis=1) / defined.sum(axis=1)
            values.append(_long(batch, "noise_ceiling", rows, means))
    named = pd.concat(origins, ignore_index=True)
    detail = named.groupby(["country", "sample_type"])["detail"].agg(lambda found: " and ".join(sorted(set(found))))
    whole = places.merge(detail.reset_index(), on=["country", "sample_type"], how="left", validate="one_to_one")
    details = pd.concat(
        [whole.assign(reference="noise_ceiling", metric=metric, base=base) for metric, base in metrics],
        ignore_index=True,
    )
    return values, details
