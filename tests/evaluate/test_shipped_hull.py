"""The hull in the package: there, small, and right about well-known compounds."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from aristotype.crystal import atomic_number, parse_formula
from aristotype.evaluate import read_hull

MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def hull():
    return read_hull()


def amounts(*formulas: str) -> np.ndarray:
    out = np.zeros((len(formulas), 119), int)
    for row, formula in enumerate(formulas):
        for number, count in parse_formula(formula).items():
            out[row, number] = count
    return out


def test_it_is_small_and_says_what_it_is(hull):
    path = files("aristotype.evaluate") / "hulls" / "chgnet.parquet"
    assert len(path.read_bytes()) < MOST_BYTES
    assert hull.kinds == ("calculator",) and hull.default_kind == "calculator"
    assert hull.about["calculator"] == "chgnet" and len(hull.references[np.isfinite(hull.references)]) == 89
    assert hull.about["deviation"]["mae"] < 0.05


def test_every_element_has_an_entry_near_zero(hull):
    known = [number for number in range(1, 119) if np.isfinite(hull.references[number])]
    pure = np.eye(119, dtype=int)[known]
    found = hull.points("calculator").evaluate(pure)
    assert not any(found.missing)
    assert (np.abs(found.energy) < 0.25).all()  # CHGNet's error on elements


@pytest.mark.parametrize(
    ("formula", "energy"),
    # Measured enthalpies of formation (298 K) in eV/atom; the functional and CHGNet together are within a tenth or so.
    [("NaCl", -2.13), ("MgO", -3.12), ("Al2O3", -3.47), ("SiO2", -3.15), ("CaF2", -4.20), ("TiO2", -3.26)],
)
def test_known_compounds_are_where_calorimetry_puts_them(hull, formula, energy):
    found = hull.points("calculator").evaluate(amounts(formula))
    assert found.is_entry[0]
    assert found.energy[0] == pytest.approx(energy, abs=0.25)


def test_a_mixture_of_stable_phases_is_on_the_tie_line(hull):
    """Na2MgCl4 is NaCl and MgCl2 at best where the hull holds nothing lower."""
    points = hull.points("calculator")
    mixed, salt, magnesium = points.evaluate(amounts("Na2MgCl4", "NaCl", "MgCl2")).energy
    assert mixed <= (4 * salt + 3 * magnesium) / 7 + 1e-6
    assert hull.references[atomic_number("O")] < -4
