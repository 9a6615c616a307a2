"""Prototypes of genes, and which element stands at which of their places.

A prototype is a gene whose elements are not named: a space group and positions, grouped into k places that hold one
element each (the template says less: it forgets which positions hold the same element). Two genes of one prototype are
compared place by place. Where a relabelling carries a prototype into itself with places exchanged, as in rock salt,
each gene fills it in several ways, and all of them are listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, permutations, product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, canonical_genes
from aristotype.errors import InputError
from aristotype.symmetry import tables

Ints = NDArray[np.int64]
MOST_ORDERS = 5040
"""Orders of its elements that are tried for one gene: seven elements on alike positions."""


@dataclass(frozen=True, kw_only=True)
class Fillings:
    """All ways in which n genes fill their prototypes."""

    prototype: Ints  # (n,) index of the prototype of each gene, 0 to number of prototypes - 1
    elements: Ints  # (f, k) atomic numbers by place, 0 where the prototype has no such place
    owner: Ints  # (f,) gene of each filling, ascending
    first: Ints  # (n,) the first filling of each gene
    count: Ints  # (n,) fillings of each gene: as many as exchanges of places that leave its prototype what it is

    @cached_property
    def gene(self) -> Ints:
        """(n,) a number for each gene, equal for equal genes: those of one prototype that share a filling."""
        order = np.lexsort([*self.elements.T[::-1], self.owner])
        smallest = self.elements[order[self.first]]  # the order keeps the owners where they were
        _, gene = np.unique(np.column_stack([self.prototype, smallest]), axis=0, return_inverse=True)
        return gene.reshape(-1)

    @staticmethod
    def of(genes: GeneBatch) -> Fillings:
        """The fillings of a batch of genes.

        Raises:
            InputError: a gene has so many elements on alike positions that its orders cannot be listed.
        """
        kinds = element_lists(genes)
        owner, order = _orders(_signatures(genes, kinds), kinds)
        filled = np.where(order >= 0, np.take_along_axis(kinds[owner], order, axis=1), 0)
        rank = np.zeros((len(owner), 128), np.int8)
        rows, places = np.nonzero(filled)
        rank[rows, filled[rows, places]] = places + 1
        expanded = genes.take(owner)
        anonymous = canonical_genes(
            GeneBatch(
                space_group=expanded.space_group,
                elements=np.take_along_axis(rank, expanded.elements.astype(np.int64), axis=1),
                wyckoffs=expanded.wyckoffs,
            )
        )
        # -1 where there is no site, so that the code alone tells how many there are.
        codes = anonymous.wyckoffs.astype(np.int64) * 128 + anonymous.elements
        _, code = np.unique(np.column_stack([anonymous.space_group, codes]), axis=0, return_inverse=True)
        code = code.reshape(-1)
        smallest = np.full(len(genes), np.iinfo(np.int64).max)
        np.minimum.at(smallest, owner, code)
        kept = code == smallest[owner]
        count = np.bincount(owner[kept], minlength=len(genes))
        _, prototype = np.unique(smallest, return_inverse=True)
        return Fillings(
            prototype=prototype.reshape(-1),
            elements=filled[kept],
            owner=owner[kept],
            first=np.cumsum(count) - count,
            count=count,
        )


def element_lists(genes: GeneBatch) -> Ints:
    """(n, k) the different elements of each gene, ascending, 0 after the last."""
    present = np.zeros((len(genes), 128), bool)
    present[np.arange(len(genes))[:, None], genes.elements] = True
    present[:, 0] = False
    rows, numbers = np.nonzero(present)
    count = present.sum(axis=1)
    out = np.zeros((len(genes), int(count.max(initial=0))), np.int64)
    out[rows, np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)] = numbers
    return out


def _signatures(genes: GeneBatch, kinds: Ints) -> Ints:
    """(n, k) a number for each element that no relabelling changes; unlike numbers cannot change places."""
    freedom = tables().padded("freedom").astype(np.int64)[genes.space_group[:, None], genes.wyckoffs]
    site = np.where(genes.wyckoffs >= 0, (4 * genes.multiplicities.astype(np.int64) + freedom + 1) ** 3, 0)
    return (site[:, None, :] * (genes.elements[:, None, :] == kinds[:, :, None])).sum(axis=2)


def _orders(signatures: Ints, kinds: Ints) -> tuple[Ints, Ints]:
    """Gene (f,) and order of its elements (f, k), -1 padded: all orders in which signatures ascend."""
    width = kinds.shape[1]
    ascending = np.argsort(np.where(kinds > 0, signatures, np.iinfo(np.int64).max), axis=1, kind="stable")
    ordered = np.take_along_axis(signatures, ascending, axis=1)
    last = (kinds > 0).sum(axis=1)
    tied = (ordered[:, 1:] == ordered[:, :-1]) & (np.arange(1, width) < last[:, None])
    patterns, which = np.unique(np.column_stack([last, tied]), axis=0, return_inverse=True)
    owners, orders = [], []
    for index, pattern in enumerate(patterns.tolist()):
        rows = np.flatnonzero(which.reshape(-1) == index)
        moved = _permutations(pattern[0], pattern[1:], int(rows[0]))
        order = np.full((len(rows), len(moved), width), -1, np.int64)
        order[:, :, : pattern[0]] = ascending[rows][:, moved]
        owners.append(np.repeat(rows, len(moved)))
        orders.append(order.reshape(-1, width))
    owner = np.concatenate([*owners, np.empty(0, np.int64)])
    sorting = np.argsort(owner, kind="stable")
    return owner[sorting], np.concatenate([*orders, np.empty((0, width), np.int64)])[sorting]


def _permutations(count: int, tied: list[int], row: int) -> Ints:
    """(p, count) permutations within runs of ties; `tied[i]` says whether place i + 1 ties with place i."""
    run = np.concatenate([[0], np.cumsum([not tie for tie in tied[: count - 1]])]).astype(int).tolist()
    runs = [[place for place, _ in members] for _, members in groupby(enumerate(run[:count]), key=lambda pair: pair[1])]
    number = prod(factorial(len(places)) for places in runs)
    if number > MOST_ORDERS:
        raise InputError(
            f"gene {row} has {count} elements, {number:,} orders of which are alike, more than {MOST_ORDERS:,}; "
            "leave it out"
        )
    listed = [sum(parts, ()) for parts in product(*(permutations(places) for places in runs))]
    return np.array(listed, np.int64).reshape(number, count)
