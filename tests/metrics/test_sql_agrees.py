"""The definitions in SQL and in the array functions are the same, to 1e-10, on random distributions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, wasserstein_distance

from opinion_assets.metrics import distances
from opinion_assets.warehouse import create_tables, read_sql

QUERY = read_sql("similarity/question_country.sql")
Rows = pd.DataFrame | Sequence[tuple[Any, ...]]
KINDS = ["plain", "zeros", "rounded", "ties", "certain", "uniform"]


def distribution(generator: np.random.Generator, n: int, kind: str) -> np.ndarray:
    values = generator.dirichlet(np.full(n, 0.5))
    if kind == "zeros":
        values[generator.random(n) < 0.5] = 0
    elif kind == "rounded":
        values = np.round(values, 1)
    elif kind == "ties":
        values = generator.integers(0, 3, n).astype(float)
    elif kind == "certain":
        values = np.eye(n)[generator.integers(n)]
    elif kind == "uniform":
        values = np.ones(n)
    return values / values.sum() if values.sum() > 0 else np.eye(n)[0]


@contextmanager
def loaded(model: Rows, human: Rows, option: Rows = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables that the query reads, in memory. Tuples have the order of the table's columns."""
    with duckdb.connect(":memory:") as connection:
        create_tables(connection)
        for name, rows in (
            ("response.distribution", model),
            ("question.human_distribution", human),
            ("question.option", option),
        ):
            frame = pd.DataFrame(rows, columns=connection.table(name).columns)
            connection.from_df(frame).insert_into(name)
        yield connection


def in_sql(p: list[np.ndarray], q: list[np.ndarray], places: list[np.ndarray]) -> pd.DataFrame:
    model, human, option = [], [], []
    for number, (a, b, scale) in enumerate(zip(p, q, places, strict=True)):
        for index in range(len(a)):
            model.append(("m@1", "default", f"q{number:03}", index, a[index], "x", 1, 1, 0, None, None))
            human.append(("s", f"q{number:03}", "", True, "A", "TUR", "national", "", "", index, b[index], None, None))
            place = None if np.isnan(scale[index]) else float(scale[index])
            option.append((f"q{number:03}", index, str(index), "substantive", place))
    with loaded(model, human, option) as connection:
        table = connection.execute(QUERY).df()
    table["measure"] = table["metric"] + table["base"].map(lambda base: f":{base}" if base else "")
    return table.pivot(index="question_id", columns="measure", values="value")


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(2, 18), st.sampled_from(KINDS), st.sampled_from(KINDS)), min_size=1, max_size=12),
)
def test_sql_and_arrays_agree(seed: int, drawn: list[tuple[int, str, str]]) -> None:
    generator = np.random.default_rng(seed)
    # Beside what hypothesis draws, always: 18 options with zeros, 2 options, equal distributions, nothing in common.
    drawn = [*drawn, (18, "zeros", "zeros"), (2, "rounded", "ties")]
    p = [distribution(generator, size, kind) for size, kind, _ in drawn]
    q = [distribution(generator, size, kind) for size, _, kind in drawn]
    p, q = [*p, q[0], np.eye(18)[0]], [*q, q[0], np.eye(18)[17]]
    sizes = [len(row) for row in p]
    places = []
    for size in sizes:
        # Options without a place among the others, as don't know; now and then none or one that has one.
        scale = np.linspace(0, 1, size)
        scale[generator.random(size) < generator.choice([0, 0.2, 0.9, 1])] = np.nan
        places.append(scale)
    table = in_sql(p, q, places)
    a, b, scale = (
        np.array([np.pad(row, (0, 18 - len(row)), constant_values=fill) for row in rows])
        for rows, fill in ((p, 0), (q, 0), (places, np.nan))
    )
    expected = distances.measure(a, b, scale, np.array(sizes)) | {
        ("model_entropy", "e"): distances.entropy(a),
        ("human_entropy", "e"): distances.entropy(b),
    }
    for (metric, base), values in expected.items():
        name = f"{metric}:{base}" if base else metric
        ours = table[name].to_numpy() if name in table else np.full(len(sizes), np.nan)
        if metric == "js_similarity":
            # The root magnifies rounding where the two are equal: compare squared distances.
            ours, values = (1 - ours) ** 2, (1 - values) ** 2
        np.testing.assert_allclose(ours, values, rtol=0, atol=1e-10, err_msg=name)


