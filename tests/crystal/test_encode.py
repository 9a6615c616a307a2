"""Structures to crystals: the same crystal comes out, however it goes in."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import (
    Cell,
    Failure,
    canonical_crystal,
    crystal_equivalents,
    decode,
    decode_table,
    encode,
    encode_arrays,
    gene_keys,
)
from aristotype.crystal._sites import read_free, readers
from aristotype.errors import InputError, StructureError
from aristotype.symmetry import locate, space_group
from tests.crystal.builders import aflow_prototypes, crystals, disguised, groups, random_crystal, seeds, table_of
from tests.crystal.round_trip import distance_between, round_trip, standard_cell


@settings(max_examples=60)
@given(crystals(), seeds)
def test_encoding_what_was_decoded_gives_the_same_crystal(crystal, seed):
    """The free parameters too: the description found is one of those that we list."""
    found = encode(disguised(crystal, np.random.default_rng(seed)), tolerance=1e-3, max_gap=None)[0]
    if found.space_group != crystal.space_group:
        # Random coordinates came out more symmetric; then the group is a supergroup.
        assert len(space_group(found.space_group).rotations) >= len(space_group(crystal.space_group).rotations)
        return
    assert gene_keys(table_of(found).genes()) == gene_keys(table_of(crystal).genes())
    assert len(crystal_equivalents(found)) == len(crystal_equivalents(crystal))
    one, other = canonical_crystal(found), canonical_crystal(crystal)
    assert np.allclose(one.free, other.free, atol=1e-4)
    assert np.allclose(one.lattice, other.lattice, atol=1e-4)


@settings(max_examples=60)
@given(crystals(), seeds)
def test_decoding_reproduces_moyopys_standardised_cell(crystal, seed):
    cell = disguised(crystal, np.random.default_rng(seed))
    standard = standard_cell(cell, 1e-3)
    decoded = decode(encode(cell, tolerance=1e-3, max_gap=None)[0])
    assert np.abs(decoded.lattice - standard.lattice).max() < 1e-6
    assert distance_between(decoded, standard) < 1e-6


@settings(max_examples=100)
@given(groups, seeds)
def test_reading_agrees_with_locate(number, seed):
    """The fast reader against the one of the symmetry floor: free parameters of the same orbit."""
    rng = np.random.default_rng(seed)
    for position in space_group(number).positions:
        free = rng.random(position.freedom)
        atoms = position.orbit(free)
        ours, off = read_free(number, position.index, atoms)
        theirs, _, _ = locate(position, atoms)
        assert off.max() < 1e-9
        assert len(readers(number, position.index)[0]) == position.multiplicity
        for values in (ours[0], theirs[0]):
            step = position.orbit(values)[:, None] - atoms[None]
            assert np.abs(step - np.rint(step)).max(axis=-1).min(axis=1).max() < 1e-9
        # Whichever atom of the orbit is read, the same numbers come out.
        assert np.allclose(ours, ours[0], atol=1e-9)


@settings(max_examples=30)
@given(crystals(number=st.integers(75, 230), special=1), st.sampled_from([(2, 1, 1), (1, 2, 2), (3, 1, 1)]))
def test_supercells_are_the_same_crystal(crystal, repeats):
    cell = decode(crystal, primitive=True)
    shifts = np.stack(np.meshgrid(*[np.arange(n) for n in repeats], indexing="ij"), axis=-1).reshape(-1, 1, 3)
    coords = ((cell.coords + shifts) / repeats).reshape(-1, 3)
    repeated = Cell(cell.lattice * np.array(repeats)[:, None], np.tile(cell.numbers, len(shifts)), coords)
    one, many = (encode(c, tolerance=1e-3, max_gap=None)[0] for c in (cell, repeated))
    assert (one.space_group, one.num_atoms) == (many.space_group, many.num_atoms)
    assert gene_keys(table_of(one).genes()) == gene_keys(table_of(many).genes())


@settings(max_examples=30)
@given(crystals(special=1), seeds)
def test_left_handed_cells_are_the_same_crystal(crystal, seed):
    """Two vectors exchanged together with their coordinates: the same atoms in space."""
    cell = disguised(crystal, np.random.default_rng(seed))
    swap = [1, 0, 2]
    left = Cell(cell.lattice[swap], cell.numbers, cell.coords[:, swap])
    assert np.linalg.det(left.lattice) < 0
    one, other = (canonical_crystal(encode(c, tolerance=1e-3, max_gap=None)[0]) for c in (cell, left))
    assert one.space_group == other.space_group
    assert np.allclose(one.free, other.free, atol=1e-4)


def test_many_give_what_one_gives():
    rng = np.random.default_rng(0)
    cells = [disguised(random_crystal(number, rng), rng) for number in range(3, 230, 12)]
    table = encode_arrays(*zip(*cells), tolerance=1e-3, max_gap=None)
    assert table.ids == [str(i) for i in range(len(cells))]
    for row, cell in zip(table, cells):
        assert row == replace(encode([cell], tolerance=1e-3, max_gap=None)[0], id=row.id)
    assert encode(cells, tolerance=1e-3, max_gap=None) == table


def test_the_tolerance_that_the_search_ended_with_is_recorded(caplog):
    """At 3 Angstrom atoms 3.46 apart are hard to tell apart: the search steps back, and the table says so."""
    salt = Cell(np.eye(3) * 4.0, np.array([11, 17]), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]))
    table = encode([salt, salt], tolerance=3.0)
    assert (table.column("tolerance").to_numpy() < 3.0).all()
    assert table.space_group.tolist() == [221, 221]
    assert encode(salt, tolerance=0.05).column("tolerance").to_pylist() == [0.05]
    with caplog.at_level(logging.WARNING):
        cell = decode(random_crystal(227, np.random.default_rng(0), special=0))
        encode(cell, tolerance=0.01)
    assert not caplog.records  # nothing about supercells on standard error


def test_a_wider_tolerance_finds_more_symmetry():
    cell = decode(table_of(random_crystal(221, np.random.default_rng(2)))[0])
    shaken = cell._replace(coords=cell.coords + np.random.default_rng(0).normal(size=cell.coords.shape) * 3e-4)
    assert encode(shaken, tolerance=1e-4, max_gap=None)[0].space_group == 1
    assert encode(shaken, tolerance=0.1, max_gap=None)[0].space_group == 221


def test_pymatgen_and_ase_objects_give_the_same_rows():
    table = table_of(*(random_crystal(n, np.random.default_rng(n)) for n in (2, 63, 148, 194)))
    structures, atoms = table.to_structures(), table.to_atoms()
    expected = encode(list(decode_table(table).cells()), tolerance=1e-3, max_gap=None)
    for things in (structures, atoms, iter(structures), [structures[0], *atoms[1:]]):
        found = encode(things, tolerance=1e-3, max_gap=None)
        assert (gene_keys(found.genes()) == gene_keys(expected.genes())).all()
        assert np.allclose(found.lattice, expected.lattice, atol=1e-9)
    assert len(encode(structures[0], max_gap=None)) == len(encode(atoms[0], max_gap=None)) == 1


def test_oxidation_states_spins_and_isotopes_are_dropped():
    from ase import Atoms
    from pymatgen.core import Lattice, Species, Structure

    lattice, coords = Lattice.cubic(5.6), [[0, 0, 0], [0.5, 0.5, 0.5]]
    plain = encode(Structure(lattice, ["H", "Cl"], coords))
    for kinds in (
        ["H+", "Cl-"],
        [Species("H", 1, spin=2), Species("Cl", -1)],
        ["D", "Cl"],
        ["T", "Cl"],
        ["D+", "Cl-"],
        [{"H": 1.0}, {"Cl": 1.0}],
    ):
        assert encode(Structure(lattice, kinds, coords)) == plain
    heavy = Atoms("HCl", scaled_positions=coords, cell=[5.6] * 3, pbc=True)
    heavy.set_masses([2.014, 35.45])
    heavy.set_initial_magnetic_moments([1.0, 0.0])
    assert encode(heavy) == plain


def test_ids_are_given_or_counted():
    cell = decode(random_crystal(225, np.random.default_rng(0)))
    assert encode([cell, cell], ids=["a", "b"]).ids == ["a", "b"]
    assert encode([cell, cell]).ids == ["0", "1"]
    with pytest.raises(InputError, match="'a' is given more than once"):
        encode([cell, cell], ids=["a", "a"])
    for ids in (["a"], ["a", "b", "c"]):
        with pytest.raises(InputError, match="ids for"):
            encode([cell, cell], ids=ids)
    with pytest.raises(InputError, match="one entry a structure"):
        encode_arrays([cell.lattice], [cell.numbers], [cell.coords], ids=["a", "b"])


def test_failures_are_collected_and_the_rest_goes_on():
    good = decode(random_crystal(225, np.random.default_rng(0)))
    bad = good._replace(coords=good.coords * np.nan)
    failures: list[Failure] = []
    table = encode([good, bad, good], ids=["a", "b", "c"], failures=failures)
    assert table.ids == ["a", "c"]
    assert [(f.index, f.id) for f in failures] == [(1, "b")]
    assert "NaN" in failures[0].reason
    failures.clear()
    assert len(encode([bad], failures=failures)) == 0
    assert len(failures) == 1
    with pytest.raises(StructureError, match="'b' cannot be encoded"):
        encode([good, bad], ids=["a", "b"])
    assert len(encode([])) == 0


def test_real_prototypes_survive_the_round_trip():
    """The 288 structures of AFLOW: decoding gives moyopy's cell, encoding again the same gene."""
    _, cells = aflow_prototypes()
    table = encode(cells, tolerance=0.01)
    decoded = list(decode_table(table).cells())
    for cell, standard in zip(decoded, (standard_cell(cell, 0.01) for cell in cells)):
        assert np.abs(cell.lattice - standard.lattice).max() < 1e-6
        assert distance_between(cell, standard) < 1e-6
    again = encode(decoded, tolerance=1e-4)
    assert (gene_keys(again.genes()) == gene_keys(table.genes())).all()


@pytest.mark.slow
def test_real_data_survives_the_round_trip(data_folder):
    """Every ninth structure of mp_20_val; `python -m tests.crystal.round_trip` takes all of them."""
    if not (data_folder / "mp_20_val.parquet").is_file():
        pytest.skip(f"no mp_20_val.parquet in {os.fspath(data_folder)}")
    found = round_trip(data_folder / "mp_20_val.parquet", slice(0, None, 9))
    assert found.failures == []
    assert found.largest_lattice_error < 1e-6
    assert found.largest_position_error < 1e-6
    assert found.changed == []
    assert len(found.risen) <= 2
