"""What can be wrong with a translated question, found without a model: deterministic checks with one name each.

Belongs here: the checks and their word lists (``polarity.yaml``). Does not belong here: back-translating, scores and
the decision whether a row is usable (``quality``).

Every check says one of three things: passed, failed (its name is in ``problems``), or could not be made for this
language or without a back-translation (its name is in ``unchecked``). A check that could not be made never passes.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import py3langid
import yaml
from sacrebleu.metrics import CHRF
from scipy.optimize import linear_sum_assignment

from opinion_assets.translation.languages import base_language, script, territories_in, territory_name
from opinion_assets.translation.termbase import ROLES, Termbase, load_termbase, normal

POLARITY_FILE = Path(__file__).with_name("polarity.yaml")
#: Problems that no person can wave through: the row has no one-to-one options.
STRUCTURAL = frozenset({"option_count", "empty_text", "empty_option", "options_identical"})
#: Every name that ``problems`` may hold, with its meaning; ``low_quality`` is added by ``quality``.
PROBLEMS = {
    "option_count": "the translation has another number of options",
    "empty_text": "the question's translation is empty",
    "empty_option": "an option's translation is empty",
    "options_identical": "two different options have the same translation",
    "untranslated": "most of the question, or an option of several words, is still in the source language",
    "wrong_script": "most letters are not of the language's script",
    "wrong_language": "language identification finds another language",
    "numbers_changed": "the numbers of the question or an option differ",
    "names_lost": "a country that the source names is not named",
    "placeholder_lost": "a blank (____) or bracketed placeholder is missing",
    "negation_lost": "the source negates and the translation does not",
    "negation_added": "the translation of an option negates and the source does not",
    "options_swapped": "options stand in another order than in the source",
    "length_implausible": "the text is far shorter or longer than such a translation can be",
    "repetitive": "the same words repeat, as in a model's loop",
    "scale_inconsistent": "another question with the same options has them translated otherwise",
    "low_quality": "the overall quality is below the threshold",
}


@dataclass(frozen=True)
class Segments:
    """A question and its options in one language, in the source's order."""

    text: str
    options: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """The question, then the options."""
        return [self.text, *self.options]


@dataclass(frozen=True)
class Findings:
    """Names of the checks that failed, and of those that could not be made."""

    problems: tuple[str, ...]
    unchecked: tuple[str, ...]


def check(
    source: Segments,
    translation: Segments,
    language: str,
    *,
    roles: Sequence[str],
    source_language: str = "en",
    back: Segments | None = None,
    termbase: Termbase | None = None,
) -> Findings:
    """All checks of one translated question.

    ``roles``: of the source's options (``question.option.role``). ``back``: the translation translated back, where some
    translator goes back. Without it, swapped options can be seen only by the termbase, and a lost negation only by
    the language's own word list.
    """
    termbase = termbase if termbase is not None else load_termbase()
    problems: set[str] = set()
    unchecked: set[str] = set()
    if len(translation.options) != len(source.options):
        problems.add("option_count")
    if not translation.text.strip():
        problems.add("empty_text")
    if any(not option.strip() for option in translation.options):
        problems.add("empty_option")
    if problems:
        # The other checks compare segment by segment and would report consequences of these.
        return Findings(tuple(sorted(problems)), ())
    if _identical_options(source.options, translation.options):
        problems.add("options_identical")
    if _untranslated(source, translation, source_language, language):
        problems.add("untranslated")
    problems |= _language_problems(source, translation, language, roles, source_language)
    pairs = list(zip(source.all, translation.all, strict=True))
    if any(not same_numbers(a, b) for a, b in pairs):
        problems.add("numbers_changed")
    if any(_placeholders(a) - _placeholders(b) for a, b in pairs):
        problems.add("placeholder_lost")
    if _lost_names(source.text, translation.text, source_language, language):
        problems.add("names_lost")
    if any(_implausible_length(a, b, language) for a, b in pairs):
        problems.add("length_implausible")
    if any(_repetitive(b) and not _repetitive(a) for a, b in pairs):
        problems.add("repetitive")
    fixed = _fixed(source.options, roles, language, termbase)
    polarity, polarity_checked = _polarity(source, translation, back, roles, source_language, language, fixed)
    problems |= polarity
    if not polarity_checked:
        unchecked.add("negation_lost")
    swapped = _swapped(source, translation, back, roles, language, termbase)
    if swapped is None:
        unchecked.add("options_swapped")
    elif swapped:
        problems.add("options_swapped")
    return Findings(tuple(sorted(problems)), tuple(sorted(unchecked)))


# --- structure -------------------------------------------------------------------------------------------------------


