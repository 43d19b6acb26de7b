"""Whom a condition moves a model toward, and whether it flattens the answers."""

import numpy as np
import pandas as pd
import pytest

from opinion_assets.metrics.comparison import model_comparison
from opinion_assets.metrics.conditions import condition_effect, condition_entropy, condition_targets
from opinion_assets.metrics.paired import Settings
from tests.metrics.test_comparison import long_frame

QUICK = Settings(n_resamples=500, n_permutations=999)
TARGETS = {"cross_national:TUR": {"TUR"}}
COUNTRIES = ("BRA", "SWE", "TUR", "USA")


def moved(toward: dict[str, float], n: int = 60) -> pd.DataFrame:
    """A model by default and under cross_national:TUR, which moves it toward each country by so much."""
    frame = long_frame({("m@1", "default"): 0.0, ("m@1", "cross_national:TUR"): 0.0}, COUNTRIES, n)
    shift = frame["country"].map(toward).fillna(0.0) * (frame["condition"] != "default")
    return frame.assign(value=frame["value"] + shift)


def row(frame: pd.DataFrame, **values: object) -> pd.Series:
    found = frame
    for column, value in values.items():
        found = found[found[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_a_move_toward_the_target_alone_is_total_and_specific() -> None:
    found = condition_effect(moved({"TUR": 0.2}), TARGETS, QUICK)
    for effect in ("total", "specific"):
        target = row(found, country="TUR", effect=effect)
        assert target["is_target"]
        assert target["difference"] == pytest.approx(0.2, abs=0.04)
        assert 0 < target["ci_low"] < target["ci_high"]
        assert target["p_holm"] < 0.05
        assert target["condition_rank"] == 1
        assert target["n_ranked"] == 4
    assert not row(found, country="SWE", effect="total")["is_target"]


def test_a_move_toward_everybody_is_not_specific() -> None:
    found = condition_effect(moved(dict.fromkeys(COUNTRIES, 0.2)), TARGETS, QUICK)
    assert row(found, country="TUR", effect="total")["p_holm"] < 0.05
    specific = row(found, country="TUR", effect="specific")
    assert abs(specific["difference"]) < 0.04
    assert specific["p_value"] > 0.05


def test_specific_is_the_change_less_the_mean_change_of_the_others() -> None:
    frame = moved({"TUR": 0.1, "USA": -0.1})
    wide = frame.pivot_table(index=["question_id", "country"], columns="condition", values="value")
    change = (wide["cross_national:TUR"] - wide["default"]).unstack()
    expected = (change["TUR"] - change.drop(columns="TUR").mean(axis=1)).mean()
    found = row(condition_effect(frame, TARGETS, QUICK), country="TUR", effect="specific")
    assert found["difference"] == pytest.approx(expected, abs=1e-12)
    assert found["condition_mean"] - found["default_mean"] == pytest.approx(expected, abs=1e-12)


def test_the_total_effect_is_the_comparison_of_the_two_conditions() -> None:
    frame = moved({"TUR": 0.1})
    total = condition_effect(frame, TARGETS, QUICK).query("effect == 'total'").sort_values("country")
    compared = model_comparison(frame, QUICK).sort_values("country")
    for column in ("difference", "ci_low", "ci_high", "p_value", "p_holm", "p_bh"):
        assert total[column].to_numpy() == pytest.approx(compared[column].to_numpy(), abs=1e-12)


def test_distances_rank_the_smallest_first() -> None:
    frame = moved({"TUR": 0.3}).assign(metric="total_variation", base="")
    assert row(condition_effect(frame, TARGETS, QUICK), country="TUR", effect="total")["condition_rank"] == 4


def test_other_samples_of_a_country_are_not_the_others_and_have_ranks_of_their_own() -> None:
    frame = moved({"TUR": 0.1})
    local = frame[frame["country"] == "TUR"].assign(
        country_label="Turkey (local)", sample_type="non_national", value=9.0
    )
    alone = condition_effect(frame, TARGETS, QUICK)
    both = condition_effect(pd.concat([frame, local]), TARGETS, QUICK)
    national = both.query("sample_type == 'national'").reset_index(drop=True)
    per_family = ["p_holm", "p_bh"]
    pd.testing.assert_frame_equal(alone.drop(columns=per_family), national.drop(columns=per_family))
    assert (national["p_holm"] >= alone["p_holm"]).all()
    assert row(both, sample_type="non_national", effect="total")["n_ranked"] == 1


def test_without_a_default_there_is_nothing_to_compare_with() -> None:
    frame = moved({"TUR": 0.1})
    assert condition_effect(frame[frame["condition"] != "default"], TARGETS, QUICK).empty


def test_targets_of_conditions() -> None:
    speakers = pd.DataFrame(
        {"language": ["tr", "tr", "es"], "country": ["TUR", "DEU", "ESP"], "share": [0.93, 0.02, 0.99]}
    )
    names = {"default", "cross_national:GB-NIR", "linguistic:tr", "linguistic:xx"}
    assert condition_targets(names, speakers) == {
        "default": set(), "cross_national:GB-NIR": {"GB-NIR"}, "linguistic:tr": {"TUR"}, "linguistic:xx": set(),
    }  # fmt: skip


def entropies(under_condition: float) -> pd.DataFrame:
    """Model entropies by question (1.0 by default), and 0.9 for people everywhere."""
    n = 50
    noise = np.random.default_rng(2).normal(0, 0.05, n)
    model = long_frame({("m@1", "default"): 0.0, ("m@1", "cross_national:TUR"): 0.0}, ("SWE", "TUR"), n)
    question = model["question_id"].str[1:].astype(int).to_numpy()
    value = np.where(model["condition"] == "default", 1.0, under_condition) + noise[question]
    of_model = model.assign(metric="model_entropy", value=value)
    return pd.concat([of_model, model.assign(metric="human_entropy", value=0.9 + noise[question] / 2)])


def test_a_stereotype_is_less_varied_than_the_default_and_than_people() -> None:
    found = condition_entropy(entropies(0.4), TARGETS, QUICK)
    against_default = row(found, country="TUR", comparison="condition_default")
    assert against_default["is_target"]
    assert against_default["difference"] == pytest.approx(-0.6)
    assert against_default["ci_high"] < 0
    assert row(found, country="TUR", comparison="condition_human")["difference"] == pytest.approx(-0.5, abs=0.02)
    assert row(found, country="TUR", comparison="default_human")["difference"] == pytest.approx(0.1, abs=0.02)


def test_all_questions_stand_once_without_people() -> None:
    frame = entropies(0.4)
    only_sweden = (frame["country"] == "TUR") & (frame["question_id"] < "q020")
    found = condition_entropy(frame[~only_sweden], TARGETS, QUICK)
    assert row(found, country="", comparison="condition_default")["n_questions"] == 50
    assert row(found, country="TUR", comparison="condition_default")["n_questions"] == 30
    assert set(found.loc[found["country"] == "", "comparison"]) == {"condition_default"}
