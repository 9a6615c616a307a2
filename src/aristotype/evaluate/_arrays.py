"""Fingerprints as arrays: what every distance asks of them, and their standardisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import InputError

Floats = NDArray[np.float64]
_BLOCK = 1 << 22
"""Distances held at a time: 32 MB."""


def checked(rows: ArrayLike, name: str, *, least: int = 1, width: int | None = None) -> Floats:
    """Fingerprints (n, d) as finite numbers.

    Raises:
        InputError: they are not a matrix, too few, of another width, or hold numbers that are not finite.
    """
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 2 or len(values) < least or values.shape[1] < 1:
        raise InputError(f"{name} have the shape {values.shape}; give (n, d) with n at least {least} and d at least 1")
    if width is not None and values.shape[1] != width:
        raise InputError(f"{name} are {values.shape[1]} numbers wide, the others {width}; use one fingerprint for both")
    wrong = ~np.isfinite(values).all(axis=1)
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(values)} {name} are not finite, first row {int(wrong.argmax())}; take the "
            "rows that have a fingerprint, and count the others"
        )
    return values


def has_fingerprint(rows: ArrayLike) -> NDArray[np.bool_]:
    """(n,) whether all numbers of a row (n, d) are finite."""
    return np.asarray(np.isfinite(np.asarray(rows, dtype=np.float64)).all(axis=1))


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """Standardisation of each number of a fingerprint; one that never varies is only shifted."""

    mean: Floats  # (d,)
    spread: Floats  # (d,) standard deviations, 1 where there is none

    @staticmethod
    def fit(rows: ArrayLike) -> Scaler:
        """Means and standard deviations of the rows (n, d) that have a fingerprint.

        Raises:
            InputError: no row has one.
        """
        values = np.asarray(rows, dtype=np.float64)
        values = checked(values[has_fingerprint(values)] if values.ndim == 2 else values, "fingerprints to scale by")
        spread = values.std(axis=0)
        # A column that is constant has a standard deviation of rounding errors.
        varies = spread > 1e-12 * np.maximum(1.0, np.abs(values).max(axis=0))
        return Scaler(mean=values.mean(axis=0), spread=np.where(varies, spread, 1.0))

    def transform(self, rows: ArrayLike) -> Floats:
        """Rows (n, d) with mean 0 and standard deviation 1 where the scaler was fitted; NaN stays NaN."""
        return (np.asarray(rows, dtype=np.float64) - self.mean) / self.spread


def distance_blocks(left: Floats, right: Floats) -> Iterator[tuple[slice, Floats]]:
    """Euclidean distances (rows, m) of consecutive rows of one matrix (n, d) to all of another (m, d).

    From differences, not from products of matrices, which lose half of the digits of small distances.
    """
    from scipy.spatial.distance import cdist

    step = max(1, _BLOCK // max(1, len(right)))
    for start in range(0, len(left), step):
        rows = slice(start, min(start + step, len(left)))
        yield rows, cdist(left[rows], right)
