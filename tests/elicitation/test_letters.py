"""Reading letters from tokens and replies."""

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opinion_assets.elicitation.letters import answer_position, letter_logprobs, letter_of_reply, letter_of_token
from opinion_assets.elicitation.prompts import LETTERS
from opinion_assets.elicitation.records import answered
from opinion_assets.models.client import Reply

# No deadline: the machine may be busy.
QUIET = settings(deadline=None, max_examples=60)
OPTIONS = ["Never", "Sometimes", "Always"]


@pytest.mark.parametrize("letter", "ABC")
@pytest.mark.parametrize(
    "form", ["{}", " {}", "{})", "({}", "({})", "▁{}", "Ġ{}", "{}.", '"{}"', "**{}**", "\n{}", "{}）"]
)
def test_variants_of_a_letter(letter: str, form: str) -> None:
    assert letter_of_token(form.format(letter), 3) == "ABC".index(letter)


@pytest.mark.parametrize("token", ["", " ", "(", "a", "AB", "A1", "And", "Ａ", "А", "D", "1", "A B", "Å"])
def test_what_is_no_letter_of_three(token: str) -> None:
    # "Ａ" is full-width and "А" Cyrillic: other characters than were shown.
    assert letter_of_token(token, 3) is None


tokens = st.sampled_from(["A", " A", "A)", "(B", "B", " B", "C", "the", "AB", "a", " "])


@QUIET
@given(st.lists(st.tuples(tokens, st.floats(-30, -0.7)), max_size=20))
def test_the_mass_of_a_letter_is_the_sum_over_its_variants(pairs: list[tuple[str, float]]) -> None:
    found = letter_logprobs(pairs, 3)
    for position, letter in enumerate("ABC"):
        mass = sum(math.exp(value) for token, value in pairs if token.strip(" ()") == letter)
        assert math.exp(found[position]) == pytest.approx(mass)
    assert letter_logprobs(pairs[::-1], 3) == pytest.approx(found)


def test_the_sum_and_not_the_largest_decides() -> None:
    pairs = [("A", math.log(0.3)), ("B", math.log(0.2)), (" B", math.log(0.2)), ("the", math.log(0.3))]
    a, b = letter_logprobs(pairs, 2)
    assert (math.exp(a), math.exp(b)) == (pytest.approx(0.3), pytest.approx(0.4))


def test_a_chat_reply_may_open_with_a_bracket() -> None:
    pairs = [("A", -0.1)]
    assert answer_position([("(", [("(", -0.1)]), ("A", pairs)]) == pairs
    assert answer_position([("\n", []), ('"', []), ("B", pairs)]) == pairs
    assert answer_position([("(", [("(", -0.1)])]) == ()


def reply(method: str, position: list[tuple[str, float]], chosen: str) -> dict[str, object]:
    unanswered = {"method": method, "option_order": (1, 0), "status": "failed", "error": None, "answer_index": None}
    whole = Reply(chosen, [(chosen, position)], 1, 1, None)
    return answered(unanswered, ["Yes", "No"], whole, cost_usd=0.0, latency_s=0.0)


def test_a_completion_counts_its_first_token_whatever_the_model_likes_most() -> None:
    pairs = [(" ", math.log(0.5)), ("A", math.log(0.3)), ("B", math.log(0.1))]
    record = reply("completion_logprobs", pairs, " ")
    assert record["status"] == "ok"
    # Shown as A was option 1.
    assert record["option_logprobs"] == pytest.approx([math.log(0.1), math.log(0.3)])
    assert record["letter_mass"] == pytest.approx(0.4)
    assert reply("chat_logprobs", pairs, " ")["status"] == "invalid"


def test_no_letter_at_all_is_invalid_and_kept() -> None:
    record = reply("completion_logprobs", [("the", -0.1)], "the")
    assert (record["status"], record["letter_mass"]) == ("invalid", 0)
    assert record["option_logprobs"] == [None, None]
    assert record["top_logprobs"] == [("the", [("the", -0.1)])]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("B", 1), ("B)", 1), ("(B)", 1), ("B.", 1), (" b", None), ("B\nBecause", 1), ("B: Sometimes", 1),
        ("Sometimes", 1), ("sometimes.", 1), ("B) Sometimes", 1), ("My answer would be (C)", 2), ("[A]", 0),
        ("**C**", 2), ("A lot", None), ("I think so", None), ("(A) or (B)", None), ("A) no, (C)", None), ("D", None),
        ("", None), ("   ", None), ("Never say never", None), ("(A) and again (A)", 0), ("E)", None), ("AB", None),
        ("As a language model I cannot answer", None), ("Always", 2), ("C Always", 2), ("“C”", 2),
    ],
)  # fmt: skip
def test_replies(text: str, position: int | None) -> None:
    assert letter_of_reply(text, OPTIONS) == position


def test_an_option_that_is_a_letter_or_a_double_is_not_guessed() -> None:
    assert letter_of_reply("Yes", ["Yes", "yes."]) is None  # both
    # The letter B and the text "B" of option A: the text is found first, and its letter says the same of A only.
    assert letter_of_reply("maybe", ["Maybe", "No"]) == 0


@QUIET
@given(st.integers(2, 26), st.data())
def test_every_letter_shown_can_be_named(n: int, data: st.DataObject) -> None:
    options = [f"option number {index}" for index in range(n)]
    position = data.draw(st.integers(0, n - 1))
    for form in ("{}", "{})", "({})", "{}.", "I choose ({})"):
        assert letter_of_reply(form.format(LETTERS[position]), options) == position
    assert letter_of_reply(options[position].upper(), options) == position


@QUIET
@given(st.text(max_size=60))
def test_any_reply_gives_an_option_or_none(text: str) -> None:
    position = letter_of_reply(text, OPTIONS)
    assert position is None or 0 <= position < 3


def test_two_named_options_never_count() -> None:
    for one, other in product("ABC", repeat=2):
        named = letter_of_reply(f"({one}) or maybe ({other})", OPTIONS)
        assert named == ("ABC".index(one) if one == other else None)
