"""What would balance: formulas that the next site would complete, or the next two, as a hint for networks.

See `aristotype.crystal.can_balance`. Hints look at sizes of orbits alone, not at whether a letter may still come.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import can_balance, reduced
from aristotype.models.blocks import primitive_multiplicities
from aristotype.symmetry import MAX_POSITIONS

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
END = MAX_POSITIONS
"""Stands for the end, after the letters."""
DEPTH = 2
"""Sites that are looked ahead."""
Counts = tuple[tuple[int, int], ...]
"""(atomic number, atoms so far) of all elements that have to come, in increasing order."""


def balances(groups: Ints, space: Flags, atoms: Ints, vocabulary: tuple[int, ...]) -> Flags:
    """(n, 28, E, DEPTH) whether an element on a letter leaves all elements there and the formula balanced.

    The second of the last axis: whether one more site after it could. The last row of letters is the end: the first
    says so of what is there, for all elements alike, the second nothing.

    Args:
        groups: (n,) space groups.
        space: (n, E) elements that have to come.
        atoms: (n, E) of the primitive cell, so far.
        vocabulary: atomic numbers of the E elements.
    """
    out = np.zeros((len(groups), END + 1, space.shape[1], DEPTH), bool)
    missing = (space & (atoms == 0)).sum(axis=1)
    for row in np.flatnonzero(missing <= DEPTH).tolist():
        places = np.flatnonzero(space[row]).tolist()
        counts: Counts = tuple((vocabulary[place], int(atoms[row, place])) for place in places)
        out[row, END, :, 0] = _balanced(counts)
        sizes = np.array(primitive_multiplicities(int(groups[row])))
        found = _ahead(tuple(np.unique(sizes).tolist()), counts)
        for size, by_element in zip(np.unique(sizes).tolist(), found, strict=True):
            letters = np.flatnonzero(sizes == size)
            for place, each in zip(places, by_element, strict=True):
                out[row, letters, place] = each
    return out


def balances_along(groups: Ints, space: Flags, elements: Ints, atoms: Ints, vocabulary: tuple[int, ...]) -> Flags:
    """(n, S + 1, 28, E, DEPTH) the same before each of S sites and after the last.

    Args:
        groups: (n,) space groups.
        space: (n, E) elements that have to come.
        elements: (n, S) places in the vocabulary.
        atoms: (n, S) of the primitive cell, of each site.
        vocabulary: atomic numbers of the E elements.
    """
    count, length = elements.shape
    so_far = np.zeros((count, length + 1, space.shape[1]), np.int64)
    for site in range(length):
        so_far[:, site + 1] = so_far[:, site]
        so_far[np.arange(count), site + 1, elements[:, site]] += atoms[:, site]
    every = np.repeat(np.arange(count), length + 1)
    found = balances(groups[every], space[every], so_far.reshape(len(every), -1), vocabulary)
    return found.reshape(count, length + 1, *found.shape[1:])


@lru_cache(maxsize=1 << 17)
def _ahead(sizes: tuple[int, ...], counts: Counts) -> tuple[tuple[tuple[bool, bool], ...], ...]:
    """By size of the orbit and element: whether it balances then, and whether one more site could make it."""
    out = []
    for size in sizes:
        after = [_with(counts, place, size) for place in range(len(counts))]
        out.append(tuple((_balanced(one), _one_more(sizes, one)) for one in after))
    return tuple(out)


@lru_cache(maxsize=1 << 18)
def _one_more(sizes: tuple[int, ...], counts: Counts) -> bool:
    """Whether a site of some size makes all elements there and the formula balanced."""
    missing = [place for place, (_, count) in enumerate(counts) if not count]
    if len(missing) > 1:
        return False
    places = missing or range(len(counts))
    return any(_balanced(_with(counts, place, size)) for place in places for size in sizes)


def _with(counts: Counts, place: int, size: int) -> Counts:
    number, count = counts[place]
    return (*counts[:place], (number, count + size), *counts[place + 1 :])


def _balanced(counts: Counts) -> bool:
    return all(count for _, count in counts) and can_balance(reduced(counts))
