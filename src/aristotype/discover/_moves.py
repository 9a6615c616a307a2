"""Moves of crystals within their template: elements, free parameters, free cell parameters.

The space group and the occupied positions stay, by construction. Every move is the same whatever description of a
crystal it starts from, so that a chain is one of crystals, not of descriptions:

- elements change on sites chosen alike, and the cell may grow with them by a fixed ratio that goes both ways;
- atoms step by a length in Angstrom, in any direction that their position leaves free;
- cells are strained by a random strain of the symmetry of the crystal system, which is symmetric on the invariant
  measure of cells (that of metric tensors that no change of basis changes), with Hastings' correction to the measure
  of the models: Lebesgue's on the free cell parameters of the reduced cell.

Lengths of steps are drawn over a range of 30, so that no step has to be tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import reduced_lattices
from aristotype.discover._chain_crystals import ChainCrystals, constrained
from aristotype.discover._metropolis import Proposal
from aristotype.symmetry import CRYSTAL_SYSTEMS, cell_matrix, cell_parameters, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
NOTHING = "nothing to change"
NOT_ALLOWED = "elements outside the allowed ones"
FLAT = "a cell that does not close"
_RANGE = (0.1, 3.0)
"""Least and largest multiple of the step that is asked for."""
_MOST_STRAIN = 0.5
"""Strains beyond this are not tried: a cell may not turn inside out."""


@dataclass(frozen=True)
class Substitute:
    """Another element on one orbit, or on all sites that began with one element: each of the allowed ones alike.

    Attributes:
        allowed: (119, 119) whether a site that began with an element (row) may hold another (column).
        by_element: whether all sites that began with one element change together.
        volumes: (119,) of an atom of each element in cubic Angstrom. The cell grows by the ratio of the volumes that
            the elements need, and shrinks by the same when they change back; None leaves the cell as it is.
    """

    allowed: Bools
    by_element: bool
    volumes: Floats | None = None

    def __call__(self, batch: ChainCrystals, draws: Floats) -> Proposal[ChainCrystals]:
        """Propose; see `Move`."""
        options = self.allowed[batch.origin] & (np.arange(119) > 0)
        site, possible = _picked(_leaders(batch, self.by_element) & (options.sum(axis=2) > 1), draws[:, 0])
        rows = np.arange(len(batch))
        others = options[rows, site]
        others[rows, batch.elements[rows, site]] = False
        new, some = _picked(others, draws[:, 1])
        together = _together(batch, site, self.by_element) & (possible & some)[:, None]
        elements = np.where(together, new[:, None], batch.elements).astype(np.int8)
        return _proposal(*_grown(batch, batch.with_arrays(elements=elements), self.volumes), possible & some)


@dataclass(frozen=True)
class Exchange:
    """Two orbits, or two sets of sites that began with one element each, exchange their elements.

    Attributes:
        allowed: (119, 119) as in `Substitute`.
        by_element: whether all sites that began with one element change together.
        volumes: (119,) as in `Substitute`.
    """

    allowed: Bools
    by_element: bool
    volumes: Floats | None = None

    def __call__(self, batch: ChainCrystals, draws: Floats) -> Proposal[ChainCrystals]:
        """Propose; see `Move`."""
        leaders = _leaders(batch, self.by_element)
        first, _ = _picked(leaders, draws[:, 0])
        rows = np.arange(len(batch))
        leaders[rows, first] = False
        second, possible = _picked(leaders, draws[:, 1])
        one, other = batch.elements[rows, first], batch.elements[rows, second]
        possible &= one != other
        elements = batch.elements.copy()
        for site, element in ((first, other), (second, one)):
            here = _together(batch, site, self.by_element) & possible[:, None]
            elements = np.where(here, element[:, None], elements)
        fits = (self.allowed[batch.origin, elements] | (elements == 0)).all(axis=1)
        why = np.where(possible, NOT_ALLOWED, NOTHING)
        grown = _grown(batch, batch.with_arrays(elements=elements), self.volumes)
        return _proposal(*grown, possible & fits, why)


@dataclass(frozen=True)
class Displace:
    """One site steps along the directions that its position leaves free; `step` is the length in Angstrom."""

    step: float

    def __call__(self, batch: ChainCrystals, draws: Floats) -> Proposal[ChainCrystals]:
        """Propose; see `Move`."""
        freedom = batch.genes().freedoms
        site, possible = _picked(freedom > 0, draws[:, 0])
        rows = np.flatnonzero(possible)
        chosen = site[rows]
        used = np.arange(3) < freedom[rows, chosen][:, None]
        arrows = _free_directions(batch, rows, chosen) @ batch.bases()[rows]
        metric = arrows @ arrows.transpose(0, 2, 1)
        metric[:, np.arange(3), np.arange(3)] += ~used  # directions that are not there are of length 1
        length = self.step * _multiple(draws[rows, 1])
        normal = _normals(draws[rows, 2:6])[:, :3] * length[:, None]
        # covariance length^2 metric^-1: the same in all directions of space
        step = np.linalg.solve(np.linalg.cholesky(metric).transpose(0, 2, 1), normal[..., None])[..., 0]
        free = batch.free.copy()
        free[rows, chosen] = np.where(used, (free[rows, chosen] + step) % 1.0, 0.0)
        return _proposal(batch.with_arrays(free=free), np.zeros(len(batch)), possible)


@dataclass(frozen=True)
class Strain:
    """The cell is strained within its symmetry; `step` is the strain, without unit. Free parameters stay."""

    step: float

    def __call__(self, batch: ChainCrystals, draws: Floats) -> Proposal[ChainCrystals]:
        """Propose; see `Move`."""
        strain = (
            _random_strain(batch.systems(), _normals(draws[:, :6]))
            * (self.step * _multiple(draws[:, 6]))[:, None, None]
        )
        values, vectors = np.linalg.eigh(strain)
        possible = np.abs(values).max(axis=1) < _MOST_STRAIN
        stretch = np.einsum("nij,nj,nkj->nik", vectors, np.exp(np.where(possible[:, None], values, 0.0)), vectors)
        lattice = constrained(batch.group, cell_parameters(batch.bases() @ stretch))
        correction = log_cell_measure(batch.group, lattice) - log_cell_measure(batch.group, batch.lattice)
        return _proposal(batch.with_arrays(lattice=lattice), correction, possible, FLAT)


def log_cell_measure(group: NDArray[np.int16], lattice: Floats) -> Floats:
    """(n,) log of d(free parameters of the reduced cell) / d(invariant measure), up to a constant of each system.

    The invariant measure of metric tensors G of order k, and of their blocks where the symmetry makes blocks, is
    dG / det(G)^((k + 1) / 2) (Terras, Harmonic Analysis on Symmetric Spaces II, 1988): for a block of order 1 that is
    d(length) / length.

    Args:
        group: (n,) space groups.
        lattice: (n, 6) cells, reduced or not.
    """
    out = np.zeros(len(group))
    for number in np.unique(group).tolist():
        rows = np.flatnonzero(group == number)
        cells = reduced_lattices(number, lattice[rows])
        out[rows] = _log_measure(space_group(number).crystal_system, cells)
    return out


def _log_measure(system: str, cells: Floats) -> Floats:
    lengths, sines = np.log(cells[:, :3]), np.log(np.sin(np.radians(cells[:, 3:])))
    if system == "triclinic":
        volume = np.log(np.linalg.det(cell_matrix(cells)))
        return np.asarray(4.0 * volume - 3.0 * lengths.sum(axis=1) - sines.sum(axis=1))
    if system == "monoclinic":
        return np.asarray(lengths.sum(axis=1) + 2.0 * sines[:, 1])
    if system == "orthorhombic":
        return np.asarray(lengths.sum(axis=1))
    return np.asarray(lengths[:, 0] if system == "cubic" else lengths[:, 0] + lengths[:, 2])


def _random_strain(systems: Ints, normal: Floats) -> Floats:
    """(n, 3, 3) symmetric strains from normal numbers (n, 6), alike in all directions that the symmetry allows."""
    out = np.zeros((len(systems), 3, 3))
    out[:, np.arange(3), np.arange(3)] = normal[:, :3]
    names = np.array(CRYSTAL_SYSTEMS)[systems]
    free = {(1, 2): ("triclinic",), (0, 2): ("triclinic", "monoclinic"), (0, 1): ("triclinic",)}
    for place, (i, j) in enumerate(free, start=3):
        shear = np.where(np.isin(names, free[i, j]), normal[:, place] / np.sqrt(2.0), 0.0)
        out[:, i, j] = out[:, j, i] = shear
    uniaxial = np.isin(names, ("tetragonal", "trigonal", "hexagonal", "cubic"))
    out[uniaxial, 1, 1] = out[uniaxial, 0, 0]
    out[names == "cubic", 2, 2] = out[names == "cubic", 0, 0]
    return out


def _free_directions(batch: ChainCrystals, rows: Ints, sites: Ints) -> Floats:
    """(r, 3, 3) by free parameter, how the coordinates of a site's first atom change with it; 0 beyond its freedom."""
    out = np.zeros((len(rows), 3, 3))
    keys = np.column_stack([batch.group[rows], batch.letters[rows, sites]])
    for number, letter in np.unique(keys, axis=0).tolist():
        position = space_group(number).positions[letter]
        out[(keys == (number, letter)).all(axis=1), : position.freedom] = position.linear.T
    return out


