"""Distributions of sizes and elements: laws, and scipy and pymatgen as independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from aristotype.crystal import CrystalTable
from aristotype.errors import InputError
from aristotype.evaluate import distribution_metrics, wasserstein_continuous
from tests.evaluate.crystals import random_crystals

numbers = st.lists(st.floats(-50, 50), min_size=1, max_size=30)


@given(a=numbers, b=numbers, shift=st.floats(-10, 10))
def test_wasserstein_is_a_distance_and_moves_with_a_shift(a, b, shift):
    assert wasserstein_continuous(a, b) == pytest.approx(wasserstein_continuous(b, a), abs=1e-9)
    assert wasserstein_continuous(a, np.random.default_rng(0).permutation(a)) == pytest.approx(0.0, abs=1e-9)
    assert wasserstein_continuous(np.add(a, shift), a) == pytest.approx(abs(shift), abs=1e-9)


@given(a=numbers, b=numbers)
def test_copies_are_weights(a, b):
    copies = np.arange(1, len(a) + 1)
    assert wasserstein_continuous(a, b, weights=copies) == pytest.approx(
        wasserstein_continuous(np.repeat(a, copies), b), abs=1e-9
    )


@pytest.mark.parametrize("bad", [[], [np.nan], [1.0, np.inf]])
def test_numbers_that_are_none_are_refused(bad):
    with pytest.raises(InputError, match="finite"):
        wasserstein_continuous(bad, [1.0])
    with pytest.raises(InputError, match="finite"):
        wasserstein_continuous([1.0], bad)


@pytest.fixture(scope="module")
def tables() -> tuple[CrystalTable, CrystalTable]:
    return random_crystals(1, elements=5), random_crystals(2, (2, 14, 62, 139, 167, 194, 221, 227), elements=20)


def test_distances_to_itself_are_zero(tables):
    for table in tables:
        for metric in distribution_metrics(table, table, resamples=0).values():
            assert metric.value == pytest.approx(0.0, abs=1e-7)


def test_figures_are_those_of_pymatgen_and_scipy(tables):
    structures = [table.to_structures(primitive=True) for table in tables]
    conventional = [table.to_structures() for table in tables]
    metrics = distribution_metrics(*tables, resamples=0)

    def expected(feature, source=structures) -> float:
        return wasserstein_distance(*[[feature(structure) for structure in side] for side in source])

    # The atomic weights of ase and pymatgen differ by up to 5e-4.
    assert metrics["emd_density"].value == pytest.approx(expected(lambda s: float(s.density)), abs=2e-3)
    assert metrics["emd_volume_per_atom"].value == pytest.approx(expected(lambda s: s.volume / len(s)))
    assert metrics["emd_elements"].value == pytest.approx(expected(lambda s: len(s.composition)))
    assert metrics["emd_primitive_atoms"].value == pytest.approx(expected(len))
    assert metrics["emd_conventional_atoms"].value == pytest.approx(expected(len, conventional))
    sites = [[len(row.elements) for row in table] for table in tables]
    assert metrics["emd_sites"].value == pytest.approx(wasserstein_distance(*sites))
    shares = []
    for side in structures:
        total = np.zeros(119)
        for structure in side:
            for element, fraction in structure.composition.fractional_composition.items():
                total[element.Z] += fraction / len(side)
        shares.append(total)
    assert metrics["element_root_jsd"].value == pytest.approx(jensenshannon(*shares), abs=1e-9)
    assert metrics["element_jsd"].value == pytest.approx(jensenshannon(*shares, base=2) ** 2, abs=1e-9)


def test_intervals_hold_the_figure(tables):
    metrics = distribution_metrics(*tables, resamples=40, seed=1)
    assert metrics == distribution_metrics(*tables, resamples=40, seed=1)
    for metric in metrics.values():
        assert metric.low <= metric.value <= metric.high


def test_an_empty_table_is_refused(tables):
    with pytest.raises(InputError, match="at least one of each"):
        distribution_metrics(tables[0], tables[1][:0])
