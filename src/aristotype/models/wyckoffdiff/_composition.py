"""Independent variables drawn given an exact composition, by dynamic programming over counts of atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    Floats = NDArray[np.float64]

Amount = tuple[int, ...]
"""Atoms of each element of a formula, and sites where they are counted."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable and what its values add to the amounts."""

    probabilities: tuple[float, ...]
    adds: tuple[Amount, ...]


def draw_amounts(variables: Sequence[Variable], targets: Sequence[Amount], chance: Floats) -> list[int] | None:
    """Values of independent variables, given that what they add is one of the targets; None where that cannot be.

    Args:
        variables: m of them.
        targets: amounts, of which each comes as often as it is likely.
        chance: (m + 1,) uniform numbers.
    """
    if not targets:
        return None
    shape = tuple(np.max(targets, axis=0) + 1)
    rest = np.zeros(shape)
    rest[(0,) * len(shape)] = 1.0
    tables = [rest]  # of the probability that the variables from one on add up to an amount
    for variable in reversed(variables):
        table = np.zeros(shape)
        for probability, add in zip(variable.probabilities, variable.adds, strict=True):
            if probability > 0 and all(a < size for a, size in zip(add, shape, strict=True)):
                to = tuple(slice(a, None) for a in add)
                come = tuple(slice(None, size - a) for a, size in zip(add, shape, strict=True))
                table[to] += probability * tables[-1][come]
        tables.append(table)
    tables.reverse()
    left = _choose([tables[0][target] for target in targets], chance[-1])
    if left is None:
        return None
    amount, values = targets[left], []
    for variable, after, number in zip(variables, tables[1:], chance, strict=False):
        ways = []
        for probability, add in zip(variable.probabilities, variable.adds, strict=True):
            rest_of = tuple(a - b for a, b in zip(amount, add, strict=True))
            ways.append(probability * after[rest_of] if min(rest_of) >= 0 else 0.0)
        value = _choose(ways, number)
        assert value is not None, "an amount that can be reached has a next step"
        amount = tuple(a - b for a, b in zip(amount, variable.adds[value], strict=True))
        values.append(value)
    return values


def _choose(weights: Sequence[float], chance: float) -> int | None:
    """Index drawn in proportion to weights; None if all are zero."""
    total = np.cumsum(weights)
    if not total[-1] > 0:
        return None
    return min(int((total <= chance * total[-1]).sum()), int(np.flatnonzero(weights)[-1]))
