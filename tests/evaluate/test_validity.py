"""Sizes and validity: pymatgen as an independent implementation, and laws of cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from pymatgen.core import Composition

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.errors import InputError, TableError
from aristotype.evaluate import _geometry as module
from aristotype.evaluate import geometry, structure_columns, validity, validity_metrics
from tests.crystal.builders import seeds
from tests.evaluate.crystals import concatenated, crystal, random_crystals

CUBE = [90.0, 90.0, 90.0]


@settings(max_examples=8)
@given(seed=seeds)
def test_sizes_are_pymatgens(seed):
    table = random_crystals(seed)
    sizes = geometry(table)
    for row, structure in enumerate(table.to_structures(primitive=False)):
        # Its matrix leaves out an atom's own images: the lengths of the shortest vectors of the primitive lattice.
        distances = structure.distance_matrix + 1e9 * np.eye(len(structure))
        own = structure.get_primitive_structure().get_reduced_structure().lattice.abc
        expected = min(distances.min(), *own)
        assert sizes.min_distance[row] == pytest.approx(expected, abs=1e-8)
        assert sizes.volume_per_atom[row] == pytest.approx(structure.volume / len(structure), rel=1e-9)
        # The atomic weights of ase and pymatgen differ by up to 5e-4.
        assert sizes.density[row] == pytest.approx(float(structure.density), rel=5e-4)


@pytest.mark.parametrize("budget", [1, 37, 1000])
def test_sizes_do_not_depend_on_the_batch(budget, monkeypatch):
    table = random_crystals(5)
    whole = geometry(table)
    monkeypatch.setattr(module, "_PAIRS_A_PASS", budget)
    parts = geometry(table)
    for name in ("min_distance", "closeness", "volume", "density"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_an_atom_is_a_neighbour_of_its_own_images():
    sizes = geometry(crystal(225, [29], "a", [4.0, 4.0, 4.0, *CUBE]))
    assert sizes.min_distance[0] == pytest.approx(4.0 / np.sqrt(2))
    assert sizes.volume[0] == pytest.approx(16.0)


def test_closeness_is_the_smallest_distance_over_the_sum_of_radii():
    from ase.data import covalent_radii

    lattice = [5.64, 5.64, 5.64, *CUBE]
    salt = geometry(crystal(225, [11, 17], "ab", lattice))
    bonds = {"Na-Cl": 2.82, "Na-Na": 5.64 / np.sqrt(2), "Cl-Cl": 5.64 / np.sqrt(2)}
    sodium, chlorine = covalent_radii[11], covalent_radii[17]
    sums = {"Na-Cl": sodium + chlorine, "Na-Na": 2 * sodium, "Cl-Cl": 2 * chlorine}
    assert salt.closeness[0] == pytest.approx(min(bonds[pair] / sums[pair] for pair in bonds))
    # Berkelium has no measured radius.
    assert np.isnan(geometry(crystal(225, [97, 17], "ab", lattice)).closeness[0])


@pytest.mark.parametrize(("edge", "close"), [(0.999, False), (1.001, True)])
def test_validity_changes_at_half_an_angstrom(edge, close):
    # The nearest atoms of rock salt are half an edge apart.
    judged = validity(crystal(225, [11, 17], "ab", [edge, edge, edge, *CUBE]))
    assert judged.distance[0] == close
    assert judged.valid[0] == close
    assert judged.volume[0]
    assert not judged.plausible[0]


@pytest.mark.parametrize(("edge", "large"), [(0.46, False), (0.47, True)])
def test_validity_changes_at_a_tenth_of_a_cubic_angstrom(edge, large):
    assert validity(crystal(221, [11], "a", [edge, edge, edge, *CUBE])).volume[0] == large


def test_plausible_structures_are_neither_thin_nor_dense_nor_crowded():
    def judged(edge: float, number: int) -> bool:
        return bool(validity(crystal(221, [number], "a", [edge, edge, edge, *CUBE])).plausible[0])

    osmium = 190.23 * 1.66053906660
    assert judged((osmium / 24.9) ** (1 / 3), 76)
    assert not judged((osmium / 25.1) ** (1 / 3), 76)  # 25.1 g/cm^3
    hydrogen = 1.008 * 1.66053906660
    assert judged((hydrogen / 0.0101) ** (1 / 3), 1)
    assert not judged((hydrogen / 0.0099) ** (1 / 3), 1)
    assert not judged(2.01 ** (1 / 3) - 0.1, 1)  # more than half an atom a cubic Angstrom
    assert not judged(1.3, 19)  # less than half of the sum of the radii


def test_metrics_are_means_over_what_was_submitted():
    good = crystal(225, [11, 17], "ab", [5.6, 5.6, 5.6, *CUBE])
    unbalanced = crystal(225, [9, 11], "ac", [5.6, 5.6, 5.6, *CUBE])
    crowded = crystal(225, [11, 17], "ab", [0.9, 0.9, 0.9, *CUBE])
    judged = validity(concatenated(good, unbalanced, crowded))
    of_built, of_all = validity_metrics(judged), validity_metrics(judged, submitted=10)
    assert of_built["valid"].value == pytest.approx(1 / 3)
    assert of_all["valid"].value == pytest.approx(1 / 10)
    assert of_all["valid_structure"].value == of_all["valid_charge"].value == pytest.approx(2 / 10)
    for metric in of_all.values():
        assert metric.low <= metric.value <= metric.high


def test_columns_are_those_of_the_rows():
    table = concatenated(random_crystals(0, (14, 62)), crystal(225, [11, 17], "ab", [5.6, 5.6, 5.6, *CUBE]))
    sizes = geometry(table)
    rows = table.with_columns(structure_columns(table, sizes, validity(table, sizes)))
    salt = rows.arrow.slice(2, 1).to_pylist()[0]
    assert salt["formula"] == "NaCl"
    assert salt["label"] == "AB_cF8_225_a_b:Cl-Na"
    assert salt["min_distance"] == pytest.approx(2.8)
    assert salt["valid"] and salt["valid_charge"] and salt["valid_distance"] and salt["valid_volume"]
    structures = [structure.composition.reduced_composition for structure in table.to_structures()]
    assert [Composition(formula) for formula in rows.column("formula").to_pylist()] == structures
    for name in ("min_distance", "density", "volume_per_atom"):
        assert rows.column(name).type == "double"


def test_what_cannot_be_judged_is_refused():
    table = random_crystals(0, (1, 225))
    with pytest.raises(InputError, match="sizes of 1"):
        validity(table, geometry(table[:1]))
    with pytest.raises(InputError, match="submitted"):
        validity_metrics(validity(table), submitted=1)
    with pytest.raises(InputError, match="submitted"):
        validity_metrics(validity(table[:0]))
    with pytest.raises(TableError, match="no geometry"):
        geometry(CrystalTable.from_genes(GeneBatch.from_lists([225], [[11]], [[0]])))
