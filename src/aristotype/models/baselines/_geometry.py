"""Crystals whose elements were exchanged: the geometry of the parent in a cell of the volume of the new elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable
from aristotype.models.baselines._known import KnownCrystals
from aristotype.symmetry import tables

Ints = NDArray[np.int64]


def exchanged_elements(known: KnownCrystals, parents: Ints, kinds: Ints) -> NDArray[np.int8]:
    """(r, S) elements of each site of the parents, their elements being replaced.

    Args:
        known: n crystals.
        parents: (r,) rows.
        kinds: (r, k) what stands for each of `known.kinds[parents]`.
    """
    new = np.zeros((len(parents), 128), np.int64)
    np.put_along_axis(new, known.kinds[parents], kinds, axis=1)
    new[:, 0] = 0
    return np.take_along_axis(new, known.genes.elements[parents].astype(np.int64), axis=1).astype(np.int8)


def exchanged_crystals(known: KnownCrystals, parents: Ints, kinds: Ints, ids: Sequence[str]) -> CrystalTable:
    """The parents with other elements: same group, positions and free parameters, all lengths scaled by one factor.

    The cube of that factor is the ratio of the sums of elemental volumes. Sites come in canonical order.

    Args:
        known: n crystals.
        parents: (r,) rows, repeated as often as wanted.
        kinds: (r, k) what stands for each of `known.kinds[parents]`.
        ids: r names.
    """
    genes = known.genes.take(parents)
    elements = exchanged_elements(known, parents, kinds)
    there = genes.wyckoffs >= 0
    atoms = genes.multiplicities
    new, old = (np.where(there, known.volumes[e] * atoms, 0.0).sum(axis=1) for e in (elements, genes.elements))
    lattice = known.table.lattice[parents]
    lattice[:, :3] *= np.cbrt(new / old)[:, None]
    freedom = tables().padded("freedom").astype(np.int64)[genes.space_group[:, None], genes.wyckoffs]
    freedom = np.where(there, freedom, 0)
    flat, lengths = known.table.ragged("free")
    begin = (np.cumsum(lengths) - lengths)[parents][:, None] + np.cumsum(freedom, axis=1) - freedom
    letters = np.where(there, genes.wyckoffs.astype(np.int64), 128)
    order = np.argsort(letters * 128 + elements, axis=1, kind="stable")
    there = np.take_along_axis(there, order, axis=1)
    count, start = (np.take_along_axis(array, order, axis=1)[there] for array in (freedom, begin))
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return CrystalTable.from_arrays(
        space_group=genes.space_group,
        num_sites=there.sum(axis=1),
        elements=np.take_along_axis(elements, order, axis=1)[there],
        wyckoffs=np.take_along_axis(genes.wyckoffs, order, axis=1)[there],
        free=flat[np.repeat(start, count) + within],
        lattice=lattice,
        ids=ids,
    )
