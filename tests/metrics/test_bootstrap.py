"""Intervals: reproducible, independent of how the work is divided, and of the right width."""

import numpy as np
import pandas as pd
import pytest

from opinion_assets.metrics.bootstrap import (
    Settings,
    bootstrap_means,
    cluster_weights,
    country_intervals,
    region_intervals,
    topic_intervals,
)

BY_TOPIC = Settings(cluster_by="topic")


def question_country(
    model: str = "m@1", country: str = "TUR", n: int = 50, shift: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(0.6 + shift, 0.1, n)
    return pd.DataFrame(
        {
            "model_version": model, "condition": "default", "source": "s",
            "question_id": [f"q{i:03}" for i in range(n)],
            "wave": "", "is_latest_wave": True, "country_label": country, "country": country, "sample_type": "national",
            "group_by": "", "group_value": "", "metric": "js_similarity", "base": "e", "value": values,
        }
    )  # fmt: skip


def test_mean_and_interval_of_a_normal_sample() -> None:
    frame = question_country(n=200)
    row = country_intervals(frame, Settings(n_resamples=4000)).iloc[0]
    error = frame["value"].std() / np.sqrt(200)
    assert row["mean"] == pytest.approx(frame["value"].mean())
    assert row["ci_low"] == pytest.approx(row["mean"] - 1.96 * error, abs=0.2 * error)
    assert row["ci_high"] == pytest.approx(row["mean"] + 1.96 * error, abs=0.2 * error)
    assert (row["n_questions"], row["n_resamples"], row["interval"]) == (200, 4000, "percentile")


def test_same_seed_same_table_however_it_is_divided() -> None:
    frames = [question_country(country=name, seed=i) for i, name in enumerate(["TUR", "USA", "KEN"])]
    together = country_intervals(pd.concat(frames).sample(frac=1, random_state=3))
    apart = pd.concat([country_intervals(frame) for frame in frames]).sort_values("country", ignore_index=True)
    pd.testing.assert_frame_equal(together, apart)
    ends = [country_intervals(frames[0], Settings(seed=seed))["ci_low"] for seed in (1, 2)]
    assert not ends[0].equals(ends[1])


def test_one_question_has_no_interval() -> None:
    row = country_intervals(question_country(n=1)).iloc[0]
    assert pd.isna(row["ci_low"])
    assert pd.isna(row["ci_high"])
    assert row["n_questions"] == 1


def test_older_waves_do_not_enter() -> None:
    frame = question_country(n=10)
    older = frame.assign(wave="1", is_latest_wave=False, value=0.0)
    assert country_intervals(pd.concat([frame, older]))["mean"].item() == pytest.approx(frame["value"].mean())


def test_two_labels_of_one_country_on_one_question_are_one_cluster() -> None:
    frame = question_country(n=10)
    doubled = pd.concat([frame, frame.assign(country_label="other")])
    columns = ["mean", "ci_low", "ci_high", "n_questions"]
    once, twice = country_intervals(frame)[columns], country_intervals(doubled)[columns]
    pd.testing.assert_frame_equal(once, twice, rtol=1e-12)


def test_weights_draw_as_many_as_there_are() -> None:
    weights = cluster_weights(["a", "b", "c"], 50, 1)
    assert weights.shape == (50, 3)
    assert (weights.sum(axis=1) == 3).all()


def test_bca_is_scipys() -> None:
    from scipy.stats import bootstrap

    frame = question_country(n=40).assign(value=lambda f: np.exp(5 * f["value"]))
    row = country_intervals(frame, Settings(n_resamples=20_000, intervals=("bca",))).iloc[0]
    theirs = bootstrap((frame["value"].to_numpy(),), np.mean, n_resamples=20_000, method="BCa", random_state=1)
    width = row["ci_high"] - row["ci_low"]
    assert row["interval"] == "bca"
    assert row["ci_low"] == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
    assert row["ci_high"] == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)


def test_unknown_kind_of_interval() -> None:
    with pytest.raises(ValueError, match="unknown interval 'magic'"):
        Settings(intervals=("magic",))


def test_percentile_is_numpys_quantile_over_the_resamples_that_hold_a_value() -> None:
    generator = np.random.default_rng(5)
    weights = cluster_weights([str(i) for i in range(40)], 500, 1)
    cluster = np.concatenate([np.arange(40), np.arange(3)])
    series = np.repeat([0, 1], [40, 3])
    values = generator.random(43)
    found = bootstrap_means(values, series, cluster, weights)
    for number in (0, 1):
        own = series == number
        with np.errstate(invalid="ignore"):
            means = weights[:, cluster[own]] @ values[own] / weights[:, cluster[own]].sum(axis=1)
        low, high = np.nanquantile(means, [0.025, 0.975])
        assert found.low["percentile"][number] == pytest.approx(low, abs=1e-12)
        assert found.high["percentile"][number] == pytest.approx(high, abs=1e-12)


def test_threads_blocks_and_company_change_no_bit() -> None:
    generator = np.random.default_rng(6)
    n_series, n_clusters = 1200, 30
    values, cluster = generator.random(n_series * 20), np.tile(np.arange(20), n_series)
    series = np.repeat(np.arange(n_series), 20)
    weights = cluster_weights([str(i) for i in range(n_clusters)], 200, 1)
    kinds = ["percentile", "bca"]
    one = bootstrap_means(values, series, cluster, weights, intervals=kinds, n_threads=1)
    two = bootstrap_means(values, series, cluster, weights, intervals=kinds, n_threads=2)
    last = series >= n_series - 7
    alone = bootstrap_means(values[last], series[last] - (n_series - 7), cluster[last], weights, intervals=kinds)
    for kind in kinds:
        np.testing.assert_array_equal(one.low[kind], two.low[kind])
        np.testing.assert_array_equal(one.high[kind], two.high[kind])
        np.testing.assert_array_equal(one.low[kind][-7:], alone.low[kind])


