"""How far predictions are off, and whether their uncertainty can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import InputError

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Shares of rows that intervals are asked to hold."""


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors of n predictions, in the unit of the property.

    Attributes:
        mae: Mean absolute error.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        rmse: Root of the mean square error.
        n: Rows.
    """

    mae: float
    low: float
    high: float
    rmse: float
    n: int


def errors_of(predicted: ArrayLike, known: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Errors:
    """Errors of predictions (n,) against known values (n,).

    Args:
        predicted: (n,) finite numbers.
        known: (n,) finite numbers.
        resamples: of the bootstrap over rows.
        seed: of the bootstrap.

    Raises:
        InputError: no rows, unlike many, or numbers that are not finite.
    """
    errors = _differences(predicted, known)
    rng = np.random.default_rng(seed)
    absolute = np.abs(errors)
    means = [float(absolute[rng.integers(0, len(errors), len(errors))].mean()) for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Errors(
        mae=float(absolute.mean()),
        low=float(low),
        high=float(high),
        rmse=float(np.sqrt(np.square(errors).mean())),
        n=len(errors),
    )


def coverage(
    predicted: ArrayLike, deviations: ArrayLike, known: ArrayLike, levels: Sequence[float] = LEVELS
) -> dict[float, float]:
    """Share of known values inside the central interval of each level: equal to the level where it is calibrated.

    A Laplace distribution of standard deviation s holds the share q within -s ln(1 - q) / sqrt(2) of its median.

    Args:
        predicted: (n,) values.
        deviations: (n,) positive standard deviations.
        known: (n,) values.
        levels: shares between 0 and 1.

    Raises:
        InputError: no rows, unlike many, a deviation that is not positive, or a level outside 0 to 1.
    """
    errors = np.abs(_differences(predicted, known))
    spread = np.asarray(deviations, np.float64)
    if spread.shape != errors.shape or not (spread > 0).all():
        raise InputError(
            f"{spread.shape} standard deviations for {errors.shape} errors; give one positive number a row"
        )
    outside = [level for level in levels if not 0 < level < 1]
    if outside:
        raise InputError(f"the level {outside[0]} is not between 0 and 1; give a share such as 0.9")
    return {q: float((errors <= -spread * math.log1p(-q) / math.sqrt(2)).mean()) for q in levels}


def _differences(predicted: ArrayLike, known: ArrayLike) -> NDArray[np.float64]:
    mine, theirs = np.asarray(predicted, np.float64), np.asarray(known, np.float64)
    if mine.shape != theirs.shape or mine.ndim != 1 or not len(mine):
        raise InputError(f"{mine.shape} predictions for {theirs.shape} known values; give at least one row, paired")
    errors = mine - theirs
    if not np.isfinite(errors).all():
        raise InputError(
            f"{int((~np.isfinite(errors)).sum())} of {len(errors)} errors are not finite; leave such rows out"
        )
    return errors
