"""Where a geometry starts: volumes and radii of elements, shapes of cells (made by `tools/fit_volumes.py`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import covalent_radii
from aristotype.symmetry import NUM_GROUPS, lattice_constraints, space_group

Floats = NDArray[np.float64]
_NUMBERS = 119
"""Atomic numbers 0 (no element) to 118."""
_DEGREE = np.pi / 180.0
_ANGLES_TRICLINIC = (65.0, 115.0)  # three angles in this range always close to a cell
_ANGLES_MONOCLINIC = (50.0, 130.0)
_REACH = 3.0
"""Standard deviations from the mean up to which the shape of a cell may go."""


@dataclass(frozen=True, kw_only=True)
class Priors:
    """The shipped numbers, and radii of elements, as arrays, by atomic number or by number of the space group.

    Shapes are the free cell parameters in the order of `lattice_constraints(n).names`, padded with zeros to six:
    natural logarithms of lengths over the cube root of the volume, angles in radians.
    """

    volumes: Floats  # (119,) cubic Angstrom an atom, NaN where there is none
    radii: Floats  # (119,) Angstrom, NaN where there is none
    shape_mean: Floats  # (231, 6)
    shape_root: Floats  # (231, 6, 6) symmetric square root of the covariance
    shape_low: Floats  # (231, 6) limits of a shape
    shape_high: Floats  # (231, 6)
    basis: Floats  # (231, 6, 6) the six cell parameters (logarithms, radians) are basis @ shape + fixed
    fixed: Floats  # (231, 6)


@cache
def priors() -> Priors:
    """The shipped priors, read at the first call."""
    data: dict[str, Any] = json.loads((files("aristotype.realize") / "priors.json").read_text(encoding="utf-8"))
    shapes = {name: np.zeros((NUM_GROUPS + 1, 6)) for name in ("shape_mean", "shape_low", "shape_high", "fixed")}
    root, basis = np.zeros((NUM_GROUPS + 1, 6, 6)), np.zeros((NUM_GROUPS + 1, 6, 6))
    for number in range(1, NUM_GROUPS + 1):
        group, constraints = space_group(number), lattice_constraints(number)
        entry = data["shapes"][f"{group.crystal_system} {group.centring}"]
        count = len(constraints.names)
        unit = np.where([name in "abc" for name in constraints.names], 1.0, _DEGREE)
        basis[number, :, :count] = constraints.basis
        shapes["fixed"][number] = constraints.fixed * _DEGREE
        shapes["shape_mean"][number, :count] = np.array(entry["mean"]) * unit
        root[number, :count, :count] = np.array(entry["root"]) * unit[:, None]
        low, high = _limits(np.array(entry["mean"]) * unit, root[number, :count, :count], unit)
        shapes["shape_low"][number, :count], shapes["shape_high"][number, :count] = low, high
    return Priors(
        volumes=_by_number(data["volumes"]),
        radii=covalent_radii(),
        shape_root=root,
        basis=basis,
        **shapes,
    )


def _limits(mean: Floats, root: Floats, unit: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest shape: so many deviations from the mean, and angles that always close to a cell."""
    reach = _REACH * np.sqrt(np.square(root).sum(axis=1))
    low, high = mean - reach, mean + reach
    angle = unit != 1.0
    ends = _ANGLES_TRICLINIC if angle.sum() == 3 else _ANGLES_MONOCLINIC
    low[angle], high[angle] = np.array(ends)[:, None] * _DEGREE
    return low, high


def _by_number(values: dict[str, float]) -> Floats:
    out = np.full(_NUMBERS, np.nan)
    for number, value in values.items():
        out[int(number)] = value
    return out