def test_measure_is_each_function_alone() -> None:
    generator = np.random.default_rng(3)
    p, q = (np.array([distribution(generator, 5, kind) for kind in KINDS]) for _ in range(2))
    scale, n = np.tile(np.linspace(0, 1, 5), (len(KINDS), 1)), np.full(len(KINDS), 5)
    alone = {
        ("js_similarity", "e"): distances.js_similarity(p, q),
        ("js_similarity", "2"): distances.js_similarity(p, q, base=2),
        ("js_divergence", "e"): distances.js_divergence(p, q),
        ("js_divergence", "2"): distances.js_divergence(p, q, base=2),
        ("total_variation", ""): distances.total_variation(p, q),
        ("wasserstein", ""): distances.wasserstein(p, q, scale),
        ("kendall_tau", ""): distances.kendall_tau(p, q, n),
        ("modal_agreement", ""): distances.modal_agreement(p, q),
    }
    found = distances.measure(p, q, scale, n)
    assert list(found) == list(alone)
    for key, values in alone.items():
        np.testing.assert_array_equal(found[key], values, err_msg=str(key))


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
    model = [("m@1", "default", "q", i, 0.5, "x", 1, 1, 0, None, None) for i in range(2)]
    human = [("s", "q", "", True, "Kenya", "KEN", "national", "", "", i, 1 / 3, None, None) for i in range(3)]
    with (
        loaded(model, human) as connection,
        pytest.raises(duckdb.Error, match="question q: the model has 2 options, Kenya has 3"),
    ):
        connection.execute(QUERY)


def test_more_options_than_keys_have_room_for_stop_the_query() -> None:
    model = [("m@1", "default", "q", i, 1 / 129, "x", 1, 1, 0, None, None) for i in range(129)]
    human = [("s", "q", "", True, "A", "TUR", "national", "", "", i, 1 / 129, None, None) for i in range(129)]
    with loaded(model, human) as connection, pytest.raises(duckdb.ConversionException, match="INT8"):
        connection.execute(QUERY)


def test_threads_change_no_bit() -> None:
    generator = np.random.default_rng(8)
    n_questions, n_countries, n_options = 700, 50, 6
    n = n_questions * n_countries
    questions = np.repeat([f"q{number:03}" for number in range(n_questions)], n_options)
    index = np.tile(np.arange(n_options), n_questions)
    model = pd.DataFrame(
        {
            "model_version": "m@1", "condition": "default", "question_id": questions, "option_index": index,
            "probability": generator.dirichlet(np.ones(n_options), n_questions).ravel(), "method": "x", "n_orders": 1,
            "n_answers": 1, "n_invalid": 0, "letter_mass": None, "order_effect": None,
        }
    )  # fmt: skip
    human = pd.DataFrame(
        {
            "source": "s", "question_id": np.tile(questions, n_countries), "wave": "", "is_latest_wave": True,
            "country_label": np.repeat([f"C{number:02}" for number in range(n_countries)], n_questions * n_options),
            "country": "TUR", "sample_type": "national", "group_by": "", "group_value": "",
            "option_index": np.tile(index, n_countries),
            "share": generator.dirichlet(np.ones(n_options), n).ravel(), "n": None, "n_effective": None,
        }
    ).sample(frac=1, random_state=1)  # fmt: skip
    option = pd.DataFrame(
        {
            "question_id": questions,
            "option_index": index,
            "option": "",
            "role": "substantive",
            "ordinal_value": index / 5,
        }
    )
    with loaded(model, human, option) as connection:
        tables = []
        for threads in (1, 2, 4, 8):
            connection.execute(f"SET threads = {threads}")
            tables.append(connection.sql(QUERY).to_arrow_table())
    assert tables[0].num_rows == 10 * n
    assert all(table.equals(tables[0]) for table in tables)
