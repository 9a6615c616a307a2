"""Convex hulls of formation energies: the lowest energy that a composition can have by falling apart into known ones.

The hull at a composition x is the minimum of sum_i l_i E_i over all l_i >= 0 with sum_i l_i x_i = x: a linear programme
in as many rows as there are elements. All queries with the same number of elements are solved side by side by the
simplex method, from the basis of the elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations, pairwise
from math import gcd
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.crystal import element_symbol
from aristotype.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["reference", "calculator", "joined"]
KINDS: tuple[Kind, ...] = ("reference", "calculator", "joined")
CONFIDENCE = ("entry", "high", "medium", "low", "none")
"""The composition itself is an entry; more than ten, three to ten, one or two, or no other entries in its system."""
_BLOCK = 2_000_000  # (query, entry) pairs solved at once
_GAIN = 1e-9  # eV/atom
_PIVOTS = 200
_SUBSETS = 12  # elements up to which sub-systems are enumerated


@dataclass(frozen=True, kw_only=True)
class HullEnergies:
    """What a hull says of n compositions."""

    energy: Floats  # (n,) of the hull in eV/atom, NaN where an element has no entry
    entries: Ints  # (n,) other formulas of two or more elements in the chemical system
    is_entry: NDArray[np.bool_]  # (n,) whether the formula itself is one
    missing: tuple[str, ...]  # (n,) elements without an entry, separated by spaces; mostly empty

    def confidence(self) -> list[str]:
        """A class (n,) of `CONFIDENCE`."""
        bins = np.digitize(self.entries, (1, 3, 11))
        names = ("none", "low", "medium", "high")
        return ["entry" if own else names[place] for own, place in zip(self.is_entry, bins, strict=True)]


class HullPoints:
    """Formulas with formation energies; of equal formulas the lowest one.

    Args:
        amounts: (m, 119) atoms of each element in each entry, any multiple of the formula.
        energy: (m,) formation energies in eV/atom.

    Raises:
        InputError: an energy is not finite, or an entry has no atoms.
    """

    def __init__(self, amounts: ArrayLike, energy: ArrayLike) -> None:
        counts, values = np.asarray(amounts, np.int64), np.asarray(energy, np.float64)
        if not np.isfinite(values).all() or (len(counts) and (counts.sum(axis=1) < 1).any()):
            row = int((~np.isfinite(values) | (counts.sum(axis=1) < 1)).argmax())
            raise InputError(
                f"entry {row} of a hull has the energy {values[row]} and {counts[row].sum()} atoms; energies must be "
                "finite and entries have atoms: leave it out"
            )
        best: dict[Formula, int] = {}
        for row, formula in enumerate(reduced_formulas(counts)):
            if formula not in best or values[row] < values[best[formula]]:
                best[formula] = row
        self.formulas: list[Formula] = list(best)
        self.rows = np.fromiter(best.values(), np.int64, len(best))
        """(k,) which of the entries are kept."""
        self.energy: Floats = values[self.rows]

    def __len__(self) -> int:
        return len(self.formulas)

    @cached_property
    def _place(self) -> dict[Formula, int]:
        return {formula: row for row, formula in enumerate(self.formulas)}

    @cached_property
    def _padded(self) -> tuple[Ints, Floats]:
        """Elements (k, w), 0 beyond the last, and fractions (k, w)."""
        width = max((len(formula) for formula in self.formulas), default=1)
        elements, fractions = np.zeros((len(self), width), np.int64), np.zeros((len(self), width))
        for row, formula in enumerate(self.formulas):
            total = sum(count for _, count in formula)
            for column, (number, count) in enumerate(formula):
                elements[row, column], fractions[row, column] = number, count / total
        return elements, fractions

    @cached_property
    def _systems(self) -> dict[tuple[int, ...], Ints]:
        """Entries of each chemical system, those of its sub-systems not among them."""
        found: dict[tuple[int, ...], list[int]] = {}
        for row, formula in enumerate(self.formulas):
            found.setdefault(tuple(number for number, _ in formula), []).append(row)
        return {system: np.array(rows, np.int64) for system, rows in found.items()}

    def within(self, system: tuple[int, ...]) -> Ints:
        """Entries of a chemical system and all its sub-systems."""
        if len(system) > _SUBSETS:
            inside = set(system)
            rows = [rows for key, rows in self._systems.items() if inside.issuperset(key)]
        else:
            subsets = (subset for size in range(1, len(system) + 1) for subset in combinations(system, size))
            rows = [self._systems[subset] for subset in subsets if subset in self._systems]
        return np.concatenate(rows) if rows else np.zeros(0, np.int64)

    def evaluate(self, amounts: ArrayLike, *, without_own: bool = False) -> HullEnergies:
        """The hull at some compositions.

        Args:
            amounts: (n, 119) atoms of each element.
            without_own: whether entries of the same formula are left out (never those of elements), as a test of what
                the hull says where an entry is missing.
        """
        formulas = reduced_formulas(np.asarray(amounts, np.int64))
        distinct = list(dict.fromkeys(formulas))
        energy, entries = np.full(len(distinct), np.nan), np.zeros(len(distinct), np.int64)
        own = np.array([formula in self._place for formula in distinct], bool)
        missing = [""] * len(distinct)
        for block in self._blocks(distinct, without_own):
            for row, lacking in block.missing.items():
                missing[row] = " ".join(element_symbol(number) for number in lacking)
            entries[block.queries] = block.others
            energy[block.queries] = block.solved()
        place = {formula: row for row, formula in enumerate(distinct)}
        back = np.array([place[formula] for formula in formulas], np.int64)
        return HullEnergies(
            energy=energy[back],
            entries=entries[back],
            is_entry=own[back] & ~np.array([without_own and len(formula) > 1 for formula in formulas], bool),
            missing=tuple(missing[row] for row in back.tolist()),
        )

    def _blocks(self, formulas: Sequence[Formula], without_own: bool) -> Iterator[_Block]:
        """Queries with the same number of elements, with the entries of their systems."""
        by_size: dict[int, list[int]] = {}
        for row, formula in enumerate(formulas):
            by_size.setdefault(len(formula), []).append(row)
        cache: dict[tuple[int, ...], Ints] = {}
        for size in sorted(by_size):
            block = _Block(self, size)
            for row in by_size[size]:
                formula = formulas[row]
                system = tuple(number for number, _ in formula)
                if system not in cache:
                    cache[system] = self.within(system)
                own = self._place.get(formula) if without_own and size > 1 else None
                block.add(row, formula, cache[system], own)
                if block.pairs > _BLOCK:
                    yield block.sealed()
                    block = _Block(self, size)
            yield block.sealed()


Formula = tuple[tuple[int, int], ...]
"""(atomic number, count) by ascending number, without a common divisor."""


def reduced_formulas(amounts: NDArray[Any]) -> list[Formula]:
    """Reduced formulas of compositions (n, 119)."""
    out = []
    rows, columns = np.nonzero(amounts)
    counts = amounts[rows, columns].tolist()
    starts = np.searchsorted(rows, np.arange(len(amounts) + 1)).tolist()
    numbers = columns.tolist()
    for begin, end in pairwise(starts):
        divisor = reduce(gcd, counts[begin:end], 0) or 1
        out.append(tuple(zip(numbers[begin:end], [count // divisor for count in counts[begin:end]], strict=True)))
    return out


class _Block:
    """Linear programmes of one size, side by side."""

    def __init__(self, points: HullPoints, size: int) -> None:
        self._points, self._size = points, size
        self._rows: list[int] = []
        self._formulas: list[Formula] = []
        self._entries: list[Ints] = []
        self._others: list[int] = []
        self.missing: dict[int, list[int]] = {}
        self.pairs = 0

    def add(self, row: int, formula: Formula, entries: Ints, own: int | None) -> None:
        elements, _ = self._points._padded
        if own is not None:
            entries = entries[entries != own]
        simple = elements[entries, 1] == 0 if elements.shape[1] > 1 else np.ones(len(entries), bool)
        terminals = set(elements[entries[simple], 0].tolist())
        lacking = [number for number, _ in formula if number not in terminals]
        itself = self._points._place.get(formula)
        self._rows.append(row)
        self._formulas.append(formula)
        self._entries.append(entries)
        self._others.append(int((~simple).sum()) - int(self._size > 1 and own is None and itself is not None))
        self.pairs += len(entries)
        if lacking:
            self.missing[row] = lacking

    def sealed(self) -> _Block:
        self.queries = np.array(self._rows, np.int64)
        self.others = np.array(self._others, np.int64)
        return self

    def solved(self) -> Floats:
        """(q,) hull energies, NaN where an element is missing."""
        out = np.full(len(self.queries), np.nan)
        sound = [place for place, row in enumerate(self._rows) if row not in self.missing]
        if not sound:
            return out
        entries = np.concatenate([self._entries[place] for place in sound])
        owner = np.repeat(np.arange(len(sound)), [len(self._entries[place]) for place in sound])
        numbers = np.array([[number for number, _ in self._formulas[place]] for place in sound], np.int64)
        counts = np.array([[count for _, count in self._formulas[place]] for place in sound], np.float64)
        elements, fractions = self._points._padded
        column = np.full((len(sound), 120), self._size, np.int64)
        column[np.arange(len(sound))[:, None], numbers] = np.arange(self._size)
        local = np.zeros((len(entries), self._size + 1))  # the last column takes the padding
        np.add.at(
            local, (np.arange(len(entries))[:, None], column[owner[:, None], elements[entries]]), fractions[entries]
        )
        target = counts / counts.sum(axis=1, keepdims=True)
        out[sound] = lowest(local[:, : self._size], self._points.energy[entries], owner, target)
        return out


def lowest(vectors: Floats, energy: Floats, owner: Ints, target: Floats) -> Floats:
    """Minima (q,) of sum_i l_i energy_i under sum_i l_i vectors_i = target, l_i >= 0, for q problems at once.

    The simplex method (Dantzig 1951) with the most negative reduced cost entering; a problem that does not end after
    many pivots, by degeneracy, is handed to SciPy's solver.

    Args:
        vectors: (p, d) fractions that sum up to 1; among those of each problem are the d unit vectors.
        energy: (p,).
        owner: (p,) problem of each vector, ascending.
        target: (q, d) fractions.
    """
    count, size = target.shape
    starts = np.searchsorted(owner, np.arange(count))
    basis = _unit_vectors(vectors, energy, owner, count, size)
    out = np.empty(count)
    active = np.arange(count)
    for _ in range(_PIVOTS):
        matrix = vectors[basis[active]].transpose(0, 2, 1)  # columns are entries
        weights = np.linalg.solve(matrix, target[active][:, :, None])[:, :, 0]
        dual = np.linalg.solve(matrix.transpose(0, 2, 1), energy[basis[active]][:, :, None])[:, :, 0]
        out[active] = (weights * energy[basis[active]]).sum(axis=1)
        prices = np.zeros((count, size))
        prices[active] = dual
        cost = energy - (vectors * prices[owner]).sum(axis=1)
        least = np.minimum.reduceat(cost, starts)
        entering = _first_at(cost, least[owner], starts)[active]
        improves = least[active] < -_GAIN
        active, entering = active[improves], entering[improves]
        matrix, weights = matrix[improves], weights[improves]
        if not len(active):
            return out
        direction = np.linalg.solve(matrix, vectors[entering][:, :, None])[:, :, 0]
        positive = direction > 1e-11
        ratio = np.where(positive, np.maximum(weights, 0.0) / np.where(positive, direction, 1.0), np.inf)
        leaving = ratio.argmin(axis=1)
        basis[active, leaving] = entering
    ends = np.append(starts[1:], len(owner))
    for row in active.tolist():
        part = slice(starts[row], ends[row])
        out[row] = _by_scipy(vectors[part], energy[part], target[row])
    return out


def _unit_vectors(vectors: Floats, energy: Floats, owner: Ints, count: int, size: int) -> Ints:
    """(q, d) rows of the lowest unit vector of each direction."""
    rows = np.flatnonzero(vectors.max(axis=1) > 1.0 - 1e-12)
    direction = vectors[rows].argmax(axis=1)
    order = np.lexsort((-energy[rows], direction, owner[rows]))  # the lowest comes last, and stays
    basis = np.full((count, size), -1, np.int64)
    basis[owner[rows][order], direction[order]] = rows[order]
    return basis


def _first_at(values: Floats, wanted: Floats, starts: Ints) -> Ints:
    """(q,) first place of each problem at which a value is the wanted one."""
    places = np.where(values == wanted, np.arange(len(values)), len(values))
    return np.minimum.reduceat(places, starts)


def _by_scipy(vectors: Floats, energy: Floats, target: Floats) -> float:
    from scipy.optimize import linprog

    found = linprog(energy, A_eq=vectors.T, b_eq=target, method="highs")
    return float(found.fun) if found.success else float("nan")
