"""What conditions leave of the next letter and element: only what can still be completed.

A formula, numbers of sites and atoms, sites that must be there, a template. All counts are of the primitive cell. What
is asked each time is whether sites on this letter, of this element and heavier ones, and on later letters can make up
what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import InputError
from aristotype.models.blocks import (
    ElementAssignment,
    FormulaTarget,
    Words,
    fewest_atoms,
    is_in,
    primitive_multiplicities,
    without_freedom,
)

if TYPE_CHECKING:
    from aristotype.crystal import Conditions

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Site = tuple[int, int]
"""A letter and an element, an index in the vocabulary."""
MOST_ATOMS = 40
"""Atoms of the primitive cell up to which multiples of a formula are tried where no limit is given."""
MOST_BYTES = 1_000_000_000
"""Of the tables of a formula, for all its multiples, groups and positions."""
_NO_LIMIT = 1 << 30
_NEVER = 1 << 20  # atoms of a position that is taken


class Limit(Protocol):
    """A limit on crystals of one space group."""

    def goes_on(self, sites: list[Site], placed: Ints, unused: Flags) -> bool:
        """Whether a crystal can be completed once its last site is written.

        Args:
            sites: those that are written, in order.
            placed: (E,) atoms of each element.
            unused: (E,) elements of the space that have not come.
        """
        ...

    def may_end(self, sites: list[Site], placed: Ints) -> bool:
        """Whether a crystal of these sites and atoms (E,) is one that is asked for."""
        ...


def _still_to_come(wanted: tuple[Site, ...], sites: list[Site]) -> list[Site] | None:
    """Sites that must be there and are not yet; None where one of them has been passed by."""
    left = Counter(wanted)
    for site in sites:
        if left[site]:
            left[site] -= 1
    missing = sorted(left.elements())
    return missing if not missing or missing[0] >= sites[-1] else None


@dataclass(frozen=True)
class SizeLimit:
    """An exact number of sites, a largest number of atoms, sites that must be there."""

    number: int
    num_sites: int | None
    max_atoms: int | None
    max_sites: int
    wanted: tuple[Site, ...] = ()

    def goes_on(self, sites: list[Site], placed: Ints, unused: Flags) -> bool:
        """See `Limit`."""
        letter, element = sites[-1]
        fixed = without_freedom(self.number)
        missing = _still_to_come(self.wanted, sites)
        if missing is None or (missing and missing[0][0] == letter and fixed[letter]):
            return False
        free = unused.copy()  # elements that no wanted site brings
        free[[e for _, e in missing]] = False
        here = sum(w == letter for w, _ in missing)
        least = len(missing) + int(free.sum())
        further = least if self.num_sites is None else self.num_sites - len(sites)
        if further < least or len(sites) + further > self.max_sites:
            return False
        beyond = tuple(w for w, _ in missing if w > letter)
        later = fewest_atoms(self.number, letter + 1, beyond, self.max_sites)
        # On this letter only what is not lighter than its last element, and nothing more where it has no freedom.
        most_here = 0 if fixed[letter] else further - len(beyond) - int(free[:element].sum())
        atoms = primitive_multiplicities(self.number)[letter]
        counts = [int(count * atoms + later[further - count]) for count in range(here, most_here + 1)]
        return bool(counts) and int(placed.sum()) + min(counts) <= (self.max_atoms or _NO_LIMIT)

    def may_end(self, sites: list[Site], placed: Ints) -> bool:
        """See `Limit`."""
        return (
            self.num_sites in (None, len(sites))
            and int(placed.sum()) <= (self.max_atoms or _NO_LIMIT)
            and not Counter(self.wanted) - Counter(sites)
        )

    @property
    def most_elements(self) -> int:
        """The largest number of different elements of such a crystal; 0 where there is none."""
        letters = tuple(sorted(w for w, _ in self.wanted))
        fewest = fewest_atoms(self.number, 0, letters, self.max_sites)
        possible = fewest <= (self.max_atoms or _NO_LIMIT)
        if self.num_sites is not None:
            fits = self.num_sites <= self.max_sites and possible[self.num_sites]
            sites = self.num_sites if fits else 0
        else:
            sites = int(np.flatnonzero(possible).max(initial=0))
        extra = sites - len(self.wanted)
        return 0 if extra < 0 else extra + len({e for _, e in self.wanted})


class FormulaLimit:
    """An exact reduced formula, in any of some numbers of formula units, within a number of sites."""

    def __init__(
        self,
        number: int,
        elements: Ints,
        formula: tuple[int, ...],
        units: tuple[int, ...],
        sites: int,
        exact: bool,
        wanted: tuple[Site, ...] = (),
    ) -> None:
        """A limit.

        Args:
            number: space group.
            elements: indices of the formula's elements in the vocabulary, in increasing order.
            formula: their counts.
            units: numbers of formula units of the primitive cell.
            sites: number of sites, exactly or at most.
            exact: whether it is exact.
            wanted: sites that must be there.
        """
        self.elements, self.sites, self.exact, self.wanted = elements, sites, exact, wanted
        self._fixed = without_freedom(number)
        self._atoms = primitive_multiplicities(number)
        self._taken = frozenset(w for w, _ in wanted if self._fixed[w])
        self._known = Counter(wanted)
        found = {n: _target(number, tuple(n * c for c in formula), sites, exact, self._taken) for n in units}
        self._targets = {count: target for count, target in found.items() if self._starts(target)}
        self._tables: dict[tuple[int, int, int], Words] = {}

    @property
    def feasible(self) -> bool:
        """Whether any set of positions of the group holds the formula."""
        return bool(self._targets)

    def goes_on(self, sites: list[Site], placed: Ints, unused: Flags) -> bool:
        """See `Limit`."""
        del unused  # all elements of a formula come
        letter, element = sites[-1]
        missing = _still_to_come(self.wanted, sites)
        if missing is None or (missing and missing[0][0] == letter and self._fixed[letter]):
            return False
        if letter in self._taken and not self._known[sites[-1]]:
            return False  # a point without freedom, for another element
        left = self.sites - len(sites) - len(missing)
        lowest = int(np.searchsorted(self.elements, element))
        own = placed[self.elements] + self._counts(missing)
        for count, target in self._targets.items():
            rest = np.array(target.counts) - own
            if left >= 0 and (rest >= 0).all() and is_in(self._after(count, letter, lowest), rest.tolist(), left):
                return True
        return False

    def may_end(self, sites: list[Site], placed: Ints) -> bool:
        """See `Limit`."""
        own = tuple(placed[self.elements].tolist())
        whole = any(own == target.counts for target in self._targets.values())
        return whole and (not self.exact or len(sites) == self.sites) and not self._known - Counter(sites)

    def _counts(self, sites: list[Site]) -> Ints:
        """(formula's elements,) atoms of some sites."""
        out = np.zeros(len(self.elements), np.int64)
        for letter, element in sites:
            place = np.flatnonzero(self.elements == element)
            out[place] += self._atoms[letter]
        return out

    def _starts(self, target: FormulaTarget) -> bool:
        rest = np.array(target.counts) - self._counts(list(self.wanted))
        left = self.sites - len(self.wanted)
        return left >= 0 and bool((rest >= 0).all()) and target.makes_up(0, rest.tolist(), left)

    def _after(self, units: int, letter: int, lowest: int) -> Words:
        """What can be made up by sites on a letter of elements from `lowest` on, and on later letters."""
        key = (units, letter, lowest)
        if key not in self._tables:
            target = self._targets[units]
            table = target.completable[letter + 1]
            self._tables[key] = table if self._fixed[letter] else target.repeated(table, letter, lowest)
        return self._tables[key]


class TemplateLimit:
    """Sites on given letters, and perhaps an exact formula."""

    def __init__(self, number: int, letters: tuple[int, ...], elements: Ints, formula: tuple[int, ...] | None) -> None:
        """A limit.

        Args:
            number: space group.
            letters: of all sites, in order.
            elements: indices of the formula's elements in the vocabulary, in increasing order; empty without one.
            formula: their counts.
        """
        self.letters, self.elements = letters, elements
        atoms = tuple(primitive_multiplicities(number)[letter] for letter in letters)
        self._assignment: ElementAssignment | None = None
        self.feasible = True
        if formula is not None:
            units, rest = divmod(sum(atoms), sum(formula))
            self._assignment = ElementAssignment(letters, atoms, tuple(units * count for count in formula), {})
            self.feasible = not rest and self._assignment.feasible

    @property
    def most_elements(self) -> int:
        """The largest number of different elements of such a crystal; 0 where there is none."""
        return len(self.letters) * self.feasible

    def goes_on(self, sites: list[Site], placed: Ints, unused: Flags) -> bool:
        """See `Limit`."""
        letter, element = sites[-1]
        if len(sites) > len(self.letters) or letter != self.letters[len(sites) - 1]:
            return False
        if self._assignment is None:
            later = sum(w > letter for w in self.letters[len(sites) :])
            return int(unused[:element].sum()) <= later and int(unused.sum()) <= len(self.letters) - len(sites)
        rest = np.array(self._assignment.counts) - placed[self.elements]
        following = self._assignment.next_state(len(sites) - 1, int(np.searchsorted(self.elements, element)), 0)
        return (
            bool((rest >= 0).all())
            and following is not None
            and bool(self._assignment.completable(*following)[tuple(rest)])
        )

    def may_end(self, sites: list[Site], placed: Ints) -> bool:
        """See `Limit`."""
        del placed
        return len(sites) == len(self.letters)


def _target(number: int, counts: tuple[int, ...], sites: int, exact: bool, taken: frozenset[int]) -> FormulaTarget:
    """Positions of a group without those that are taken."""
    atoms = tuple(_NEVER if w in taken else count for w, count in enumerate(primitive_multiplicities(number)))
    return _target_of(counts, atoms, without_freedom(number), sites, exact)


@lru_cache(maxsize=4096)
def _target_of(
    counts: tuple[int, ...], atoms: tuple[int, ...], fixed: tuple[bool, ...], sites: int, exact: bool
) -> FormulaTarget:
    """The same for all groups with such positions."""
    return FormulaTarget(counts, atoms, fixed, sites, at_most=not exact)


def limit_of(
    conditions: Conditions,
    number: int,
    vocabulary: tuple[int, ...],
    max_sites: int,
    letters: Sequence[int] | None = None,
) -> Limit | None:
    """The limit that conditions set on crystals of a space group, None where they set none.

    Args:
        conditions: what is asked for; a template or known sites are of this group.
        number: the space group.
        vocabulary: atomic numbers of the model.
        max_sites: most sites that it writes.
        letters: of the known sites, where these are written in another frame than they were given in.
    """
    formula = conditions.formula or ()
    elements = np.searchsorted(vocabulary, [z for z, _ in formula]).astype(np.int64)
    counts = tuple(count for _, count in formula)
    if conditions.template is not None:
        places = tuple(w for w in conditions.template.wyckoffs[0].tolist() if w >= 0)
        return TemplateLimit(number, places, elements, counts or None)
    wanted: tuple[Site, ...] = ()
    if conditions.partial is not None:
        own = conditions.partial.wyckoffs[0].tolist() if letters is None else letters
        pairs = zip(own, conditions.partial.elements[0].tolist(), strict=True)
        wanted = tuple(sorted((int(w), int(np.searchsorted(vocabulary, z))) for w, z in pairs if w >= 0))
    sites = conditions.num_sites
    if not counts:
        if sites is None and conditions.max_atoms is None and not wanted:
            return None
        return SizeLimit(number, sites, conditions.max_atoms, max_sites, wanted)
    units = tuple(formula_units(conditions, counts))
    return FormulaLimit(number, elements, counts, units, sites or max_sites, sites is not None, wanted)


def formula_units(conditions: Conditions, counts: tuple[int, ...]) -> range:
    """Numbers of formula units that are tried, of a formula with these counts."""
    most = conditions.max_atoms or max(MOST_ATOMS, sum(counts))
    units = range(1, most // sum(counts) + 1)
    if conditions.formula_units is not None:
        units = range(conditions.formula_units, conditions.formula_units + 1)
    if conditions.max_atoms is not None:
        units = range(units.start, min(units.stop, conditions.max_atoms // sum(counts) + 1))
    return units


def check_size(conditions: Conditions, numbers: Iterable[int], max_sites: int) -> None:
    """Refuses a formula whose tables would not fit into memory.

    Raises:
        InputError: they take more than `MOST_BYTES` in the groups of these numbers together.
    """
    if conditions.formula is None or conditions.template is not None:
        return
    counts = tuple(count for _, count in conditions.formula)
    units = formula_units(conditions, counts)
    sites = conditions.num_sites or max_sites
    # Groups with like positions share their tables.
    kinds = {(primitive_multiplicities(number), without_freedom(number)) for number in numbers}
    positions = sum(len(atoms) + 1 for atoms, _ in kinds)
    size = positions * sum(FormulaTarget.table_bytes([n * count for count in counts], sites) for n in units)
    if size > MOST_BYTES:
        raise InputError(
            f"the tables of the formula with up to {units[-1]} formula units take {size:,} bytes in these space "
            f"groups, over {MOST_BYTES:,}; ask for fewer formula units or atoms, for fewer space groups, or for a "
            "simpler formula"
        )
