"""Charge balance: parity with smact itself, and the rule's own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from smact.screening import smact_validity

from aristotype.crystal import GeneBatch, atomic_number
from aristotype.evaluate import charge_balanced, formula_is_charge_balanced

# A noble gas, elements without a Pauling value, metals, metalloids, anions, and actinides beyond smact's oldest tables.
SYMBOLS = (
    "H He Li B C N O F Na Mg Al Si P S Cl Ar K Ca Ti Mn Fe Cu Ge As Se Br Kr Sr Tc Pd Sb Te I Xe Ba La Eu Tb Yb Au Hg "
    "Tl Bi Ac U Pu"
).split()
POOL = {symbol: atomic_number(symbol) for symbol in SYMBOLS}
KNOWN = (
    "NaCl SrTiO3 LiFePO4 Fe3O4 CaF2 CuAu TiO TiO2 NaCl2 ArO Fe SiO2 NH3 Na3Bi XeF2 Li7La3Zr2O12 AuCl3 BN GaAs C".split()
)


def theirs(formula: str) -> bool:
    return smact_validity(formula, oxidation_states_set="smact14")


@pytest.mark.parametrize("formula", KNOWN)
def test_known_formulas_are_judged_as_smact_does(formula):
    from pymatgen.core import Composition

    counts = {element.Z: int(count) for element, count in Composition(formula).items()}
    assert formula_is_charge_balanced(counts) == theirs(formula)


def test_random_formulas_are_judged_as_smact_does():
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(600):
        symbols = rng.choice(list(POOL), size=rng.integers(1, 5), replace=False)
        counts = rng.integers(1, 7, size=len(symbols))
        ours = formula_is_charge_balanced({POOL[s]: int(c) for s, c in zip(symbols, counts)})
        assert ours == theirs("".join(f"{s}{c}" for s, c in zip(symbols, counts))), (symbols, counts)
        verdicts.append(ours)
    assert 0.2 < np.mean(verdicts) < 0.8  # both answers were really tried


@given(
    counts=st.dictionaries(st.sampled_from(list(POOL.values())), st.integers(1, 6), min_size=1, max_size=5),
    factor=st.integers(1, 9),
)
def test_a_formula_and_its_multiples_are_judged_alike(counts, factor):
    multiple = {number: factor * count for number, count in counts.items()}
    assert formula_is_charge_balanced(counts) == formula_is_charge_balanced(multiple)


def test_genes_are_judged_by_their_composition():
    # Rock salt, fluorite, and NaCl2 in the positions of fluorite.
    genes = GeneBatch.from_lists([225, 225, 225], [[11, 17], [20, 9], [11, 17]], [[0, 1], [0, 2], [0, 2]])
    assert charge_balanced(genes).tolist() == [True, True, False]


def test_elements_that_smact_does_not_know_are_not_balanced():
    assert not formula_is_charge_balanced({118: 1, 8: 1})
