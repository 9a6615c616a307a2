"""Which parameters of a sequence are written, and which sites stand in an order of their own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import is_polar, pinned_axes
from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, space_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.crystal import GeneBatch

Ints = NDArray[np.int64]


def last_axes(genes: GeneBatch) -> NDArray[np.int64]:
    """(n, S) the last parameter of each site, which decides the order of sites with the same bins."""
    return np.maximum(0, genes.freedoms - 1)


def last_written(written: NDArray[np.bool_]) -> Ints:
    """(n, S) the last parameter (n, S, 3) of each site that is written, -1 where none is."""
    return np.where(written, np.arange(3), -1).max(axis=2)


def written_axes(genes: GeneBatch) -> NDArray[np.bool_]:
    """(n, S, 3) which parameters of each site are written."""
    out = np.arange(3) < genes.freedoms[..., None]
    polar = np.flatnonzero(is_polar(genes.space_group))
    out[polar, 0] &= ~_pinned()[genes.space_group[polar].astype(np.int64), genes.wyckoffs[polar, 0]]
    return out


@cache
def _pinned() -> NDArray[np.bool_]:
    """(231, 27, 3) `pinned_axes` of all positions."""
    out = np.zeros((NUM_GROUPS + 1, MAX_POSITIONS, 3), bool)
    for number in range(1, NUM_GROUPS + 1):
        for position in space_group(number).positions:
            out[number, position.index, : position.freedom] = pinned_axes(number, position.index)
    return out


def in_run(genes: GeneBatch) -> NDArray[np.bool_]:
    """(n, S) whether a site follows one of its kind, so that its bins may not be smaller."""
    out = np.zeros(genes.wyckoffs.shape, bool)
    same = (genes.wyckoffs[:, 1:] == genes.wyckoffs[:, :-1]) & (genes.elements[:, 1:] == genes.elements[:, :-1])
    out[:, 1:] = same & (genes.wyckoffs[:, 1:] >= 0)
    out[is_polar(genes.space_group), 1:2] = False  # the site before it holds the origin, out of order
    return out


def by_support(genes: GeneBatch) -> Iterator[tuple[Ints, Ints, tuple[int, int, bool]]]:
    """Rows and places of sites that share a support, with its group, letter and whether the site holds the origin."""
    rows, sites = np.nonzero(genes.wyckoffs >= 0)
    if not len(rows):
        return
    number = genes.space_group[rows].astype(np.int64)
    letter = genes.wyckoffs[rows, sites].astype(np.int64)
    anchored = is_polar(genes.space_group)[rows] & (sites == 0)
    kind = (number * 32 + letter) * 2 + anchored
    order = np.argsort(kind, kind="stable")
    kinds, starts = np.unique(kind[order], return_index=True)
    for each, part in zip(kinds.tolist(), np.split(order, starts[1:]), strict=True):
        yield rows[part], sites[part], (each // 64, each // 2 % 32, bool(each % 2))
