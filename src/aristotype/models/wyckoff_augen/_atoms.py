"""Atoms of sites, and the room that they take."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import covalent_radii
from aristotype.models.blocks import primitive_multiplicities

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_UNKNOWN = 1.5  # Angstrom, for elements whose covalent radius is not known


@cache
def radii() -> Floats:
    """Covalent radii in Angstrom by atomic number."""
    out: Floats = np.nan_to_num(covalent_radii(), nan=_UNKNOWN)
    return out


@cache
def ball_volumes() -> Floats:
    """Cubic Angstrom within the covalent radius, by atomic number."""
    out: Floats = 4.0 / 3.0 * np.pi * radii() ** 3
    return out


def primitive_atoms(groups: NDArray[np.int16], letters: NDArray[np.int8]) -> Ints:
    """(n, S) atoms of sites in the primitive cell."""
    out = np.zeros(letters.shape, np.int64)
    for number in np.unique(groups).tolist():
        rows = groups == number
        out[rows] = np.array(primitive_multiplicities(number))[letters[rows]]
    return out
