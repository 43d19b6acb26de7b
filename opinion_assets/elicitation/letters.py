"""Which option a token or a reply names.

Belongs here: the reading of single tokens with their log-probabilities and of whole replies. Does not belong here:
anything that would turn an unreadable reply into an option: such a reply is invalid.
"""

import functools
import math
import re
from collections.abc import Sequence

from opinion_assets.elicitation.prompts import LETTERS

# What may stand around the letter inside one token: white space (also as written by SentencePiece and byte-level
# BPE), an opening bracket, quote or emphasis before it, closing punctuation after it.
_BEFORE = " \t\n\r\u00a0▁ĠĊ([（【\"'`*“‘«"
_AFTER = " \t\n\r\u00a0▁ĠĊ)]）】\"'`*”’».,:;。，："
_PUNCTUATION = _BEFORE + _AFTER


@functools.lru_cache(maxsize=4096)
def letter_of_token(token: str, n_options: int) -> int | None:
    """Position (0 for A) of the option letter that a token stands for; None where it stands for none.

    "A", " A", "A)", "(A" and "A." are variants of one letter. Lower case does not count: after "(" a lower-case "a"
    mostly begins a word. Nor do tokens with a further character, such as "AB".

    >>> [letter_of_token(token, 3) for token in ("B", " B", "B)", "(B", "b", "AB", "D", ")")]
    [1, 1, 1, 1, None, None, None, None]
    """
    core = token.lstrip(_BEFORE).rstrip(_AFTER)
    if len(core) != 1:
        return None
    position = LETTERS.find(core)
    return position if 0 <= position < n_options else None


def letter_logprobs(pairs: Sequence[tuple[str, float]], n_options: int) -> list[float]:
    """Natural log of the probability mass on each letter: log of the sum over the token variants of that letter.

    ``pairs`` are (token, natural log probability) at the answer position. -inf for a letter without any variant.
    Summing, not taking the largest, because the variants are disjoint events.
    """
    mass = [0.0] * n_options
    for token, logprob in pairs:
        position = letter_of_token(token, n_options)
        if position is not None:
            mass[position] += math.exp(logprob)
    return [math.log(value) if value > 0 else -math.inf for value in mass]


def answer_position(positions: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> Sequence[tuple[str, float]]:
    """Alternatives at the first position whose chosen token is more than white space, brackets and quotes.

    A chat model may open its reply with "(" or a line break; the letter then stands at the next position. Empty where
    there is no such position.
    """
    for token, pairs in positions:
        if token.strip(_PUNCTUATION):
            return pairs
    return ()


_LEADING = re.compile(rf"[{re.escape(_BEFORE)}]*([A-Z])(?=$|[)\]）】\"'`*”’».:]|\s*\n)")
_BRACKETED = re.compile(r"[(\[（]([A-Z])[)\]）]")


def letter_of_reply(reply: str, shown: Sequence[str]) -> int | None:
    """Position of the option that a whole reply names; None where it names none or more than one.

    ``shown`` are the option texts in the order shown. Read are, in this order: a reply that is an option's text, with
    or without its letter; a letter at the beginning that is followed by the end, a closing bracket, a full stop, a
    colon or a line break ("I" of "I think" is none); one letter in brackets anywhere ("my answer would be (B)").

    >>> options = ["Never", "Sometimes", "Always"]
    >>> [letter_of_reply(reply, options) for reply in ("B", "B) Sometimes", "always.", "I would say (C)", "C Always")]
    [1, 1, 2, 2, 2]
    >>> [letter_of_reply(reply, options) for reply in ("A lot depends", "(A) or (B)", "D", "", "sometimes I do")]
    [None, None, None, None, None]
    """
    text = " ".join(reply.split()).strip(_PUNCTUATION).casefold()
    named = set()
    for position, (letter, option) in enumerate(zip(LETTERS, shown, strict=False)):
        wanted = " ".join(option.split()).strip(_PUNCTUATION).casefold()
        if wanted and text in (wanted, f"{letter.casefold()} {wanted}"):
            named.add(position)
    if len(named) == 1:
        return named.pop()
    letters = set(_BRACKETED.findall(reply))
    leading = _LEADING.match(reply)
    if leading is not None:
        letters.add(leading.group(1))
    if len(letters) != 1:
        return None
    position = LETTERS.index(letters.pop())
    return position if position < len(shown) else None
