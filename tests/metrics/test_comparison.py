"""Paired differences: what is compared, that the numbers are right, and that the test keeps its level."""

import itertools

import numpy as np
import pandas as pd
import pytest

from opinion_assets.errors import OpinionAssetsError
from opinion_assets.metrics.bootstrap import cluster_weights
from opinion_assets.metrics.comparison import choose_pairs, model_comparison
from opinion_assets.metrics.paired import Scores, Settings, corrected, holm, paired_differences, scores

QUICK = Settings(n_resamples=500, n_permutations=999)
MODELS = {("alpha@2025-01-01", "default"): 0.0, ("alpha@2025-10-01", "default"): 0.05, ("beta@1", "default"): -0.2}


def long_frame(
    series: dict[tuple[str, str], float], countries: tuple[str, ...] = ("SWE", "TUR"), n: int = 40, seed: int = 1
) -> pd.DataFrame:
    """Similarities of each series: a common part per question and country, a shift per series, and noise."""
    generator = np.random.default_rng(seed)
    common = generator.uniform(0.4, 0.7, (n, len(countries)))
    rows = []
    for (model, condition), shift in series.items():
        values = common + shift + generator.normal(0, 0.05, common.shape)
        rows += [
            (model, condition, "s", f"q{q:03}", "", country, country, "national", "js_similarity", "e", values[q, c])
            for q, c in itertools.product(range(n), range(len(countries)))
            for country in [countries[c]]
        ]
    columns = [
        "model_version", "condition", "source", "question_id", "wave", "country_label", "country", "sample_type",
        "metric", "base", "value",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def one(values: np.ndarray) -> Scores:
    """One place with a row a question; the second series is 0 everywhere."""
    n = len(values)
    places = pd.DataFrame({"country": ["SWE"], "sample_type": ["national"]})
    return Scores(
        [("a@1", "default"), ("b@1", "default")],
        [f"q{number:03}" for number in range(n)],
        np.arange(n),
        places,
        np.zeros(n, dtype=np.int64),
        np.vstack([values, np.zeros(n)]),
    )


def test_differences_are_those_of_the_loop_over_pairs_and_countries() -> None:
    frame = long_frame(MODELS)
    frame = frame[~((frame["model_version"] == "beta@1") & (frame["question_id"] > "q030"))]
    found = model_comparison(frame, QUICK)
    assert len(found) == 3 * 2
    for row in found.to_dict("records"):
        here = frame[frame["country"] == row["country"]].pivot(
            index="question_id", columns="model_version", values="value"
        )
        both = (here[row["model_version_a"]] - here[row["model_version_b"]]).dropna()
        assert (
            row["n_questions"]
            == len(both)
            == (31 if "beta@1" in (row["model_version_a"], row["model_version_b"]) else 40)
        )
        assert row["difference"] == pytest.approx(both.mean(), abs=1e-12)
        weights = cluster_weights(list(both.index), QUICK.n_resamples, QUICK.seed)
        low, high = np.quantile(weights @ both.to_numpy() / weights.sum(axis=1), [0.025, 0.975])
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=1e-9)


def test_which_side_is_a() -> None:
    series = [
        ("m@2025-09-01", "default"), ("m@2025-10-01", "default"), ("m@2025-10-01", "cross_national:TUR"),
        ("m@2025-10-01", "linguistic:tr"), ("other@0.1.10", "default"), ("other@0.1.2", "default"),
    ]  # fmt: skip
    chosen = set(choose_pairs(series))
    assert ("version", ("m@2025-10-01", "default"), ("m@2025-09-01", "default")) in chosen
    assert ("version", ("other@0.1.10", "default"), ("other@0.1.2", "default")) in chosen
    assert ("condition", ("m@2025-10-01", "linguistic:tr"), ("m@2025-10-01", "default")) in chosen
    assert ("condition", ("m@2025-10-01", "cross_national:TUR"), ("m@2025-10-01", "default")) in chosen
    assert sorted(kind for kind, _, _ in chosen) == ["condition"] * 2 + ["model"] * 4 + ["version"] * 2
    assert len(choose_pairs(series, all_conditions=True)) == len(chosen) + 1
    against = choose_pairs(series, baseline="other@0.1.2")
    assert [b for kind, _, b in against if kind == "model"] == [("other@0.1.2", "default")] * 2


def test_too_many_pairs_and_an_unknown_baseline_are_errors_that_say_what_to_do() -> None:
    series = [(f"m{number}@1", "default") for number in range(10)]
    with pytest.raises(OpinionAssetsError, match="45 pairs, more than max_pairs=44; name a baseline"):
        choose_pairs(series, max_pairs=44)
    with pytest.raises(OpinionAssetsError, match=r"baseline 'nobody@1' has no results; there are results of m0@1"):
        choose_pairs(series, baseline="nobody@1")


