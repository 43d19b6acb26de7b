"""Measures of how alike two answer distributions are, as pure functions on arrays.

All take two float arrays of shape (n_pairs, max_options), rows padded with zeros on the right, and give an array of
shape (n_pairs,). A padding zero has the same effect as an option that nobody chose: none.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def check_distributions(p: Floats, *, tolerance: float = 1e-6) -> Floats:
    """The array itself if every row is a distribution; ValueError naming the first row that is not."""
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 2:
        raise ValueError(f"distributions must be a matrix (n_pairs, max_options), not of shape {p.shape}")
    bad = ~((p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= tolerance))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"row {row} is no distribution: {p[row].tolist()}")
    return p


def js_divergence(p: Floats, q: Floats, *, base: float = np.e) -> Floats:
    """Jensen–Shannon divergence (KL(p‖m) + KL(q‖m)) / 2 with m = (p + q) / 2; in nats, or in bits with base 2.

    0 to log 2. Lin 1991, "Divergence measures based on the Shannon entropy".
    """
    p, q = check_distributions(p), check_distributions(q)
    if p.shape != q.shape:
        raise ValueError(f"{p.shape} and {q.shape} differ: both need the same pairs and options")
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / m), 0.0) + np.where(q > 0, q * np.log(q / m), 0.0)
    return np.maximum(terms.sum(axis=1) / 2, 0.0) / np.log(base)


def js_similarity(p: Floats, q: Floats, *, base: float = np.e) -> Floats:
    """1 − Jensen–Shannon distance, the distance being the square root of the divergence (Endres & Schindelin 2003).

    With the natural logarithm, as Durmus et al. 2023 published it, the values lie between 1 − sqrt(ln 2) ≈ 0.167 (no
    option in common) and 1; with base 2 between 0 and 1.
    """
    return 1 - np.sqrt(js_divergence(p, q, base=base))


def total_variation(p: Floats, q: Floats) -> Floats:
    """Total variation distance Σ|p − q| / 2, 0 to 1: the share of people who would have to change their answer."""
    p, q = check_distributions(p), check_distributions(q)
    return np.abs(p - q).sum(axis=1) / 2
