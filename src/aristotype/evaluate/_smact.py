"""Charge balance of formulas by the SMACT rule of CDVAE, fast.

The rule (Davies et al. 2016; Xie et al. 2022): a formula is valid if it has one element, or metals only, or if some
choice of one oxidation state an element adds up to zero with every cation less electronegative (Pauling) than every
anion. Oxidation states are the set "smact14" of the smact package; another set moves the valid share by up to 0.28.

smact tries all combinations. Here the elements are ordered by electronegativity and cut in two at every place: below
the cut only states >= 0 are taken, above only those <= 0. The reachable charges of either side are bits of an integer,
and the formula is valid if a cut has one in common.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aristotype.errors import MissingDependencyError
from aristotype.evaluate._counts import compositions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from aristotype.crystal import GeneBatch

Formula = tuple[tuple[int, int], ...]  # (atomic number, count), ascending, reduced


class _Ion(NamedTuple):
    states: tuple[int, ...]
    electronegativity: float | None
    metal: bool


_NO_ION = _Ion((), None, False)


@cache
def _ions() -> Mapping[int, _Ion]:
    """What smact knows of each atomic number."""
    try:
        import smact
    except ImportError as error:
        raise MissingDependencyError("charge balance needs smact; install it with: pip install smact") from error
    metals = frozenset(smact.metals)
    return {
        element.number: _Ion(
            tuple(element.oxidation_states_smact14 or ()), element.pauling_eneg, element.symbol in metals
        )
        for element in smact.element_dictionary().values()
    }


def charge_balanced(genes: GeneBatch) -> NDArray[np.bool_]:
    """(n,) whether the composition of each gene passes the rule.

    Raises:
        MissingDependencyError: smact is not installed.
    """
    rows = compositions(genes)
    # Row by row, because formulas repeat and the cache knows most of them.
    return np.array([_is_valid(_reduced(enumerate(row.tolist()))) for row in rows], dtype=bool)


def formula_is_charge_balanced(counts: Mapping[int, int]) -> bool:
    """Whether a formula {atomic number: count} passes the rule.

    Raises:
        MissingDependencyError: smact is not installed.
    """
    return _is_valid(_reduced(sorted(counts.items())))


def _reduced(counts: Iterable[tuple[int, int]]) -> Formula:
    present = [(number, count) for number, count in counts if count]
    divisor = gcd(*(count for _, count in present))
    return tuple((number, count // divisor) for number, count in present)


@lru_cache(maxsize=1 << 18)
def _is_valid(formula: Formula) -> bool:
    ions = [_ions().get(number, _NO_ION) for number, _ in formula]
    if len(ions) == 1 or all(ion.metal for ion in ions):
        return True
    if any(ion.electronegativity is None for ion in ions):
        return False  # smact compares every pair, and one without a value never passes
    order = sorted(range(len(ions)), key=lambda site: ions[site].electronegativity or 0.0)
    values = [ions[site].electronegativity for site in order]
    cuts = [0, *(place for place, (low, high) in enumerate(pairwise(values), start=1) if low != high), len(order)]
    counts = [formula[site][1] for site in order]
    states = [ions[site].states for site in order]
    return any(_charges(states[:cut], counts[:cut], 1) & _charges(states[cut:], counts[cut:], -1) for cut in cuts)


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
