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
    total_is_one = np.abs(np.einsum("ij->i", p) - 1) <= tolerance
    if p.size and not (p.min() >= 0 and total_is_one.all()):
        row = int((~((p >= 0).all(axis=1) & total_is_one)).argmax())
        raise ValueError(f"row {row} is no distribution: {p[row].tolist()}")
    return p


def js_divergence(p: Floats, q: Floats, *, base: float = np.e) -> Floats:
    """Jensen–Shannon divergence (KL(p‖m) + KL(q‖m)) / 2 with m = (p + q) / 2; in nats, or in bits with base 2.

    0 to log 2. Lin 1991, "Divergence measures based on the Shannon entropy".
    """
    p, q = check_distributions(p), check_distributions(q)
    if p.shape != q.shape:
        raise ValueError(f"{p.shape} and {q.shape} differ: both need the same pairs and options")
    # Most of a padded matrix is padding: logarithms are taken only of what somebody chose.
    chosen = np.flatnonzero(p + q)
    a, b = p.ravel()[chosen], q.ravel()[chosen]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = sum(np.where(x > 0, x * np.log(2 * x / (a + b)), 0.0) for x in (a, b))
    of_pair = np.bincount(chosen // p.shape[1], weights=terms, minlength=len(p))
    return np.maximum(of_pair / 2, 0.0) / np.log(base)


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


def wasserstein(p: Floats, q: Floats, values: Floats) -> Floats:
    """Wasserstein-1 (earth mover's) distance on an ordinal scale: Σ |F_p − F_q| · step, in units of the scale.

    ``values``, of the same shape, holds each option's place on the scale (``question.option.ordinal_value``, 0 to 1)
    and NaN for options without one (don't know, refused, padding). Both distributions are taken over the options that
    have a place, so the distance lies between 0 and 1. NaN where fewer than two options have a place, or where one of
    the two has no probability on them. Vallender 1974.
    """
    p, q = check_distributions(p), check_distributions(q)
    if not p.shape == q.shape == values.shape:
        raise ValueError(f"{p.shape}, {q.shape} and {values.shape} differ")
    placed = ~np.isnan(values)
    order = np.argsort(np.where(placed, values, np.inf), axis=1, kind="stable")
    scale = np.take_along_axis(np.where(placed, values, np.nan), order, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cumulated = [
            np.cumsum(np.take_along_axis(np.where(placed, x, 0.0), order, axis=1), axis=1)
            / np.where(placed, x, 0.0).sum(axis=1, keepdims=True)
            for x in (p, q)
        ]
        steps = np.nan_to_num(np.diff(scale, axis=1))
        distance = (np.abs(cumulated[0] - cumulated[1])[:, :-1] * steps).sum(axis=1)
    return np.where(placed.sum(axis=1) > 1, distance, np.nan)


def kendall_tau(p: Floats, q: Floats, n_options: NDArray[np.int64]) -> Floats:
    """Kendall's τ-b between the two orders of the options by popularity, −1 to 1; NaN where one ranks nothing.

    ``n_options``, shape (n_pairs,), tells options from padding: two options that nobody chose are a tie, a padding zero
    is no option. Kendall 1945.
    """
    p, q = check_distributions(p), check_distributions(q)
    size = p.shape[1]
    first, second = np.triu_indices(size, k=1)
    real = second[None, :] < n_options[:, None]
    a = np.sign(p[:, first] - p[:, second]) * real
    b = np.sign(q[:, first] - q[:, second]) * real
    with np.errstate(invalid="ignore", divide="ignore"):
        tau: Floats = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return tau


def entropy(p: Floats) -> Floats:
    """Shannon entropy −Σ p ln p in nats, 0 to ln(number of options). Shannon 1948."""
    p = check_distributions(p)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(p > 0, p * np.log(p), 0.0).sum(axis=1)


def modal_agreement(p: Floats, q: Floats) -> Floats:
    """1 where both have the same most frequent option, else 0; with ties, the chance that two modes drawn agree."""
    p, q = check_distributions(p), check_distributions(q)
    a, b = p == p.max(axis=1, keepdims=True), q == q.max(axis=1, keepdims=True)
    return (a & b).sum(axis=1) / (a.sum(axis=1) * b.sum(axis=1))


def measure(p: Floats, q: Floats, values: Floats, n_options: NDArray[np.int64]) -> dict[tuple[str, str], Floats]:
    """Every measure that compares two distributions, by (metric, base) as the tables name them; NaN where undefined.

    Arguments as in `wasserstein` and `kendall_tau`.
    """
    nats = js_divergence(p, q)
    bits = nats / np.log(2)
    return {
        ("js_similarity", "e"): 1 - np.sqrt(nats),
        ("js_similarity", "2"): 1 - np.sqrt(bits),
        ("js_divergence", "e"): nats,
        ("js_divergence", "2"): bits,
        ("total_variation", ""): total_variation(p, q),
        ("wasserstein", ""): wasserstein(p, q, values),
        ("kendall_tau", ""): kendall_tau(p, q, n_options),
        ("modal_agreement", ""): modal_agreement(p, q),
    }