def topics(n: int, size: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"source": "s", "question_id": [f"q{i:03}" for i in range(n)], "topic": [f"t{i // size}" for i in range(n)]}
    )


def test_resampling_topics_widens_the_interval_of_values_that_move_together() -> None:
    moved = np.random.default_rng(1).normal(0, 0.2, 10).repeat(10)
    frame = question_country(n=100).assign(value=lambda f: f["value"] + moved)
    by_question = country_intervals(frame).iloc[0]
    by_topic = country_intervals(frame, BY_TOPIC, topics=topics(100, 10)).iloc[0]
    assert by_topic["mean"] == by_question["mean"]
    assert by_topic["ci_high"] - by_topic["ci_low"] > 1.5 * (by_question["ci_high"] - by_question["ci_low"])
    assert (by_topic["n_questions"], by_topic["n_clusters"], by_topic["cluster_by"]) == (100, 10, "topic")
    assert by_question["n_effective"] == pytest.approx(100)
    # Ten topics that hold most of the variance: little more than ten independent questions.
    assert 8 < by_topic["n_effective"] < 20


def test_effective_number_on_a_worked_example() -> None:
    frame = question_country(n=4).assign(value=[0.0, 0.0, 1.0, 1.0])
    row = country_intervals(frame, BY_TOPIC, topics=topics(4, 2)).iloc[0]
    # s² = 1/3; the topics' deviations sum to ∓1, so V = 2/1 · 2/16 = 1/4.
    assert row["n_effective"] == pytest.approx(4 / 3)


def test_wave_as_cluster_and_a_cluster_that_nobody_knows() -> None:
    frame = question_country(n=30).assign(wave=lambda f: [str(i % 5) for i in range(len(f))])
    assert country_intervals(frame, Settings(cluster_by="wave"))["n_clusters"].item() == 5
    with pytest.raises(ValueError, match="unknown cluster_by 'moon'"):
        Settings(cluster_by="moon")
    with pytest.raises(ValueError, match="needs the column 'topic'"):
        country_intervals(frame, BY_TOPIC)


def test_order_effect_and_invalid_rate_are_those_of_the_questions_behind_the_mean() -> None:
    frame = pd.concat([question_country(n=3), question_country(country="USA", n=1)])
    answers = pd.DataFrame(
        {
            "model_version": "m@1", "condition": "default", "question_id": ["q000", "q001", "q002", "q009"],
            "order_effect": [0.2, np.nan, 0.4, 0.9], "n_invalid": [1, 0, 0, 7], "n_answers": [1, 2, 4, 1],
        }
    )  # fmt: skip
    table = country_intervals(frame, answers=answers).set_index("country")
    assert table.loc["TUR", "order_effect"] == pytest.approx(0.3)
    assert table.loc["TUR", "invalid_rate"] == pytest.approx(1 / 8)
    assert table.loc["USA", "invalid_rate"] == pytest.approx(1 / 2)
    assert country_intervals(frame)["invalid_rate"].isna().all()


def test_topics_are_means_of_their_own() -> None:
    frame = question_country(n=6)
    table = topic_intervals(pd.concat([frame, frame.assign(group_by="sex", group_value="f")]), topics(6, 3))
    assert table["topic"].tolist() == ["t0", "t1"]
    assert table["n_questions"].tolist() == [3, 3]
    assert table["mean"].tolist() == pytest.approx([frame["value"][:3].mean(), frame["value"][3:].mean()])


def test_a_question_counts_once_in_a_region_however_many_countries_were_asked() -> None:
    frames = [
        question_country(country="TUR", n=1).assign(value=0.2),
        question_country(country="ISR", n=1).assign(value=0.4),
        question_country(country="TUR", n=2).iloc[1:].assign(value=0.9),
        question_country(country="KEN", n=1).assign(value=0.5, sample_type="non_national"),
    ]
    regions = pd.DataFrame({"country_label": ["TUR", "ISR", "KEN"], "region": ["West", "West", "East"]})
    table = region_intervals(pd.concat(frames), regions).set_index(["region", "sample_type"])
    assert table.loc[("West", "national"), "mean"] == pytest.approx((0.3 + 0.9) / 2)
    assert table.loc[("West", "national"), ["n_countries", "n_questions"]].tolist() == [2, 2]
    assert table.loc[("World", "non_national"), "mean"] == 0.5
    assert len(table) == 4


@pytest.mark.parametrize("n", [30, 100])
def test_intervals_hold_the_mean_as_often_as_they_say(n: int) -> None:
    """A small version of benchmarks/coverage.py: skewed values, 1,000 studies; the standard error is 0.7 points."""
    values = np.random.default_rng(8).beta(4, 2, (1000, n))
    weights = cluster_weights([str(i) for i in range(n)], 1000, 1)
    series, cluster = np.repeat(np.arange(1000), n), np.tile(np.arange(n), 1000)
    found = bootstrap_means(values.ravel(), series, cluster, weights, intervals=["percentile", "bca"])
    for kind in ("percentile", "bca"):
        held = ((found.low[kind] <= 4 / 6) & (found.high[kind] >= 4 / 6)).mean()
        assert 0.92 < held < 0.97
