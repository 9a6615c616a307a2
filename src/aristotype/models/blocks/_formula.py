"""Which sites can still reach an exact formula: feasibility by dynamic programming over counts of atoms.

All counts are of the primitive cell, so that multiplicities are divided by the centring. A set of reachable or
completable count vectors is a boolean array with one axis an element of the formula.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


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


def with_one_site(sets: Bools, atoms: int, elements: int) -> Bools:
    """Vectors reached from a set by one more site of `atoms` atoms, of any of the first `elements` axes' elements.

    A further axis, where there is one, counts sites and moves by one.
    """
    out = np.zeros_like(sets)
    for axis in range(elements):
        moved = shifted(sets, axis, atoms)
        out |= shifted(moved, elements, 1) if sets.ndim > elements else moved
    return out


class FormulaTarget:
    """One space group, one number of formula units: which letters can be chosen on the way to the exact composition.

    With `num_sites`, in exactly that many sites, or with `at_most` in no more than that.
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
        self.at_most = at_most
        self.shape = tuple(c + 1 for c in counts) + (() if num_sites is None else (num_sites + 1,))

    @cached_property
    def completable(self) -> list[Bools]:
        """For each letter w (and one past the last): vectors that sites on letters w and later can make up exactly."""
        nothing = self.start()
        if self.at_most:
            nothing[(0,) * self.elements] = True  # sites may be left over
        tables = [nothing]
        for atoms, fixed in zip(self.multiplicities[::-1], self.fixed[::-1], strict=True):
            table = tables[-1].copy()
            if fixed:
                table |= with_one_site(tables[-1], atoms, self.elements)
            else:
                while True:
                    grown = table | with_one_site(table, atoms, self.elements)
                    if (grown == table).all():
                        break
                    table = grown
            tables.append(table)
        return tables[::-1]

    @property
    def feasible(self) -> bool:
        """Whether any set of positions holds the composition."""
        return bool(self.completable[0].flat[-1])

    def start(self) -> Bools:
        """The reachable set of no sites."""
        nothing = np.zeros(self.shape, dtype=bool)
        nothing[(0,) * len(self.shape)] = True
        return nothing

    def after(self, reached: Bools, letter: int) -> Bools:
        """The reachable set after one more site on a letter."""
        return with_one_site(reached, self.multiplicities[letter], self.elements)

    def can_stop(self, reached: Bools) -> bool:
        """Whether the composition is complete."""
        return bool((reached[self.counts] if self.at_most else reached.flat[-1]).any())

    def can_go_on(self, reached: Bools, lowest: int) -> bool:
        """Whether some reached vector can be completed on letters `lowest` and later."""
        rest = self.completable[lowest]
        return bool((reached & rest[tuple(slice(None, None, -1) for _ in rest.shape)]).any())


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
