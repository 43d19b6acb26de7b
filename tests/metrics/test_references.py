"""References on answers small enough to work out by hand, and the noise ceiling against its known expectation."""

import numpy as np
import pandas as pd
import pytest

from opinion_assets.metrics.distances import js_similarity
from opinion_assets.metrics.references import COLUMNS, references

ANSWERS = {
    ("q1", "TUR"): [0.7, 0.2, 0.1],
    ("q1", "USA"): [0.6, 0.3, 0.1],
    ("q1", "KEN"): [0.1, 0.1, 0.8],
    ("q2", "TUR"): [0.5, 0.5],
    ("q2", "KEN"): [0.4, 0.6],
    ("q3", "TUR"): [0.1, 0.9],
}


def human(n: float | None = None, answers: dict[tuple[str, str], list[float]] = ANSWERS) -> pd.DataFrame:
    rows = [
        ("s", question, "", True, country, country, "national", "", "", index, share, n, None)
        for (question, country), shares in answers.items()
        for index, share in enumerate(shares)
    ]
    columns = [
        "source", "question_id", "wave", "is_latest_wave", "country_label", "country", "sample_type", "group_by",
        "group_value", "option_index", "share", "n", "n_effective",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def options(answers: dict[tuple[str, str], list[float]] = ANSWERS) -> pd.DataFrame:
    sizes = {question: len(shares) for (question, _), shares in answers.items()}
    rows = [(q, index, index / (n - 1)) for q, n in sizes.items() for index in range(n)]
    return pd.DataFrame(rows, columns=["question_id", "option_index", "ordinal_value"])


def similarity(p: list[float], q: list[float]) -> float:
    return float(js_similarity(np.array([p]), np.array([q]))[0])


def of(table: pd.DataFrame, country: str, reference: str, metric: str = "js_similarity", base: str = "e") -> pd.Series:
    rows = table[(table["country"] == country) & (table["reference"] == reference)]
    [row] = rows[(rows["metric"] == metric) & (rows["base"] == base)].to_dict("records")
    return pd.Series(row)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return references(human(), options(), n_resamples=200)


def test_uniform(table: pd.DataFrame) -> None:
    row = of(table, "TUR", "uniform")
    third, half = [1 / 3] * 3, [0.5, 0.5]
    expected = [similarity(third, ANSWERS["q1", "TUR"]), 1, similarity(half, ANSWERS["q3", "TUR"])]
    assert row["mean"] == pytest.approx(np.mean(expected))
    assert row["n_questions"] == 3
    assert row["ci_low"] < row["mean"] < row["ci_high"]
    assert of(table, "TUR", "uniform", "total_variation", "")["mean"] == pytest.approx((11 / 30 + 0 + 0.4) / 3)


def test_majority_leaves_the_country_itself_out_and_needs_another_country(table: pd.DataFrame) -> None:
    # q1: the mean of USA and KEN has most on the third option, although TUR's own first is the overall majority's.
    row = of(table, "TUR", "majority")
    expected = [similarity([0, 0, 1], ANSWERS["q1", "TUR"]), similarity([0, 1], ANSWERS["q2", "TUR"])]
    assert row["mean"] == pytest.approx(np.mean(expected))
    assert row["n_questions"] == 2
    # q2: TUR's two options tie, and share the mass.
    ken = [similarity([1, 0, 0], ANSWERS["q1", "KEN"]), similarity([0.5, 0.5], ANSWERS["q2", "KEN"])]
    assert of(table, "KEN", "majority")["mean"] == pytest.approx(np.mean(ken))


def test_other_countries_and_the_closest(table: pd.DataFrame) -> None:
    row = of(table, "TUR", "other_countries")
    first = np.mean([similarity(ANSWERS["q1", "TUR"], ANSWERS["q1", other]) for other in ("USA", "KEN")])
    assert row["mean"] == pytest.approx(np.mean([first, similarity(ANSWERS["q2", "TUR"], ANSWERS["q2", "KEN"])]))
    # USA is more alike than KEN, but shares one question with TUR where KEN shares two.
    assert of(table, "TUR", "closest_country")["detail"] == "USA"
    closest = of(references(human(), options(), min_common=0.6), "TUR", "closest_country")
    assert closest["detail"] == "KEN"
    assert closest["n_questions"] == 2
    usa = of(table, "USA", "closest_country")
    assert usa["detail"] == "TUR"
    assert usa["mean"] == pytest.approx(similarity(ANSWERS["q1", "USA"], ANSWERS["q1", "TUR"]))
    # Of distances the smallest is the closest.
    assert of(table, "USA", "closest_country", "total_variation", "")["detail"] == "TUR"


def test_unknown_n_is_null_unless_an_assumption_is_asked_for(table: pd.DataFrame) -> None:
    row = of(table, "TUR", "noise_ceiling")
    assert pd.isna(row["mean"])
    assert (row["n_questions"], row["detail"]) == (0, "n unknown")
    assumed = of(references(human(), options(), assumed_n=500), "TUR", "noise_ceiling")
    assert assumed["detail"] == "assumed n = 500"
    assert 0.9 < assumed["mean"] < 1
    known = of(references(human(500.0), options()), "TUR", "noise_ceiling")
    assert (known["mean"], known["detail"]) == (assumed["mean"], "n")


def test_noise_ceiling_is_the_expected_distance_to_a_sample() -> None:
    """E|p − p̂| = √(2 p (1 − p) / (π n)) for one share of many respondents: total variation of two options."""
    one = {("q", "TUR"): [0.3, 0.7], ("q", "USA"): [0.5, 0.5]}
    for n in (100, 2500):
        found = references(human(float(n), one), options(one), n_draws=4000)
        row = of(found, "TUR", "noise_ceiling", "total_variation", "")
        assert row["mean"] == pytest.approx(np.sqrt(2 * 0.3 * 0.7 / (np.pi * n)), rel=0.05)
        assert row["detail"] == "n"
    effective = human(2500.0, one).assign(n_effective=100.0)
    row = of(references(effective, options(one), n_draws=4000), "TUR", "noise_ceiling", "total_variation", "")
    assert row["mean"] == pytest.approx(np.sqrt(2 * 0.3 * 0.7 / (np.pi * 100)), rel=0.05)
    assert row["detail"] == "n_effective"


def test_older_waves_and_groups_do_not_enter_and_the_order_of_rows_does_not_matter(table: pd.DataFrame) -> None:
    frame = human()
    more = pd.concat(
        [
            frame.assign(wave="0", is_latest_wave=False, share=lambda f: f["share"].to_numpy()[::-1]),
            frame.assign(group_by="sex", group_value="f"),
            frame,
        ]
    ).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(references(more, options(), n_resamples=200), table, check_exact=True)
    assert list(table.columns) == COLUMNS
