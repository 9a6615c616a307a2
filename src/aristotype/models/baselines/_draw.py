"""Exchanges drawn for a block of rows, each from its own random numbers, until they give what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.models.baselines._geometry import exchanged_elements
from aristotype.models.baselines._known import KnownCrystals
from aristotype.models.baselines._options import Options
from aristotype.models.blocks import uniforms

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Balance = Callable[[GeneBatch], Bools]
"""Whether the composition of each gene (n,) is charge balanced."""
TRIES = 32
"""Draws of one row before it is given up."""
_OPTION = 0
"""Purpose of the number that decides on the option, where all tries of a row share it; tries have 1, 2, ..."""


@dataclass(frozen=True, kw_only=True)
class Products:
    """r known crystals with exchanged elements.

    Attributes:
        row: (r,) rows of the stream, ascending.
        parent: (r,) known crystals.
        kinds: (r, k) what stands for each of the parent's elements, 0 padded.
        tries: (r,) draws that the row took.
    """

    row: Ints
    parent: Ints
    kinds: Ints
    tries: Ints

    def take(self, rows: NDArray) -> Products:
        """Some of them (indices or a mask)."""
        return Products(row=self.row[rows], parent=self.parent[rows], kinds=self.kinds[rows], tries=self.tries[rows])


def draw_products(
    known: KnownCrystals, options: Options, balanced: Balance, *, seed: int, rows: Ints, fresh: bool
) -> Products:
    """Products of rows of the stream; a row whose `TRIES` draws are all rejected is left out.

    Rejected is what repeats an element or is not charge balanced.

    Args:
        known: n crystals.
        options: what the conditions leave possible.
        balanced: the rule of charge balance.
        seed: of the stream.
        rows: (b,) rows of the stream.
        fresh: whether each try draws the parent again and what comes in must be new to it (ion exchange); otherwise
            all tries of a row share the parent, so that its prototype keeps its share (decoration).
    """
    pending, parts = rows, []
    for attempt in range(1, TRIES + 1):
        numbers = uniforms(seed, pending, attempt, 1 + options.places.shape[1])
        pick = numbers[:, 0] if fresh else uniforms(seed, pending, _OPTION, 1)[:, 0]
        chosen = _pick(options.cumulative[None], pick)
        parent, kinds = options.parent[chosen], _exchanged(known, options, chosen, numbers[:, 1:])
        good = _distinct(kinds)
        if fresh:
            good &= _new_to(known.kinds[parent], kinds)
        index = np.flatnonzero(good)
        few = known.genes.take(parent[index])
        elements = exchanged_elements(known, parent[index], kinds[index])
        passed = balanced(GeneBatch(space_group=few.space_group, elements=elements, wyckoffs=few.wyckoffs))
        good[index[~passed]] = False
        tries = np.full(len(pending), attempt)
        parts.append(Products(row=pending, parent=parent, kinds=kinds, tries=tries).take(good))
        pending = pending[~good]
        if not len(pending):
            break
    row = np.concatenate([part.row for part in parts])
    order = np.argsort(row)
    return Products(
        row=row[order],
        parent=np.concatenate([part.parent for part in parts])[order],
        kinds=np.concatenate([part.kinds for part in parts])[order],
        tries=np.concatenate([part.tries for part in parts])[order],
    )


def _pick(cumulative: NDArray[np.float64], numbers: NDArray[np.float64]) -> Ints:
    """(n,) columns drawn from running sums (n or 1, m) with numbers (n,) in [0, 1); none of weight zero."""
    total = cumulative[:, -1]
    below = np.minimum(numbers * total, np.nextafter(total, 0.0))
    if len(cumulative) == 1:
        return np.searchsorted(cumulative[0], below, side="right")
    return (cumulative <= below[:, None]).sum(axis=1)


def _exchanged(known: KnownCrystals, options: Options, chosen: Ints, numbers: NDArray[np.float64]) -> Ints:
    """(n, k) elements of the parents of options (n,), those at the options' places exchanged."""
    kinds = known.kinds[options.parent[chosen]]
    out = kinds.copy()
    for column in range(options.places.shape[1]):
        rows = np.flatnonzero(options.places[chosen, column] >= 0)
        place, new = options.places[chosen[rows], column], options.forced[chosen[rows], column]
        free = new == 0
        old = kinds[rows[free], place[free]]
        if len(old):
            new = new.copy()
            new[free] = _pick(options.table[old], numbers[rows[free], column])
        out[rows, place] = new
    return out


def _distinct(kinds: Ints) -> Bools:
    """(n,) whether no element comes twice."""
    ordered = np.sort(kinds, axis=1)
    return ~((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)).any(axis=1)


def _new_to(parent: Ints, kinds: Ints) -> Bools:
    """(n,) whether nothing that came in was in the parent."""
    among = (kinds[:, :, None] == parent[:, None, :]).any(axis=2)
    return ~((kinds != parent) & among).any(axis=1)
