"""Countries: labels of sources to ISO 3166 codes, sample types, regions, and the names used in prompts.

Exact English names and ISO 3166-1 codes (alpha-3, numeric: the World Values Survey writes both) go through pycountry;
every other label stands in country_labels.yaml with the reason why it means that country. A label that is in neither
raises: nothing is guessed.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pycountry
import yaml

from opinion_assets.errors import InputError, UnknownNameError

_FILE = Path(__file__).with_name("country_labels.yaml")
_SAMPLE = re.compile(r"(?P<name>.*?) \((?P<sample>Non-national|Old national|Current national) sample\)")


@dataclass(frozen=True)
class Country:
    """A country or part of one: code, English short name, alpha-2 code (None for parts), M49 sub-region."""

    code: str
    name: str
    alpha_2: str | None
    region: str
    article: bool


@cache
def _reviewed() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return content


@cache
def _regions() -> dict[str, str]:
    return {code: region for region, codes in _reviewed()["regions"].items() for code in codes.split()}


@cache
def _countries() -> dict[str, Country]:
    names, articles = _reviewed()["names"], set(_reviewed()["articles"].split())
    found = {}
    for item in pycountry.countries:
        name = names.get(item.alpha_3) or getattr(item, "common_name", item.name)
        region = _regions().get(item.alpha_2)
        if region:
            found[item.alpha_3] = Country(item.alpha_3, name, item.alpha_2, region, item.alpha_3 in articles)
    for code, entry in _reviewed()["other_codes"].items():
        found[code] = Country(code, entry["name"], None, entry["region"], False)
    return found


def known_countries() -> frozenset[str]:
    """Codes that a condition or a survey may name."""
    return frozenset(_countries())


def country(code: str) -> Country:
    """The country of a code. Raises UnknownNameError."""
    try:
        return _countries()[code]
    except KeyError:
        raise UnknownNameError(f"{code!r} is no country code; codes are ISO 3166-1 alpha-3, e.g. TUR") from None


def country_name(code: str) -> str:
    """The name as it stands in an English sentence.

    >>> country_name("TUR"), country_name("USA")
    ('Turkey', 'the United States')
    """
    found = country(code)
    return f"the {found.name}" if found.article else found.name


@cache
def _exact_names() -> dict[str, str]:
    names = {}
    for item in pycountry.countries:
        names[item.alpha_3] = item.alpha_3
        names[item.numeric] = names[item.numeric.lstrip("0")] = item.alpha_3
        for attribute in ("name", "common_name", "official_name"):
            if hasattr(item, attribute):
                names[getattr(item, attribute)] = item.alpha_3
    return names


def harmonise(labels: Iterable[str]) -> pd.DataFrame:
    """One row of ``question.country`` for each different label, sorted. Raises InputError for an unknown label."""
    return pd.DataFrame([_meaning(label) for label in sorted(set(labels))])


def unknown_labels(labels: Iterable[str]) -> dict[str, str]:
    """The labels that :func:`harmonise` would refuse, each with what it would say."""
    unknown = {}
    for label in sorted(set(labels)):
        try:
            _meaning(label)
        except InputError as error:
            unknown[label] = error.problem
    return unknown


def _meaning(label: str) -> dict[str, Any]:
    matched = _SAMPLE.fullmatch(label)
    name = matched["name"] if matched else label
    entry = _reviewed()["labels"].get(name)
    if entry:
        code, mapped_by, reason = entry["country"], "reviewed", entry["reason"]
    elif name in _exact_names():
        code, mapped_by = _exact_names()[name], "pycountry"
        reason = "ISO 3166-1 code" if name.isdecimal() or name == code else "exact name"
    else:
        near = difflib.get_close_matches(name, [*_reviewed()["labels"], *_exact_names()], 3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise InputError(
            f"country label {label!r} is not known{hint}; add it to country_labels.yaml with its reason",
            field="country",
        )
    sample = matched["sample"] if matched else "national"
    found = country(code)
    return {
        "country_label": label,
        "country": code,
        "sample_type": sample.lower().replace(" ", "_").replace("-", "_"),
        "name": found.name,
        "alpha_2": found.alpha_2,
        "region": found.region,
        "mapped_by": mapped_by,
        "reason": f"{reason}; {sample.lower()} sample, kept apart" if matched else reason,
    }