def _grown(
    before: ChainCrystals, after: ChainCrystals, volumes: Floats | None
) -> tuple[ChainCrystals, NDArray[np.float64]]:
    """Crystals with new elements in cells that have grown with them, and Hastings' correction (n,).

    Growing by a factor is a change that keeps the invariant measure, so that the correction is as for a strain.
    """
    if volumes is None:
        return after, np.zeros(len(after))
    ratio = np.cbrt((after.composition() @ volumes) / (before.composition() @ volumes))
    lattice = after.lattice.copy()
    lattice[:, :3] *= ratio[:, None]
    correction = log_cell_measure(after.group, lattice) - log_cell_measure(before.group, before.lattice)
    return after.with_arrays(lattice=lattice), correction


def _proposal(
    batch: ChainCrystals, log_correction: Floats, possible: Bools, otherwise: str | NDArray[np.str_] = NOTHING
) -> Proposal[ChainCrystals]:
    """One of crystals of which only some are possible."""
    ruled_out = np.where(possible, "", otherwise).astype(object)
    return Proposal(batch=batch, log_correction=log_correction, ruled_out=ruled_out)


def _leaders(batch: ChainCrystals, by_element: bool) -> Bools:
    """(n, S) the first site of each set that changes together."""
    there = batch.letters >= 0
    if by_element:
        same = batch.origin[:, :, None] == batch.origin[:, None, :]
        there &= same.argmax(axis=2) == np.arange(there.shape[1])
    return there


def _together(batch: ChainCrystals, site: Ints, by_element: bool) -> Bools:
    """(n, S) the sites that change with one."""
    if by_element:
        kind = batch.origin[np.arange(len(batch)), site]
        return np.asarray((batch.origin == kind[:, None]) & (batch.letters >= 0))
    return np.asarray(np.arange(batch.letters.shape[1]) == site[:, None])


def _picked(options: Bools, uniform: Floats) -> tuple[Ints, Bools]:
    """One of the true places of each row (n, m), all alike, and whether there is any."""
    count = options.sum(axis=1)
    rank = np.minimum((uniform * count).astype(np.int64), np.maximum(count - 1, 0))
    place = (options & (np.cumsum(options, axis=1) == rank[:, None] + 1)).argmax(axis=1)
    return place, count > 0


def _multiple(uniform: Floats) -> Floats:
    low, high = np.log(_RANGE)
    return np.asarray(np.exp(low + (high - low) * uniform))


def _normals(uniform: Floats) -> Floats:
    """(n, m) standard normal numbers from as many uniform ones, m even (Box and Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform[:, 0::2]))
    angle = 2.0 * np.pi * uniform[:, 1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
