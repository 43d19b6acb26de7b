"""Which model versions and conditions are compared, and the rows of ``similarity.model_comparison``.

The arithmetic stands in `paired`.
"""

import itertools
import re

import pandas as pd

from opinion_assets.errors import OpinionAssetsError
from opinion_assets.metrics.paired import Settings, as_frame, paired_differences, scores

COLUMNS = [
    "source", "comparison", "model_version_a", "condition_a", "model_version_b", "condition_b", "country",
    "sample_type", "metric", "base", "n_questions", "difference", "ci_low", "ci_high", "interval", "confidence",
    "p_value", "p_holm", "p_bh", "n_resamples", "n_permutations", "seed",
]  # fmt: skip

Series = tuple[str, str]


def _version(model_version: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of the part after ``@``, numbers by their value: 0.1.10 after 0.1.2, 2026-11-01 after 2026-02-01."""
    return tuple(
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.findall(r"\d+|\D+", model_version.partition("@")[2])
    )


def choose_pairs(
    series: list[Series], *, baseline: str = "", all_conditions: bool = False, max_pairs: int = 2000
) -> list[tuple[str, Series, Series]]:
    """Kind of comparison, A and B for every pair worth comparing.

    - ``version``: two versions of one model (``name@version``) under one condition; A is the newer.
    - ``model``: two models under one condition, every two of them, or with ``baseline`` only those with it as B.
    - ``condition``: one model under a condition (A) and under ``default`` (B); with ``all_conditions`` also every two
      other conditions.

    Raises :class:`OpinionAssetsError` where there are more than ``max_pairs``, or where ``baseline`` has no results.
    """
    if baseline and baseline not in {model for model, _ in series}:
        known = ", ".join(sorted({model for model, _ in series}))
        raise OpinionAssetsError(f"baseline {baseline!r} has no results; there are results of {known or 'none'}")
    chosen = []
    for one, other in itertools.combinations(sorted(series), 2):
        if one[0] == other[0]:
            a, b = (other, one) if one[1] == "default" else (one, other)
            if all_conditions or b[1] == "default":
                chosen.append(("condition", a, b))
        elif one[1] == other[1]:
            if one[0].partition("@")[0] == other[0].partition("@")[0]:
                b, a = sorted((one, other), key=lambda side: _version(side[0]))
                chosen.append(("version", a, b))
            elif not baseline:
                chosen.append(("model", one, other))
            elif baseline in (one[0], other[0]):
                a, b = (other, one) if one[0] == baseline else (one, other)
                chosen.append(("model", a, b))
    if len(chosen) > max_pairs:
        raise OpinionAssetsError(
            f"{len(series)} partitions make {len(chosen):,} pairs, more than max_pairs={max_pairs:,}; name a baseline "
            "model version to compare all others with, or raise max_pairs"
        )
    return chosen


def model_comparison(
    question_country: pd.DataFrame,
    settings: Settings | None = None,
    *,
    baseline: str = "",
    all_conditions: bool = False,
    max_pairs: int = 2000,
) -> pd.DataFrame:
    """Rows of ``similarity.model_comparison``, over the questions that both sides answered.

    ``question_country`` has the columns of :data:`paired.COLUMNS`, and only rows that are to be compared: newest waves
    and whole countries. See :func:`choose_pairs` for the pairs.
    """
    settings = settings or Settings()
    parts = []
    for names, table in scores(question_country):
        chosen = choose_pairs(table.series, baseline=baseline, all_conditions=all_conditions, max_pairs=max_pairs)
        index = {series: number for number, series in enumerate(table.series)}
        if not chosen:
            continue
        frame = as_frame(
            table,
            paired_differences(table, [(index[a], index[b]) for _, a, b in chosen], settings),
            settings,
            comparison=[kind for kind, _, _ in chosen],
            model_version_a=[a[0] for _, a, _ in chosen],
            condition_a=[a[1] for _, a, _ in chosen],
            model_version_b=[b[0] for _, _, b in chosen],
            condition_b=[b[1] for _, _, b in chosen],
        )
        parts.append(frame.assign(**names))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(parts, ignore_index=True)[COLUMNS]
