"""Crystals as the sequences in which a model writes them: what training draws from, and what a score sums over."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, settled_descriptions
from aristotype.models.blocks import boxed, distinct_descriptions, image_maps, with_anchors
from aristotype.models.crystalformer._order import by_support, in_run, last_axes
from aristotype.models.crystalformer._support import BINS, bins_of, offsets_of, support
from aristotype.symmetry import GRID, space_group

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SAME = 1e-6
"""Parameters closer than this are the same number in two descriptions."""
_ROWS = 5_000
"""Crystals worked on at once, to bound memory."""
_WEIGHTS = np.array([BINS**2, BINS, 1])


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """m sequences of up to S sites: a setting of a gene, a cell and free parameters.

    Sites stand by letter and element; those with the same of both by the bins of their parameters, and by the last
    parameter where all bins are the same; but for the site that holds the origin of a polar group, which is the first.
    """

    genes: GeneBatch  # (m,) sorted, each the description that stands for its setting, if not all were asked for
    free: NDArray[np.float64]  # (m, S, 3) 0 beyond the freedom of a site
    cell: NDArray[np.float64]  # (m, 6) points of the box
    acute: NDArray[np.bool_]  # (m,)
    log_measure: NDArray[np.float64]  # (m,) from a density over the box to one over cell parameters
    owner: NDArray[np.int64]  # (m,) which crystal it describes
    cut: NDArray[np.bool_]  # (m,) whether its crystal has more sequences than are here

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, rows: NDArray[np.int64]) -> Sequences:
        """Some of them."""
        return Sequences(
            genes=self.genes.take(rows),
            free=self.free[rows],
            cell=self.cell[rows],
            acute=self.acute[rows],
            log_measure=self.log_measure[rows],
            owner=self.owner[rows],
            cut=self.cut[rows],
        )


def first_of_each(sequences: Sequences) -> Sequences:
    """The first sequence of each crystal."""
    return sequences.take(np.unique(sequences.owner, return_index=True)[1])


MOST = 4096
"""Sequences of a crystal that are summed over; with more of them a score is a lower bound."""


def sequences_of(table: CrystalTable, *, any_letters: bool = False) -> Sequences:
    """The sequences, at most `MOST` each, of the crystals of a table, in the order of its rows.

    Args:
        table: n crystals.
        any_letters: also those by letters that do not stand for their setting: for a model that writes letters freely.

    Raises:
        TableError: a row is a gene.
        SymmetryError: a cell is so flat that its reduction does not end.
    """
    starts = range(0, max(1, len(table)), _ROWS)
    parts = [_of_part(table[start : start + _ROWS], start, any_letters) for start in starts]
    width = max(part.free.shape[1] for part in parts)
    free = [np.pad(part.free, ((0, 0), (0, width - part.free.shape[1]), (0, 0))) for part in parts]
    return Sequences(
        genes=GeneBatch.concatenate([part.genes for part in parts]),
        free=np.concatenate(free),
        cell=np.concatenate([part.cell for part in parts]),
        acute=np.concatenate([part.acute for part in parts]),
        log_measure=np.concatenate([part.log_measure for part in parts]),
        owner=np.concatenate([part.owner for part in parts]),
        cut=np.concatenate([part.cut for part in parts]),
    )


def _of_part(table: CrystalTable, start: int, any_letters: bool) -> Sequences:
    """Those of some rows, the first of which is number `start`."""
    settled = settled_descriptions(table, any_letters=any_letters)
    description, free = with_anchors(settled)
    genes = settled.genes.take(description)  # the site on the origin is one of the first kind: letters stay as they are
    draft, free, cut = _with_images(genes, free, settled.owner[description])
    genes, description = genes.take(draft), description[draft]
    free = _in_order(genes, free)
    lattice = settled.lattice[description]
    cell, acute, measure = boxed(genes.space_group, lattice, genes.multiplicities.sum(axis=1))
    owner = settled.owner[description]
    kept = distinct_descriptions(genes, free, lattice, owner)
    return Sequences(
        genes=genes.take(kept),
        free=free[kept],
        cell=cell[kept],
        acute=acute[kept],
        log_measure=measure[kept],
        owner=owner[kept] + start,
        cut=cut[owner[kept]],
    )


def _with_images(genes: GeneBatch, free: Floats, owner: Ints) -> tuple[Ints, Floats, NDArray[np.bool_]]:
    """All choices of an image in the support for each site, up to `MOST` a crystal.

    Returns:
        drafts (q,), parameters (q, S, 3), and which crystals have more.
    """
    chosen: dict[tuple[int, int], Floats] = {}
    out, count = free.copy(), np.ones(free.shape[:2], np.int64)
    for row, site, (number, letter, anchored) in by_support(genes):
        images, inside = images_in_support(number, letter, anchored, free[row, site])
        found = inside.sum(axis=1)
        out[row, site] = images[np.arange(len(row)), inside.argmax(axis=1)]
        for place in np.flatnonzero(found > 1).tolist():
            several = images[place, inside[place]]
            several = several[np.unique(np.rint(several / _SAME).astype(np.int64), axis=0, return_index=True)[1]]
            chosen[int(row[place]), int(site[place])] = several
            count[row[place], site[place]] = len(several)
    single = (count == 1).all(axis=1)
    rows, frees = [np.flatnonzero(single)], [out[single]]
    room = np.full(int(owner.max(initial=-1)) + 1, MOST)
    cut = np.zeros(len(room), bool)
    np.subtract.at(room, owner[single], 1)
    for draft in np.flatnonzero(~single).tolist():
        sites = np.flatnonzero(count[draft] > 1)
        picks = islice(product(*[chosen[draft, place] for place in sites.tolist()]), max(0, int(room[owner[draft]])))
        several = np.array(list(picks)).reshape(-1, len(sites), 3)
        cut[owner[draft]] |= len(several) < count[draft].prod(dtype=np.float64)
        room[owner[draft]] -= len(several)
        every = np.tile(out[draft], (len(several), 1, 1))
        every[:, sites] = several
        rows.append(np.full(len(several), draft))
        frees.append(every)
    return np.concatenate(rows), np.concatenate(frees), cut


def images_in_support(number: int, letter: int, anchored: bool, free: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """All images (q, m, 3) of sites, padded by 0, and which of them (q, m) lie in the support."""
    freedom = space_group(number).positions[letter].freedom
    maps = image_maps(number, letter, anchored)
    images = np.zeros((len(free), len(maps.linear), 3))
    moved = np.einsum("mij,nj->nmi", maps.linear, free[:, :freedom]) + maps.shift / GRID
    images[..., :freedom] = moved % 1.0
    return images, support(number, letter, anchored).third[tuple(np.moveaxis(bins_of(images), 2, 0))]


def _in_order(genes: GeneBatch, free: Floats) -> Floats:
    """Parameters with sites of one kind in the order of their bins, then of their last parameter."""
    place = np.arange(genes.wyckoffs.shape[1])
    same = in_run(genes)
    run = np.cumsum(~same, axis=1)  # sites of one kind that may change places
    codes = bins_of(free) @ _WEIGHTS
    last = np.take_along_axis(offsets_of(free), last_axes(genes)[..., None], axis=2)[..., 0]
    order = np.lexsort((np.broadcast_to(place, run.shape), last, codes, run), axis=1)
    return np.take_along_axis(free, order[..., None], axis=1)
