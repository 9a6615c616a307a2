"""Central moment discrepancy of fingerprints (Zellinger et al., ICLR 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aristotype.errors import InputError
from aristotype.evaluate._arrays import checked

MOMENTS = 50
"""As in the protocol "augen"."""
_SLACK = 1.05
"""How much more than the bounds allow a number may vary."""


def central_moment_discrepancy(
    rows: ArrayLike, reference: ArrayLike, *, moments: int = MOMENTS, bounds: tuple[float, float] = (0.0, 1.0)
) -> float:
    """Distance of the means, and of the central moments of each number up to an order (equation 9, marginals only).

    The k-th moments weigh 1 / (upper - lower)^k, where all numbers lie between the bounds: for the weighted order
    parameters of CrystalNN those are 0 and 1 (one of them can be a little below 0, which matters to no moment).

    Args:
        rows: (n, d) fingerprints.
        reference: (m, d) fingerprints.
        moments: highest order K; 1 compares the means alone.
        bounds: least and largest value that a number can have.

    Raises:
        InputError: the arrays do not fit together, a number varies by more than the bounds allow, or the order is less
            than 1.
    """
    mine = checked(rows, "fingerprints")
    theirs = checked(reference, "fingerprints of the reference", width=mine.shape[1])
    low, high = bounds
    if not low < high or moments < 1:
        raise InputError(
            f"{moments} moments within {low} to {high}; at least 1, and the lower bound below the upper one"
        )
    span = max(float(np.ptp(values, axis=0).max()) for values in (mine, theirs))
    if span > _SLACK * (high - low):
        raise InputError(
            f"a number of the fingerprints varies by {span:g}, more than the {high - low:g} between the bounds, and "
            "high moments would drown the others; scale the numbers or widen the bounds"
        )
    mean, other = mine.mean(axis=0), theirs.mean(axis=0)
    total = float(np.linalg.norm(mean - other)) / (high - low)
    # Centred and scaled at once: powers of numbers within about [-1, 1] cannot overflow.
    left, right = (mine - mean) / (high - low), (theirs - other) / (high - low)
    left_power, right_power = left.copy(), right.copy()
    for _ in range(2, moments + 1):
        left_power *= left
        right_power *= right
        total += float(np.linalg.norm(left_power.mean(axis=0) - right_power.mean(axis=0)))
    return total
