"""Crystals of polar groups with their origin on one of their sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks._images import image_maps, is_polar, pinned_axes
from aristotype.symmetry import GRID

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch, Settled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SAME = 1e-6
"""Parameters closer than this are the same number in two descriptions."""


def with_anchors(settled: Settled) -> tuple[Ints, Floats]:
    """Each description with its origin on each image of each site of its first kind; as it is where nothing floats.

    Returns:
        which description (d,), and parameters (d, S, 3), in polar groups the site on the origin first.
    """
    genes, free = settled.genes, settled.free
    polar = is_polar(genes.space_group)
    rows, frees = [np.flatnonzero(~polar)], [free[~polar]]
    kind = (genes.wyckoffs == genes.wyckoffs[:, :1]) & (genes.elements == genes.elements[:, :1])
    for number in np.unique(genes.space_group[polar]).tolist():
        here = np.flatnonzero(genes.space_group == number)
        for letter in np.unique(genes.wyckoffs[here, 0]).tolist():
            mine = here[genes.wyckoffs[here, 0] == letter]
            which, site = np.nonzero(kind[mine])
            place, image = apart_along_axes(number, letter, free[mine[which], site])
            row, site = mine[which[place]], site[place]
            pinned = np.array(pinned_axes(number, letter), bool)
            moved = _moved(genes.take(row), free[row], number, image[:, pinned])
            image[:, pinned] = 0.0
            moved[np.arange(len(row)), site] = np.pad(image, ((0, 0), (0, 3 - image.shape[1])))
            order = np.argsort(np.arange(free.shape[1]) != site[:, None], axis=1, kind="stable")
            rows.append(row)
            frees.append(np.take_along_axis(moved, order[..., None], axis=1))
    return np.concatenate(rows), np.concatenate(frees)


def apart_along_axes(number: int, letter: int, free: Floats) -> tuple[Ints, Floats]:
    """The images of sites (n, 3) that differ along polar axes: which site (q,), and parameters (q, freedom)."""
    maps, pinned = image_maps(number, letter), np.array(pinned_axes(number, letter), bool)
    images = (np.einsum("mij,nj->nmi", maps.linear, free[:, : len(pinned)]) + maps.shift / GRID) % 1.0
    steps = np.rint(images[..., pinned] / _SAME).astype(np.int64) % round(1.0 / _SAME)
    site = np.repeat(np.arange(len(free)), len(maps.linear))
    _, first = np.unique(np.column_stack([site, steps.reshape(len(site), -1)]), axis=0, return_index=True)
    return site[first], images.reshape(len(site), -1)[first]


def _moved(genes: GeneBatch, free: Floats, number: int, shift: Floats) -> Floats:
    """Free parameters with the origin moved by `shift` (q, polar axes) along the polar axes."""
    out = free.copy()
    for letter in np.unique(genes.wyckoffs[genes.wyckoffs >= 0]).tolist():
        pinned = np.flatnonzero(pinned_axes(number, letter))  # in the order of the polar axes, as all positions have
        row, site = np.nonzero(genes.wyckoffs == letter)
        out[row[:, None], site[:, None], pinned] = (out[row[:, None], site[:, None], pinned] - shift[row]) % 1.0
    return out


def distinct_descriptions(genes: GeneBatch, free: Floats, lattice: Floats, owner: Ints) -> Ints:
    """Places of different descriptions, crystal after crystal."""
    parts = [
        owner[:, None],
        genes.wyckoffs.astype(np.int64),
        genes.elements.astype(np.int64),
        np.rint(lattice / _SAME).astype(np.int64),
        (np.rint(free / _SAME).astype(np.int64) % round(1.0 / _SAME)).reshape(len(owner), 3 * free.shape[1]),
    ]
    return np.unique(np.concatenate(parts, axis=1), axis=0, return_index=True)[1]
