"""Roles of options, and places on the reviewed scales."""

import pytest

from opinion_assets.questions.scales import option_role, scale_order, scales


@pytest.mark.parametrize(
    ("option", "role"),
    [
        ("Don't know", "dont_know"),
        ("DK", "dont_know"),
        ("Hard to say", "dont_know"),
        ("Don’t know/Refused", "dont_know_or_refused"),
        ("DK/Refused (VOL)", "dont_know_or_refused"),
        ("Refused", "refused"),
        ("No answer", "refused"),
        ("Other", "other"),
        ("Missing; Unknown", "other"),
        ("No influence (VOL)", "other"),
        ("Neither approve nor disapprove  (DO NOT READ)", "other"),
        ("It is against democracy (spontaneous)", "other"),
        ("Never heard of", "other"),
        ("Total                  N=", "other"),
        ("Neither agree nor disagree", "substantive"),
        ("Known to everybody", "substantive"),
        ("Don't know anyone who did", "substantive"),
        ("(Survey country) should decide", "substantive"),
        ("Otherwise", "substantive"),
        ("No", "substantive"),
    ],
)
def test_roles(option: str, role: str) -> None:
    assert option_role(option) == role


def test_the_scale_gives_the_order_where_the_source_lists_another() -> None:
    assert scale_order(["Better", "Worse", "About the same"]) == [0, 2, 1]
    assert scale_order(["Not important at all", "1.0", "Very important", *[f"{i}.0" for i in range(2, 10)]]) == [
        0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9,
    ]  # fmt: skip


def test_a_part_of_a_scale_is_a_scale_and_the_end_listed_first_is_0() -> None:
    assert scale_order(["Disagree", "Neither agree nor disagree", "Agree"]) == [0, 1, 2]
    assert scale_order(["Left", "2", "3", "4", "Right"]) == [0, 1, 2, 3, 4]
    assert scale_order(["Falling", "9", "8", "7"]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "options",
    [
        ["Yes", "No"],
        ["Very good", "Very bad"],
        ["China", "India", "Japan"],
        ["Very good", "Good", "Good"],
        ["Very good", "Good", "Purple"],
        ["Left", "2", "4", "6", "Right"],
        [],
    ],
)
def test_no_scale(options: list[str]) -> None:
    assert scale_order(options) is None


def test_reviewed_scales_have_different_steps() -> None:
    lines = [tuple(scale) for scale in scales()]
    assert len(set(lines)) == len(lines)
    assert all(len(line) >= 3 for line in lines)
    assert not [step for line in lines for step in line if step != step.strip() or not step]
