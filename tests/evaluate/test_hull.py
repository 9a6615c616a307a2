"""Hulls against pymatgen's phase diagrams and SciPy's linear programmes, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element
from scipy.optimize import linprog

from aristotype.errors import InputError
from aristotype.evaluate._hull import HullPoints, lowest, reduced_formulas

ELEMENTS = (3, 8, 12, 14, 26, 56)


def world(seed: int, entries: int = 80, elements: tuple[int, ...] = ELEMENTS) -> tuple[np.ndarray, np.ndarray]:
    """Random entries and the elements at zero."""
    rng = np.random.default_rng(seed)
    amounts = np.zeros((entries + len(elements), 119), int)
    for row in range(entries):
        chosen = rng.choice(elements, rng.integers(2, min(5, len(elements)) + 1), replace=False)
        amounts[row, chosen] = rng.integers(1, 5, len(chosen))
    amounts[entries + np.arange(len(elements)), elements] = 1
    energy = np.concatenate([rng.normal(-0.5, 0.6, entries), np.zeros(len(elements))])
    return amounts, energy


def queries(seed: int, count: int = 60, elements: tuple[int, ...] = ELEMENTS) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    amounts = np.zeros((count, 119), int)
    for row in range(count):
        chosen = rng.choice(elements, rng.integers(1, len(elements) + 1), replace=False)
        amounts[row, chosen] = rng.integers(1, 7, len(chosen))
    return amounts


def composition(row: np.ndarray) -> Composition:
    return Composition({Element.from_Z(int(z)).symbol: int(row[z]) for z in np.flatnonzero(row)})


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_phase_diagram_of_pymatgen(seed):
    amounts, energy = world(seed)
    diagram = PhaseDiagram([PDEntry(composition(row), value * row.sum()) for row, value in zip(amounts, energy)])
    asked = np.concatenate([queries(seed), amounts])
    found = HullPoints(amounts, energy).evaluate(asked)
    expected = [diagram.get_hull_energy_per_atom(composition(row)) for row in asked]
    assert np.allclose(found.energy, expected, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(0, 60))
def test_it_is_the_linear_programme(seed, size, entries):
    rng = np.random.default_rng(seed)
    problems = rng.integers(1, 6)
    vectors, energy, owner, target = [], [], [], []
    for problem in range(problems):
        # Few decimals: ties and degenerate bases are common.
        part = np.round(rng.dirichlet(np.ones(size), entries), 1)
        part = part[part.sum(axis=1) > 0]
        part = np.concatenate([part / part.sum(axis=1, keepdims=True), np.eye(size)])
        vectors.append(part)
        energy.append(np.round(rng.normal(0, 1, len(part)), 1))
        owner.append(np.full(len(part), problem))
        target.append(part[rng.integers(len(part))] if rng.random() < 0.5 else rng.dirichlet(np.ones(size)))
    found = lowest(np.concatenate(vectors), np.concatenate(energy), np.concatenate(owner), np.array(target))
    for row in range(problems):
        expected = linprog(energy[row], A_eq=vectors[row].T, b_eq=target[row], method="highs").fun
        assert found[row] == pytest.approx(expected, abs=1e-7)


def test_the_hull_is_below_its_entries_and_convex():
    amounts, energy = world(7)
    hull = HullPoints(amounts, energy)
    assert (hull.evaluate(amounts).energy <= energy + 1e-9).all()
    asked = queries(7)
    left, right = asked[:30], asked[30:]
    middle = left * right.sum(axis=1, keepdims=True) + right * left.sum(axis=1, keepdims=True)
    halves = (hull.evaluate(left).energy + hull.evaluate(right).energy) / 2
    assert (hull.evaluate(middle).energy <= halves + 1e-9).all()


def test_more_entries_never_raise_it_and_the_own_one_matters():
    amounts, energy = world(8)
    whole, fewer = HullPoints(amounts, energy), HullPoints(amounts[20:], energy[20:])
    asked = queries(8)
    assert (whole.evaluate(asked).energy <= fewer.evaluate(asked).energy + 1e-9).all()
    formulas = reduced_formulas(amounts)
    for row in range(5):
        rest = [place for place, formula in enumerate(formulas) if formula != formulas[row]]
        left_out = whole.evaluate(amounts[row : row + 1], without_own=True)
        expected = HullPoints(amounts[rest], energy[rest]).evaluate(amounts[row : row + 1])
        assert left_out.energy[0] == pytest.approx(expected.energy[0], abs=1e-9)
        assert left_out.entries[0] == expected.entries[0]
        assert not left_out.is_entry[0]


def test_multiples_of_a_formula_and_the_order_of_entries_do_not_matter():
    amounts, energy = world(9)
    asked = queries(9)
    order = np.random.default_rng(0).permutation(len(amounts))
    one = HullPoints(amounts, energy).evaluate(asked)
    other = HullPoints(amounts[order] * 3, energy[order]).evaluate(asked * 2)
    assert np.allclose(one.energy, other.energy, atol=1e-9)
    assert one.confidence() == other.confidence()


def test_entries_are_counted_and_classed():
    amounts = np.zeros((5, 119), int)
    amounts[0, 3], amounts[1, 8], amounts[2, [3, 8]], amounts[3, [3, 8]], amounts[4, 12] = 1, 1, [2, 1], [1, 1], 1
    hull = HullPoints(amounts, [0, 0, -2, -1.5, 0])
    asked = np.zeros((4, 119), int)
    asked[0, [3, 8]], asked[1, [3, 8]], asked[2, [3, 12]], asked[3, 3] = [2, 1], [1, 3], [1, 1], 5
    found = hull.evaluate(asked)
    assert found.entries.tolist() == [1, 2, 0, 0]
    assert found.confidence() == ["entry", "low", "none", "entry"]


def test_a_missing_element_is_named_and_no_number_is_made_up():
    amounts, energy = world(10)
    asked = queries(10, 2)
    asked[1, 92] = 1
    found = HullPoints(amounts, energy).evaluate(asked)
    assert np.isfinite(found.energy).tolist() == [True, False]
    assert found.missing == ("", "U")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_energies_must_be_numbers(bad):
    with pytest.raises(InputError, match="must be finite"):
        HullPoints(np.eye(119, dtype=int)[[3]], [bad])
