"""Crystals in the letters that a gene is written with: what a model draws in its own setting, as it was asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal._genes import GeneBatch, site_codes
from aristotype.crystal._reduce import small_changes
from aristotype.crystal._settled import padded_free, points_of, read_points
from aristotype.crystal._transform import letter_map
from aristotype.errors import TableError
from aristotype.symmetry import GRID, cell_matrix, cell_parameters, lattice_constraints, space_group

if TYPE_CHECKING:
    from aristotype.crystal._table import CrystalTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LONGER = 1e-6
"""Cells whose squared lengths differ by less, relatively, are equally short."""


class _Operations(NamedTuple):
    """Operations of the affine normalizer of a group, at least one for each relabelling."""

    linear: NDArray[np.int64]  # (k, 3, 3)
    translation: NDArray[np.int64]  # (k, 3) in 24ths
    letters: NDArray[np.int8]  # (k, positions) where each letter goes
    proper: NDArray[np.bool_]  # (k,)

    def take(self, rows: Ints) -> _Operations:
        """Some of them."""
        return _Operations(self.linear[rows], self.translation[rows], self.letters[rows], self.proper[rows])


def described_as(table: CrystalTable, genes: GeneBatch) -> CrystalTable:
    """The same crystals in descriptions that have the sites of given genes, in their order.

    Of several such descriptions one with the shortest cell is taken. Where only a change of hand leads to the letters,
    the crystal is exchanged for its mirror image (genes do not tell hands apart, see `gene_keys`).

    Args:
        table: n crystals.
        genes: (n,) each a description of the gene of its crystal.

    Returns:
        the table with other letters, free parameters and cells.

    Raises:
        TableError: a row is a gene, or has another gene than the one given.
    """
    table.check_geometry()
    own = table.genes()
    if len(own) != len(genes):
        raise TableError(f"{len(own)} crystals for {len(genes)} genes; give one for each")
    points, cells = points_of(own, padded_free(table, own)), cell_matrix(table.lattice)
    out, lattice = np.zeros((*genes.wyckoffs.shape, 3)), np.zeros((len(genes), 6))
    for rows in _alike(own, genes):
        first, count = int(rows[0]), int(genes.num_sites[rows[0]])
        places = _places(own.take(rows[:1]), genes.take(rows[:1]))
        if places is None:
            raise TableError(
                f"crystal {table.ids[first]!r} does not have the gene that it is to be described as; compare gene_keys"
            )
        operations, sites = places
        linear = operations.linear
        bases = np.linalg.inv(linear).transpose(0, 2, 1) @ cells[rows][:, None]  # (r, k, 3, 3)
        squares = np.square(bases).sum(axis=(2, 3))
        chosen = (squares <= squares.min(axis=1, keepdims=True) * (1.0 + _LONGER)).argmax(axis=1)
        moved = np.einsum("rij,rsj->rsi", linear[chosen].astype(float), points[rows][:, :count])
        moved += operations.translation[chosen][:, None] / GRID
        out[rows, :count] = np.take_along_axis(moved, sites[chosen][..., None], axis=1)
        constraints = lattice_constraints(int(genes.space_group[first]))
        found = cell_parameters(bases[np.arange(len(rows)), chosen])
        lattice[rows] = constraints.expand(constraints.reduce(found, tolerance=1e-3))
    return _with(table, genes, read_points(genes, out), lattice)


def _alike(own: GeneBatch, genes: GeneBatch) -> list[Ints]:
    """Rows with the same sites before and after."""
    codes = [site_codes(batch.wyckoffs, batch.elements) for batch in (own, genes)]
    kinds = np.column_stack([genes.space_group, own.space_group, *codes])
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    order = np.argsort(kind.reshape(-1), kind="stable")
    return np.split(order, np.flatnonzero(np.diff(kind.reshape(-1)[order])) + 1) if len(order) else []


def _places(own: GeneBatch, genes: GeneBatch) -> tuple[_Operations, Ints] | None:
    """The operations between two descriptions of a gene, and for each which site (k, S) comes to each place."""
    count, number = int(own.num_sites[0]), int(own.space_group[0])
    if number != genes.space_group[0] or count != genes.num_sites[0]:
        return None
    letters, elements = genes.wyckoffs[0, :count], genes.elements[0, :count]
    every = _operations(number)
    codes = site_codes(every.letters[:, own.wyckoffs[0, :count]], own.elements[0, :count])
    wanted = site_codes(letters, elements)
    fits = np.flatnonzero((np.sort(codes, axis=1) == np.sort(wanted)).all(axis=1))
    if not len(fits):
        return None
    proper = fits[every.proper[fits]]
    fits = proper if len(proper) else fits
    _, first = np.unique(every.linear[fits].reshape(len(fits), 9), axis=0, return_index=True)
    fits = fits[np.sort(first)]  # one translation is enough: no cell depends on it
    sites = np.empty((len(fits), count), np.int64)
    sites[:, np.argsort(wanted, kind="stable")] = np.argsort(codes[fits], axis=1, kind="stable")
    return every.take(fits), sites


@cache
def _operations(number: int) -> _Operations:
    """A change of cell, then one of the normalizer."""
    changes = small_changes(number)
    normalizer = space_group(number).normalizer
    linear, translation, letters = [], [], []
    maps = [
        letter_map(number, matrix.tobytes(), (shift % GRID).tobytes())
        for matrix, shift in zip(normalizer.linear, normalizer.translation, strict=True)
    ]
    known: dict[bytes, Ints] = {}
    for change in changes:
        # Changes that agree modulo 2 (4) do the same to letters: coordinates of triclinic (monoclinic) positions are
        # multiples of 1/2 (1/4).
        key = (change.linear % (2 if number <= 2 else 4)).tobytes() + (change.translation % GRID).tobytes()
        if key not in known:
            known[key] = letter_map(number, change.linear.tobytes(), (change.translation % GRID).tobytes())
        linear.append(normalizer.linear @ change.linear)
        translation.append(change.translation @ normalizer.linear.transpose(0, 2, 1) + normalizer.translation)
        letters.append(np.array(maps)[:, known[key]])
    matrices = np.concatenate(linear)
    return _Operations(
        linear=matrices,
        translation=np.concatenate(translation) % GRID,
        letters=np.concatenate(letters).astype(np.int8),
        proper=np.rint(np.linalg.det(matrices)) == 1,
    )


def _with(table: CrystalTable, genes: GeneBatch, free: Floats, lattice: Floats) -> CrystalTable:
    """The rows with other sites and cells."""
    occupied, counts = genes.wyckoffs >= 0, genes.num_sites
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    freedom = genes.freedoms
    totals = np.where(occupied, freedom, 0).sum(axis=1)
    return table.with_columns(
        elements=pa.ListArray.from_arrays(ends, pa.array(genes.elements[occupied], pa.int8())),
        wyckoffs=pa.ListArray.from_arrays(ends, pa.array(genes.wyckoffs[occupied], pa.int8())),
        free=pa.ListArray.from_arrays(
            np.concatenate([[0], np.cumsum(totals)]).astype(np.int32),
            pa.array(free[np.arange(3) < np.where(occupied, freedom, 0)[..., None]]),
        ),
        lattice=pa.FixedSizeListArray.from_arrays(pa.array(lattice.reshape(-1)), 6),
    )
