"""Languages: BCP 47 tags, their script and direction, and the countries that speak them (CLDR, through babel).

Belongs here: what is true of a language whatever is translated into it. Does not belong here: phrases, negation words
and other data that a translator or reviewer edits (``phrases``, ``termbase``, ``checks``).
"""

import re
from collections.abc import Iterable
from functools import lru_cache

import pandas as pd
import pycountry
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_territory_language_info

from opinion_assets.errors import UnknownNameError

_RIGHT_TO_LEFT_SCRIPTS = frozenset({"Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg", "Mand", "Samr"})


_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?((?:[-_][A-Za-z0-9]{5,8})*)")


@lru_cache(maxsize=1024)
def language_tag(tag: str) -> str:
    """The tag in canonical capitals, e.g. ``zh-hant`` -> ``zh-Hant``; :class:`UnknownNameError` where CLDR lacks it.

    >>> language_tag("TR"), language_tag("zh_hant"), language_tag("pt-br")
    ('tr', 'zh-Hant', 'pt-BR')
    """
    match = _TAG.fullmatch(tag) if isinstance(tag, str) else None
    try:
        if match is None:
            raise ValueError
        Locale.parse(match[1].lower())
    except (UnknownLocaleError, ValueError):
        raise UnknownNameError(f"unknown language {tag!r}; give a BCP 47 tag such as tr, ru or zh-Hant") from None
    parts = [match[1].lower(), (match[2] or "").title(), (match[3] or "").upper(), match[4].strip("-_").lower()]
    return "-".join(part.replace("_", "-") for part in parts if part)


@lru_cache(maxsize=1024)
def _locale(tag: str) -> Locale:
    """CLDR's data for the tag: of the tag itself, else of its language and script, else of its language."""
    tag = language_tag(tag)
    language, written, territory = _maximised(tag).split("_")
    for candidate in (tag.replace("-", "_"), f"{language}_{written}_{territory}", f"{language}_{written}", language):
        try:
            return Locale.parse(candidate, resolve_likely_subtags=False)
        except (UnknownLocaleError, ValueError):
            continue
    raise AssertionError(tag)  # language_tag has parsed the language


def base_language(tag: str) -> str:
    """The language subtag alone: ``zh-Hant-HK`` -> ``zh``."""
    return language_tag(tag).split("-")[0]


def english_name(tag: str) -> str:
    """Name of the language in English, e.g. ``Turkish``."""
    return str(_locale(tag).get_display_name("en"))


def script(tag: str) -> str:
    """ISO 15924 code of the script the language is usually written in, by CLDR's likely subtags.

    >>> script("tr"), script("zh"), script("zh-TW"), script("sr"), script("sr-Latn")
    ('Latn', 'Hans', 'Hant', 'Cyrl', 'Latn')
    """
    return _maximised(tag).split("_")[1]


def direction(tag: str) -> str:
    """``rtl`` or ``ltr``."""
    return "rtl" if script(tag) in _RIGHT_TO_LEFT_SCRIPTS else "ltr"


def best_match(tag: str, available: Iterable[str]) -> str | None:
    """The member of ``available`` to use for ``tag``: itself, else one of the same language and script; else None.

    A tag in another script is never a match: Serbian in Latin letters is of no use where Cyrillic is asked for.

    >>> best_match("zh-TW", ["zh", "zh-Hant"]), best_match("tr-TR", ["tr"]), best_match("sr-Latn", ["sr"])
    ('zh-Hant', 'tr', None)
    """
    available = list(available)
    wanted = language_tag(tag)
    if wanted in available:
        return wanted
    for candidate in available:
        if base_language(candidate) == base_language(wanted) and script(candidate) == script(wanted):
            return candidate
    return None


def territory_name(name: str, source: str, target: str) -> str | None:
    """CLDR's name in ``target`` of the territory that ``source`` calls ``name``; None where it is no territory's name.

    >>> territory_name("Germany", "en", "tr"), territory_name("Approve", "en", "tr")
    ('Almanya', None)
    """
    code = _territories(base_language(source)).get(name.strip().casefold())
    return _locale(target).territories.get(code) if code else None


def territories_in(text: str, source: str, target: str) -> list[tuple[str, str]]:
    """(name in ``source``, CLDR's name in ``target``) of the countries that a text names, in order of CLDR."""
    padded = f" {text} "
    found = []
    for name, code in _territories(base_language(source)).items():
        start = padded.casefold().find(name)
        if start < 0 or padded[start - 1].isalpha() or padded[start + len(name)].isalpha():
            continue
        translated = _locale(target).territories.get(code)
        if translated and padded[start].isupper():
            found.append((padded[start : start + len(name)], translated))
    return found


@lru_cache(maxsize=32)
def _territories(language: str) -> dict[str, str]:
    # Numeric codes are regions such as 'World', which texts mention without meaning a name.
    return {name.casefold(): code for code, name in Locale.parse(language).territories.items() if not code.isdigit()}


@lru_cache(maxsize=64)
def speakers(language: str) -> pd.DataFrame:
    """Countries where a language is spoken: columns country (ISO 3166-1 alpha-3), share, official_status.

    ``share`` is the part of the population, 0 to 1, that uses the language, first or later learned, by CLDR's
    territory–language data (one figure a language; dialect continua such as Arabic stand under their CLDR codes).
    ``official_status`` is official, de_facto_official, official_regional or None. Sorted by share, largest first. The
    script counts: Chinese in simplified characters (zh) and in traditional ones (zh-Hant) have different countries.
    """
    rows = []
    wanted, wanted_script = base_language(language), script(language)
    for alpha_2 in get_global("territory_languages"):
        country = pycountry.countries.get(alpha_2=alpha_2)
        if country is None:
            continue
        for key, info in get_territory_language_info(alpha_2).items():
            if key.split("_")[0] != wanted or _maximised(key).split("_")[1] != wanted_script:
                continue
            share = float(info["population_percent"] or 0.0) / 100
            rows.append((country.alpha_3, min(share, 1.0), info["official_status"]))
    table = pd.DataFrame(rows, columns=["country", "share", "official_status"])
    table = table.sort_values(["country", "share"], ascending=[True, False]).drop_duplicates("country")
    return table.sort_values(["share", "country"], ascending=[False, True]).reset_index(drop=True)


def speaker_table(languages: Iterable[str]) -> pd.DataFrame:
    """:func:`speakers` of several languages under each other, with the column language in front; the table
    ``translation.speakers``."""
    frames = [speakers(tag).assign(language=language_tag(tag)) for tag in dict.fromkeys(languages)]
    columns = ["language", "country", "share", "official_status"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


@lru_cache(maxsize=4096)
def _maximised(tag: str) -> str:
    """Language_Script_Territory by CLDR's likely subtags; scripts given in the tag stay."""
    parts = tag.replace("-", "_").split("_")
    language = parts[0].lower()
    given = next((part.title() for part in parts[1:] if len(part) == 4 and part.isalpha()), None)
    territory = next((part.upper() for part in parts[1:] if len(part) == 2), None)
    likely = get_global("likely_subtags")
    best = (
        (given and likely.get(f"{language}_{given}"))
        or (territory and likely.get(f"{language}_{territory}"))
        or likely.get(language)
        or f"{language}_Latn_ZZ"
    )
    found = best.split("_")
    return "_".join([language, given or found[1], territory or found[-1]])
