"""Reduced cells are those of pymatgen, also where its search for a primitive cell is left out."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from aristotype.crystal import Cell
from aristotype.errors import StructureError
from aristotype.evaluate import Matcher
from aristotype.evaluate._reduction import _minima, reduced_cells
from tests.evaluate.disguises import disguised, random_cell, structure


def assert_reduced_as_by_pymatgen(cells: list[Cell]) -> int:
    """Compare with pymatgen; return how many cells became smaller."""
    found = reduced_cells(([str(row) for row in range(len(cells))], cells))
    for cell, reduced in zip(cells, found, strict=True):
        expected = structure(cell).get_reduced_structure().get_primitive_structure()
        assert reduced.numbers.tolist() == list(expected.atomic_numbers)
        # To the bit: an atom at 0 that is rounded to 1 can change which of two equally good assignments is found.
        np.testing.assert_array_equal(reduced.matrix, expected.lattice.matrix)
        np.testing.assert_array_equal(reduced.coords, expected.frac_coords)
    return sum(len(reduced.numbers) < len(cell.numbers) for cell, reduced in zip(cells, found, strict=True))


def doubled(cell: Cell, axis: int, off: float, rng: np.random.Generator) -> Cell:
    """A supercell of two, its second half moved by up to `off` Angstrom."""
    half = np.zeros(3)
    half[axis] = 0.5
    lattice = cell.lattice * (1 + 2 * half[:, None])
    moved = off * rng.uniform(-1, 1, cell.coords.shape) @ np.linalg.inv(lattice)
    coords = cell.coords * (1 - half)
    return Cell(lattice, np.tile(cell.numbers, 2), np.concatenate([coords, coords + half + moved]))


def test_cells_of_every_kind_are_reduced_as_by_pymatgen():
    rng = np.random.default_rng(0)
    cells = [random_cell(rng, numbers) for numbers in ([11, 17], [3, 3, 8, 8], [14, 14], [6] * 6, [22, 8, 8]) * 4]
    disguises = [disguised(rng, cell, move=0.0, strain=0.0, size=1.0) for cell in cells]
    # Around the 0.25 Angstrom up to which pymatgen takes atoms for images of each other.
    doubles = [
        doubled(cell, axis, off, rng) for cell in cells for axis, off in ((0, 0.0), (1, 0.15), (2, 0.25), (0, 0.5))
    ]
    smaller = assert_reduced_as_by_pymatgen(cells + disguises + doubles)
    assert len(doubles) / 4 < smaller < len(doubles)


def test_short_cells_with_many_units_are_reduced_as_by_pymatgen():
    # A quarter Angstrom is much of these cells, so the search may not be left out.
    rng = np.random.default_rng(1)
    for units in (2, 4, 6):
        coords = np.zeros((units, 3))
        coords[:, 2] = (np.arange(units) + rng.uniform(-0.05, 0.05, units)) / units
        assert_reduced_as_by_pymatgen([Cell(np.diag([2.5, 2.5, 1.2 * units]), np.full(units, 26), coords)])


def test_a_structure_that_pymatgen_cannot_reduce_is_named(monkeypatch):
    from pymatgen.core import Lattice

    def refuse(lattice):
        raise ValueError("can't find niggli")

    monkeypatch.setattr(Lattice, "get_niggli_reduced_lattice", refuse)
    cell = random_cell(np.random.default_rng(0), [11, 17])
    with pytest.raises(StructureError, match=r"'0' has no reduced cell \(can't find niggli\); it has 2 atoms"):
        Matcher().first_matches([cell, cell])


def test_a_flat_cell_is_refused():
    flat = Cell(np.diag([3.0, 3.0, 0.0]), np.array([11, 17]), np.array([[0.0, 0, 0], [0.5, 0.5, 0]]))
    with pytest.raises(StructureError, match="structure 1 has a cell of 0 cubic Angstrom"):
        Matcher().first_matches([flat._replace(lattice=np.eye(3) * 4), flat])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["DiffCSP", "DiffCSP++"])
def test_generated_structures_are_reduced_as_by_pymatgen(data_folder, model):
    table = pq.read_table(data_folder / "peer_structures.parquet")
    table = table.filter(pc.equal(table["model"], model)).slice(0, 500)
    lattices, numbers, coords = (table[name].to_pylist() for name in ("lattice", "atomic_numbers", "frac_coords"))
    cells = [
        Cell(np.reshape(lattice, (3, 3)), np.array(kinds), np.reshape(points, (-1, 3)))
        for lattice, kinds, points in zip(lattices, numbers, coords, strict=True)
    ]
    assert 0 < assert_reduced_as_by_pymatgen(cells) < len(cells)


def test_no_lattice_vectors_are_shorter_than_the_minima():
    rng = np.random.default_rng(2)
    cells = [random_cell(rng, [26]) for _ in range(50)]
    shears = [
        np.array([[1, rng.integers(-3, 4), rng.integers(-3, 4)], [0, 1, rng.integers(-3, 4)], [0, 0, 1]]) for _ in cells
    ]
    skewed = [cell._replace(lattice=shear @ cell.lattice) for cell, shear in zip(cells, shears, strict=True)]
    index = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3)
    for cell, reduced in zip(cells, reduced_cells(([""] * len(cells), skewed)), strict=True):
        vectors = index @ cell.lattice
        order = np.argsort(np.sum(vectors**2, axis=1))[1:]  # the first one is zero
        chosen: list[np.ndarray] = []
        for vector in vectors[order]:
            if np.linalg.matrix_rank(np.array([*chosen, vector]), tol=1e-6) > len(chosen):
                chosen.append(vector)
        np.testing.assert_allclose(reduced.minima, [np.linalg.norm(vector) for vector in chosen], rtol=1e-4)


def test_a_cell_that_is_not_reduced_bounds_nothing():
    assert _minima(np.diag([3.0, 4.0, 5.0])).tolist() == [3.0, 4.0, 5.0]
    for long in ([[3.0, 0, 0], [3, 4, 0], [0, 0, 5]], [[3.0, 0, 0], [0, 4, 0], [3, 4, 5]]):
        assert _minima(np.array(long)).tolist() == [0.0, 0.0, 0.0]
