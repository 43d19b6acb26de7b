"""What a prompt condition does to a model's answers, against the same model's ``default`` over the same questions.

Belongs here: whom a condition moves a model toward (``similarity.condition_effect``) and whether it flattens the
answers into a stereotype (``similarity.condition_entropy``). The arithmetic stands in `paired`.
"""

from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np
import pandas as pd

from opinion_assets.metrics.paired import Floats, Scores, Settings, as_frame, paired_differences, scores

#: Whether a larger value of a metric means answers that are more alike.
CLOSER_IS_LARGER = {
    "js_similarity": True,
    "kendall_tau": True,
    "modal_agreement": True,
    "js_divergence": False,
    "total_variation": False,
    "wasserstein": False,
}
_TESTED = [
    "n_questions", "difference", "ci_low", "ci_high", "interval", "confidence", "p_value", "p_holm", "p_bh",
    "n_resamples", "n_permutations", "seed",
]  # fmt: skip
EFFECT_COLUMNS = [
    "source", "model_version", "condition", "country", "sample_type", "is_target", "metric", "base", "effect",
    "default_mean", "condition_mean", "default_rank", "condition_rank", "n_ranked", *_TESTED,
]  # fmt: skip
ENTROPY_COLUMNS = [
    "source", "model_version", "condition", "country", "sample_type", "is_target", "comparison", "base", "mean_a",
    "mean_b", *_TESTED,
]  # fmt: skip
#: Targets of each condition: country codes.
Targets = Mapping[str, Set[str]]


def condition_targets(conditions: Set[str], speakers: pd.DataFrame, *, min_share: float = 0.5) -> dict[str, set[str]]:
    """Countries that a condition speaks for: X of ``cross_national:X``, those that speak L of ``linguistic:L``.

    A country speaks L where at least ``min_share`` of its population uses it (``translation.speakers``).
    """
    speaking = speakers[speakers["share"] >= min_share]
    targets = {}
    for condition in conditions:
        kind, _, argument = condition.partition(":")
        spoken = set(speaking.loc[speaking["language"] == argument, "country"])
        targets[condition] = {argument} if kind == "cross_national" else spoken if kind == "linguistic" else set()
    return targets


def condition_effect(
    question_country: pd.DataFrame, targets: Targets, settings: Settings | None = None
) -> pd.DataFrame:
    """Rows of ``similarity.condition_effect``: the change of each country's mean from ``default`` to a condition.

    Two effects: ``total`` is the change itself. ``specific`` is the change beyond the mean change toward the other
    countries (national samples) that were asked the same questions: a condition that only makes answers more even moves
    a model toward nearly everybody, which is no answer to "toward X". Ranks are among places of one sample type, 1 the
    closest; those of ``specific`` compare countries on common questions, those of ``total`` do not.

    Takes the columns of :data:`paired.COLUMNS`, newest waves and whole countries only, and metrics of
    :data:`CLOSER_IS_LARGER` only (KeyError).
    """
    settings = settings or Settings()
    parts = []
    for names, table in scores(question_country):
        pairs = _against_default(table)
        if not pairs:
            continue
        for effect, values in (("total", table.values), ("specific", _beyond_others(table))):
            frame = as_frame(
                table,
                paired_differences(replace(table, values=values), pairs, settings),
                settings,
                model_version=[table.series[a][0] for a, _ in pairs],
                condition=[table.series[a][1] for a, _ in pairs],
            ).rename(columns={"mean_a": "condition_mean", "mean_b": "default_mean"})
            family = frame.groupby(["model_version", "condition", "sample_type", "interval"])
            for side in ("default", "condition"):
                ascending = not CLOSER_IS_LARGER[names["metric"]]
                frame[f"{side}_rank"] = family[f"{side}_mean"].rank(method="min", ascending=ascending).astype("int64")
            frame["n_ranked"] = family["country"].transform("size")
            parts.append(frame.assign(**names, effect=effect, is_target=_is_target(frame, targets)))
    return pd.concat(parts, ignore_index=True)[EFFECT_COLUMNS] if parts else pd.DataFrame(columns=EFFECT_COLUMNS)


