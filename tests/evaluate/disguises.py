"""Random structures, and the same ones turned, mirrored, in other cells and distorted."""

from __future__ import annotations

import numpy as np

from aristotype.crystal import Cell, CrystalTable, encode_arrays

MIRRORED = np.diag([1.0, 1.0, -1.0])


def structure(cell: Cell):
    from pymatgen.core import Lattice, Structure

    return Structure(Lattice(cell.lattice), cell.numbers.tolist(), cell.coords)


def random_cell(rng: np.random.Generator, numbers: list[int]) -> Cell:
    """A sound cell: atoms at least 1.2 Angstrom apart."""
    while True:
        lattice = np.diag(rng.uniform(3.0, 5.0, 3)) + rng.uniform(-0.8, 0.8, (3, 3))
        cell = Cell(lattice, np.array(numbers), rng.random((len(numbers), 3)))
        distances = structure(cell).distance_matrix + 10 * np.eye(len(numbers))
        if distances.min() > 1.2:
            return cell


def disguised(rng: np.random.Generator, cell: Cell, *, move: float, strain: float, size: float) -> Cell:
    """The same structure turned, mirrored or not, in another cell, its atoms in another order; then distorted."""
    numbers, coords, lattice = cell.numbers, cell.coords + rng.random(3), cell.lattice
    if rng.random() < 0.4:
        copies = np.array([[0, 0, 0], [0, 0.5, 0]])
        coords = (coords * [1, 0.5, 1])[:, None] + copies
        coords, numbers, lattice = coords.reshape(-1, 3), np.repeat(numbers, 2), lattice * [[1], [2], [1]]
    shear = np.eye(3, dtype=int)
    shear[tuple(rng.permutation(3)[:2])] = rng.integers(-1, 2)
    coords, lattice = coords @ np.linalg.inv(shear), shear @ lattice
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    lattice = size * lattice @ (np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))) @ turned
    if rng.random() < 0.5:
        lattice = lattice @ MIRRORED
    coords = coords + move * rng.normal(size=coords.shape) @ np.linalg.inv(lattice)
    order = rng.permutation(len(numbers))
    return Cell(lattice, numbers[order], coords[order] % 1)


def families(seed: int, count: int = 6, members: int = 5) -> list[Cell]:
    """A few structures, each in several disguises that go from exact to far beyond the tolerance."""
    rng = np.random.default_rng(seed)
    formulas = [[11, 17], [3, 3, 8], [22, 8, 8], [14, 14], [12, 8], [6, 6, 6, 6]]
    cells = []
    for family in range(count):
        base = random_cell(rng, formulas[family % len(formulas)])
        for member in range(members):
            reach = 0.6 * member / members
            cells.append(disguised(rng, base, move=reach, strain=0.3 * reach, size=1 + 0.3 * reach))
    return [cells[place] for place in rng.permutation(len(cells))]


def table_of(cells: list[Cell], prefix: str = "") -> CrystalTable:
    ids = [f"{prefix}{row}" for row in range(len(cells))]
    return encode_arrays(*zip(*cells), tolerance=0.01, ids=ids, max_gap=None)
