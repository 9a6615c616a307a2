"""The tables against four programs that have tables of their own: spglib, moyopy, pymatgen and pyxtal."""

from __future__ import annotations

from collections.abc import Callable

import moyopy
import numpy as np
import pytest

from aristotype.errors import SymmetryError
from aristotype.symmetry import GRID, LETTERS, locate, relabellings, space_group

GROUPS = range(1, 231)
# Groups with two origin choices, of which pymatgen takes the first and ITA's origin choice 2 is ours.
TWO_ORIGINS = (
    48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224, 227, 228,
)  # fmt: skip


def as_set(rotations, translations):
    rows = np.concatenate([np.reshape(rotations, (-1, 9)), np.rint(np.asarray(translations) * GRID) % GRID], axis=1)
    return {tuple(row) for row in rows.astype(int).tolist()}


def operations(number):
    group = space_group(number)
    return as_set(group.rotations, group.translations / GRID)


@pytest.fixture(scope="module")
def hall_numbers():
    """Hall number of our setting in spglib, found by equal operations."""
    spglib = pytest.importorskip("spglib")
    found: dict[int, int] = {}
    for hall in range(1, 531):
        number = spglib.get_spacegroup_type(hall).number
        database = spglib.get_symmetry_from_database(hall)
        if number not in found and as_set(database["rotations"], database["translations"]) == operations(number):
            found[number] = hall
    return found


def test_spglib_has_the_same_operations_in_one_setting_of_each_group(hall_numbers):
    assert sorted(hall_numbers) == list(GROUPS)


@pytest.mark.parametrize("number", GROUPS)
def test_spglib_sees_the_same_positions(number, hall_numbers, full_crystal: Callable):
    spglib = pytest.importorskip("spglib")
    crystal = full_crystal(number)
    cell = (crystal.basis, crystal.coordinates, crystal.numbers)
    data = spglib.get_symmetry_dataset(cell, symprec=1e-5, hall_number=hall_numbers[number])
    assert data is not None
    assert data.number == number
    positions = space_group(number).positions
    image = []
    for z in range(1, len(positions) + 1):
        atom = int(np.argmax(crystal.numbers == z))
        seen = positions[LETTERS.index(data.wyckoffs[atom])]
        assert data.site_symmetry_symbols[atom] == seen.site_symmetry
        assert (np.asarray(data.std_types) == z).sum() == seen.multiplicity
        image.append(seen.index)
    # spglib may choose another origin or other axes: then its letters are one of our relabellings.
    assert tuple(image) in {tuple(row) for row in relabellings(number, "affine").tolist()}


@pytest.mark.parametrize("number", GROUPS)
def test_moyopy_sees_the_same_positions(number, full_crystal: Callable):
    crystal = full_crystal(number)
    cell = moyopy.Cell(crystal.basis.tolist(), crystal.coordinates.tolist(), crystal.numbers.tolist())
    data = moyopy.MoyoDataset(cell, symprec=1e-5, setting=moyopy.Setting.standard())
    assert data.number == number
    image = []
    for position in space_group(number).positions:
        atom = int(np.argmax(crystal.numbers == position.index + 1))
        seen = space_group(number).position(data.wyckoffs[atom])
        assert data.site_symmetry_symbols[atom] == seen.site_symmetry
        image.append(seen.index)
    assert tuple(image) in {tuple(row) for row in relabellings(number, "affine").tolist()}


def test_pymatgen_has_the_same_multiplicities_and_freedoms():
    data = pytest.importorskip("pymatgen.analysis.prototypes._data")
    for number in GROUPS:
        positions = space_group(number).positions
        assert {p.letter: p.multiplicity for p in positions} == data.WYCKOFF_MULTIPLICITY_DICT[str(number)]
        assert {p.letter: p.freedom for p in positions} == data.WYCKOFF_POSITION_PARAM_DICT[str(number)]


@pytest.mark.parametrize("number", GROUPS)
def test_pymatgen_has_the_same_operations(number):
    groups = pytest.importorskip("pymatgen.symmetry.groups")
    theirs = list(groups.SpaceGroup.from_int_number(number).symmetry_ops)
    rotations = np.array([op.rotation_matrix for op in theirs])
    translations = np.array([op.translation_vector for op in theirs])
    own = operations(number)
    if number not in TWO_ORIGINS:
        assert as_set(rotations, translations) == own
        return
    shifts = np.array([(x, y, z) for x in range(0, 8) for y in range(0, 8) for z in range(0, 8)]) / 8
    assert any(as_set(rotations, translations + shift - rotations @ shift) == own for shift in shifts)


@pytest.mark.parametrize("number", GROUPS)
def test_pyxtal_lists_the_same_positions(number):
    symmetry = pytest.importorskip("pyxtal.symmetry")
    rng = np.random.default_rng(number)
    theirs = symmetry.get_wyckoffs(number)[::-1]
    positions = space_group(number).positions
    assert [len(w) for w in theirs] == [p.multiplicity for p in positions]
    for position, listed in zip(positions, theirs, strict=True):
        point = rng.random(3)
        _, residual, _ = locate(position, [op.operate(point) for op in listed], 1e-9)
        assert residual.max() < 1e-9


@pytest.mark.parametrize("number", GROUPS)
def test_pyxtal_has_the_same_site_symmetry(number):
    symmetry = pytest.importorskip("pyxtal.symmetry")
    theirs = symmetry.Group(number).Wyckoff_positions[::-1]
    for position, listed in zip(space_group(number).positions, theirs, strict=True):
        listed.get_site_symmetry()
        assert listed.site_symm == position.site_symmetry
        assert listed.letter == position.letter
        assert listed.get_dof() == position.freedom


def test_positions_where_listings_differ_follow_ita():
    """224 i and j, which cctbx exchanges, and 136 f and g, whose symbol depends on the listed triplet."""
    group = space_group(224)
    assert locate(group.position("i"), [0.5, 0.3, 0.8], 1e-9)[1] < 1e-9
    assert locate(group.position("j"), [0.5, 0.3, 0.7], 1e-9)[1] < 1e-9
    for letter, point in (("i", [0.5, 0.3, 0.7]), ("j", [0.5, 0.3, 0.8])):
        with pytest.raises(SymmetryError):
            locate(group.position(letter), point)
    assert [space_group(136).position(letter).site_symmetry for letter in "fg"] == ["m.2m", "m.2m"]