def _identical_options(source: Sequence[str], translated: Sequence[str]) -> bool:
    by_text: dict[str, set[str]] = {}
    for original, text in zip(source, translated, strict=True):
        by_text.setdefault(normal(text), set()).add(normal(original))
    return any(len(originals) > 1 for originals in by_text.values())


# --- language --------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def _untranslated(source: Segments, translation: Segments, source_language: str, language: str) -> bool:
    """Whether the question, or an option, was left in the source language.

    Words of four letters and more that stand unchanged in the translation, without capitalised ones (names) and
    numbers, may be up to 45 % of the question: related languages share some. An option of two and more words that is
    the same letter by letter counts as untranslated unless a country is meant.
    """
    if [word.casefold() for word in _WORD.findall(source.text)] == [
        word.casefold() for word in _WORD.findall(translation.text)
    ]:
        return True
    originals = {word.casefold() for word in _WORD.findall(source.text)}
    words = [word for word in _WORD.findall(translation.text) if len(word) >= 4]
    words = [word for index, word in enumerate(words) if word[0].islower() or index == 0]
    kept = sum(word.casefold() in originals for word in words)
    if len(words) >= 3 and kept / len(words) > 0.45:
        return True
    same = 0
    lettered = 0
    for original, text in zip(source.options, translation.options, strict=True):
        if not _WORD.search(original) or territory_name(original, source_language, language):
            continue
        lettered += 1
        if normal(original) == normal(text):
            same += 1
            if len([word for word in _WORD.findall(original) if word[0].islower()]) >= 1:
                return True
    return lettered >= 2 and same / lettered > 0.5


_SCRIPT_NAMES = {
    "Latn": ("LATIN",),
    "Cyrl": ("CYRILLIC",),
    "Arab": ("ARABIC",),
    "Hebr": ("HEBREW",),
    "Grek": ("GREEK",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Kore": ("HANGUL", "CJK"),
    "Deva": ("DEVANAGARI",),
    "Thai": ("THAI",),
    "Armn": ("ARMENIAN",),
    "Geor": ("GEORGIAN",),
    "Beng": ("BENGALI",),
    "Ethi": ("ETHIOPIC",),
}


def script_share(text: str, language: str) -> float | None:
    """Share of the letters that are of the language's script, 0 to 1; None without letters or for a rare script."""
    names = _SCRIPT_NAMES.get(script(language))
    letters = [letter for letter in text if letter.isalpha()]
    if names is None or not letters:
        return None
    return sum(unicodedata.name(letter, "").startswith(names) for letter in letters) / len(letters)


#: Differences of the log-probability per letter below this leave the language open (measured on short survey texts).
_LANGID_MARGIN = 0.35
#: Shorter texts are not identified.
_LANGID_LETTERS = 24


def _language_problems(
    source: Segments, translation: Segments, language: str, roles: Sequence[str], source_language: str
) -> set[str]:
    # Question and options apart: options from the termbase are right and would cover up a wrong question.
    options = [o for o, role in zip(translation.options, roles, strict=True) if role not in ROLES]
    originals = set(_WORD.findall(source.text)) | {word for option in source.options for word in _WORD.findall(option)}
    found = set()
    for text in (translation.text, " ".join(options)):
        share = script_share(text, language)
        if share is not None and share < 0.5 and text is translation.text:
            found.add("wrong_script")
            continue
        # Names and left-over source words stand in both texts and say nothing about the language.
        own = " ".join(word for word in _WORD.findall(text) if word not in originals).lower()
        if len(own) >= _LANGID_LETTERS and _other_language(own, language):
            found.add("wrong_language")
    return found


def _other_language(text: str, language: str) -> str | None:
    """The language that is clearly likelier than ``language``; None where there is none or it cannot be told."""
    ranked = py3langid.rank(text)
    scores = dict(ranked)
    wanted = base_language(language)
    if wanted not in scores:
        return None
    best, score = ranked[0]
    if best == wanted or (score - scores[wanted]) / len(text) < _LANGID_MARGIN:
        return None
    return str(best)


# --- numbers, names, placeholders ------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\d+(?:[.,٫٬'’ \u00a0\u202f](?=\d{3}(?!\d))\d{3})*(?:[.,٫]\d+)?")
_NUMBER_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100,
    "thousand": 1000, "first": 1, "second": 2, "third": 3, "once": 1, "twice": 2, "half": 50, "single": 1, "both": 2,
}  # fmt: skip
_HAN = {
    "零": 0,
    "〇": 0,
    "一": 1,
    "二": 2,
    "两": 2,
    "兩": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10000, "萬": 10000}
_HAN_NUMBER = re.compile(r"[零〇一二两兩三四五六七八九十百千万萬]+")


