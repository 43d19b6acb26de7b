"""Options and the reviewed answer scales of scales.yaml: an option's role, and where it stands on its scale.

Does not belong here: what a source says of its own options; it goes first.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml

_FILE = Path(__file__).with_name("scales.yaml")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
# An answer that people gave although the interviewer did not offer it has no place on the scale that was offered.
_VOLUNTEERED = re.compile(r".*[(\[](vol\.?|do not read|spontaneous|only if volunteered)[)\]]\s*", re.I)
_ROLES = [
    (
        "dont_know_or_refused",
        re.compile(r"(dk|don.?t know|do not know)\s*[/&,]?\s*(or )?\s*(refused|no answer|na)\b.*", re.I),
    ),
    (
        "dont_know",
        re.compile(
            r"(?!.*\banyone\b)(i )?(dk|don.?t know|do not know|can.?t choose|hard to say|not sure|no opinion)\b.*", re.I
        ),
    ),
    ("refused", re.compile(r"(refused|no answer|refuse to answer)\b.*", re.I)),
    ("other", _VOLUNTEERED),
    # "Neither agree nor disagree" is a position on the scale; "Missing; …" and "Total N=" is what the release calls no
    # valid answer.
    ("substantive", re.compile(r"neither .* n?or .*|neither|other internet sources", re.I)),
    (
        "other",
        re.compile(
            r"(other|something else|none of (these|the above)|depends|missing|never heard of|haven.?t heard enough"
            r"|can.?t rate|not applicable|inap|this is not government.s responsibility|total\s+n=)(?!\w).*|total\s+n=",
            re.I,
        ),
    ),
]  # fmt: skip


@cache
def option_role(option: str) -> str:
    """Role of an option by its wording. An option marked as volunteered ("(VOL)", "(DO NOT READ)") is ``other``.

    >>> [option_role(text) for text in ("DK/Refused", "Don't know", "No answer", "Very good", "Missing; Unknown")]
    ['dont_know_or_refused', 'dont_know', 'refused', 'substantive', 'other']
    """
    text = option.strip()
    if not _VOLUNTEERED.fullmatch(text):
        text = text.strip("()[]")
    text = text.replace("’", "'")
    return next((role for role, pattern in _ROLES if pattern.fullmatch(text)), "substantive")


def _normal(option: str) -> str:
    text = re.sub(r"\s+", " ", option.strip().casefold().replace("’", "'"))
    return re.sub(r"(\d+)\.0", r"\1", text)


def _steps(line: str) -> tuple[str, ...]:
    steps: list[str] = []
    for part in line.split("|"):
        numbers = _RANGE.fullmatch(part.strip())
        steps += map(str, range(int(numbers[1]), int(numbers[2]) + 1)) if numbers else [_normal(part)]
    return tuple(steps)


@cache
def scales() -> tuple[dict[str, int], ...]:
    """Each reviewed scale as its steps and their positions."""
    return tuple(
        {step: position for position, step in enumerate(_steps(str(line)))}
        for line in yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    )


def scale_order(substantive: Sequence[str]) -> list[int] | None:
    """Rank of each substantive option on its scale; None where the options are no scale.

    A scale is a run of whole numbers in order, with or without a text at either end, or one of scales.yaml. Ranks are
    0 … n-1; the end that the source lists first gets 0. Two options are a dichotomy and no scale: an ordinal metric and
    a nominal one say the same of them.

    >>> scale_order(["Very good", "Very bad", "Good", "Bad"])
    [0, 3, 1, 2]
    >>> scale_order(["Left", "2", "3", "4", "Right"])
    [0, 1, 2, 3, 4]
    >>> scale_order(["Yes", "No"]) is None
    True
    """
    texts = [_normal(option) for option in substantive]
    if len(texts) < 3 or len(set(texts)) < len(texts):
        return None
    if _is_run(texts) or _is_run(texts[1:]) or _is_run(texts[:-1]) or _is_run(texts[1:-1]):
        return list(range(len(texts)))
    for scale in scales():
        if texts[0] in scale and all(text in scale for text in texts):
            places = [scale[text] for text in texts]
            if places[0] > places[-1]:
                places = [-place for place in places]
            order = sorted(places)
            return [order.index(place) for place in places]
    return None


def _is_run(texts: Sequence[str]) -> bool:
    """Three or more consecutive whole numbers, rising or falling."""
    if len(texts) < 3 or not all(text.isdecimal() for text in texts):
        return False
    steps = {int(b) - int(a) for a, b in pairwise(texts)}
    return steps in ({1}, {-1})
