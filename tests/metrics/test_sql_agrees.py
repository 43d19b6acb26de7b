"""The definitions in SQL and in the array functions are the same, to 1e-10, on random distributions."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, wasserstein_distance

from opinion_assets.metrics import distances
from opinion_assets.warehouse import create_tables, read_sql


def distribution(generator: np.random.Generator, n: int, kind: str) -> np.ndarray:
    values = generator.dirichlet(np.full(n, 0.5))
    if kind == "zeros":
        values[generator.random(n) < 0.5] = 0
    elif kind == "rounded":
        values = np.round(values, 1)
    elif kind == "certain":
        values = np.eye(n)[generator.integers(n)]
    return values / values.sum() if values.sum() > 0 else np.eye(n)[0]


def in_sql(p: list[np.ndarray], q: list[np.ndarray], places: list[np.ndarray]) -> pd.DataFrame:
    model, human, option = [], [], []
    for number, (a, b, scale) in enumerate(zip(p, q, places, strict=True)):
        for index in range(len(a)):
            model.append(("m@1", "default", f"q{number:03}", index, a[index], "x", 1, 1, 0, None, None))
            human.append(("s", f"q{number:03}", "", True, "A", "TUR", "national", "", "", index, b[index], None, None))
            place = None if np.isnan(scale[index]) else float(scale[index])
            option.append((f"q{number:03}", index, str(index), "substantive", place))
    with duckdb.connect(":memory:") as connection:
        create_tables(connection)
        for name, rows in (
            ("response.distribution", model),
            ("question.human_distribution", human),
            ("question.option", option),
        ):
            frame = pd.DataFrame(rows, columns=connection.table(name).columns)
            connection.from_df(frame).insert_into(name)
        table = connection.execute(read_sql("similarity/question_country.sql")).df()
    table["measure"] = table["metric"] + table["base"].map(lambda base: f":{base}" if base else "")
    return table.pivot(index="question_id", columns="measure", values="value")


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32), st.sampled_from([2, 3, 5, 10, 18]), st.sampled_from(["plain", "zeros", "rounded", "certain"])
)
def test_sql_and_arrays_agree(seed: int, n: int, kind: str) -> None:
    generator = np.random.default_rng(seed)
    sizes = [n, 18, 2]
    p = [distribution(generator, size, kind) for size in sizes]
    q = [distribution(generator, size, "zeros") for size in sizes]
    places = []
    for size in sizes:
        scale = np.linspace(0, 1, size)
        scale[generator.random(size) < 0.2] = np.nan
        places.append(scale)
    table = in_sql(p, q, places)

    def padded(rows: list[np.ndarray], fill: float) -> np.ndarray:
        return np.array([np.pad(row, (0, 18 - len(row)), constant_values=fill) for row in rows])

    a, b, scale = padded(p, 0), padded(q, 0), padded(places, np.nan)
    expected = {
        "js_divergence:e": distances.js_divergence(a, b),
        "js_divergence:2": distances.js_divergence(a, b, base=2),
        "total_variation": distances.total_variation(a, b),
        "wasserstein": distances.wasserstein(a, b, scale),
        "kendall_tau": distances.kendall_tau(a, b, np.array(sizes)),
        "modal_agreement": distances.modal_agreement(a, b),
        "model_entropy:e": distances.entropy(a),
        "human_entropy:e": distances.entropy(b),
    }
    for name, values in expected.items():
        ours = table[name].to_numpy() if name in table else np.full(len(sizes), np.nan)
        np.testing.assert_allclose(ours, values, atol=1e-10, err_msg=name)
    # The root magnifies rounding where the two are equal: compare squared distances.
    for base, name in ((np.e, "js_similarity:e"), (2.0, "js_similarity:2")):
        squared = (1 - table[name].to_numpy()) ** 2
        np.testing.assert_allclose(squared, (1 - distances.js_similarity(a, b, base=base)) ** 2, atol=1e-10)


def test_known_libraries_agree() -> None:
    generator = np.random.default_rng(7)
    for _ in range(50):
        p, q = (distribution(generator, 6, kind) for kind in ("plain", "rounded"))
        scale = np.linspace(0, 1, 6)
        ours = distances.wasserstein(p[None], q[None], scale[None])[0]
        assert ours == pytest.approx(wasserstein_distance(scale, scale, p, q), abs=1e-12)
        tau = distances.kendall_tau(p[None], q[None], np.array([6]))[0]
        assert tau == pytest.approx(kendalltau(p, q).statistic, abs=1e-12, nan_ok=True)


def test_distributions_of_different_length_stop_the_query() -> None:
    with duckdb.connect(":memory:") as connection:
        create_tables(connection)
        model = [("m@1", "default", "q", i, 0.5, "x", 1, 1, 0, None, None) for i in range(2)]
        human = [("s", "q", "", True, "Kenya", "KEN", "national", "", "", i, 1 / 3, None, None) for i in range(3)]
        for name, rows in (("response.distribution", model), ("question.human_distribution", human)):
            connection.from_df(pd.DataFrame(rows, columns=connection.table(name).columns)).insert_into(name)
        with pytest.raises(duckdb.Error, match="question q: the model has 2 options, Kenya has 3"):
            connection.execute(read_sql("similarity/question_country.sql"))
