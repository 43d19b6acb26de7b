"""Content hashes that name questions and requests. What is hashed decides what counts as the same thing."""

import hashlib
import json
import unicodedata
from collections.abc import Sequence


def question_id(text: str, options: Sequence[str]) -> str:
    """Stable id of a question: the first 16 hex digits of the SHA-256 of its text and its options in order.

    Text and options enter in Unicode NFC and are otherwise taken literally, so that a difference in wording,
    spelling or option order gives another question.

    >>> question_id("Is it?", ["Yes", "No"])
    '9f18b3302577b4dc'
    >>> question_id("Is it?", ["No", "Yes"]) == question_id("Is it?", ["Yes", "No"])
    False
    """
    content = [unicodedata.normalize("NFC", text), [unicodedata.normalize("NFC", option) for option in options]]
    return sha256_json(content)[:16]


def sha256_json(value: object) -> str:
    """Hex SHA-256 of a value's canonical JSON (sorted keys, no spaces, UTF-8). NaN and infinities raise ValueError."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
