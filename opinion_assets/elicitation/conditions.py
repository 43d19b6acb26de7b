"""Prompt conditions: under which circumstances a question is put to a model.

Belongs here: the value object and its key, which is a Dagster partition key. Does not belong here: the wording of
prompts (``prompts``), country names and translations, which callers look up and pass on.
"""

import re
from dataclasses import dataclass
from typing import Self

from opinion_assets.errors import UnknownNameError

_KINDS = ("default", "cross_national", "linguistic")
_COUNTRY = re.compile(r"[A-Z]{3}|[A-Z]{2}-[A-Z0-9]{1,3}")
# Language, optional script, optional region and variants of BCP 47, in their recommended capitals.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-[a-z0-9]{5,8})*")
_HELP = "conditions are: default, cross_national:<ISO 3166 code, e.g. TUR or GB-NIR>, linguistic:<BCP 47 tag, e.g. tr>"


@dataclass(frozen=True, order=True)
class Condition:
    """A prompt condition.

    >>> Condition.parse("cross_national:TUR")
    Condition(kind='cross_national', argument='TUR')
    >>> Condition.parse("linguistic:zh-Hans").argument
    'zh-Hans'
    >>> Condition("default").key
    'default'
    >>> Condition.parse("cross_national:Turkey")
    Traceback (most recent call last):
    ...
    opinion_assets.errors.UnknownNameError: condition 'cross_national:Turkey': 'Turkey' is not an ISO 3166 country code such as TUR or GB-NIR
    """

    kind: str
    argument: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UnknownNameError(f"unknown condition {self.key!r}; {_HELP}")
        if self.kind == "default" and self.argument:
            raise UnknownNameError(f"condition {self.key!r}: default takes nothing after it")
        if self.kind == "cross_national" and not _COUNTRY.fullmatch(self.argument):
            raise UnknownNameError(
                f"condition {self.key!r}: {self.argument!r} is not an ISO 3166 country code such as TUR or GB-NIR"
            )
        if self.kind == "linguistic" and not _LANGUAGE.fullmatch(self.argument):
            raise UnknownNameError(
                f"condition {self.key!r}: {self.argument!r} is not a BCP 47 language tag such as tr or zh-Hans"
            )

    @classmethod
    def parse(cls, key: str) -> Self:
        """Inverse of :attr:`key`; :class:`UnknownNameError` where the key names no condition."""
        kind, _, argument = key.partition(":")
        if not argument and key.endswith(":"):
            raise UnknownNameError(f"condition {key!r}: something must follow the colon; {_HELP}")
        return cls(kind, argument)

    @property
    def key(self) -> str:
        """Text form and partition key, e.g. ``cross_national:TUR``."""
        return f"{self.kind}:{self.argument}" if self.argument else self.kind

    def __str__(self) -> str:
        return self.key
