"""Central moment discrepancy of fingerprints (Zellinger et al., ICLR 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aristotype.errors import InputError
from aristotype.evaluate._arrays import checked

MOMENTS = 50
"""As in the protocol "augen"."""


def central_moment_discrepancy(
    rows: ArrayLike, reference: ArrayLike, *, moments: int = MOMENTS, bounds: tuple[float, float] = (0.0, 1.0)
) -> float:
    """Distance of the means, and of the central moments of each number up to an order (equation 9, marginals only).

    The k-th moments weigh 1 / (upper - lower)^k, where all numbers lie between the bounds: for the weighted order
    parameters of CrystalNN those are 0 and 1.

    Args:
        rows: (n, d) fingerprints.
        reference: (m, d) fingerprints.
        moments: highest order K; 1 compares the means alone.
        bounds: least and largest value that a number can have.

    Raises:
        InputError: the arrays do not fit together or leave the bounds, or the order is less than 1.
    """
    mine = checked(rows, "fingerprints")
    theirs = checked(reference, "fingerprints of the reference", width=mine.shape[1])
    low, high = bounds
    if not low < high or moments < 1:
        raise InputError(
            f"{moments} moments within {low} to {high}; at least 1, and the lower bound below the upper one"
        )
    # Rounding errors of weights that add up to one may pass the bounds by a little.
    slack = 1e-6 * (high - low)
    found = min(mine.min(), theirs.min()), max(mine.max(), theirs.max())
    if found[0] < low - slack or found[1] > high + slack:
        raise InputError(
            f"fingerprints lie between {found[0]:g} and {found[1]:g}, outside {low:g} to {high:g}; widen bounds"
        )
    mean, other = mine.mean(axis=0), theirs.mean(axis=0)
    total = float(np.linalg.norm(mean - other)) / (high - low)
    # Centred and scaled at once: powers of numbers within [-1, 1] cannot overflow.
    left, right = (mine - mean) / (high - low), (theirs - other) / (high - low)
    left_power, right_power = left.copy(), right.copy()
    for _ in range(2, moments + 1):
        left_power *= left
        right_power *= right
        total += float(np.linalg.norm(left_power.mean(axis=0) - right_power.mean(axis=0)))
    return total
