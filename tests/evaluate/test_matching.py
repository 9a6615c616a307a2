"""Matching of tables: the answers of pymatgen's StructureMatcher, and laws of duplicates and references."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest

from aristotype.crystal import Cell, CrystalTable
from aristotype.errors import ConfigError, InputError, StructureError, TableError
from aristotype.evaluate import Matcher, _matching
from tests.evaluate.disguises import MIRRORED, families, random_cell, structure, table_of

SETTINGS = [
    {},
    {"ltol": 0.3, "stol": 0.5, "angle": 10.0},
    {"stol": 1.0, "scale": False},
]


def oracle(matcher: Matcher):
    from pymatgen.analysis.structure_matcher import ElementComparator, StructureMatcher

    return StructureMatcher(
        ltol=matcher.ltol,
        stol=matcher.stol,
        angle_tol=matcher.angle,
        scale=matcher.scale,
        comparator=ElementComparator(),
    )


@pytest.mark.parametrize("settings", SETTINGS)
def test_pairs_of_distorted_structures_are_answered_as_by_pymatgen(settings):
    matcher = Matcher(**settings)
    cells = families(seed=1, count=8)
    theirs, structures = oracle(matcher), [structure(cell) for cell in cells]
    pairs = [(i, j) for i in range(len(cells)) for j in range(len(cells))]
    expected = [theirs.fit(structures[i], structures[j]) for i, j in pairs]
    found = {}
    for i, first in enumerate(cells):
        for j, match in enumerate(matcher.reference_matches(cells, [first])):
            found[i, j] = match is not None
    assert [found[pair] for pair in pairs] == expected
    same = [(i, j) for i, j in pairs if structures[i].reduced_formula == structures[j].reduced_formula]
    yes = sum(found[pair] for pair in same)
    assert 50 < yes < len(same) - 50  # both answers are tested


@pytest.mark.parametrize("settings", SETTINGS)
def test_distances_are_those_of_pymatgen(settings):
    matcher = Matcher(**settings)
    cells = families(seed=2)
    theirs, structures = oracle(matcher), [structure(cell) for cell in cells]
    pairs = [(i, j) for i in range(len(cells)) for j in range(len(cells))]
    expected = [theirs.get_rms_dist(structures[i], structures[j]) for i, j in pairs]
    expected = np.array([np.nan if answer is None else answer[0] for answer in expected])
    # The same operations in the same order; products of matrices may add in another one, hence some units in the
    # last place of coordinates of order 1.
    np.testing.assert_allclose(matcher.rms(cells, cells, pairs), expected, rtol=0, atol=1e-9)
    assert 30 < np.isfinite(expected).sum() < len(pairs) - 30


def test_groups_are_those_of_pymatgen():
    cells = families(seed=3)
    structures = [structure(cell) for cell in cells]
    groups = oracle(Matcher()).group_structures(structures)
    expected: list[int | None] = [None] * len(cells)
    place = {id(one): row for row, one in enumerate(structures)}
    for group in groups:
        first, *rest = (place[id(one)] for one in group)
        for row in rest:
            expected[row] = first
    assert Matcher().first_matches(cells) == expected
    assert 0 < sum(row is None for row in expected) < len(cells)


def test_a_structure_matches_itself_its_copies_and_its_mirror_image():
    cells = [random_cell(np.random.default_rng(seed), [3, 8, 8, 22]) for seed in range(5)]
    copies = [*cells, *cells, *(cell._replace(lattice=cell.lattice @ MIRRORED) for cell in cells)]
    found = Matcher().first_matches(copies)
    assert found[5:] == [first if match is None else match for first, match in enumerate(found[:5])] * 2
    np.testing.assert_allclose(Matcher().rms(copies[5:], cells * 2, [(i, i) for i in range(10)]), 0, atol=1e-6)


def test_the_order_of_the_reference_decides_only_which_row_is_named():
    cells = families(seed=4)
    rows, reference = cells[:15], cells[15:]
    one = Matcher().reference_matches(rows, reference)
    other = Matcher().reference_matches(rows, reference[::-1])
    assert [match is None for match in one] == [match is None for match in other]
    assert any(match is not None for match in one)


def test_the_first_row_that_matches_is_named():
    cell = random_cell(np.random.default_rng(0), [11, 17])
    assert Matcher().reference_matches([cell], [cell, cell]) == [0]
    assert Matcher().first_matches([cell, cell, cell]) == [None, 0, 0]


def test_duplicates_of_duplicates_are_kept_when_they_do_not_match_the_first():
    # One atom slides along a line: each step is within the tolerance, two steps are not.
    line = [
        Cell(np.eye(3) * 5.0, np.array([11, 17, 9]), np.array([[0, 0, 0], [0.5, 0.5, 0.2 + shift], [0.5, 0, 0.5]]))
        for shift in (0.0, 0.18, 0.36)
    ]
    matcher = Matcher(stol=0.2)
    assert [matcher.reference_matches([b], [a]) for a, b in ((line[0], line[1]), (line[1], line[2]))] == [[0], [0]]
    assert matcher.first_matches(line) == [None, 0, None]


def test_tables_are_matched_by_their_primitive_cells():
    rng = np.random.default_rng(5)
    cells = [random_cell(rng, numbers) for numbers in ([11, 17], [22, 8, 8], [11, 17])]
    rock_salt = Cell(
        np.eye(3) * 5.6,
        np.repeat([11, 17], 4),
        np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]) / 2,
    )
    table = table_of([*cells, rock_salt, cells[1]])
    assert Matcher().first_matches(table) == Matcher().first_matches(table.to_structures(primitive=True))
    assert Matcher().first_matches(table)[4] == 1
    assert Matcher().reference_matches(table, [rock_salt]) == [None, None, None, 0, None]


def test_processes_change_nothing(monkeypatch):
    monkeypatch.setattr(_matching, "_REDUCTIONS", 8)  # otherwise this little work would be done without processes
    cells = [cell for seed in range(3) for cell in families(seed=seed)]
    rows, reference = cells[:60], cells[60:]
    pairs = [(i, j) for i in range(20) for j in range(20)]
    one = Matcher().matches(rows, reference), Matcher().rms(rows, reference, pairs)
    two = Matcher().matches(rows, reference, processes=2), Matcher().rms(rows, reference, pairs, processes=2)
    assert one[0] == two[0]
    assert sum(match is not None for match in one[0].references) > 5
    np.testing.assert_array_equal(one[1], two[1])


def test_both_searches_at_once_find_what_each_finds():
    cells = families(seed=6)
    both = Matcher().matches(cells[:20], cells[20:])
    assert both.firsts == Matcher().first_matches(cells[:20])
    assert both.references == Matcher().reference_matches(cells[:20], cells[20:])


def test_nothing_matches_in_nothing():
    cell = random_cell(np.random.default_rng(0), [11, 17])
    assert Matcher().first_matches([]) == []
    assert Matcher().reference_matches([cell], []) == [None]
    assert Matcher().rms([cell], [cell], []).shape == (0,)


def test_bad_input_is_refused_with_advice():
    from pymatgen.core import Lattice, Structure

    cell = random_cell(np.random.default_rng(0), [11, 17])
    with pytest.raises(ConfigError, match="stol -1 must be positive"):
        Matcher(stol=-1)
    with pytest.raises(StructureError, match="structure 1 has partially occupied"):
        Matcher().first_matches([cell, Structure(Lattice.cubic(3), [{"Na": 0.5}], [[0, 0, 0]])])
    with pytest.raises(StructureError, match="NaN"):
        Matcher().first_matches([cell._replace(coords=cell.coords * np.nan)])
    with pytest.raises(InputError, match="is a str"):
        Matcher().first_matches(["POSCAR"])
    with pytest.raises(InputError, match="row 3 of 1"):
        Matcher().rms([cell], [cell], [(0, 3)])
    with pytest.raises(InputError, match="processes is 0"):
        Matcher().first_matches([cell, cell], processes=0)
    with pytest.raises(TableError, match="have no geometry"):
        Matcher().first_matches(CrystalTable.from_genes(table_of([cell]).genes()))


def read_cells(path, rows: slice = slice(None)) -> list[Cell]:
    columns = pq.read_table(path, columns=["lattice", "atomic_numbers", "frac_coords"])
    lattices, numbers, coords = (columns[name].to_pylist()[rows] for name in columns.column_names)
    return [
        Cell(np.reshape(lattice, (3, 3)), np.array(kinds), np.reshape(points, (-1, 3)))
        for lattice, kinds, points in zip(lattices, numbers, coords)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_real_structures_are_matched_as_by_pymatgen(data_folder, settings):
    # The structures of two splits that share formulas, and carbon, where everything shares its formula.
    rows, reference = read_cells(data_folder / "mp_20_val.parquet"), read_cells(data_folder / "mp_20_test.parquet")
    carbon = read_cells(data_folder / "carbon_24_val.parquet", slice(40))
    most = 400 if settings else 1600  # pymatgen takes a minute
    compare_with_pymatgen(Matcher(**settings), rows, reference, most=most)
    compare_with_pymatgen(Matcher(**settings), carbon, carbon, most=most)


def reduced(cell: Cell):
    """What the oracle does to each structure before it compares two of them."""
    return structure(cell).get_reduced_structure().get_primitive_structure()


def compare_with_pymatgen(matcher: Matcher, rows: list[Cell], reference: list[Cell], *, most: int) -> None:
    def formulas(cells: list[Cell]) -> list[bytes]:
        counts = [np.bincount(cell.numbers, minlength=119) for cell in cells]
        return [(count // np.gcd.reduce(count)).tobytes() for count in counts]

    known = defaultdict(list)
    for row, formula in enumerate(formulas(reference)):
        known[formula].append(row)
    pairs = [(row, other) for row, formula in enumerate(formulas(rows)) for other in known[formula]][:most]
    theirs = oracle(matcher)
    ours = {row: reduced(rows[row]) for row in {i for i, _ in pairs}}
    others = {row: reduced(reference[row]) for row in {j for _, j in pairs}}
    expected = [theirs.fit(others[j], ours[i], skip_structure_reduction=True) for i, j in pairs]
    first: dict[int, int | None] = {}
    for (i, j), answer in zip(pairs, expected):
        first[i] = j if answer and first.get(i) is None else first.get(i)
    asked = list(first)
    used = sorted({j for _, j in pairs})
    found = matcher.reference_matches([rows[i] for i in asked], [reference[j] for j in used])
    assert [None if match is None else used[match] for match in found] == list(first.values())
    assert 0 < sum(expected) < len(pairs)
