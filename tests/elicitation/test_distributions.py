"""From answers to distributions: properties that hold for any answers."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opinion_assets.elicitation.distributions import distributions
from opinion_assets.elicitation.prompts import option_orders
from opinion_assets.elicitation.settings import ElicitationSettings, half_width, samples_wanted
from opinion_assets.errors import InputError
from tests.elicitation.collector import model

# No deadline: the machine may be busy.
QUIET = settings(deadline=None, max_examples=60)


def row(order: tuple[int, ...], **fields: object) -> dict[str, object]:
    return {
        "model_version": "m@1", "condition": "default", "question_id": "q", "method": "sampling", "option_order": order,
        "status": "ok", "option_logprobs": None, "letter_mass": np.nan, "answer_index": np.nan,
    } | fields  # fmt: skip


def options(n: int) -> pd.DataFrame:
    return pd.DataFrame({"question_id": "q", "option_index": range(n), "option": [f"o{i}" for i in range(n)]})


logprobs = st.lists(st.floats(-40, 0) | st.just(-math.inf), min_size=3, max_size=3).filter(lambda x: max(x) > -math.inf)


@QUIET
@given(st.lists(logprobs, min_size=1, max_size=6), st.randoms())
def test_log_probabilities(values: list[list[float]], shuffle: object) -> None:
    orders = [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (2, 0, 1), (1, 0, 2)]
    rows = [
        row(order, method="chat_logprobs", option_logprobs=value, letter_mass=0.5)
        for order, value in zip(orders, values, strict=False)
    ]
    frame = distributions(pd.DataFrame(rows), options(3))
    each = np.exp(np.array(values))
    each /= each.sum(axis=1, keepdims=True)
    assert frame["probability"].tolist() == pytest.approx(each.mean(axis=0).tolist())
    assert frame["probability"].sum() == pytest.approx(1)
    effect = 0.5 * np.abs(each - each.mean(axis=0)).sum(axis=1).mean()
    found = frame["order_effect"].iloc[0]
    assert math.isnan(found) if len(values) == 1 else found == pytest.approx(effect, abs=1e-12)
    assert 0 <= effect <= 1
    shuffle.shuffle(rows)  # type: ignore[attr-defined]
    again = distributions(pd.DataFrame(rows), options(3))
    assert again["probability"].tolist() == pytest.approx(frame["probability"].tolist())


@QUIET
@given(st.lists(st.tuples(st.integers(-1, 2), st.booleans()), min_size=1, max_size=40))
def test_samples(drawn: list[tuple[int, bool]]) -> None:
    """Orders count the same however many valid answers each has; invalid answers count as none."""
    rows = [
        row((0, 1, 2) if turned else (2, 1, 0), status="ok" if index >= 0 else "invalid",
            answer_index=index if index >= 0 else np.nan)
        for index, turned in drawn
    ]  # fmt: skip
    frame = distributions(pd.DataFrame(rows), options(3))
    valid = [(index, turned) for index, turned in drawn if index >= 0]
    if not valid:
        assert frame.empty
        return
    by_order = [[index for index, turned in valid if turned is side] for side in (True, False)]
    shares = [np.bincount(answers, minlength=3) / len(answers) for answers in by_order if answers]
    assert frame["probability"].tolist() == pytest.approx(np.mean(shares, axis=0).tolist())
    assert frame["n_invalid"].iloc[0] == len(drawn) - len(valid)
    assert frame["n_answers"].iloc[0] == len(valid)


def test_answers_that_do_not_fit_their_question_are_refused() -> None:
    with pytest.raises(InputError, match="orders 2 options, the question has 3"):
        distributions(pd.DataFrame([row((0, 1), answer_index=0)]), options(3))
    mixed = [row((0, 1, 2), answer_index=0), row((0, 1, 2), method="chat_logprobs", option_logprobs=[0.0, -1, -2])]
    with pytest.raises(InputError, match="more than one method"):
        distributions(pd.DataFrame(mixed), options(3))
    with pytest.raises(InputError, match="neither log-probabilities nor the index"):
        distributions(pd.DataFrame([row((0, 1, 2), answer_index=3)]), options(3))


@QUIET
@given(st.integers(2, 5), st.integers(1, 30), st.integers(0, 99))
def test_permutations_are_seeded_distinct_and_grow(n: int, k: int, seed: int) -> None:
    few = list(option_orders(f"permutations:{k}", n, seed=seed, question_id="q"))
    more = list(option_orders(f"permutations:{k + 3}", n, seed=seed, question_id="q"))
    assert few == more[: len(few)]
    assert len(set(few)) == len(few) == min(k, math.factorial(n))
    assert all(sorted(order) == list(range(n)) for order in few)


@QUIET
@given(st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_the_half_width_is_that_of_the_wilson_interval(counts: list[int]) -> None:
    n, z = sum(counts), 1.959963984540054
    if n == 0:
        assert half_width(counts) == 0.5
        return
    widths = []
    for count in counts:
        # The interval's ends solve |p̂ − p| = z sqrt(p (1 − p) / n).
        roots = np.roots([1 + z * z / n, -(2 * count / n + z * z / n), (count / n) ** 2])
        widths.append(abs(np.real(roots[0] - roots[1])) / 2)
    assert half_width(counts) == pytest.approx(max(widths), abs=1e-6)


@QUIET
@given(st.lists(st.integers(-1, 2), max_size=50), st.integers(1, 10))
def test_how_many_samples_does_not_depend_on_what_came_later(answers: list[int], size: int) -> None:
    chosen = ElicitationSettings(n_samples=size, max_samples=50, half_width=0.2)
    version = model("http://127.0.0.1:9/v1", "sampling")
    wanted = samples_wanted(chosen, version, answers, 3)
    assert wanted % size == 0 or wanted == 50
    assert samples_wanted(chosen, version, answers[:wanted], 3) == wanted
    # An answer that is not known yet ends the looking: nothing is decided on it.
    assert samples_wanted(chosen, version, [None, *answers], 3) == size
