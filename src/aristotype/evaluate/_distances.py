"""Distances between histograms. Each takes counts or shares; those of the first argument may be a batch (..., k)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import InputError

Floats = NDArray[np.float64]


def _shares(counts: ArrayLike, name: str) -> Floats:
    values = np.asarray(counts, dtype=np.float64)
    total = values.sum(axis=-1, keepdims=True)
    if values.shape[-1:] == (0,) or not (total > 0).all() or (values < 0).any():
        raise InputError(
            f"the {name} histogram has a smallest count of {values.min(initial=np.inf):g} and a smallest sum of "
            f"{total.min(initial=np.inf):g}; counts must be at least 0 and their sum above 0"
        )
    return values / total


def _aligned(p: ArrayLike, q: ArrayLike) -> tuple[Floats, Floats]:
    """Both as shares, the shorter one padded with empty bins."""
    left, right = _shares(p, "first"), _shares(q, "second")
    width = max(left.shape[-1], right.shape[-1])

    def widened(values: Floats) -> Floats:
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])])

    return widened(left), widened(right)


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> Floats:
    """Jensen-Shannon divergence in bits: 0 for equal shares, 1 for disjoint ones (Lin 1991, equation 4.1).

    This is the divergence itself; its square root, which some papers print, is called a distance.

    Args:
        p: histogram (..., k).
        q: histogram (k,) or (..., k).

    Raises:
        InputError: a histogram is empty or has negative counts.
    """
    left, right = _aligned(p, q)
    middle = (left + right) / 2

    def relative(values: Floats) -> Floats:
        """Sum of values * log2(values / middle), where 0 log 0 is 0."""
        ratio = np.divide(
            values, middle, out=np.ones(np.broadcast_shapes(values.shape, middle.shape)), where=values > 0
        )
        return (values * np.log2(ratio)).sum(axis=-1)

    return np.clip((relative(left) + relative(right)) / 2, 0.0, 1.0)


def root_jensen_shannon(p: ArrayLike, q: ArrayLike) -> Floats:
    """Square root of the Jensen-Shannon divergence in nats, 0 to the root of ln 2 (Endres & Schindelin 2003).

    Arguments and errors are those of `jensen_shannon`, which is the divergence itself in bits.
    """
    return np.sqrt(np.log(2.0) * jensen_shannon(p, q))


def chi_square(p: ArrayLike, q: ArrayLike) -> Floats:
    """Sum of (p - q)^2 / q over the bins that q occupies; what p has elsewhere counts only through what is missing.

    Args:
        p: histogram (..., k).
        q: histogram (k,), the reference.

    Raises:
        InputError: a histogram is empty or has negative counts.
    """
    left, right = _aligned(p, q)
    squares = np.divide((left - right) ** 2, right, out=np.zeros(left.shape), where=right > 0)
    return squares.sum(axis=-1)


def wasserstein(p: ArrayLike, q: ArrayLike) -> Floats:
    """First Wasserstein (earth mover's) distance of whole numbers, in their units.

    Args:
        p: histogram (..., k) of the numbers 0, 1, 2, ...
        q: histogram (k,) or (..., k).

    Raises:
        InputError: a histogram is empty or has negative counts.
    """
    left, right = _aligned(p, q)
    return np.abs(np.cumsum(left - right, axis=-1)).sum(axis=-1)


def divergences_of_draws(
    source: ArrayLike, reference: ArrayLike, *, size: int = 10_000, draws: int = 1_000, seed: int
) -> Floats:
    """What the Jensen-Shannon divergence reads for a generator that is as good as the data.

    Args:
        source: histogram (k,) to draw from, for example space groups of the training part.
        reference: histogram (k,) to compare with.
        size: independent numbers a draw.
        draws: how many draws.
        seed: of the generator.

    Returns:
        (draws,) divergences in bits; their 95th percentile is the least that can be asked of a model.

    Raises:
        InputError: a histogram is empty or has negative counts.
    """
    rng = np.random.default_rng(seed)
    return jensen_shannon(rng.multinomial(size, _shares(source, "source"), size=draws), reference)
