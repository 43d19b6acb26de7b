"""The array functions against SciPy, their bounds, and their refusal of what is no distribution."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from opinion_assets.metrics.distances import js_similarity, total_variation


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 18))
    rows = []
    for _ in range(2):
        values = draw(st.lists(st.one_of(st.just(0.0), st.floats(0.001, 1)), min_size=n, max_size=n))
        row = np.array(values if sum(values) else [1.0] + [0.0] * (n - 1))
        rows.append(row / row.sum())
    return rows[0][None, :], rows[1][None, :]


@given(pairs(), st.sampled_from([math.e, 2.0]))
def test_similarity_is_one_minus_scipys_distance(pair: tuple[np.ndarray, np.ndarray], base: float) -> None:
    p, q = pair
    # Where the two are nearly equal, the root magnifies rounding: 1e-16 in the divergence is 1e-8 in the distance.
    assert js_similarity(p, q, base=base)[0] == pytest.approx(
        1 - np.nan_to_num(jensenshannon(p[0], q[0], base)), abs=3e-8
    )


@given(pairs())
def test_bounds_and_symmetry(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    value = js_similarity(p, q)[0]
    assert 1 - math.sqrt(math.log(2)) - 1e-12 <= value <= 1
    assert value == pytest.approx(js_similarity(q, p)[0], abs=1e-12)
    assert js_similarity(p, p)[0] == 1
    assert 0 <= total_variation(p, q)[0] <= 1 + 1e-12


def test_no_answer_in_common_is_the_floor() -> None:
    p, q = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert js_similarity(p, q)[0] == pytest.approx(1 - math.sqrt(math.log(2)))
    assert js_similarity(p, q, base=2)[0] == pytest.approx(0)
    assert total_variation(p, q)[0] == 1


def test_padding_changes_nothing() -> None:
    p, q = np.array([[0.2, 0.8]]), np.array([[0.5, 0.5]])
    padded = [np.pad(row, ((0, 0), (0, 5))) for row in (p, q)]
    assert js_similarity(*padded) == js_similarity(p, q)


@pytest.mark.parametrize("row", [[0.5, 0.4], [1.5, -0.5], [math.nan, 1.0]])
def test_what_is_no_distribution_is_refused(row: list[float]) -> None:
    with pytest.raises(ValueError, match="row 1 is no distribution"):
        js_similarity(np.array([[0.5, 0.5], row]), np.array([[0.5, 0.5], [0.5, 0.5]]))


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        js_similarity(np.array([[0.5, 0.5]]), np.array([[0.5, 0.25, 0.25]]))
