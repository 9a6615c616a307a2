"""Where sites are in their asymmetric unit: the shape, the parameters within it, and the point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.models.blocks import is_polar, pinned_axes
from aristotype.models.wyckoff_augen._sequences import smallest, unit_points
from aristotype.symmetry import cell_matrix, lattice_constraints, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Located(NamedTuple):
    """n rows of S sites; 0 where there is none."""

    shape: Ints  # (n, S) number among those of the position; -1 for the site on the origin of a polar group
    place: Floats  # (n, S, 3) parameters of the shape; of the site on the origin those of its smallest image
    point: Floats  # (n, S, 3) fractional coordinates in the unit

    def take(self, rows: Ints, length: int) -> Located:
        """The first sites, as many as `length`, of some rows."""
        return Located(self.shape[rows, :length], self.place[rows, :length], self.point[rows, :length])


def located(genes: GeneBatch, free: Floats) -> Located:
    """Carries sites with parameters (n, S, 3), those of any image, into the unit.

    The first site of a polar group holds the origin: its parameters along polar axes are 0.
    """
    shape = np.zeros(free.shape[:2], np.int64)
    place, point = np.zeros(free.shape), np.zeros(free.shape)
    rows, sites = np.nonzero(genes.wyckoffs >= 0)
    held = is_polar(genes.space_group)[rows] & (sites == 0)
    code = genes.space_group[rows].astype(np.int64) * 64 + genes.wyckoffs[rows, sites] * 2 + held
    for each in np.unique(code).tolist():
        at = rows[code == each], sites[code == each]
        found = located_alike(each // 64, each // 2 % 32, free[at], on_origin=bool(each % 2))
        shape[at], place[at], point[at] = found
    return Located(shape, place, point)


def located_alike(number: int, letter: int, free: Floats, *, on_origin: bool) -> Located:
    """The same for sites (n, 3) of one position, without an axis of rows."""
    freedom = space_group(number).positions[letter].freedom
    given, place = free[:, :freedom], np.zeros((len(free), 3))
    if on_origin:
        shape = np.full(len(free), -1)
        place[:, :freedom] = smallest(number, letter, given) if freedom else given
        point = space_group(number).positions[letter].representative(place[:, :freedom])
    else:
        shape, place[:, :freedom], point = unit_points(number, letter, given)
    return Located(shape, place, point)


def shaken(genes: GeneBatch, free: Floats, lattice: Floats, width: float, rng: np.random.Generator) -> Floats:
    """Parameters (n, S, 3) with normal noise on positions in every direction in which a site may move.

    In polar groups the first site stays on the origin.

    Args:
        genes: n rows of S sites.
        free: (n, S, 3).
        lattice: (n, 6) Angstrom and degrees.
        width: standard deviation in Angstrom along each direction.
        rng: of the noise.
    """
    out = free.copy()
    noise = rng.normal(0.0, width, free.shape)
    polar = is_polar(genes.space_group)
    rows, sites = np.nonzero(genes.freedoms > 0)
    held = polar[rows] & (sites == 0)
    code = genes.space_group[rows].astype(np.int64) * 64 + genes.wyckoffs[rows, sites] * 2 + held
    for each in np.unique(code).tolist():
        number, letter, here = each // 64, each // 2 % 32, code == each
        position = space_group(number).positions[letter]
        axes = np.flatnonzero(~np.array(pinned_axes(number, letter), bool)) if each % 2 else np.arange(position.freedom)
        if not len(axes):
            continue
        row, site = rows[here], sites[here]
        sides = position.linear.T[axes] @ cell_matrix(lattice[row])
        factor = np.linalg.cholesky(sides @ sides.transpose(0, 2, 1))
        step = np.linalg.solve(factor.transpose(0, 2, 1), noise[row, site, : len(axes), None])
        out[row[:, None], site[:, None], axes] += step[..., 0]
    return out


def shaken_cells(
    group: NDArray[np.int16], lattice: Floats, length: float, angle: float, rng: np.random.Generator
) -> Floats:
    """Cells (n, 6) with even noise on free parameters, of ranges in Angstrom and degrees."""
    size = np.array([length] * 3 + [angle] * 3)
    moved = lattice + size * (rng.random(lattice.shape) - 0.5)
    for number in np.unique(group).tolist():
        rows = group == number
        rules = lattice_constraints(number)
        first = rules.basis.argmax(axis=0)  # the first parameter of those that are equal
        moved[rows] = moved[rows][:, first] @ rules.basis.T + rules.fixed
    flat = np.linalg.det(cell_matrix(moved)) < _FLAT * np.prod(lattice[:, :3], axis=1)
    moved[flat] = lattice[flat]
    return moved


_FLAT = 0.01
"""Share of the product of lengths below which the volume of a cell is not put at risk."""
