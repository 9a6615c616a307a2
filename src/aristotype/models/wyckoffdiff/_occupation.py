"""Genes as variables: what is on each position of a space group.

A position without free parameters holds one element or nothing: one variable of N + 1 values. Any other position holds
a count of each element: N variables of P + 1 values. (Kelvinius et al., arXiv:2502.06485, section 3.1.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch
from aristotype.symmetry import tables


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The positions of n genes' groups, L of the group with the most; places are flat, row * L + letter."""

    group: Tensor  # (n,) numbers
    exists: Tensor  # (n, L)
    letters: Tensor  # (n, L) letter indices; 0 where there is no position
    fixed: Tensor  # (F,) places without free parameters
    free: Tensor  # (M,) places with free parameters
    fixed_row: Tensor  # (F,) rows of these
    free_row: Tensor  # (M,)

    @staticmethod
    def of(group: NDArray[np.integer]) -> Layout:
        """That of groups (n,)."""
        freedom = _freedom()[group]
        longest = int((freedom >= 0).sum(axis=1).max(initial=1))
        freedom = freedom[:, :longest]
        exists = freedom >= 0
        fixed, free = np.flatnonzero(freedom == 0), np.flatnonzero(freedom > 0)
        letters = np.where(exists, np.arange(longest), 0)
        arrays = (group.astype(np.int64), exists, letters, fixed, free, fixed // longest, free // longest)
        names = ("group", "exists", "letters", "fixed", "free", "fixed_row", "free_row")
        return Layout(**{name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)})

    @property
    def length(self) -> int:
        """L."""
        return self.exists.shape[1]

    def __len__(self) -> int:
        return len(self.group)


@dataclass(frozen=True, kw_only=True)
class Occupation:
    """What is on the positions of a layout."""

    fixed: Tensor  # (F,) 0 for nothing, else 1 + place in the vocabulary
    free: Tensor  # (M, N) sites of each element

    def empty(self, layout: Layout) -> Tensor:
        """(n,) whether nothing is anywhere."""
        filled = torch.zeros(len(layout), dtype=torch.bool, device=self.fixed.device)
        filled[layout.fixed_row[self.fixed > 0]] = True
        filled[layout.free_row[(self.free > 0).any(dim=1)]] = True
        return ~filled


def occupation_of(genes: GeneBatch, layout: Layout, vocabulary_index: NDArray[np.int64], elements: int) -> Occupation:
    """Genes as variables.

    Args:
        genes: n legal genes whose elements are in the vocabulary.
        layout: of their groups.
        vocabulary_index: (128,) places in the vocabulary.
        elements: N, the size of the vocabulary.
    """
    length = layout.length
    counts = np.zeros((len(genes) * length, elements), np.int64)
    row, site = np.nonzero(genes.wyckoffs >= 0)
    place = row * length + genes.wyckoffs[row, site]
    np.add.at(counts, (place, vocabulary_index[genes.elements[row, site]]), 1)
    on_fixed = counts[layout.fixed.numpy()]
    return Occupation(
        fixed=torch.from_numpy(np.where(on_fixed.any(axis=1), on_fixed.argmax(axis=1) + 1, 0)),
        free=torch.from_numpy(counts[layout.free.numpy()]),
    )


def genes_of(occupation: Occupation, layout: Layout, vocabulary: tuple[int, ...]) -> GeneBatch:
    """The genes of variables, sites by letter and then by element; a row without any has no site."""
    fixed, free = occupation.fixed.cpu().numpy(), occupation.free.cpu().numpy()
    on_fixed = np.flatnonzero(fixed)
    on_free, which = np.nonzero(free)
    repeats = free[on_free, which]
    place = np.concatenate([layout.fixed.cpu().numpy()[on_fixed], layout.free.cpu().numpy()[on_free].repeat(repeats)])
    element = np.array(vocabulary, np.int8)[np.concatenate([fixed[on_fixed] - 1, which.repeat(repeats)])]
    order = np.lexsort((element, place))
    place, element = place[order], element[order]
    row = place // layout.length
    number = np.bincount(row, minlength=len(layout))
    column = np.arange(len(row)) - (np.cumsum(number) - number)[row]
    shape = (len(layout), int(number.max(initial=0)))
    elements, wyckoffs = np.zeros(shape, np.int8), np.full(shape, -1, np.int8)
    elements[row, column], wyckoffs[row, column] = element, place % layout.length
    return GeneBatch(space_group=layout.group.cpu().numpy().astype(np.int16), elements=elements, wyckoffs=wyckoffs)


def largest_count(genes: GeneBatch) -> NDArray[np.int64]:
    """(n,) most sites of one element on one position with free parameters."""
    code = np.where(genes.freedoms > 0, genes.wyckoffs.astype(np.int64) * 128 + genes.elements, -1)
    code = np.sort(code, axis=1)
    best = np.zeros(len(genes), np.int64)
    run = np.zeros(len(genes), np.int64)
    for site in range(code.shape[1]):
        same = code[:, site] == (code[:, site - 1] if site else -2)
        run = np.where(code[:, site] < 0, 0, np.where(same, run + 1, 1))
        best = np.maximum(best, run)
    return best


@cache
def _freedom() -> NDArray[np.int8]:
    return np.asarray(tables().padded("freedom", fill=-1), np.int8)
