"""Reduced cells, the form in which structures are compared: made once a structure, used in every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Cell, element_symbol
from aristotype.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = NDArray[np.float64]
_TOLERANCE = 0.25  # Angstrom; within it pymatgen takes two atoms for images of each other
_MARGIN = 1e-6  # of fractional coordinates, far above rounding


class ReducedCell(NamedTuple):
    """A primitive Niggli cell."""

    matrix: Floats  # (3, 3) row vectors, Angstrom
    numbers: NDArray[np.int64]  # (n,) atomic numbers
    coords: Floats  # (n, 3) fractional
    volume: float  # cubic Angstrom
    edges: Floats  # (3,) lengths of the vectors, Angstrom
    minima: Floats  # (3,) lower bounds of the successive minima of the lattice, Angstrom


def reduced_cells(task: tuple[Sequence[str], Sequence[Cell]]) -> list[ReducedCell]:
    """What pymatgen's `StructureMatcher` makes of each structure before it compares: Niggli cell, then primitive cell.

    pymatgen's search for a primitive cell takes longest, so it is left out where it cannot find one. The result is the
    same to the bit.

    Args:
        task: names for messages, and as many structures.

    Raises:
        StructureError: pymatgen finds no reduced cell.
    """
    return [_reduced(name, cell) for name, cell in zip(*task, strict=True)]


def _reduced(name: str, cell: Cell) -> ReducedCell:
    from pymatgen.core import Lattice, Structure

    try:
        niggli = _niggli(cell)
        lattice, numbers, coords = Lattice(niggli.lattice), niggli.numbers, niggli.coords
        if _may_be_smaller(niggli, lattice.lengths):
            structure: Any = Structure(lattice, numbers.tolist(), coords).get_primitive_structure()
            lattice, coords = structure.lattice, np.array(structure.frac_coords)
            numbers = np.array(structure.atomic_numbers, np.int64)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        sides = ", ".join(f"{side:.3g}" for side in np.sqrt(np.sum(cell.lattice**2, axis=1)))
        volume = abs(np.linalg.det(cell.lattice))
        raise StructureError(
            f"structure {name!r} has no reduced cell ({error}); it has {len(cell.numbers)} atoms, edges of {sides} "
            f"Angstrom and {volume:.3g} cubic Angstrom: leave it out"
        ) from error
    matrix, edges = lattice.matrix.copy(), np.array(lattice.lengths)
    return ReducedCell(matrix, numbers, coords, lattice.volume, edges, _minima(matrix))


def _niggli(cell: Cell) -> Cell:
    """The atoms in pymatgen's Niggli cell; as they are where that is their cell already."""
    from pymatgen.core import Lattice

    lattice = Lattice(cell.lattice)
    reduced = lattice.get_niggli_reduced_lattice()
    if reduced == lattice:
        return cell
    # Atom by atom, as pymatgen does: a product of matrices may round 0 to the other side, which is 1.
    coords = [reduced.get_fractional_coords(lattice.get_cartesian_coords(atom)) % 1 for atom in cell.coords]
    return Cell(np.array(reduced.matrix), cell.numbers, np.array(coords))


def _minima(matrix: Floats) -> Floats:
    """(3,) the edges of the cell, sorted, if it is reduced in the sense of Minkowski; else 0, which is always a bound.

    The edges of a Minkowski cell of three vectors are the successive minima of its lattice: the shortest vector, the
    shortest one independent of it, and so on (Nguyen & Stehlé 2009, ACM Trans. Algorithms 5, 46). A Niggli cell is one;
    it is looked at because pymatgen's algorithm stops after some steps in any case.
    """
    squares = np.sum(matrix**2, axis=1)
    a, b, c = matrix[np.argsort(squares)]
    signs = np.array([-1, 0, 1])
    beside_b = b + signs[:, None] * a
    beside_c = c + signs[:, None, None] * a + signs[:, None] * b
    shortest = np.array([a @ a, np.sum(beside_b**2, axis=-1).min(), np.sum(beside_c**2, axis=-1).min()])
    edges = np.sort(squares)
    return np.sqrt(edges) if (shortest >= edges * (1 - 1e-4)).all() else np.zeros(3)


def _may_be_smaller(cell: Cell, lengths: Sequence[float]) -> bool:
    """False only where pymatgen's `get_primitive_structure` returns the cell as it is.

    It asks for a translation that carries every atom near one of its element, within twice the tolerance along each
    axis, among the differences of atoms of the rarest element. Without one but zero, a smaller cell would need its own
    vectors within the tolerance of whole ones; they have a component of at least 1 / (formula units).
    """
    # Elements in the order of their symbols: pymatgen takes the first of the rarest.
    symbols = np.array([element_symbol(number) for number in cell.numbers.tolist()])
    kinds, counts = np.unique(symbols, return_counts=True)
    units = int(np.gcd.reduce(counts))
    if units == 1:
        return False
    limits = _TOLERANCE / np.array(lengths)
    if (limits + _MARGIN >= 1 / units).any():
        return True
    rarest = cell.coords[symbols == kinds[counts.argmin()]]
    moved = cell.coords + (rarest[1:] - rarest[0])[:, None]  # (m, n, 3)
    apart = moved[:, :, None] - cell.coords
    apart -= np.rint(apart)
    met = (np.abs(apart) < 2 * limits + _MARGIN).all(axis=-1) & (symbols[:, None] == symbols)
    return bool(met.any(axis=-1).all(axis=-1).any())