def test_the_same_numbers_whatever_the_order_of_rows_and_the_other_models() -> None:
    frame = long_frame(MODELS)
    found = model_comparison(frame, QUICK)
    shuffled = model_comparison(frame.sample(frac=1, random_state=3), QUICK)
    pd.testing.assert_frame_equal(found, shuffled)
    two = model_comparison(frame[frame["model_version"] != "beta@1"], QUICK)
    drift = found[found["comparison"] == "version"].reset_index(drop=True)
    pd.testing.assert_frame_equal(drift, two, rtol=1e-9)


def test_both_kinds_of_interval_stand_side_by_side() -> None:
    settings = Settings(n_resamples=500, n_permutations=999, intervals=("percentile", "bca"))
    found = model_comparison(long_frame(MODELS), settings)
    assert found["interval"].value_counts().to_dict() == {"percentile": 6, "bca": 6}
    assert (found["ci_low"] < found["difference"]).all()
    assert (found["difference"] < found["ci_high"]).all()


def test_sign_flip_p_value_is_the_exact_one_where_all_sign_patterns_can_be_listed() -> None:
    values = np.array([0.3, 0.1, 0.25, -0.05, 0.2, 0.15, 0.4, 0.02])
    patterns = np.array(list(itertools.product([-1, 1], repeat=len(values))))
    exact = (np.abs(patterns @ values) >= abs(values.sum()) - 1e-12).mean()
    found = paired_differences(one(values), [(0, 1)], Settings(n_permutations=40_000))
    assert found.p_value[0, 0] == pytest.approx(exact, abs=0.003)


def test_few_questions_never_give_a_small_p_value() -> None:
    for n, least in ((2, 1 / 2), (3, 1 / 4), (4, 1 / 8)):
        found = paired_differences(one(np.linspace(0.3, 0.5, n)), [(0, 1)], Settings())
        assert found.p_value[0, 0] == pytest.approx(least, abs=0.02)
    assert np.isnan(paired_differences(one(np.array([0.3])), [(0, 1)], Settings()).p_value[0, 0])


def test_equal_answers_give_p_1_and_no_difference() -> None:
    found = paired_differences(one(np.zeros(20)), [(0, 1)], QUICK)
    assert found.p_value[0, 0] == 1
    assert found.difference[0, 0] == 0


@pytest.mark.parametrize("n", [4, 8, 30])
def test_the_test_keeps_its_level_where_the_interval_does_not(n: int) -> None:
    """1,000 studies of models that are alike, one a country. Seeded: the same numbers every time."""
    studies = 1000
    drawn = np.random.default_rng(n).normal(0, 0.1, (studies, n))
    table = Scores(
        [("a@1", "default"), ("b@1", "default")],
        [f"q{number:03}" for number in range(n)],
        np.tile(np.arange(n), studies),
        pd.DataFrame({"country": [f"{number:04}" for number in range(studies)], "sample_type": "national"}),
        np.repeat(np.arange(studies), n),
        np.vstack([drawn.ravel(), np.zeros(drawn.size)]),
    )
    found = paired_differences(table, [(0, 1)], QUICK)
    low, high = found.ends["percentile"]
    flips, interval = (found.p_value <= 0.05).mean(), ((low > 0) | (high < 0)).mean()
    assert flips <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / studies)
    assert flips < interval
    if n < 10:
        assert interval > 0.1


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    p = np.array([0.01, 0.04, 0.03, np.nan, 0.005])
    by_holm, by_bh = corrected(p[None])
    assert by_holm[0, [4, 0, 2, 1]] == pytest.approx([0.02, 0.03, 0.06, 0.06])
    assert by_bh[0, [4, 0, 2, 1]] == pytest.approx([0.02, 0.02, 0.04, 0.04])
    assert np.isnan(by_holm[0, 3])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]


def test_two_values_for_one_question_and_country_are_refused() -> None:
    frame = long_frame(MODELS, n=3)
    with pytest.raises(ValueError, match="two values of one series and human distribution"):
        list(scores(pd.concat([frame, frame.head(1)], ignore_index=True)))


def test_an_unknown_interval_is_named() -> None:
    with pytest.raises(ValueError, match="unknown interval 'normal'; there are percentile, bca"):
        Settings(intervals=("normal",))


def test_nothing_to_compare_gives_no_rows() -> None:
    assert model_comparison(long_frame({("m@1", "default"): 0.0}), QUICK).empty
    assert model_comparison(long_frame(MODELS).head(0), QUICK).empty
