"""Sequences as the arrays that the network reads: bins, offsets, supports, structure factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, from_box
from aristotype.models.blocks import NUM_FEATURES, site_features
from aristotype.models.crystalformer._order import (
    by_support,
    in_run,
    last_axes,
    last_written,
    written_axes,
)
from aristotype.models.crystalformer._overlap import Placed
from aristotype.models.crystalformer._sequences import Sequences
from aristotype.models.crystalformer._support import BINS, bins_of, offsets_of, support
from aristotype.symmetry import space_group

if TYPE_CHECKING:
    pass

Ints = NDArray[np.int64]
CELL_FEATURES = 12


class Arrays(NamedTuple):
    """Arrays of m sequences of up to S sites; see `Places`."""

    bins: NDArray[np.int8]  # (m, S, 3)
    offsets: NDArray[np.float64]  # (m, S, 3)
    written: NDArray[np.bool_]  # (m, S, 3)
    allowed: NDArray[np.bool_]  # (m, S, 3, BINS)
    least: NDArray[np.float64]  # (m, S, 3)
    placed: NDArray[np.float32]  # (m, S, 136)
    room: NDArray[np.float32]  # (m, S, BINS)
    cell_features: NDArray[np.float32]  # (m, 12)


def arrays_of(sequences: Sequences) -> Arrays:
    """The arrays of some sequences."""
    genes = sequences.genes
    written = written_axes(genes)
    bins = np.where(written, bins_of(sequences.free), 0)
    offsets = np.where(written, offsets_of(sequences.free), 0.0)
    return Arrays(
        bins=bins.astype(np.int8),
        offsets=offsets,
        written=written,
        allowed=allowed_bins(genes, bins),
        least=least_offsets(genes, bins, offsets),
        placed=placed_features(genes, sequences.free),
        room=room_along(genes, sequences, written),
        cell_features=cell_features(genes, sequences.cell, sequences.acute),
    )


def allowed_bins(genes: GeneBatch, bins: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, S, 3, BINS) which bins may be written at each axis, given the bins (n, S, 3) before it."""
    out = np.zeros((*bins.shape, BINS), bool)
    for rows, sites, (number, letter, anchored) in by_support(genes):
        first, second, third = support(number, letter, anchored)
        here = bins[rows, sites]
        out[rows, sites, 0] = first
        out[rows, sites, 1] = second[here[:, 0]]
        out[rows, sites, 2] = third[here[:, 0], here[:, 1]]
    rows, sites = np.nonzero(in_run(genes))
    out[rows, sites] &= not_before(bins[rows, sites], bins[rows, sites - 1])
    return out


def least_offsets(genes: GeneBatch, bins: NDArray[np.int64], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, S, 3) the smallest offset that may be written: that of the site before, where all bins are the same."""
    out = np.full(bins.shape, -0.5)
    rows, sites = np.nonzero(in_run(genes))
    tied = (bins[rows, sites] == bins[rows, sites - 1]).all(axis=1)
    rows, sites = rows[tied], sites[tied]
    axis = last_axes(genes)[rows, sites]
    out[rows, sites, axis] = offsets[rows, sites - 1, axis]
    return out


def not_before(bins: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(k, 3, BINS) which bins of each axis do not put a site before the `last` one (k, 3) of its kind."""
    tied = np.ones((len(bins), 3), bool)
    tied[:, 1:] = np.cumprod(bins[:, :2] == last[:, :2], axis=1).astype(bool)
    return ~tied[..., None] | (np.arange(BINS) >= last[..., None])


def placed_features(genes: GeneBatch, free: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n, S, 136) structure factors of the sites for their free parameters (n, S, 3)."""
    out = np.zeros((*genes.wyckoffs.shape, NUM_FEATURES), np.float32)
    for rows, sites, (number, letter, _) in by_support(genes):
        freedom = space_group(number).positions[letter].freedom
        out[rows, sites] = site_features(number, letter, free[rows, sites, :freedom])
    return out


def room_along(genes: GeneBatch, sequences: Sequences, written: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n, S, BINS) how close a site would come to what is there, by the bin of its last parameter.

    What is there: sites without freedom, and those before it.
    """
    out = np.zeros((*genes.wyckoffs.shape, BINS), np.float32)
    freedom, last = genes.freedoms, last_written(written)
    placed = Placed(genes, lattices(genes, sequences.cell, sequences.acute))
    placed.put_fixed(freedom)
    for site in range(genes.wyckoffs.shape[1]):
        rows = np.flatnonzero(last[:, site] >= 0)
        out[rows, site] = placed.along(rows, site, sequences.free[rows, site], last[rows, site])
        rows = np.flatnonzero(freedom[:, site] > 0)
        placed.put(rows, site, sequences.free[rows, site])
    return out


def lattices(genes: GeneBatch, cell: NDArray[np.float64], acute: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, 6) cells in Angstrom and degrees from points of the box."""
    out = np.zeros((len(cell), 6))
    atoms = genes.multiplicities.sum(axis=1)
    for number in np.unique(genes.space_group).tolist():
        rows = np.flatnonzero(genes.space_group == number)
        out[rows] = from_box(number, cell[rows], acute[rows], atoms[rows])
    return out


def cell_features(genes: GeneBatch, cell: NDArray[np.float64], acute: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n, 12) what sites are told about the cell: its coordinates, log-lengths and cosines."""
    out = np.zeros((len(cell), CELL_FEATURES), np.float32)
    out[:, :6] = cell
    out[:, 0] -= 2.9
    cells = lattices(genes, cell, acute)
    out[:, 6:9] = np.log(cells[:, :3]) - 1.8
    out[:, 9:] = np.cos(np.radians(cells[:, 3:]))
    return out
