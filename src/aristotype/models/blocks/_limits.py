"""Site and atom limits of one space group: the fewest atoms that a number of further sites can have."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
from numpy.typing import NDArray

from aristotype.symmetry import space_group

TOO_MANY = np.int64(1 << 40)


@cache
def primitive_multiplicities(number: int) -> tuple[int, ...]:
    """Atoms of each position in the primitive cell."""
    group = space_group(number)
    return tuple(p.multiplicity // group.centring_order for p in group.positions)


@cache
def without_freedom(number: int) -> tuple[bool, ...]:
    """Which positions have no freedom, so that they hold one site at most."""
    return tuple(p.freedom == 0 for p in space_group(number).positions)


@cache
def fewest_atoms(number: int, lowest: int, wanted: tuple[int, ...], max_sites: int) -> NDArray[np.int64]:
    """(max_sites + 1,) fewest atoms of exactly k further sites on letters from `lowest` on that include the `wanted`.

    `TOO_MANY` where k sites cannot do it. `wanted` are letter indices, sorted, with repetition.
    """
    need = Counter(wanted)
    table = np.full(max_sites + 1, TOO_MANY)
    if any(letter < lowest for letter in wanted):
        return table
    table[0] = 0
    atoms, fixed = primitive_multiplicities(number), without_freedom(number)
    for letter in range(len(atoms) - 1, lowest - 1, -1):
        table = _with_letter(table, atoms[letter], fixed[letter], need[letter])
    return table


def _with_letter(table: NDArray[np.int64], atoms: int, fixed: bool, needed: int) -> NDArray[np.int64]:
    """One more letter may be used: at least `needed` times, at most once where it has no freedom."""
    once = np.concatenate([[TOO_MANY], np.minimum(table[:-1] + atoms, TOO_MANY)])
    if fixed:
        if needed > 1:
            return np.full_like(table, TOO_MANY)
        return once if needed else np.minimum(table, once)
    out = table
    for _ in range(needed):
        out = np.concatenate([[TOO_MANY], np.minimum(out[:-1] + atoms, TOO_MANY)])
    sites = np.arange(len(out))  # any further number of sites on it: a running minimum of out[k] - atoms * k
    return np.minimum(np.minimum.accumulate(out - atoms * sites) + atoms * sites, TOO_MANY)
