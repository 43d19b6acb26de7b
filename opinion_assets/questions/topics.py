"""The topic of a question, by the words of topics.yaml. Transparent: `explain` shows what spoke for what.

Belongs here: counting words. Does not belong here: which words (topics.yaml), and topics that a source gives itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

OTHER = "other"
_FILE = Path(__file__).with_name("topics.yaml")
# A battery reads "How much confidence …?  The police", "… a big problem...Pollution" or "… of ____? b. NATO": what
# stands last is the thing asked about, and the words before are the same for the whole battery.
_SEPARATOR = re.compile(r"\.\.\.|…|\n+|:\s+|\s{2,}|_{2,}[^a-z]{0,4}\s*(?=[a-z]\. )", re.IGNORECASE)
_ITEM_FACTOR = 3
_FURTHER = 0.25
_BATTERY = 40


@dataclass(frozen=True)
class Topic:
    """A topic: its key, what belongs to it, and its terms as (letters, pattern, weight)."""

    key: str
    about: str
    terms: tuple[tuple[str, re.Pattern[str], float], ...]


@cache
def _scheme() -> tuple[str, tuple[Topic, ...]]:
    content = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    topics = tuple(
        Topic(
            key,
            entry["about"],
            tuple(
                (term.rstrip("*"), _pattern(term), float(weight))
                for weight, terms in entry["terms"].items()
                for term in terms
            ),
        )
        for key, entry in content["topics"].items()
    )
    return str(content["version"]), topics


def _pattern(term: str) -> re.Pattern[str]:
    body = re.escape(term).replace(r"\*", r"\w*")
    return re.compile(rf"(?<!\w){body}(?!\w)")


def topic_method() -> str:
    """What ``question.question.topic_method`` says of a topic found here."""
    return f"keywords v{_scheme()[0]}"


def topics() -> Mapping[str, str]:
    """Each topic and what belongs to it, ``other`` for what no term speaks for."""
    return {topic.key: topic.about for topic in _scheme()[1]} | {OTHER: "None of the others"}


def item_of(text: str) -> str:
    """The part of a battery question that differs from the others of the battery; the whole text of any other.

    >>> item_of("How much confidence do you have in each?  The police")
    'The police'
    """
    parts = [part.strip() for part in _SEPARATOR.split(text) if re.search(r"\w{2}", part)]
    return parts[-1] if parts else text


def explain(text: str) -> list[tuple[str, float, list[str]]]:
    """Topics with a score above 0, best first, each with the words that speak for it.

    The strongest term counts its weight and each further one a quarter, so that many words for one thing (a leader's
    country, office and name) do not outweigh the thing asked about; in the item of a battery they count threefold.
    """
    whole = text.casefold().replace("’", "'")
    item = item_of(whole)
    factor = _ITEM_FACTOR if len(item) < len(whole.strip()) else 1
    found = []
    for topic in _scheme()[1]:
        words: dict[str, float] = {}
        for letters, pattern, weight in topic.terms:
            if letters not in whole:  # cheap, and true of almost every term
                continue
            if pattern.search(item) and weight < _BATTERY:
                words[letters] = weight * factor
            elif pattern.search(whole):
                words[letters] = weight
        if words:
            strongest, *others = sorted(words.values(), reverse=True)
            found.append((topic.key, strongest + _FURTHER * sum(others), list(words)))
    return sorted(found, key=lambda entry: -entry[1])


@cache
def topic_of(text: str) -> str:
    """The topic with the highest score; ``other`` where no term occurs.

    >>> topic_of("How serious a problem is air pollution?")
    'environment_and_energy'
    """
    found = explain(text)
    return found[0][0] if found else OTHER
