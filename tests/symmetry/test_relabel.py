"""Relabellings: a group action, induced by the normalizers and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import product

import moyopy
import numpy as np
import pytest

from aristotype.errors import SymmetryError
from aristotype.symmetry import (
    GRID,
    LETTERS,
    cell_matrix,
    locate,
    mirror_image,
    relabelling_table,
    relabellings,
    space_group,
    tables,
)

GROUPS = range(1, 231)
KINDS = ("affine", "euclidean")
# Triclinic and monoclinic groups have infinite affine normalizers; pymatgen lists the Euclidean ones for these.
EUCLIDEAN_IN_PYMATGEN = (2, 3, 10, 11, 12, 13, 14)


def permutations(number: int, kind: str) -> set[tuple[int, ...]]:
    return {tuple(row) for row in relabellings(number, kind).tolist()}


def letters_of(number: int, points: np.ndarray) -> tuple[int, ...]:
    """Index of the position on which each generic point lies, found by search."""
    group = space_group(number)
    found = []
    for point in points:
        multiplicity = len(group.orbit(point))
        for position in group.positions:
            if position.multiplicity != multiplicity:
                continue
            try:
                locate(position, point, 1e-9)
            except SymmetryError:
                continue
            found.append(position.index)
            break
    return tuple(found)


def probes(number: int) -> np.ndarray:
    """One generic point on every position."""
    rng = np.random.default_rng(number)
    return np.array([p.representative(rng.uniform(0.05, 0.95, p.freedom)) for p in space_group(number).positions])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", GROUPS)
def test_relabellings_are_a_group(number, kind):
    rows = relabellings(number, kind)
    own = permutations(number, kind)
    count = len(space_group(number).positions)
    assert len(own) == len(rows)
    assert rows[0].tolist() == list(range(count))
    assert (np.sort(rows, axis=1) == np.arange(count)).all()
    assert {tuple(np.argsort(row).tolist()) for row in rows} == own
    some = rows[np.unique(np.linspace(0, len(rows) - 1, 40).astype(int))]
    assert {tuple(row) for row in rows[:, some].reshape(-1, count).tolist()} <= own


@pytest.mark.parametrize("number", GROUPS)
def test_relabellings_keep_what_a_position_is(number):
    positions = space_group(number).positions
    for row in relabellings(number, "affine"):
        for position, image in zip(positions, row, strict=True):
            assert positions[image].multiplicity == position.multiplicity
            assert positions[image].freedom == position.freedom
    assert permutations(number, "euclidean") <= permutations(number, "affine")


def test_both_kinds_are_the_same_from_tetragonal_on():
    different = [n for n in GROUPS if permutations(n, "affine") != permutations(n, "euclidean")]
    assert max(different) == 74
    assert different[:2] == [2, 3]


@pytest.mark.parametrize("number", GROUPS)
def test_coset_representatives_normalise_the_group(number):
    group = space_group(number)
    normalizer = group.normalizer
    assert (normalizer.linear[0] == np.eye(3)).all()
    assert (normalizer.translation[0] == 0).all()
    own = {(r.tobytes(), tuple(t)) for r, t in zip(group.rotations, group.translations.tolist(), strict=True)}
    for linear, shift, proper in zip(normalizer.linear, normalizer.translation, normalizer.proper, strict=True):
        assert round(np.linalg.det(linear)) == (1 if proper else -1)
        inverse = np.rint(np.linalg.inv(linear)).astype(np.int64)
        rotations = linear @ group.rotations @ inverse
        translations = (group.translations @ linear.T + shift - rotations @ shift) % GRID
        assert {(r.tobytes(), tuple(t)) for r, t in zip(rotations, translations.tolist(), strict=True)} == own


@pytest.mark.parametrize("number", GROUPS)
def test_coset_representatives_induce_relabellings_and_all_of_them(number):
    """Each operation moves generic points of all positions to positions as a listed relabelling says."""
    points, induced = probes(number), set()
    normalizer = space_group(number).normalizer
    for linear, shift in zip(normalizer.linear, normalizer.translation, strict=True):
        induced.add(letters_of(number, points @ linear.T + shift / GRID))
    # From orthorhombic on every normalizer operation keeps the standard setting; below only isometries do.
    kind = "euclidean" if number < 16 else "affine"
    assert induced == permutations(number, kind)


@pytest.mark.parametrize("number", GROUPS)
def test_coset_representatives_are_distinct_cosets(number):
    group = space_group(number)
    normalizer = group.normalizer
    fixed = ~np.array(group.polar_axes)
    cosets = set()
    for linear, shift in zip(normalizer.linear, normalizer.translation, strict=True):
        rows = np.concatenate(
            [
                (group.rotations @ linear).reshape(-1, 9),
                (group.rotations @ shift + group.translations) % GRID * fixed,
            ],
            axis=1,
        )
        cosets.add(min(tuple(row) for row in rows.tolist()))
    assert len(cosets) == len(normalizer.linear)


@pytest.mark.parametrize("number", GROUPS)
def test_moyopy_finds_the_same_euclidean_relabellings(number, full_crystal: Callable):
    crystal = full_crystal(number)
    cell = moyopy.Cell(crystal.basis.tolist(), crystal.coordinates.tolist(), crystal.numbers.tolist())
    data = moyopy.MoyoDataset(cell, symprec=1e-5, setting=moyopy.Setting.standard())
    count = len(space_group(number).positions)
    atoms = [int(np.argmax(np.asarray(data.std_cell.numbers) == z)) for z in range(1, count + 1)]
    sequences = data.normalizer_wyckoff_positions()
    start = [LETTERS.index(sequences.wyckoffs[atom].letter) for atom in atoms]
    assert sorted(start) == list(range(count))
    found = set()
    for _, sequence in sequences.coset_representatives:
        image = np.empty(count, int)
        image[start] = [LETTERS.index(sequence[atom].letter) for atom in atoms]
        found.add(tuple(image.tolist()))
    assert found == permutations(number, "euclidean")


@pytest.mark.parametrize("number", GROUPS)
def test_pymatgen_lists_the_same_relabellings(number):
    data = pytest.importorskip("pymatgen.analysis.prototypes._data")
    letters = LETTERS[: len(space_group(number).positions)]
    listed = {
        tuple(letters.index(letter.translate(table)) for letter in letters)
        for table in data.WYCKOFF_POSITION_RELAB_DICT[str(number)]
    }
    assert listed == permutations(number, "euclidean" if number in EUCLIDEAN_IN_PYMATGEN else "affine")


@pytest.mark.parametrize("number", GROUPS)
def test_pyxtal_lists_the_same_relabellings(number):
    """Pyxtal carries the Wyckoff sets of the Bilbao server, of one normalizer or the other."""
    pytest.importorskip("pyxtal")
    sets = json.loads((files("pyxtal") / "database" / "wyckoff_sets.json").read_text())[str(number)]["Transformed WP"]
    letters = LETTERS[: len(space_group(number).positions)]
    columns = sets[0].split()
    listed = {tuple(letters.index(row.split()[columns.index(letter)]) for letter in letters) for row in sets}
    assert listed in (permutations(number, "euclidean"), permutations(number, "affine"))


def test_affine_relabellings_of_the_inversion_group_are_agl_3_2():
    """The normalizer of P-1 is GL(3, Z) with half translations: on the 8 centres all 1344 affine maps over F_2."""
    group = space_group(2)
    centres = [tuple((p.origin * 2 // GRID).tolist()) for p in group.positions[:8]]
    matrices = np.array(list(product((0, 1), repeat=9))).reshape(-1, 3, 3)
    matrices = matrices[np.rint(np.linalg.det(matrices)).astype(int) % 2 == 1]
    assert len(matrices) == 168
    expected = {
        (*[centres.index(tuple((matrix @ c + shift) % 2)) for c in centres], 8)
        for matrix in matrices
        for shift in product((0, 1), repeat=3)
    }
    assert len(expected) == 1344
    assert permutations(2, "affine") == expected


def cell_changes() -> Iterator[np.ndarray]:
    """Changes of a monoclinic cell with unique axis b, as words in generators of GL(2, Z) on a and c."""
    generators = [np.array(m) for m in ([[1, 1], [0, 1]], [[1, 0], [1, 1]], [[0, 1], [1, 0]], [[-1, 0], [0, 1]])]
    words = [np.eye(2, dtype=int)]
    for _ in range(4):
        words = list(np.unique([*words, *(word @ generator for word in words for generator in generators)], axis=0))
    for word in words:
        linear = np.eye(3, dtype=np.int64)
        linear[np.ix_((0, 2), (0, 2))] = word
        yield linear


@pytest.mark.parametrize("number", range(3, 16))
def test_affine_relabellings_of_monoclinic_groups_by_search(number):
    """Words of up to four generators with all translations by quarters: what normalises is listed, and no more."""
    group = space_group(number)
    own = {(r.tobytes(), tuple(t)) for r, t in zip(group.rotations, group.translations.tolist(), strict=True)}
    points, induced = probes(number), set()
    quarters = np.array(list(product((0, 6, 12, 18), (0, 6, 12, 18), (0, 6, 12, 18))))
    for linear in cell_changes():
        rotations = linear @ group.rotations @ np.rint(np.linalg.inv(linear)).astype(np.int64)
        for shift in quarters:
            moved = (group.translations @ linear.T + shift - rotations @ shift) % GRID
            if {(r.tobytes(), tuple(t)) for r, t in zip(rotations, moved.tolist(), strict=True)} == own:
                induced.add((linear.tobytes(), shift.tobytes()))
    found = {
        letters_of(number, points @ np.frombuffer(w, np.int64).reshape(3, 3).T + np.frombuffer(t, np.int64) / GRID)
        for w, t in induced
    }
    assert found == permutations(number, "affine")


def test_groups_of_the_specification():
    """Group 16 merges equivalent genes: one axis position is as good as another; group 68 keeps apart what differs."""
    table = permutations(16, "affine")
    assert {row[0] for row in table} == set(range(8))  # a to h, the eight points of symmetry 222
    assert len(relabellings(16, "affine")) == 48
    assert len(relabellings(68, "affine")) == 4


def test_relabelling_table_stacks_all_groups():
    for kind in KINDS:
        starts, rows = relabelling_table(kind)
        assert starts.shape == (231,)
        assert rows.shape[1] == 27
        for number in (1, 2, 47, 230):
            own = relabellings(number, kind)
            block = rows[starts[number] : starts[number] + len(own)]
            assert (block[:, : own.shape[1]] == own).all()
            assert (block[:, own.shape[1] :] == -1).all()


@pytest.mark.parametrize("number", GROUPS)
def test_mirror_image_is_an_involution_up_to_relabelling(number):
    partner, letters = mirror_image(number)
    back, letters_back = mirror_image(partner)
    assert back == number
    assert tuple(letters_back[letters].tolist()) in permutations(number, "affine")
    assert (partner == number) == (space_group(number).enantiomorph is None)
    if partner == number:
        assert letters.tolist() == list(range(len(letters)))


@pytest.mark.parametrize("number", [n for n in GROUPS if tables().enantiomorph[n - 1] != n])
def test_mirror_image_maps_positions_onto_the_partners(number, random_cell: Callable):
    data = tables()
    partner, letters = mirror_image(number)
    linear = data.enantiomorph_linear[number - 1].astype(np.int64)
    shift = data.enantiomorph_translation[number - 1].astype(np.int64)
    assert round(np.linalg.det(linear)) == -1
    source, target = space_group(number), space_group(partner)
    rotations = linear @ source.rotations @ np.rint(np.linalg.inv(linear)).astype(np.int64)
    translations = (source.translations @ linear.T + shift - rotations @ shift) % GRID
    moved = {(r.tobytes(), tuple(t)) for r, t in zip(rotations, translations.tolist(), strict=True)}
    assert moved == {
        (r.tobytes(), tuple(t)) for r, t in zip(target.rotations, target.translations.tolist(), strict=True)
    }
    assert letters_of(partner, probes(number) @ linear.T + shift / GRID) == tuple(letters.tolist())
    # The map is an isometry of every cell of the crystal family, so that a mirror image keeps its cell.
    basis = cell_matrix(random_cell(number, np.random.default_rng(number)))
    gram = basis @ basis.T
    assert np.allclose(linear.T @ gram @ linear, gram)


@pytest.mark.parametrize("call", [relabellings, mirror_image])
def test_group_that_does_not_exist(call):
    with pytest.raises(SymmetryError, match="1 to 230"):
        call(0)
