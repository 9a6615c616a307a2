"""Which sites can still reach an exact formula: feasibility by dynamic programming over counts of atoms.

All counts are of the primitive cell, so that multiplicities are divided by the centring. A set of reachable or
completable count vectors is an array with one axis an element of the formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Words = NDArray[np.unsignedinteger[Any]]
_WORD = 64


def shifted(sets: Bools, axis: int, atoms: int) -> Bools:
    """The set {v + atoms e_axis : v in sets}, cut at the array's bounds."""
    out = np.zeros_like(sets)
    if atoms < sets.shape[axis]:
        source: list[slice] = [slice(None)] * sets.ndim
        target = list(source)
        source[axis] = slice(0, sets.shape[axis] - atoms)
        target[axis] = slice(atoms, None)
        out[tuple(target)] = sets[tuple(source)]
    return out


class FormulaTarget:
    """One space group, one number of formula units: which letters can be chosen on the way to the exact composition.

    With `num_sites`, in exactly that many sites, or with `at_most` in no more than that. Sets of count vectors are
    arrays (words, counts of each element + 1) of bits: bit k of the words of a vector tells whether it is made of k
    sites, bit 0 whether it is made at all where sites are not counted.
    """

    def __init__(
        self,
        counts: tuple[int, ...],
        multiplicities: tuple[int, ...],
        fixed: tuple[bool, ...],
        num_sites: int | None,
        *,
        at_most: bool = False,
    ) -> None:
        """Counts of each element and multiplicities of each letter (primitive cell); which letters have no freedom."""
        self.counts = counts
        self.multiplicities = multiplicities
        self.fixed = fixed
        self.elements = len(counts)
        self.num_sites = num_sites
        self.at_most = at_most
        self.shape = (1 + (num_sites or 0) // _WORD, *(count + 1 for count in counts))
        self._words = np.uint8 if num_sites is None else np.uint64

    @staticmethod
    def table_bytes(counts: Iterable[int], num_sites: int | None) -> int:
        """Memory of a set of vectors, of which there is one for every letter that adds to it."""
        return prod(count + 1 for count in counts) * (1 if num_sites is None else 8 * (1 + num_sites // _WORD))

    @cached_property
    def completable(self) -> list[Words]:
        """For each letter w (and one past the last): vectors that sites on letters w and later can make up exactly.

        With `at_most`, in that many sites or fewer. What a letter adds nothing to is the same array.
        """
        nothing = self.start()
        if self.at_most:
            nothing[_at((0,) * self.elements)] = ~np.uint64(0)  # sites may be left over
        tables = [nothing]
        repeated: set[int] = set()  # multiplicities of letters that may be taken any number of times
        for letter in reversed(range(len(self.multiplicities))):
            table, atoms = tables[-1], self.multiplicities[letter]
            if atoms not in repeated and atoms <= max(self.counts):
                if self.fixed[letter]:
                    table = table | self.after(table, letter)
                else:
                    table = self.repeated(table, letter)
                    repeated.add(atoms)
            tables.append(table)
        return tables[::-1]

    @property
    def feasible(self) -> bool:
        """Whether any set of positions holds the composition."""
        return self.makes_up(0, self.counts, self.num_sites or 0)

    def makes_up(self, letter: int, rest: Sequence[int], sites: int) -> bool:
        """Whether sites on a letter and later ones make up a vector, in so many sites where they are counted."""
        return is_in(self.completable[letter], rest, sites)

    def start(self) -> Words:
        """The reachable set of no sites."""
        nothing = np.zeros(self.shape, self._words)
        nothing[(0,) * len(self.shape)] = 1
        return nothing

    def after(self, reached: Words, letter: int) -> Words:
        """The reachable set after one more site on a letter, of any element."""
        atoms, out = self.multiplicities[letter], np.zeros_like(reached)
        for axis in range(1, 1 + self.elements):
            if atoms < self.shape[axis]:
                source, target = _along(axis, 0, self.shape[axis] - atoms), _along(axis, atoms, self.shape[axis])
                out[target] |= self._one_more(reached[source])
        return out

    def repeated(self, sets: Words, letter: int, lowest: int = 0) -> Words:
        """A set with any number of further sites on a letter, of elements from `lowest` on."""
        atoms, out = self.multiplicities[letter], sets.copy()
        for axis in range(1 + lowest, 1 + self.elements):
            size = self.shape[axis]
            for first in range(atoms, size, atoms):  # all of a block come from the block before
                last = min(first + atoms, size)
                out[_along(axis, first, last)] |= self._one_more(out[_along(axis, first - atoms, last - atoms)])
        return out

    def _one_more(self, sets: Words) -> Words:
        if self.num_sites is None:
            return sets
        moved = sets << np.uint64(1)
        moved[1:] |= sets[:-1] >> np.uint64(_WORD - 1)
        return moved

    def can_stop(self, reached: Words) -> bool:
        """Whether the composition is complete."""
        if self.at_most:
            return bool(reached[_at(self.counts)].any())
        return is_in(reached, self.counts, self.num_sites or 0)

    def can_go_on(self, reached: Words, lowest: int) -> bool:
        """Whether some reached vector can be completed on letters `lowest` and later."""
        rest = self.completable[lowest][(slice(None), *(slice(None, None, -1),) * self.elements)]
        most = self.num_sites or 0
        here = np.bitwise_or.reduce(reached.reshape(len(reached), -1), axis=1)
        counts = [k for k in range(most + 1) if _bit(here, k)]
        return any(bool((_bit(reached, k) & _bit(rest, most - k)).any()) for k in counts)


def is_in(sets: Words, vector: Sequence[int], sites: int) -> bool:
    """Whether a vector is in a set, made of so many sites; of none where sites are not counted."""
    return bool(_bit(sets[_at(vector)], sites))


def _bit(sets: Words, sites: int) -> Words:
    found: Words = (sets[sites // _WORD] >> np.uint64(sites % _WORD)) & np.uint64(1)
    return found


def _at(vector: Sequence[int]) -> tuple[slice | int, ...]:
    """The index of a vector's words."""
    index: list[slice | int] = [slice(None), *vector]
    return tuple(index)


def _along(axis: int, first: int, last: int) -> tuple[slice, ...]:
    """An index of part of an axis."""
    return (*(slice(None),) * axis, slice(first, last))


class ElementAssignment:
    """A template and an exact composition: which elements each site may take so that the rest still works out.

    Sites are in canonical order; on one letter elements do not decrease. Elements are indices in the formula's order,
    which is by atomic number. `pending[w]` are elements that must be among those on letter w (a partial crystal).
    """

    def __init__(
        self,
        letters: tuple[int, ...],
        atoms: tuple[int, ...],
        counts: tuple[int, ...],
        pending: dict[int, tuple[int, ...]],
    ) -> None:
        self.letters = letters
        self.atoms = atoms
        self.counts = counts
        self.pending = pending
        self._memo: dict[tuple[int, int, int], Bools] = {}

    @property
    def feasible(self) -> bool:
        """Whether any assignment has the composition."""
        return bool(self.completable(0, 0, 0).flat[-1])

    def completable(self, site: int, lowest: int, placed: int) -> Bools:
        """Remaining count vectors that sites from `site` on can use up exactly.

        `lowest` is the smallest element allowed on `site`, `placed` how many pending elements of its letter are done.
        """
        key = (site, lowest, placed)
        if key not in self._memo:
            shape = tuple(c + 1 for c in self.counts)
            table = np.zeros(shape, dtype=bool)
            if site == len(self.letters):
                table[(0,) * len(shape)] = True
            else:
                for element in range(lowest, len(self.counts)):
                    following = self.next_state(site, element, placed)
                    if following is not None:
                        table |= shifted(self.completable(*following), element, self.atoms[site])
            self._memo[key] = table
        return self._memo[key]

    def next_state(self, site: int, element: int, placed: int) -> tuple[int, int, int] | None:
        """The state after an element is put on a site, None where a pending element would be left out."""
        letter = self.letters[site]
        wanted = self.pending.get(letter, ())
        if placed < len(wanted):
            if element > wanted[placed]:
                return None
            placed += element == wanted[placed]
        if site + 1 < len(self.letters) and self.letters[site + 1] == letter:
            slots = self.letters[site + 1 :].count(letter)
            return (site + 1, element, placed) if slots >= len(wanted) - placed else None
        return (site + 1, 0, 0) if placed == len(wanted) else None

    def allowed(self, site: int, lowest: int, placed: int, remaining: tuple[int, ...]) -> list[int]:
        """Elements that may sit on `site` when `remaining` atoms are still to be placed."""
        out = []
        for element in range(lowest, len(self.counts)):
            left = remaining[element] - self.atoms[site]
            following = self.next_state(site, element, placed)
            if left >= 0 and following is not None:
                rest = (*remaining[:element], left, *remaining[element + 1 :])
                if self.completable(*following)[rest]:
                    out.append(element)
        return out
