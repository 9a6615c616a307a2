"""What a formula, a number of sites or of atoms leave of the next letter and element: only what can still be completed.

All counts are of the primitive cell. What is asked is whether sites on this letter, of this element and heavier ones,
and on later letters can make up what is missing, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import FormulaTarget, fewest_atoms, primitive_multiplicities, without_freedom

if TYPE_CHECKING:
    from aristotype.crystal import Conditions

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
MOST_ATOMS = 40
"""Atoms of the primitive cell up to which multiples of a formula are tried where no limit is given."""


class Limit(Protocol):
    """A limit on crystals of one space group."""

    def goes_on(self, letter: int, element: int, placed: Ints, unused: Flags, sites: int) -> bool:
        """Whether a crystal can be completed once a site is written.

        Args:
            letter: of the site.
            element: of the site, an index in the vocabulary.
            placed: (E,) atoms of each element, the site's included.
            unused: (E,) elements of the space that have not come.
            sites: number of sites, this one included.
        """
        ...

    def may_end(self, placed: Ints, sites: int) -> bool:
        """Whether a crystal of these atoms (E,) and sites is one that is asked for."""
        ...


@dataclass(frozen=True)
class SizeLimit:
    """An exact number of sites, or a largest number of atoms, or both."""

    number: int
    num_sites: int | None
    max_atoms: int | None
    max_sites: int

    def goes_on(self, letter: int, element: int, placed: Ints, unused: Flags, sites: int) -> bool:
        """See `Limit`."""
        if sites > self.max_sites:
            return False
        lighter, missing = int(unused[:element].sum()), int(unused.sum())
        further = missing if self.num_sites is None else self.num_sites - sites
        if further < missing:
            return False
        atoms = primitive_multiplicities(self.number)[letter]
        later = fewest_atoms(self.number, letter + 1, (), self.max_sites)
        # On this letter only what is not lighter than its last element, and nothing where it has no freedom.
        here = 0 if without_freedom(self.number)[letter] else further - lighter
        least = min(int(count * atoms + later[further - count]) for count in range(here + 1))
        return int(placed.sum()) + least <= (self.max_atoms or (1 << 30))

    def may_end(self, placed: Ints, sites: int) -> bool:
        """See `Limit`."""
        return (self.num_sites is None or sites == self.num_sites) and int(placed.sum()) <= (self.max_atoms or 1 << 30)

    @property
    def most_elements(self) -> int:
        """The largest number of different elements of such a crystal; 0 where there is none."""
        fewest = fewest_atoms(self.number, 0, (), self.max_sites)
        possible = fewest <= (self.max_atoms or (1 << 30))
        if self.num_sites is not None:
            return self.num_sites if self.num_sites <= self.max_sites and possible[self.num_sites] else 0
        return int(np.flatnonzero(possible).max())


class FormulaLimit:
    """An exact reduced formula, in any of some numbers of formula units, within a number of sites."""

    def __init__(
        self, number: int, elements: Ints, formula: tuple[int, ...], units: tuple[int, ...], sites: int, exact: bool
    ) -> None:
        """A limit.

        Args:
            number: space group.
            elements: indices of the formula's elements in the vocabulary, in increasing order.
            formula: their counts.
            units: numbers of formula units of the primitive cell.
            sites: number of sites, exactly or at most.
            exact: whether it is exact.
        """
        self.elements, self.sites, self.exact = elements, sites, exact
        self._fixed = without_freedom(number)
        self._atoms = primitive_multiplicities(number)
        targets = {count: _target(number, tuple(count * n for n in formula), sites, exact) for count in units}
        self._targets = {count: target for count, target in targets.items() if target.feasible}
        self._tables: dict[tuple[int, int, int], Flags] = {}

    @property
    def feasible(self) -> bool:
        """Whether any set of positions of the group holds the formula."""
        return bool(self._targets)

    def goes_on(self, letter: int, element: int, placed: Ints, unused: Flags, sites: int) -> bool:
        """See `Limit`."""
        del unused  # all elements of a formula come
        own, left = placed[self.elements], self.sites - sites
        lowest = int(np.searchsorted(self.elements, element))
        for count, target in self._targets.items():
            missing = np.array(target.counts) - own
            if left >= 0 and (missing >= 0).all() and self._after(count, letter, lowest)[(*missing, left)]:
                return True
        return False

    def may_end(self, placed: Ints, sites: int) -> bool:
        """See `Limit`."""
        own = tuple(placed[self.elements].tolist())
        return (not self.exact or sites == self.sites) and any(
            own == target.counts for target in self._targets.values()
        )

    def _after(self, units: int, letter: int, lowest: int) -> Flags:
        """What can be made up by sites on a letter of elements from `lowest` on, and on later letters."""
        key = (units, letter, lowest)
        if key not in self._tables:
            target = self._targets[units]
            table = target.completable[letter + 1]
            while not self._fixed[letter]:
                grown = table | _one_more(table, self._atoms[letter], lowest, target.elements)
                if (grown == table).all():
                    break
                table = grown
            self._tables[key] = table
        return self._tables[key]


@cache
def _target(number: int, counts: tuple[int, ...], sites: int, exact: bool) -> FormulaTarget:
    return FormulaTarget(counts, primitive_multiplicities(number), without_freedom(number), sites, at_most=not exact)


def _one_more(table: Flags, atoms: int, lowest: int, elements: int) -> Flags:
    """Vectors that one more site of `atoms` atoms of an element from `lowest` on leads to."""
    out = np.zeros_like(table)
    for axis in range(lowest, elements):
        if atoms < table.shape[axis]:
            source = [slice(None)] * elements + [slice(0, -1)]
            target = [slice(None)] * elements + [slice(1, None)]
            source[axis], target[axis] = slice(0, table.shape[axis] - atoms), slice(atoms, None)
            out[tuple(target)] |= table[tuple(source)]
    return out


def limit_of(conditions: Conditions, number: int, vocabulary: tuple[int, ...], max_sites: int) -> Limit | None:
    """The limit that conditions set on crystals of a space group, None where they set none.

    Args:
        conditions: what is asked for.
        number: the space group.
        vocabulary: atomic numbers of the model.
        max_sites: most sites that it writes.
    """
    sites = conditions.num_sites
    if conditions.formula is None:
        if sites is None and conditions.max_atoms is None:
            return None
        return SizeLimit(number, sites, conditions.max_atoms, max_sites)
    elements = np.searchsorted(vocabulary, [z for z, _ in conditions.formula])
    counts = tuple(count for _, count in conditions.formula)
    most = conditions.max_atoms or max(MOST_ATOMS, sum(counts))
    units = range(1, most // sum(counts) + 1)
    if conditions.formula_units is not None:
        units = range(conditions.formula_units, conditions.formula_units + 1)
    if conditions.max_atoms is not None:
        units = range(units.start, min(units.stop, conditions.max_atoms // sum(counts) + 1))
    return FormulaLimit(number, elements, counts, tuple(units), sites or max_sites, sites is not None)
