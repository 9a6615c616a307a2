"""The shipped table: the counts every crystallographer knows, and the refusal of any other file."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aristotype.errors import SymmetryError
from aristotype.symmetry import LETTERS, MAX_POSITIONS, space_group, tables
from aristotype.symmetry._tables import read_tables

PAIRS = {
    (76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172), (178, 179), (180, 181),
    (212, 213),
}  # fmt: skip  # ITA A, chapter 3.6: the enantiomorphic pairs of space-group types


@pytest.fixture
def shipped(tmp_path):
    with as_file(files("aristotype.symmetry") / "spacegroups.safetensors") as path:
        return shutil.copy(path, tmp_path / "table.safetensors")


def test_counts_of_all_groups():
    data = tables()
    assert len(data.symbols) == 230
    assert len(data.freedom) == 1731
    assert np.bincount(data.freedom).tolist() == [616, 718, 167, 230]
    assert np.bincount(data.crystal_system).tolist() == [2, 13, 59, 68, 25, 27, 36]
    assert data.num_positions.max() == MAX_POSITIONS == len(LETTERS)
    assert len(data.site_symmetries) == len(set(data.site_symmetries))


def test_group_47_is_the_richest():
    positions = space_group(47).positions
    assert len(positions) == 27
    assert positions[-1].letter == "A"
    assert "".join(p.letter for p in positions) == LETTERS


def test_polar_groups_are_68():
    groups = [space_group(n) for n in range(1, 231)]
    assert sum(any(group.polar_axes) for group in groups) == 68
    # The origin floats along the axes of the vectors that all rotations keep.
    for group in groups:
        invariant = group.rotations.sum(axis=0) / len(group.rotations)
        assert round(np.trace(invariant)) == sum(group.polar_axes)


def test_enantiomorphic_pairs_are_11():
    found = {(n, space_group(n).enantiomorph) for n in range(1, 231) if space_group(n).enantiomorph}
    assert found == PAIRS | {pair[::-1] for pair in PAIRS}


def test_features_tell_groups_and_positions_apart():
    data = tables()
    assert np.isfinite(data.group_features).all()
    assert np.isfinite(data.position_features).all()
    assert len(np.unique(data.group_features, axis=0)) == 230
    assert np.abs(data.group_features).max() < 10
    assert np.abs(data.position_features).max() < 10


def test_symbol_and_index_name_a_position_of_a_group():
    data = tables()
    group = np.repeat(np.arange(230), np.diff(data.position_offset))
    names = np.column_stack([group, data.site_symmetry, data.site_symmetry_index])
    assert len(np.unique(names, axis=0)) == 1731
    for number in range(1, 231):
        seen: dict[str, int] = {}
        for position in space_group(number).positions:
            assert position.site_symmetry_index == seen.get(position.site_symmetry, 0)
            seen[position.site_symmetry] = position.site_symmetry_index + 1


def test_padded_holds_every_position_at_its_letter():
    data = tables()
    padded = data.padded("multiplicity", fill=-1)
    assert (padded >= 0).sum() == 1731
    for number in (1, 47, 230):
        own = [p.multiplicity for p in space_group(number).positions]
        assert padded[number, : len(own)].tolist() == own


def test_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        tables().freedom[0] = 1


def test_file_is_small_and_read_back(shipped):
    assert shipped.stat().st_size <= 2_000_000
    assert read_tables(shipped).sha256 == tables().sha256


def test_tampered_file_is_refused(shipped):
    content = bytearray(shipped.read_bytes())
    content[-1000] ^= 1
    shipped.write_bytes(content)
    with pytest.raises(SymmetryError, match="changed or damaged"):
        read_tables(shipped)


def test_truncated_file_is_refused(shipped):
    shipped.write_bytes(shipped.read_bytes()[:-1])
    with pytest.raises(SymmetryError, match="reinstall"):
        read_tables(shipped)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(SymmetryError, match="reinstall"):
        read_tables(tmp_path / "none.safetensors")


def test_other_version_is_refused(shipped):
    save_file(load_file(shipped), shipped, metadata={"format": "aristotype-symmetry", "version": "99"})
    with pytest.raises(SymmetryError, match="version"):
        read_tables(shipped)


@pytest.mark.parametrize("number", [0, 231, -1, 1.5])
def test_group_that_does_not_exist(number):
    with pytest.raises(SymmetryError, match="1 to 230"):
        space_group(number)


@pytest.mark.parametrize("letter", ["j", "A", "", "ab", "é"])
def test_letter_that_does_not_exist(letter):
    with pytest.raises(SymmetryError, match="a to i"):
        space_group(2).position(letter)
