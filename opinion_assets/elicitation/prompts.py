"""From a question to what is sent: wording, option letters and option orders.

Belongs here: the prompt template, its version and the orders in which options are shown. Does not belong here: the
translation of the fixed phrases (callers pass :class:`Instructions`) and the protocol of a provider (``models``).

The form follows Durmus et al. 2023 (arXiv:2306.16388): lettered options, then an answer that breaks off at an opened
bracket, so that the next token is the letter; the cross-national condition asks how someone from a country would
answer. The wording is our own.
"""

import itertools
import math
import random
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from opinion_assets.elicitation.conditions import Condition
from opinion_assets.errors import InputError

#: Changes with every change of wording or layout; part of every request hash, so that old answers do not pass as new.
TEMPLATE_VERSION = "1"
#: Letter of the first, second, … option shown.
LETTERS = string.ascii_uppercase
_COUNTRY = "{country}"
_MAX_ALL_ORDERS = 5040


@dataclass(frozen=True)
class Instructions:
    """The fixed phrases of a prompt in one language. ``{country}`` in ``cross_national`` becomes the country's name."""

    language: str = "en"
    cross_national: str = "How would someone from {country} answer the following question?"
    question: str = "Question:"
    options: str = "Here are the options:"
    answer_prefix: str = "If I had to select one of the options, my answer would be ("
    reply: str = "Reply with the letter of one option only, for example: A"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value.strip():
                raise InputError("the phrase is empty", field=f"instructions.{name}")
        if _COUNTRY not in self.cross_national:
            raise InputError(f"the phrase must contain {_COUNTRY}", field="instructions.cross_national")
        if not self.answer_prefix.endswith("("):
            raise InputError("the phrase must end in an opened bracket '('", field="instructions.answer_prefix")


ENGLISH = Instructions()


@dataclass(frozen=True)
class Prompt:
    """A rendered question: ``body`` up to the options, and the answer's beginning, which ends in an opened bracket."""

    body: str
    answer_prefix: str
    reply: str

    @property
    def completion(self) -> str:
        """Text for a completion endpoint; the next token is the answer's letter."""
        return f"{self.body}\n\n{self.answer_prefix}"

    def messages(self, *, prefill: bool) -> list[dict[str, str]]:
        """Messages for a chat endpoint; with ``prefill`` the assistant's turn is already opened."""
        messages = [{"role": "user", "content": f"{self.body}\n\n{self.reply}"}]
        if prefill:
            messages.append({"role": "assistant", "content": self.answer_prefix})
        return messages


def render(
    text: str,
    options: Sequence[str],
    order: Sequence[int],
    condition: Condition,
    *,
    country_name: str | None = None,
    instructions: Instructions = ENGLISH,
) -> Prompt:
    """Prompt for a question with ``options`` shown in ``order`` (option indices, one per letter).

    Question and options are data: nothing in them is expanded. An option stays on one line, since a line break in it
    would look like another option. Raises :class:`InputError` for an order that is no permutation, for fewer than two
    or more than 26 options and for a cross-national condition without a country name.
    """
    if sorted(order) != list(range(len(options))):
        raise InputError(f"option order {list(order)} is not a permutation of {len(options)} options")
    if not 2 <= len(options) <= len(LETTERS):
        raise InputError(f"{len(options)} options; 2 to {len(LETTERS)} can be lettered")
    shown = "\n".join(
        f"({letter}) {' '.join(options[index].split())}" for letter, index in zip(LETTERS, order, strict=False)
    )
    body = f"{instructions.question} {text.strip()}\n\n{instructions.options}\n{shown}"
    if condition.kind == "cross_national":
        if not country_name:
            raise InputError(f"condition {condition.key}: the country's name is missing")
        # First in the prompt, so that a server can reuse its work on this prefix for every question.
        body = f"{instructions.cross_national.replace(_COUNTRY, country_name)}\n\n{body}"
    return Prompt(body, instructions.answer_prefix, instructions.reply)


_ORDERS = re.compile(r"identity|reversed|identity\+reversed|all|permutations:([1-9][0-9]{0,3})")
ORDERS_HELP = "identity, reversed, identity+reversed, permutations:K (K seeded permutations) or all"


def check_orders(orders: str) -> str:
    """``orders`` itself where it is a valid specification; :class:`InputError` otherwise."""
    if not _ORDERS.fullmatch(orders):
        raise InputError(f"unknown option orders {orders!r}; there are {ORDERS_HELP}", field="orders")
    return orders


def count_orders(orders: str, n_options: int) -> int:
    """Number of distinct orders that :func:`option_orders` gives for a question of ``n_options``."""
    if orders in ("identity", "reversed"):
        return 1
    if orders == "identity+reversed":
        return 2
    n_all = math.factorial(n_options)
    if orders == "all":
        if n_all > _MAX_ALL_ORDERS:
            raise InputError(
                f"{n_options} options have {n_all} orders, more than {_MAX_ALL_ORDERS}; use permutations:K",
                field="orders",
            )
        return n_all
    return min(int(check_orders(orders).split(":")[1]), n_all)


def option_orders(orders: str, n_options: int, *, seed: int, question_id: str) -> Iterator[tuple[int, ...]]:
    """Option orders of a question, each a tuple of option indices; never the same one twice.

    Permutations are drawn without replacement by a generator seeded with ``seed`` and the question's id: they do not
    depend on which other questions are asked, and the first k of ``permutations:K`` are those of ``permutations:k``.
    """
    identity = tuple(range(n_options))
    n = count_orders(orders, n_options)
    if orders == "all":
        yield from itertools.permutations(identity)
        return
    if not orders.startswith("permutations:"):
        if orders != "reversed":
            yield identity
        if orders != "identity":
            yield identity[::-1]
        return
    generator = random.Random(f"{seed}:{question_id}")
    seen: set[tuple[int, ...]] = set()
    while len(seen) < n:
        order = tuple(generator.sample(identity, n_options))
        if order not in seen:
            seen.add(order)
            yield order
