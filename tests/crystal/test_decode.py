"""Crystals to atoms, against the tables' own orbits and against spglib."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from hypothesis import given, settings

from aristotype.crystal import Cell, CrystalTable, Gene, GeneBatch, decode, decode_table, gene_keys
from aristotype.errors import TableError
from aristotype.symmetry import LETTERS, space_group
from tests.crystal.builders import crystals, random_crystal, table_of


@settings(max_examples=80)
@given(crystals())
def test_the_atoms_are_whole_orbits_of_the_group(crystal):
    _lattice, numbers, coords = decode(crystal)
    group = space_group(crystal.space_group)
    assert len(numbers) == crystal.num_atoms == sum(crystal.multiplicities)
    assert ((coords >= 0) & (coords < 1)).all()
    moved = np.einsum("gij,nj->gni", group.rotations, coords) + group.translations[:, None] / 24
    for image in moved:
        step = image[:, None] - coords[None]
        close = np.abs(step - np.rint(step)).max(axis=-1) < 1e-8
        assert (close.sum(axis=1) == 1).all()
        assert (numbers[close.argmax(axis=1)] == numbers).all()


@settings(max_examples=80)
@given(crystals())
def test_the_primitive_cell_is_the_same_crystal(crystal):
    whole, primitive = decode(crystal), decode(crystal, primitive=True)
    order = space_group(crystal.space_group).centring_order
    assert len(whole.numbers) == order * len(primitive.numbers)
    assert np.linalg.det(whole.lattice) == pytest.approx(order * np.linalg.det(primitive.lattice))
    step = (primitive.coords @ primitive.lattice @ np.linalg.inv(whole.lattice))[:, None] - whole.coords[None]
    close = np.abs(step - np.rint(step)).max(axis=-1) < 1e-8
    assert (close.sum(axis=1) == 1).all()
    assert (whole.numbers[close.argmax(axis=1)] == primitive.numbers).all()


def test_spglib_finds_the_group_and_the_letters():
    """Independent: spglib 2 in the same standard setting, for one random crystal of each group."""
    settled = 0
    for number in range(1, 231):
        crystal = random_crystal(number, np.random.default_rng(number), special=1)
        cell = decode(crystal)
        data = spglib.get_symmetry_dataset((cell.lattice, cell.coords, cell.numbers), symprec=1e-4)
        # Coordinates may come out special by chance, which raises the symmetry.
        assert data.number == number or len(data.rotations) > len(space_group(number).rotations)
        if data.number == number:
            settled += 1
            first = np.unique(data.crystallographic_orbits)
            letters = [LETTERS.index(data.wyckoffs[atom]) for atom in first]
            theirs = GeneBatch.from_lists([number], [cell.numbers[first]], [letters])
            # Its origin may be another one, so that letters agree up to a relabelling.
            assert gene_keys(theirs) == gene_keys(table_of(crystal).genes()), number
    assert settled >= 225


@settings(max_examples=30)
@given(crystals(), crystals(), crystals())
def test_a_table_decodes_like_its_rows(one, two, three):
    from dataclasses import replace

    table = table_of(*(replace(c, id=str(i)) for i, c in enumerate((one, two, three))))
    for primitive in (False, True):
        batch = decode_table(table, primitive=primitive)
        assert batch.offsets[-1] == len(batch.numbers) == len(batch.coords) == len(batch.sites)
        for crystal, cell in zip(table, batch.cells()):
            expected = decode(crystal, primitive=primitive)
            for a, b in zip(cell, expected):
                assert np.allclose(a, b, atol=1e-12)
        assert (np.array(one.elements)[batch.sites[: batch.offsets[1]]] == batch.numbers[: batch.offsets[1]]).all()


def test_genes_have_no_atoms():
    table = CrystalTable.from_crystals([Gene(space_group=225, elements=(11, 17), wyckoffs=(0, 1))])
    for call in (lambda: decode(table[0]), lambda: decode_table(table), table.to_structures, table.to_atoms):
        with pytest.raises(TableError, match="realize"):
            call()


def test_an_empty_table_decodes_to_nothing():
    batch = decode_table(CrystalTable.concatenate([]))
    assert len(batch.numbers) == 0
    assert list(batch.cells()) == []


def test_objects_agree_with_decode():
    crystal = random_crystal(62, np.random.default_rng(5))
    table = table_of(crystal).with_columns(energy=[-1.5], note=["made up"])
    structure, atoms = table.to_structures()[0], table.to_atoms()[0]
    for primitive in (False, True):
        expected = Cell(*decode(crystal, primitive=primitive))
        assert np.allclose(table.to_structures(primitive=primitive)[0].lattice.matrix, expected.lattice)
        assert np.allclose(table.to_atoms(primitive=primitive)[0].get_scaled_positions(), expected.coords)
    assert structure.properties["energy"] == -1.5
    assert atoms.info["note"] == "made up"
    assert atoms.info["id"] == crystal.id
