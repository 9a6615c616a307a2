"""All descriptions of many crystals in the settings of their genes, up to the origin and the image of each site.

The same as the `crystal_equivalents` whose letters stand for their setting (see `_gene_settings`), or all of them,
but for whole tables, and without choosing an origin along polar axes. A description can come twice, from two bases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal._equivalence import proper_normalizer
from aristotype.crystal._gene_settings import relabellings_of
from aristotype.crystal._genes import GeneBatch, from_codes, lexicographic_minimum, site_codes
from aristotype.crystal._reduce import reductions
from aristotype.crystal._sites import by_position, read_free
from aristotype.crystal._transform import letter_map
from aristotype.symmetry import GRID, cell_matrix, cell_parameters, lattice_constraints, space_group

if TYPE_CHECKING:
    from aristotype.crystal._table import CrystalTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LAST_OBLIQUE = 15
"""Cells of triclinic and monoclinic groups are reduced; those of the others have no freedom."""
_CLOSE = 1e-3


class Settled(NamedTuple):
    """m descriptions of up to S sites each, sites sorted by letter and element."""

    genes: GeneBatch  # (m,)
    free: Floats  # (m, S, 3) of one image of each site, 0 beyond its freedom
    lattice: Floats  # (m, 6) reduced
    owner: Ints  # (m,) row of the crystal


class _Part(NamedTuple):
    """Descriptions of crystals of one group while they are being changed."""

    basis: Floats  # (r, 3, 3) row vectors
    letters: NDArray[np.int8]  # (r, S) -1 where there is no site
    elements: NDArray[np.int8]  # (r, S)
    points: Floats  # (r, S, 3)
    owner: Ints  # (r,)


def settled_descriptions(table: CrystalTable, *, any_letters: bool = False) -> Settled:
    """The descriptions of all crystals of a table.

    Args:
        table: n crystals.
        any_letters: also the descriptions by the other letters of a setting, so that all that proper operations
            connect are there.

    Raises:
        TableError: a row is a gene.
        SymmetryError: a cell is so flat that its reduction does not end.
    """
    table.check_geometry()
    genes = table.genes()
    free = padded_free(table, genes)
    cells = cell_matrix(table.lattice)
    parts = []
    for number in np.unique(genes.space_group).tolist():
        rows = np.flatnonzero(genes.space_group == number)
        start = _Part(
            basis=cells[rows],
            letters=genes.wyckoffs[rows],
            elements=genes.elements[rows],
            points=points_of_group(number, genes.wyckoffs[rows], free[rows]),
            owner=rows,
        )
        parts.append(_settled(number, _reduced(number, start) if number <= _LAST_OBLIQUE else start, any_letters))
    if not parts:
        return Settled(genes, free, table.lattice, np.zeros(0, np.int64))
    owner = np.concatenate([part.owner for part in parts])
    order = np.argsort(owner, kind="stable")
    return Settled(
        GeneBatch.concatenate([part.genes for part in parts]).take(order),
        np.concatenate([part.free for part in parts])[order],
        np.concatenate([part.lattice for part in parts])[order],
        owner[order],
    )


def padded_free(table: CrystalTable, genes: GeneBatch) -> Floats:
    """(n, S, 3) free parameters of each site, 0 beyond its freedom."""
    out = np.zeros((*genes.wyckoffs.shape, 3))
    out[np.arange(3) < genes.freedoms[..., None]] = table.ragged("free")[0]
    return out


def points_of(genes: GeneBatch, free: Floats) -> Floats:
    """(n, S, 3) the point that stands for each site of genes of any groups, from free parameters (n, S, 3)."""
    out = np.zeros(free.shape)
    for number in np.unique(genes.space_group).tolist():
        rows = np.flatnonzero(genes.space_group == number)
        out[rows] = points_of_group(number, genes.wyckoffs[rows], free[rows])
    return out


def points_of_group(number: int, letters: NDArray[np.int8], free: Floats) -> Floats:
    """(r, S, 3) the point that stands for each site."""
    out = np.zeros(free.shape)
    for letter in np.unique(letters[letters >= 0]).tolist():
        position = space_group(number).positions[letter]
        here = letters == letter
        out[here] = position.representative(free[here][:, : position.freedom])
    return out


def _reduced(number: int, part: _Part) -> _Part:
    """Each crystal in all its reduced bases."""
    places, bases, letters, points = [], [], [], []
    for row, basis in enumerate(part.basis):
        for linear, translation in reductions(number, basis):
            table = np.append(letter_map(number, linear.tobytes(), (translation % GRID).tobytes()), -1)
            places.append(row)
            bases.append(np.linalg.inv(linear).T @ basis)
            letters.append(table[part.letters[row]])
            points.append(part.points[row] @ linear.T + translation / GRID)
    return _Part(
        basis=np.array(bases),
        letters=np.array(letters, np.int8),
        elements=part.elements[places],
        points=np.array(points),
        owner=part.owner[places],
    )


def _settled(number: int, part: _Part, any_letters: bool) -> Settled:
    """What the proper operations of the normalizer make of descriptions, where letters stand for the setting or all."""
    operations = proper_normalizer(number)
    linear = np.array([operation.linear for operation in operations])
    translation = np.array([operation.translation for operation in operations]) / GRID
    letters = relabellings_of(number)[:, part.letters]  # (k, r, S)
    codes = site_codes(letters, part.elements)
    ordered = np.sort(codes, axis=2)
    smallest = ordered[lexicographic_minimum(ordered), np.arange(len(part.owner))]
    operation, row = np.nonzero((ordered == smallest).all(axis=2) | any_letters)
    order = np.argsort(codes[operation, row], axis=1, kind="stable")
    points = part.points[row] @ linear[operation].transpose(0, 2, 1) + translation[operation][:, None]
    points = np.take_along_axis(points, order[..., None], axis=1)
    genes = from_codes(np.full(len(row), number, np.int16), ordered[operation, row])
    basis = np.linalg.inv(linear).transpose(0, 2, 1)[operation] @ part.basis[row]
    constraints = lattice_constraints(number)
    lattice = constraints.expand(constraints.reduce(cell_parameters(basis), tolerance=_CLOSE))
    return Settled(genes, read_points(genes, points), lattice, part.owner[row])


def read_points(genes: GeneBatch, points: Floats) -> Floats:
    """Free parameters (m, S, 3) of points."""
    out = np.zeros(points.shape)
    rows, sites = np.nonzero(genes.wyckoffs >= 0)
    group, letters = genes.space_group[rows].astype(np.int64), genes.wyckoffs[rows, sites].astype(np.int64)
    for number, letter, which in by_position(group, letters):
        freedom = space_group(number).positions[letter].freedom
        if freedom:
            out[rows[which], sites[which], :freedom] = read_free(number, letter, points[rows[which], sites[which]])[0]
    return out
