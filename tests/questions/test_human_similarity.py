"""The human–human matrix against scipy."""

import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from opinion_assets.questions.human_similarity import COLUMNS, human_similarity

SHARES = {("q1", "TUR"): [0.2, 0.8], ("q1", "DEU"): [0.5, 0.5], ("q2", "TUR"): [1, 0, 0], ("q2", "DEU"): [0, 0.5, 0.5]}


def human() -> pd.DataFrame:
    rows = [
        {"source": "s", "question_id": q, "country": c, "sample_type": "national", "option_index": i, "share": share}
        for (q, c), shares in {**SHARES, ("q3", "KEN"): [1.0, 0.0]}.items()
        for i, share in enumerate(shares)
    ]
    return pd.DataFrame(rows).assign(is_latest_wave=True, group_by="")


def test_equals_scipy_and_leaves_out_pairs_without_a_common_question() -> None:
    found = human_similarity(human())
    assert list(found.columns) == COLUMNS
    assert found[["country_a", "country_b", "n_questions"]].values.tolist() == [["DEU", "TUR", 2]]
    expected = sum(1 - jensenshannon(SHARES[q, "TUR"], SHARES[q, "DEU"]) for q in ("q1", "q2")) / 2
    assert found["mean"].iloc[0] == pytest.approx(expected, abs=1e-12)


def test_older_waves_and_groups_do_not_enter() -> None:
    assert human_similarity(human().assign(is_latest_wave=False)).empty
    assert human_similarity(human().assign(group_by="sex")).empty
