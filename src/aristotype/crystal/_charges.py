"""Which formulas can be balanced: one oxidation state an element that add up to zero, cations before anions.

The rule (Davies et al., Chem 1, 617 (2016); Xie et al., CDVAE, 2022): a formula passes if it has one element, or metals
only, or if some choice of one oxidation state an element adds up to zero with every cation less electronegative
(Pauling) than every anion. Elements are cut in two by electronegativity in every way: below the cut only states >= 0
are taken, above only those <= 0, and the formula passes if their charges reach zero for some cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from math import gcd
from typing import NamedTuple

from aristotype.crystal._elements import element_rows

Formula = tuple[tuple[int, int], ...]
"""(atomic number, count), in increasing order, without a common divisor."""


class Ion(NamedTuple):
    """What the rule knows of an element."""

    states: tuple[int, ...]
    electronegativity: float | None
    metal: bool


NO_ION = Ion((), None, False)


@cache
def ions() -> Mapping[int, Ion]:
    """The shipped table by atomic number: oxidation states smact14 (`tools/build_elements.py`)."""
    return {
        row["number"]: Ion(
            states=tuple(row["oxidation_states"]),
            electronegativity=None if "electronegativity" in row.get("filled", ()) else row["electronegativity"],
            metal=row["metal"],
        )
        for row in element_rows()
    }


def reduced(counts: Sequence[tuple[int, int]]) -> Formula:
    """A formula from atomic numbers, in increasing order, and counts; those of 0 are left out."""
    present = [(number, count) for number, count in counts if count]
    divisor = gcd(*(count for _, count in present))
    return tuple((number, count // divisor) for number, count in present)


@lru_cache(maxsize=1 << 18)
def can_balance(formula: Formula) -> bool:
    """Whether a formula passes the rule, by the shipped table."""
    numbers = tuple(number for number, _ in formula)
    return _adds_up(_cuts_of(numbers), [count for _, count in formula])


def passes(ions: Sequence[Ion], counts: Sequence[int]) -> bool:
    """Whether so many atoms of each element pass the rule."""
    return _adds_up(_cuts(tuple(ions)), counts)


class _Cuts(NamedTuple):
    """What the rule asks of elements, whatever their counts."""

    answer: bool | None  # where counts do not matter
    states: tuple[tuple[tuple[int, ...], ...], ...]  # by cut, and element in increasing order, those that are left


@lru_cache(maxsize=1 << 14)
def _cuts_of(numbers: tuple[int, ...]) -> _Cuts:
    return _cuts(tuple(ions().get(number, NO_ION) for number in numbers))


@lru_cache(maxsize=1 << 14)
def _cuts(ions: tuple[Ion, ...]) -> _Cuts:
    if len(ions) == 1 or all(ion.metal for ion in ions):
        return _Cuts(True, ())
    values = [ion.electronegativity for ion in ions]
    known = sorted({value for value in values if value is not None})
    if None in values:
        return _Cuts(False, ())  # every pair is compared, and one without a value never passes
    states = [
        tuple(
            tuple(state for state in ion.states if (state >= 0 if (ion.electronegativity or 0.0) < cut else state <= 0))
            for ion in ions
        )
        for cut in (*known, float("inf"))
    ]
    return _Cuts(None, tuple(each for each in states if all(each)))


def _adds_up(cuts: _Cuts, counts: Sequence[int]) -> bool:
    if cuts.answer is not None:
        return cuts.answer
    return any(0 in _charges(states, counts) for states in cuts.states)


def _charges(states: Sequence[tuple[int, ...]], counts: Sequence[int]) -> set[int]:
    """Charges that so many atoms of each element can have together."""
    reached = {0}
    for choices, count in zip(states, counts, strict=True):
        reached = {charge + state * count for charge in reached for state in choices}
    return reached
