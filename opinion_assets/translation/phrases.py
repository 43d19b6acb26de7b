"""The fixed phrases of a prompt in other languages, from ``phrases.yaml``.

Belongs here: reading and checking that file. Does not belong here: the English phrases and the prompt's layout
(``elicitation.prompts``), which the caller joins with these.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.translation.languages import best_match, direction, language_tag

PHRASES_FILE = Path(__file__).with_name("phrases.yaml")
_FIELDS = ("cross_national", "question", "options", "answer_prefix", "reply")


@dataclass(frozen=True)
class Phrases:
    """Phrases of one language. The first six fields are those of ``elicitation.prompts.Instructions``.

    ``letters``: which letters name the options (always ``latin``: answers are read from A, B, C, …).
    ``direction``: ``ltr`` or ``rtl``; the text is in logical order, nothing is reordered for display.
    """

    language: str
    cross_national: str
    question: str
    options: str
    answer_prefix: str
    reply: str
    letters: str = "latin"
    direction: str = "ltr"


def instructions(language: str, file: Path = PHRASES_FILE) -> Phrases:
    """Phrases for a BCP 47 tag, or for the tag of the same language and script that the file has.

    Raises :class:`UnknownNameError` where it has none: a prompt of two languages would measure neither.
    """
    every = _load(file)
    match = best_match(language, every)
    if match is None:
        raise UnknownNameError(
            f"no prompt phrases for language {language_tag(language)!r}; add it to {file.name}, "
            f"which has: {', '.join(sorted(every))}"
        )
    return every[match]


def languages_with_phrases(file: Path = PHRASES_FILE) -> list[str]:
    """Tags of the languages that the file has."""
    return sorted(_load(file))


@lru_cache(maxsize=8)
def _load(file: Path) -> dict[str, Phrases]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = {}
    for tag, fields in content.items():
        missing = [name for name in _FIELDS if not str(fields.get(name) or "").strip()]
        if missing:
            raise InputError("the phrase is missing", file=file, row=tag, field=missing[0])
        unknown = [name for name in fields if name not in _FIELDS]
        if unknown:
            raise InputError("unknown phrase", file=file, row=tag, field=unknown[0])
        if not fields["answer_prefix"].endswith("("):
            raise InputError("must end in an opened ASCII bracket '('", file=file, row=tag, field="answer_prefix")
        if "{country}" not in fields["cross_national"]:
            raise InputError("must contain {country}", file=file, row=tag, field="cross_national")
        tag = language_tag(str(tag))
        found[tag] = Phrases(language=tag, direction=direction(tag), **fields)
    return found