def numbers(text: str) -> Counter[float]:
    """Numbers written in digits of any script, with their counts; group separators and decimal commas are read."""
    text = "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in text)
    found: Counter[float] = Counter()
    for match in _NUMBER.findall(text):
        digits = re.sub(r"[.,٫٬'’ \u00a0\u202f](?=\d{3}(?!\d))", "", match)
        found[float(digits.replace(",", ".").replace("٫", "."))] += 1
    return found


def same_numbers(source: str, translation: str) -> bool:
    """Whether the digits of the source stand in the translation, and no others.

    A number may change between digits and words: a digit that is missing may stand as a Chinese numeral, and a digit
    that is new must stand as a word in the source ("ten years" -> "10 años").
    """
    before, after = numbers(source), numbers(translation)
    missing, new = before - after, after - before
    if missing:
        missing -= Counter(_han_value(numeral) for numeral in _HAN_NUMBER.findall(translation))
    if new:
        new -= Counter(
            {float(_NUMBER_WORDS[w]): 9 for w in re.findall(r"[a-z]+", source.casefold()) if w in _NUMBER_WORDS}
        )
    return not missing and not new


def _han_value(numeral: str) -> float:
    total = section = digit = 0
    for character in numeral:
        if character in _HAN:
            digit = _HAN[character]
        else:
            unit = _HAN_UNITS[character]
            if unit == 10000:
                total, section, digit = (total + section + digit) * unit, 0, 0
            else:
                section, digit = section + (digit or 1) * unit, 0
    return float(total + section + digit)


