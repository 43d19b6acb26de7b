"""Intervals: reproducible, independent of how the work is divided, and of the right width."""

import numpy as np
import pandas as pd
import pytest

from opinion_assets.metrics.bootstrap import cluster_weights, country_intervals


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
    row = country_intervals(frame, n_resamples=4000).iloc[0]
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
    assert not country_intervals(frames[0], seed=1)["ci_low"].equals(country_intervals(frames[0], seed=2)["ci_low"])


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
    row = country_intervals(frame, n_resamples=20_000, intervals=["bca"]).iloc[0]
    theirs = bootstrap((frame["value"].to_numpy(),), np.mean, n_resamples=20_000, method="BCa", random_state=1)
    width = row["ci_high"] - row["ci_low"]
    assert row["interval"] == "bca"
    assert row["ci_low"] == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
    assert row["ci_high"] == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)


def test_unknown_kind_of_interval() -> None:
    with pytest.raises(ValueError, match="unknown interval 'magic'"):
        country_intervals(question_country(), intervals=["magic"])
