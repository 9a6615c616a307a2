"""Crystals as the sequences in which a model writes them: what training draws from, and what a score sums over."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, crystal_equivalents, setting_of, to_box
from aristotype.models.crystalformer._support import BINS, bins_of, image_maps, offsets_of, pinned_axes, support
from aristotype.symmetry import GRID, space_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.crystal import Crystal

Floats = NDArray[np.float64]
_ORIGIN = 1e-5
"""A coordinate along a polar axis nearer to 0 than this is on the origin."""
_WEIGHTS = np.array([BINS**2, BINS, 1])


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """m sequences of up to S sites: a setting of a gene, a cell and free parameters.

    Sites stand by letter and element; those with the same of both by the bins of their parameters, and by the last
    parameter where all bins are the same; but for the site that holds the origin of a polar group, which is the first.
    """

    genes: GeneBatch  # (m,) sorted, each the description that stands for its setting
    free: NDArray[np.float64]  # (m, S, 3) 0 beyond the freedom of a site
    cell: NDArray[np.float64]  # (m, 6) points of the box
    acute: NDArray[np.bool_]  # (m,)
    log_measure: NDArray[np.float64]  # (m,) from a density over the box to one over cell parameters
    owner: NDArray[np.int64]  # (m,) which crystal it describes

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
        )


MOST = 4096
"""Sequences of a crystal that are summed over; with more of them a score is a lower bound."""


def sequences_of(crystals: list[Crystal]) -> Sequences:
    """The sequences, at most `MOST` each, that give some crystals (rows with geometry)."""
    free: list[Floats] = []
    cells: list[Crystal] = []
    owner: list[int] = []
    for row, crystal in enumerate(crystals):
        described = crystal_equivalents(crystal)
        found = GeneBatch.from_lists(
            [c.space_group for c in described], [c.elements for c in described], [c.wyckoffs for c in described]
        )
        smallest = setting_of(found)
        kept = (smallest.wyckoffs == found.wyckoffs).all(axis=1) & (smallest.elements == found.elements).all(axis=1)
        taken = 0
        for index in np.flatnonzero(kept):
            for sites in _written(described[index]):
                if taken == MOST:
                    break
                free.append(sites)
                cells.append(described[index])
                owner.append(row)
                taken += 1
    return _gathered(cells, free, owner)


def _gathered(cells: list[Crystal], free: list[Floats], owner: list[int]) -> Sequences:
    """Sequences from descriptions, the free parameters (S, 3) of their sites, and the crystals they are of."""
    batch = GeneBatch.from_lists(
        [c.space_group for c in cells], [c.elements for c in cells], [c.wyckoffs for c in cells]
    )
    padded = np.zeros((len(free), batch.wyckoffs.shape[1], 3))
    for row, sites in enumerate(free):
        padded[row, : len(sites)] = sites
    cell, acute, measure = np.zeros((len(cells), 6)), np.zeros(len(cells), bool), np.zeros(len(cells))
    atoms = batch.multiplicities.sum(axis=1)
    lattice = np.array([c.lattice for c in cells]).reshape(-1, 6)
    for number in np.unique(batch.space_group).tolist():
        rows = np.flatnonzero(batch.space_group == number)
        boxed = to_box(number, lattice[rows], atoms[rows])
        cell[rows], acute[rows], measure[rows] = boxed
    return Sequences(
        genes=batch, free=padded, cell=cell, acute=acute, log_measure=measure, owner=np.array(owner, np.int64)
    )


def _written(crystal: Crystal) -> Iterator[Floats]:
    """The free parameters (S, 3) of every sequence that writes this description of a crystal, sites sorted."""
    number = crystal.space_group
    kinds = list(zip(crystal.wyckoffs, crystal.elements, strict=True))
    site_free = [np.array(free) for free in crystal.site_free]
    if not any(space_group(number).polar_axes):
        images = [_images(number, kind[0], free, False) for kind, free in zip(kinds, site_free, strict=True)]
        yield from _ordered(number, kinds, images, 0)
        return
    seen: list[Floats] = []
    for anchor in range(kinds.count(kinds[0])):
        letter = kinds[anchor][0]
        pinned = np.array(pinned_axes(number, letter), bool)
        for start in _on_origin(number, letter, site_free[anchor], pinned):
            rest = [site for site in range(len(kinds)) if site != anchor]
            images = [_images(number, letter, start, True)]
            images += [_images(number, kinds[site][0], site_free[site], False) for site in rest]
            for sites in _ordered(number, [kinds[site] for site in (anchor, *rest)], images, 1):
                if all(np.abs((sites - other + 0.5) % 1.0 - 0.5).max() > 1e-7 for other in seen):
                    seen.append(sites)
                    yield sites


def _on_origin(number: int, letter: int, free: Floats, pinned: NDArray[np.bool_]) -> list[Floats]:
    """An image of a site with its polar coordinates on the origin, if there is one."""
    maps = image_maps(number, letter)
    images = maps.linear @ free + maps.shift / GRID
    off = np.abs(images[:, pinned] - np.rint(images[:, pinned])).max(axis=1, initial=0.0)
    rows = np.flatnonzero(off < _ORIGIN)[:1]
    return [np.where(pinned, 0.0, images[row] % 1.0) for row in rows]


def _images(number: int, letter: int, free: Floats, anchored: bool) -> Floats:
    """The images (k, 3) of a site that lie in the support, padded by 0."""
    freedom = len(free)
    maps = image_maps(number, letter, anchored)
    images = np.zeros((len(maps.linear), 3))
    images[:, :freedom] = (maps.linear @ free + maps.shift / GRID) % 1.0
    bins = bins_of(images)
    inside = images[support(number, letter, anchored).third[tuple(bins.T)]]
    _, first = np.unique(np.round(inside, 8) % 1.0, axis=0, return_index=True)
    return inside[first]


def _ordered(number: int, kinds: list[tuple[int, int]], images: list[Floats], fixed: int) -> Iterator[Floats]:
    """All choices of an image for each site, those of a kind in order.

    Args:
        number: space group.
        kinds: letter and element of each site, sorted.
        images: (k, 3) of each site.
        fixed: sites at the start that keep their place.
    """
    kind = np.unique(np.array(kinds), axis=0, return_inverse=True)[1].reshape(-1)
    positions = space_group(number).positions
    last_axis = np.array([max(0, positions[letter].freedom - 1) for letter, _ in kinds])
    for chosen in product(*[range(len(image)) for image in images]):
        sites = np.array([image[pick] for image, pick in zip(images, chosen, strict=True)])
        codes = bins_of(sites) @ _WEIGHTS
        last = offsets_of(sites)[np.arange(len(sites)), last_axis]
        order = np.lexsort((last[fixed:], codes[fixed:], kind[fixed:])) + fixed
        yield sites[[*range(fixed), *order.tolist()]]