def _lost_names(source: str, translation: str, source_language: str, language: str) -> list[str]:
    """Countries of the source that the translation does not name.

    Inflection changes endings: any word of four and more letters of CLDR's name must begin alike (its first three
    quarters); the source's own spelling passes too.
    """
    plain = translation.casefold()
    lost = []
    for name, translated in territories_in(source, source_language, language):
        words = [word for word in _WORD.findall(translated.casefold()) if len(word) >= 4] or [translated.casefold()]
        stems = [word[: max(3, (3 * len(word) + 3) // 4 - 1)] for word in words]
        if script(language) in ("Hans", "Hant", "Jpan"):
            stems = [translated[:2]]
        elif script(language) in ("Arab", "Hebr"):
            stems = [word.removeprefix("ال")[:3] for word in words]
        if name.casefold() not in plain and not any(stem in plain for stem in stems):
            lost.append(name)
    return lost


_BLANK = re.compile(r"_{2,}")
_BRACKETED = re.compile(r"\{[^{}]*\}|%[sd]\b|\[[^\[\]]*\]")


def _placeholders(text: str) -> Counter[str]:
    return Counter(["____"] * len(_BLANK.findall(text)) + ["[]"] * len(_BRACKETED.findall(text)))


# --- plausibility ----------------------------------------------------------------------------------------------------

#: Letters of the target per letter of English, about; short scripts say the same in fewer signs.
_DENSITY = {"Hans": 0.33, "Hant": 0.33, "Jpan": 0.5, "Kore": 0.5, "Hebr": 0.8, "Arab": 0.85}


def _implausible_length(source: str, translation: str, language: str) -> bool:
    expected = len(source) * _DENSITY.get(script(language), 1.1)
    # An absolute allowance, because "No" may become "Hayır" and "Non, absolutamente".
    return len(translation) > 2.2 * expected + 30 or len(translation) < 0.45 * expected - 8


def _repetitive(text: str) -> bool:
    words = text.split() if " " in text else list(text)
    grams = Counter(tuple(words[i : i + 3]) for i in range(len(words) - 2))
    return bool(grams) and len(words) >= 12 and max(grams.values()) >= 4


# --- polarity --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Polarity:
    ignore: tuple[re.Pattern[str], ...]
    negation: tuple[re.Pattern[str], ...]
    opposite: tuple[re.Pattern[str], ...]

    def count(self, text: str) -> int:
        text = text.replace("’", "'")
        for pattern in self.ignore:
            text = pattern.sub(" ", text)
        return sum(len(pattern.findall(text)) for pattern in self.negation)

    def has_opposite(self, text: str) -> bool:
        return any(pattern.search(text) for pattern in self.opposite)


@lru_cache(maxsize=1)
def _word_lists() -> dict[str, _Polarity]:
    content = yaml.safe_load(POLARITY_FILE.read_text(encoding="utf-8"))
    return {
        tag: _Polarity(
            *(
                tuple(re.compile(p, re.IGNORECASE) for p in lists.get(key, []))
                for key in ("ignore", "negation", "opposite")
            )
        )
        for tag, lists in content.items()
    }


def _polarity(
    source: Segments,
    translation: Segments,
    back: Segments | None,
    roles: Sequence[str],
    source_language: str,
    language: str,
    fixed: Sequence[str | None],
) -> tuple[set[str], bool]:
    """Problems, and whether the check could be made.

    Negations are counted a segment at a time, in the source by the source language's list, in the translation by its
    language's list, in the back-translation by the source language's list. Lost: the translation has fewer, and so has
    the back-translation where there is one. Added (options only, since questions negate in idioms): the translation has
    one, the source none and no antonym.
    """
    lists = _word_lists()
    own, other = lists.get(base_language(source_language)), lists.get(base_language(language))
    if own is None or (other is None and back is None):
        return set(), False
    problems = set()
    backs = back.all if back is not None else [None] * len(source.all)
    for index, (original, text, returned) in enumerate(zip(source.all, translation.all, backs, strict=True)):
        is_option = index > 0
        if is_option and (roles[index - 1] in ROLES or normal(text) == normal(fixed[index - 1] or "")):
            continue  # fixed phrases were chosen with their polarity
        wanted = own.count(original)
        found = other.count(text) if other is not None else None
        returned_count = own.count(returned) if returned is not None else None
        counts = [count for count in (found, returned_count) if count is not None]
        if wanted and all(count < wanted for count in counts):
            excused = (other is not None and other.has_opposite(text)) or (
                other is None and returned is not None and own.has_opposite(returned)
            )
            # An antonym excuses ("not likely" -> "improbable") where it is the whole of an option.
            if not (is_option and excused):
                problems.add("negation_lost")
        if is_option and not wanted and all(counts) and not own.has_opposite(original):
            problems.add("negation_added")
    return problems, True


# --- order of options ------------------------------------------------------------------------------------------------

_CHRF = CHRF(word_order=0)
#: chrF points that the best other order must gain per moved option before the order counts as wrong.
_SWAP_GAIN = 12.0


def _swapped(
    source: Segments,
    translation: Segments,
    back: Segments | None,
    roles: Sequence[str],
    language: str,
    termbase: Termbase,
) -> bool | None:
    """Whether options stand in another order; None where that cannot be told.

    By the termbase: an option carries the fixed translation of another one. By the back-translation: the assignment of
    back-translated to source options with the largest sum of chrF is not the identity and gains enough over it.
    """
    fixed: list[str | None] = _fixed(source.options, roles, language, termbase)
    known = {normal(text): index for index, text in enumerate(fixed) if text}
    for index, text in enumerate(translation.options):
        other = known.get(normal(text))
        if other is not None and other != index and normal(source.options[index]) != normal(source.options[other]):
            return True
    decided = [
        normal(text) == normal(fixed[i] or "") or not _WORD.search(text) for i, text in enumerate(translation.options)
    ]
    if not _numbers_in_order(source.options, translation.options):
        return True
    if all(decided):
        return False
    if back is None:
        return None
    open_options = [i for i in range(len(source.options)) if not decided[i]]
    if len(open_options) < 2:
        return False
    # Words that all options share say nothing about their order ("It is good that …", "It is bad that …").
    originals = _distinctive([source.options[i] for i in open_options])
    returned = _distinctive([back.options[i] for i in open_options])
    scores = np.array([[_CHRF.sentence_score(text, [original]).score for text in returned] for original in originals])
    rows, columns = linear_sum_assignment(scores, maximize=True)
    moved = int((rows != columns).sum())
    gain = float(scores[rows, columns].sum() - np.trace(scores))
    return moved > 0 and gain > _SWAP_GAIN * moved


def _distinctive(options: Sequence[str]) -> list[str]:
    words = [[word.casefold() for word in re.findall(r"\w+", option)] for option in options]
    common = set.intersection(*(set(found) for found in words))
    kept = [" ".join(word for word in found if word not in common) for found in words]
    # An option that consists of shared words only ("Important", "Not important") is told by being the short one.
    return [text or "=" for text in kept]


def _fixed(options: Sequence[str], roles: Sequence[str], language: str, termbase: Termbase) -> list[str | None]:
    substantive = [option for option, role in zip(options, roles, strict=True) if role not in ROLES]
    translated = termbase.scale(substantive, language)
    parts: list[str | None] = list(translated) if translated else [termbase.phrase(o, language) for o in substantive]
    remaining = iter(parts)
    return [termbase.role(role, language) if role in ROLES else next(remaining) for role in roles]


def _numbers_in_order(source: Sequence[str], translation: Sequence[str]) -> bool:
    """Whether options that carry numbers carry the same ones at the same places."""
    return all(same_numbers(original, text) for original, text in zip(source, translation, strict=True))
