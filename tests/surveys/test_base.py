"""Weighted shares."""

import numpy as np
import pandas as pd
import pytest

from opinion_assets.surveys.base import shares


def test_weighted_shares_and_kish_effective_size() -> None:
    people = pd.DataFrame({"country": ["A"] * 4 + ["B"] * 2, "answer": [0, 0, 1, 2, 1, 1], "w": [1, 2, 3, 4, 0.5, 0.5]})
    table = shares(people, by=["country"], answer="answer", n_options=3, weight="w")
    first = table[table["country"] == "A"]
    assert first["share"].tolist() == [0.3, 0.3, 0.4]
    assert set(first["n"]) == {4}
    assert first["n_effective"].iloc[0] == pytest.approx(10**2 / 30)
    assert table[table["country"] == "B"]["share"].tolist() == [0.0, 1.0, 0.0]


def test_shares_sum_to_one_for_random_weights() -> None:
    generator = np.random.default_rng(1)
    people = pd.DataFrame(
        {"c": generator.integers(0, 9, 5000), "a": generator.integers(0, 7, 5000), "w": generator.gamma(2, 1, 5000)}
    )
    table = shares(people, by=["c"], answer="a", n_options=7, weight="w")
    assert abs(table.groupby("c")["share"].sum() - 1).max() < 1e-12
    assert (table["n_effective"] <= table["n"]).all()
