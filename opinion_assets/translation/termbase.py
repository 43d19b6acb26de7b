"""The termbase: fixed translations of recurring answer scales, single phrases, don't-know and refused.

Belongs here: reading ``termbase.yaml`` and finding a scale or phrase in it. Does not belong here: machine translation
and the decision which source of a translation wins (``questions``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from opinion_assets.errors import InputError
from opinion_assets.translation.languages import best_match, language_tag

TERMBASE_FILE = Path(__file__).with_name("termbase.yaml")
ROLES = ("dont_know", "refused", "dont_know_or_refused")
#: A number in front of an option's wording, as scales name their ends: "1 - Never justifiable".
_NUMBERED = re.compile(r"^(?P<number>\d+\s*[-–.:)]\s*)(?P<text>\D.*)$")
_NOTE = re.compile(r"^(?P<text>.*\S)\s*[(\[](?P<note>[^()\[\]]+)[)\]]\s*$")


def normal(option: str) -> str:
    """An option's wording without what does not change its meaning: case, spaces, quotes, final full stop.

    >>> normal("Don’t  know."), normal("Favorable")
    ("don't know", 'favorable')
    """
    return re.sub(r"\s+", " ", option.replace("’", "'").replace("`", "'")).strip().rstrip(".").casefold()


@dataclass(frozen=True)
class Termbase:
    """Contents of a termbase file; keys are :func:`normal` English, values map a language tag to its translation."""

    scales: tuple[tuple[str, frozenset[str], Mapping[str, Mapping[str, str]]], ...]
    phrases: Mapping[str, Mapping[str, str]]
    roles: Mapping[str, Mapping[str, str]]
    notes: Mapping[str, Mapping[str, str]]
    reviewers: Mapping[str, tuple[str, ...]]

    def role(self, role: str, language: str) -> str | None:
        """The fixed phrase for a non-substantive option; None where the language has none."""
        return _in_language(self.roles.get(role, {}), language)

    def scale(self, options: Sequence[str], language: str) -> list[str] | None:
        """Translations of the substantive options of one question, where they are a scale of the termbase.

        The set of options counts, not their order. Two scales may share a phrase and translate it differently, so the
        whole set is looked for first; options of which each is a phrase with one translation come second.
        """
        keys = [normal(option) for option in options]
        for _, members, translations in self.scales:
            if members == set(keys) and len(keys) == len(members):
                found = [_in_language(translations[key], language) for key in keys]
                if None not in found:
                    return [text for text in found if text is not None]
        single = [self.phrase(option, language) for option in options]
        return None if None in single else [text for text in single if text is not None]

    def phrase(self, option: str, language: str) -> str | None:
        """Translation of a single option; None where it is unknown or differs between the scales that hold it."""
        found = self._single(option, language)
        if found is None and (match := _NUMBERED.match(option)):
            text = self._single(match["text"], language)
            return match["number"] + text if text else None
        if found is None and (match := _NOTE.match(option)):
            note = next(
                (texts for key, texts in self.notes.items() if key.casefold() == match["note"].casefold()), None
            )
            body = self._single(match["text"], language)
            suffix = _in_language(note, language) if note else None
            found = f"{body} ({suffix})" if body and suffix else None
        return found

    def _single(self, option: str, language: str) -> str | None:
        key = normal(option)
        if key in self.phrases:
            return _in_language(self.phrases[key], language)
        candidates = {
            _in_language(translations[key], language) for _, members, translations in self.scales if key in members
        }
        candidates.discard(None)
        return candidates.pop() if len(candidates) == 1 else None

    def languages(self) -> list[str]:
        """Languages for which at least don't-know and refused are fixed."""
        return sorted(set.intersection(*({tag for tag in self.roles[role] if tag != "en"} for role in ROLES)))


def _in_language(texts: Mapping[str, str], language: str) -> str | None:
    match = best_match(language, texts)
    return texts[match] if match else None


@lru_cache(maxsize=8)
def load_termbase(file: Path = TERMBASE_FILE) -> Termbase:
    """The termbase of a YAML file; :class:`InputError` names the entry and the language of the first mistake."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read the termbase: {' '.join(str(error).split())}", file=file) from None
    if not isinstance(content, dict):
        raise InputError("the termbase must be a mapping", file=file)
    for part in ("roles", "notes", "scales", "phrases"):
        if part not in content:
            raise InputError("is missing", file=file, field=part)
    scales = []
    for entry in content["scales"]:
        name = entry.get("name")
        steps = {tag: texts for tag, texts in entry.items() if tag != "name"}
        keys = [normal(_text(file, name, "en", text)) for text in steps.get("en", [])]
        if len(keys) < 2 or len(set(keys)) != len(keys):
            raise InputError("a scale needs at least two different English options", file=file, row=name, field="en")
        for tag, texts in steps.items():
            if len(texts) != len(keys):
                raise InputError(f"{len(texts)} options, English has {len(keys)}", file=file, row=name, field=tag)
            if len({normal(_text(file, name, tag, text)) for text in texts}) != len(texts):
                raise InputError("two options have the same translation", file=file, row=name, field=tag)
        scales.append(
            (
                str(name),
                frozenset(keys),
                {key: {_tag(file, name, tag): texts[i] for tag, texts in steps.items()} for i, key in enumerate(keys)},
            )
        )
    missing = [role for role in ROLES if role not in content["roles"]]
    if missing:
        raise InputError("is missing", file=file, row="roles", field=missing[0])
    return Termbase(
        scales=tuple(scales),
        phrases={normal(entry["en"]): _texts(file, entry["en"], entry) for entry in content["phrases"]},
        roles={role: _texts(file, role, content["roles"][role]) for role in ROLES},
        notes={note: _texts(file, note, texts) for note, texts in content["notes"].items()},
        reviewers={tag: tuple(names) for tag, names in (content.get("reviewers") or {}).items()},
    )


def _texts(file: Path, row: object, texts: Mapping[str, Any]) -> dict[str, str]:
    return {_tag(file, row, tag): _text(file, row, tag, text) for tag, text in texts.items()}


def _tag(file: Path, row: object, tag: object) -> str:
    if not isinstance(tag, str):  # YAML reads the tag `no` as false
        raise InputError("a language tag must be text; put it in quotes", file=file, row=row, field=tag)
    return language_tag(tag)


def _text(file: Path, row: object, tag: str, text: object) -> str:
    if not isinstance(text, str) or not text.strip():  # YAML reads Yes and No as booleans
        raise InputError(f"{text!r} is not text; put it in quotes", file=file, row=row, field=tag)
    return text
