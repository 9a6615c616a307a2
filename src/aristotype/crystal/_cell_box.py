"""Reduced cells as points of a box: any point of the box is a reduced cell, and every reduced cell is one point.

A model that draws cells draws points of the box, so that no cell is drawn that is not reduced, and no cell twice.
The coordinates, those that a crystal system has:

| | coordinate | from | to |
|---|---|---|---|
| 0 | ln(volume an atom / Angstrom^3) | | |
| 1 | orthorhombic, triclinic: ln(b/a); all others but cubic: ln(c/a) | 0 where a is the shorter one by reduction | |
| 2 | orthorhombic: ln(c/a); monoclinic: ln(b / sqrt(ac)); triclinic: ln(c/b) | triclinic: 0 | |
| 3 | monoclinic: -cos(beta), triclinic: abs(cos(alpha)), as a share of the largest that is reduced | 0 | 1 |
| 4, 5 | triclinic: abs(cos(beta)) and abs(cos(gamma)), likewise | 0 | 1 |

A Niggli cell has besides all three angles up to 90 degrees (acute), or all three from 90 degrees on.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.crystal._reduce import monoclinic_classes
from aristotype.errors import SymmetryError
from aristotype.symmetry import cell_matrix, lattice_constraints, space_group

Floats = NDArray[np.float64]
MAX_CELL = 6
"""Most coordinates that a cell has."""
_SLACK = 1e-4
"""How far outside the box a coordinate may lie by rounding; it is moved to the border."""
_NARROW = 1e-6
"""Least largest cosine of gamma that is told from 0: in cells such as the primitive one of a body-centred cubic lattice
alpha and beta leave it no room."""
_DEGREE = np.pi / 180.0


class CellBox(NamedTuple):
    """The box of a space group."""

    size: int  # coordinates that the crystal system has
    low: Floats  # (6,) -inf where there is no border
    high: Floats  # (6,)
    two_kinds: bool  # whether a cell can be acute or not (triclinic groups)


class BoxedCells(NamedTuple):
    """n cells of one space group as points of its box."""

    coordinates: Floats  # (n, 6), 0 beyond the size of the box
    acute: NDArray[np.bool_]  # (n,) False where there is one kind only
    log_density: Floats  # (n,) log of d(coordinates) / d(free cell parameters in Angstrom and degrees)


@cache
def cell_box(number: int) -> CellBox:
    """The box of the reduced cells of a space group.

    Raises:
        SymmetryError: the number is not one of 1 to 230.
    """
    system = space_group(number).crystal_system
    size = len(lattice_constraints(number).names)
    low, high = np.full(MAX_CELL, -np.inf), np.full(MAX_CELL, np.inf)
    if system == "monoclinic":
        low[3], high[3] = 0.0, 1.0
        low[1] = 0.0 if _axes_are_alike(number) else -np.inf
    elif system == "triclinic":
        low[1:], high[3:] = 0.0, 1.0
    low[size:], high[size:] = 0.0, 0.0
    return CellBox(size=size, low=low, high=high, two_kinds=system == "triclinic")


def to_box(number: int, lattice: ArrayLike, atoms: ArrayLike) -> BoxedCells:
    """Points of reduced cells.

    Args:
        number: space group.
        lattice: (n, 6) a, b, c, alpha, beta, gamma of reduced cells (see `fix_gauge`).
        atoms: (n,) atoms in the conventional cell.

    Raises:
        SymmetryError: a cell is not reduced.
    """
    cells = np.asarray(lattice, float).reshape(-1, 6)
    system = space_group(number).crystal_system
    (a, b, c), angles = cells[:, :3].T, cells[:, 3:] * _DEGREE
    cosines, sines = np.cos(angles).T, np.sin(angles).T
    out = np.zeros((len(cells), MAX_CELL))
    out[:, 0] = np.log(np.abs(np.linalg.det(cell_matrix(cells))) / np.asarray(atoms, float))
    slope = -np.log(a)
    acute = np.zeros(len(cells), dtype=bool)
    if system == "cubic":
        return BoxedCells(out, acute, slope + np.log(3.0))
    if system in ("tetragonal", "trigonal", "hexagonal"):
        out[:, 1] = np.log(c / a)
        return BoxedCells(out, acute, slope + np.log(3.0) - np.log(c))
    slope += np.log(3.0) - np.log(b) - np.log(c)
    if system == "orthorhombic":
        out[:, 1], out[:, 2] = np.log(b / a), np.log(c / a)
    elif system == "monoclinic":
        out[:, 1], out[:, 2] = np.log(c / a), np.log(b / np.sqrt(a * c))
        most = _most_oblique(number, c / a)
        out[:, 3] = -cosines[1] / most
        slope += np.log(sines[1] * _DEGREE / most)
    else:
        acute = cosines.sum(axis=0) > 0
        out[:, 1], out[:, 2] = np.log(b / a), np.log(c / b)
        most = np.stack([b / (2 * c), a / (2 * c), a / (2 * b)])
        share = _share(cosines, most)
        most[2] = np.maximum(_NARROW, most[2] * _room(acute, b / a, share[0], share[1]))
        out[:, 3:] = _share(cosines, most).T
        slope += np.log(sines * _DEGREE / most).sum(axis=0)
    return BoxedCells(_inside(number, out, cells), acute, slope)


def from_box(number: int, coordinates: ArrayLike, acute: ArrayLike, atoms: ArrayLike) -> Floats:
    """Cells (n, 6) in Angstrom and degrees from points (n, 6) of the box; the inverse of `to_box`."""
    points = np.asarray(coordinates, float).reshape(-1, MAX_CELL)
    system = space_group(number).crystal_system
    n = len(points)
    lengths, cosines = np.ones((n, 3)), np.zeros((n, 3))
    if system in ("tetragonal", "trigonal", "hexagonal"):
        lengths[:, 2] = np.exp(points[:, 1])
        cosines[:, 2] = 0.0 if system == "tetragonal" else -0.5
    elif system == "orthorhombic":
        lengths[:, 1:] = np.exp(points[:, 1:3])
    elif system == "monoclinic":
        lengths[:, 2] = np.exp(points[:, 1])
        lengths[:, 1] = np.exp(points[:, 2] + points[:, 1] / 2)
        cosines[:, 1] = -points[:, 3] * _most_oblique(number, lengths[:, 2])
    elif system == "triclinic":
        lengths[:, 1] = np.exp(points[:, 1])
        lengths[:, 2] = np.exp(points[:, 1] + points[:, 2])
        _, b, c = lengths.T
        is_acute = np.asarray(acute, bool)
        room = _room(is_acute, b, points[:, 3], points[:, 4])
        most = np.stack([b / (2 * c), 1 / (2 * c), room / (2 * b)], axis=1)
        cosines = np.where(is_acute, 1.0, -1.0)[:, None] * points[:, 3:] * most
    cells = np.concatenate([lengths, np.arccos(cosines) / _DEGREE], axis=1)
    volume = np.abs(np.linalg.det(cell_matrix(cells)))
    wanted = np.exp(points[:, 0]) * np.asarray(atoms, float)
    cells[:, :3] *= np.cbrt(wanted / volume)[:, None]
    constraints = lattice_constraints(number)
    return constraints.expand(constraints.reduce(cells, tolerance=1e-6 * float(cells.max(initial=1.0))))


def _axes_are_alike(number: int) -> bool:
    """Whether a and c of a monoclinic group can be exchanged."""
    return (0, 1, 1, 0) in monoclinic_classes(number)


def _most_oblique(number: int, ratio: Floats) -> Floats:
    """Largest -cos(beta) of a reduced monoclinic cell, for c/a.

    Where a may change by c and c by a, both projections are at most half of the vector they fall on; a centring or a
    glide forbids one of the two, and of that one only the double step is left.
    """
    if _axes_are_alike(number):
        return 0.5 / ratio
    if (1, 0, 1, 1) in monoclinic_classes(number):
        return np.minimum(0.5 / ratio, ratio)
    return np.minimum(0.5 * ratio, 1.0 / ratio)


def _room(acute: NDArray[np.bool_], ratio: Floats, first: Floats, second: Floats) -> Floats:
    """Largest share of a/(2b) that abs(cos(gamma)) may reach in a Niggli cell, for b/a and the first two shares."""
    return np.where(acute, 1.0, np.minimum(1.0, 1.0 + np.square(ratio) * (1.0 - first) - second))


def _share(cosines: Floats, most: Floats) -> Floats:
    """Cosines as shares of the largest ones that are reduced; beyond these by rounding alone they are the whole."""
    large = np.abs(cosines)
    return np.asarray(np.where(large <= most + _SLACK, np.minimum(large / most, 1.0), large / most))


def _inside(number: int, points: Floats, cells: Floats) -> Floats:
    """Points moved onto the border of the box if rounding has put them outside.

    Raises:
        SymmetryError: a point lies further outside.
    """
    box = cell_box(number)
    off = np.maximum(box.low - points, points - box.high).max(axis=1, initial=0.0)
    if (off > _SLACK).any():
        row = int(off.argmax())
        raise SymmetryError(
            f"the cell {np.round(cells[row], 4).tolist()} is not a reduced one of space group {number}; fix the gauge "
            "of the crystal first (fix_gauge)"
        )
    return np.clip(points, box.low, box.high)