def condition_entropy(
    question_country: pd.DataFrame, targets: Targets, settings: Settings | None = None
) -> pd.DataFrame:
    """Rows of ``similarity.condition_entropy``: entropy of the answers under a condition, by default and of people.

    Entropies are means over a country's questions, in nats. A condition that makes a model answer as a stereotype
    lowers its entropy below that of the people it speaks for. Country '' holds each question once, whatever country
    was asked.

    Takes the columns of :data:`paired.COLUMNS`, newest waves and whole countries, metrics ``model_entropy`` and
    ``human_entropy`` only.
    """
    settings = settings or Settings()
    of_model = question_country[question_country["metric"] == "model_entropy"]
    of_people = question_country[question_country["metric"] == "human_entropy"]
    human = {names["source"]: table for names, table in scores(of_people)}
    parts = []
    for names, table in scores(of_model):
        pairs = _against_default(table)
        if not pairs:
            continue
        people = human[names["source"]]
        # The same rows in the same order: both metrics have a value wherever there are two distributions.
        values = np.vstack([table.values, np.nanmax(people.values, axis=0)])
        combined = _with_each_question_once(replace(table, values=values))
        person = len(values) - 1
        compared: list[tuple[str, int, tuple[int, int]]] = []
        for a, b in pairs:
            compared += [
                ("condition_default", a, (a, b)),
                ("condition_human", a, (a, person)),
                ("default_human", a, (b, person)),
            ]
        frame = as_frame(
            combined,
            paired_differences(combined, [pair for _, _, pair in compared], settings),
            settings,
            comparison=[kind for kind, _, _ in compared],
            model_version=[table.series[a][0] for _, a, _ in compared],
            condition=[table.series[a][1] for _, a, _ in compared],
        )
        parts.append(frame.assign(source=names["source"], base=names["base"], is_target=_is_target(frame, targets)))
    return pd.concat(parts, ignore_index=True)[ENTROPY_COLUMNS] if parts else pd.DataFrame(columns=ENTROPY_COLUMNS)


def _against_default(table: Scores) -> list[tuple[int, int]]:
    """Every condition of every model with the model's default."""
    index = {series: number for number, series in enumerate(table.series)}
    return [
        (number, index[model, "default"])
        for (model, condition), number in index.items()
        if condition != "default" and (model, "default") in index
    ]


def _is_target(frame: pd.DataFrame, targets: Targets) -> list[bool]:
    return [
        country in targets.get(condition, ())
        for condition, country in zip(frame["condition"], frame["country"], strict=True)
    ]


def _beyond_others(table: Scores) -> Floats:
    """Each value less the mean of the other countries' national samples on the same question; NaN without others."""
    country = table.places["country"].to_numpy()[table.place]
    _, code = np.unique(country, return_inverse=True)
    n_countries = int(code.max()) + 1
    own = table.question * n_countries + code
    national = table.places["sample_type"].to_numpy()[table.place] == "national"
    beyond = np.empty_like(table.values)
    for series, values in enumerate(table.values):
        counted = national & np.isfinite(values)
        known = np.where(counted, values, 0.0)

        def others(amount: Floats) -> Floats:
            of_question = np.bincount(table.question, weights=amount, minlength=len(table.questions))[table.question]
            of_country = np.bincount(own, weights=amount, minlength=len(table.questions) * n_countries)[own]
            return np.asarray(of_question - of_country)

        number = others(counted.astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            beyond[series] = np.where(number > 0, values - others(known) / number, np.nan)
    return beyond


def _with_each_question_once(table: Scores) -> Scores:
    """The scores with one more place, country '' with sample type '', that has the first row of each question."""
    _, first = np.unique(table.question, return_index=True)
    return replace(
        table,
        question=np.concatenate([table.question, table.question[first]]),
        place=np.concatenate([table.place, np.full(len(first), len(table.places))]),
        places=pd.concat([table.places, pd.DataFrame({"country": [""], "sample_type": [""]})], ignore_index=True),
        values=np.hstack([table.values, _without_people(table.values[:, first])]),
    )


def _without_people(values: Floats) -> Floats:
    """The last series, people, says nothing about a question whatever the country."""
    values = values.copy()
    values[-1] = np.nan
    return values
