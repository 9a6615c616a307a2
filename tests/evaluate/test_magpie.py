"""Magpie fingerprints: matminer where it is installed, statistics made one by one, and laws of compositions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from smact.data_loader import lookup_element_magpie_data

from aristotype.crystal import GeneBatch, compositions, element_symbol
from aristotype.evaluate import magpie_fingerprints, magpie_labels
from tests.random_genes import random_genes

FILLED_IN = {2, 10, 18, 85, 86, 87, 97}
"""Elements of which Magpie lacks a property."""
KNOWN = [number for number in range(1, 97) if number not in FILLED_IN]
groups = st.lists(st.integers(1, 230), min_size=1, max_size=10)


@given(numbers=groups, seed=st.integers(0, 2**32 - 1))
def test_statistics_are_those_of_the_atoms(numbers, seed):
    """Of all atoms of a cell one by one, not of elements with weights."""
    genes = random_genes(np.random.default_rng(seed), numbers, elements=KNOWN, max_sites=5)
    found = magpie_fingerprints(genes).reshape(len(genes), 22, 6)
    assert len(magpie_labels()) == 132 and len(set(magpie_labels())) == 132
    for row, composition in enumerate(compositions(genes)):
        for column, label in enumerate(magpie_labels()[::6]):
            values = {z: lookup_element_magpie_data(element_symbol(z))[label.split()[1]] for z in composition}
            atoms = np.array([values[z] for z, count in composition.items() for _ in range(count)], float)
            largest = max(composition.values())
            expected = (
                atoms.min(),
                atoms.max(),
                np.ptp(atoms),
                atoms.mean(),
                np.abs(atoms - atoms.mean()).mean(),
                min(values[z] for z, count in composition.items() if count == largest),
            )
            np.testing.assert_allclose(found[row, column], expected, rtol=1e-9, atol=1e-9)


def test_fingerprints_are_matminers():
    """matminer 0.10.1 wants pandas below 3 and so is not among the dependencies."""
    composition = pytest.importorskip("matminer.featurizers.composition")
    from pymatgen.core import Composition

    genes = random_genes(np.random.default_rng(0), list(range(1, 231)), elements=KNOWN, max_sites=5)
    featurizer = composition.ElementProperty.from_preset("magpie")
    expected = [
        featurizer.featurize(Composition({element_symbol(z): count for z, count in counts.items()}))
        for counts in compositions(genes)
    ]
    np.testing.assert_allclose(magpie_fingerprints(genes), expected, rtol=1e-7, atol=1e-7)


def test_fingerprints_know_fractions_only():
    fluorite = magpie_fingerprints(GeneBatch.from_lists([225], [[9, 20]], [[2, 0]]))
    formula_units = GeneBatch.from_lists([1], [[9, 20, 9, 9, 20, 9]], [[0] * 6])
    np.testing.assert_allclose(magpie_fingerprints(formula_units), fluorite)
    turned = magpie_fingerprints(GeneBatch.from_lists([225], [[20, 9]], [[2, 0]]))
    same = ["minimum" in label or "maximum" in label or "range" in label for label in magpie_labels()]
    np.testing.assert_array_equal(turned[:, same], fluorite[:, same])
    assert (turned != fluorite).any()


def test_an_element_without_properties_leaves_none():
    found = magpie_fingerprints(GeneBatch.from_lists([225, 225], [[9, 100], [11, 17]], [[2, 0], [0, 1]]))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    assert magpie_fingerprints(GeneBatch.from_lists([], [], [])).shape == (0, 132)
