"""Which formulas can be balanced: one oxidation state an element that add up to zero, cations before anions.

The rule (Davies et al., Chem 1, 617 (2016); Xie et al., CDVAE, 2022): a formula passes if it has one element, or metals
only, or if some choice of one oxidation state an element adds up to zero with every cation less electronegative
(Pauling) than every anion. The elements are ordered by electronegativity and cut in two at every place: below the cut
only states >= 0 are taken, above only those <= 0. The reachable charges of either side are bits of an integer, and the
formula passes if a cut has one in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
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
    return passes([ions().get(number, NO_ION) for number, _ in formula], [count for _, count in formula])


def passes(ions: Sequence[Ion], counts: Sequence[int]) -> bool:
    """Whether so many atoms of each element pass the rule."""
    if len(ions) == 1 or all(ion.metal for ion in ions):
        return True
    if any(ion.electronegativity is None for ion in ions):
        return False  # every pair is compared, and one without a value never passes
    order = sorted(range(len(ions)), key=lambda site: ions[site].electronegativity or 0.0)
    values = [ions[site].electronegativity for site in order]
    cuts = [0, *(place for place, (low, high) in enumerate(pairwise(values), start=1) if low != high), len(order)]
    numbers = [counts[site] for site in order]
    states = [ions[site].states for site in order]
    return any(_charges(states[:cut], numbers[:cut], 1) & _charges(states[cut:], numbers[cut:], -1) for cut in cuts)


def _charges(states: Sequence[tuple[int, ...]], counts: Sequence[int], sign: int) -> int:
    """Reachable total charges, times `sign`, as bits of an integer; only states of that sign or zero are taken."""
    reachable = 1
    for choices, count in zip(states, counts, strict=True):
        shifts = [sign * state * count for state in choices if sign * state >= 0]
        step = 0
        for shift in shifts:
            step |= reachable << shift
        reachable = step
    return reachable
