"""Structures, given as a table or a sequence, as what matching needs: formulas, and the cells of the rows asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aristotype.crystal import Cell, CrystalTable, decode_table
from aristotype.errors import InputError, StructureError
from aristotype.evaluate._counts import NUM_ELEMENTS, compositions

if TYPE_CHECKING:
    from numpy.typing import NDArray

Structures = CrystalTable | Sequence[Any]
"""A table of crystals, or a sequence of pymatgen `Structure`s or `Cell`s."""

_MIN_VOLUME = 1e-3  # cubic Angstrom; below it a cell is flat and has no lattice to compare


class Side(NamedTuple):
    """One side of a comparison."""

    formulas: list[bytes]  # equal for equal reduced formulas
    names: Callable[[Sequence[int]], list[str]]  # of rows, for messages
    cells: Callable[[Sequence[int]], list[Cell]]  # of rows, primitive where a table knows them


def make_side(structures: Structures) -> Side:
    """Looks at structures without building the atoms of a table.

    Raises:
        TableError: a row is a gene, which has no geometry.
        StructureError: a structure is disordered or not finite.
        InputError: something is no structure.
    """
    if not isinstance(structures, CrystalTable):
        cells = [_as_cell(place, structure) for place, structure in enumerate(structures)]
        counts = np.array([np.bincount(cell.numbers, minlength=NUM_ELEMENTS) for cell in cells])
        return Side(
            formulas=_formula_keys(counts.reshape(-1, NUM_ELEMENTS)),
            names=lambda rows: [str(row) for row in rows],
            cells=lambda rows: [cells[row] for row in rows],
        )
    table = structures
    table.check_geometry()
    ids = table.ids
    return Side(
        formulas=_formula_keys(compositions(table.genes())),
        names=lambda rows: [ids[row] for row in rows],
        cells=lambda rows: list(decode_table(table.take(rows), primitive=True).cells()),
    )


def _formula_keys(counts: NDArray[np.int64]) -> list[bytes]:
    if not len(counts):
        return []
    return [row.tobytes() for row in counts // np.gcd.reduce(counts, axis=1)[:, None]]


def _as_cell(place: int, structure: Any) -> Cell:
    if isinstance(structure, Cell):
        lattice, numbers, coords = structure
    elif hasattr(structure, "lattice") and hasattr(structure, "is_ordered"):
        if not structure.is_ordered:
            raise StructureError(
                f"structure {place} has partially occupied sites; order it, for example by a supercell"
            )
        lattice = structure.lattice.matrix
        numbers, coords = structure.atomic_numbers, structure.frac_coords
    else:
        raise InputError(
            f"structure {place} is a {type(structure).__name__}; give a CrystalTable, pymatgen Structures or Cells"
        )
    cell = Cell(np.array(lattice, float), np.array(numbers, np.int64), np.array(coords, float).reshape(-1, 3))
    _check(place, cell)
    return cell


def _check(place: int, cell: Cell) -> None:
    if not len(cell.numbers) or len(cell.numbers) != len(cell.coords):
        raise StructureError(
            f"structure {place} has {len(cell.numbers)} atomic numbers and {len(cell.coords)} positions; give one of "
            "each an atom, and at least one atom"
        )
    if not (np.isfinite(cell.lattice).all() and np.isfinite(cell.coords).all()):
        raise StructureError(f"structure {place} holds NaN or infinity; leave it out")
    volume = abs(np.linalg.det(cell.lattice))
    if volume < _MIN_VOLUME:
        raise StructureError(
            f"structure {place} has a cell of {volume:.2g} cubic Angstrom, the limit is {_MIN_VOLUME:g}; leave it out"
        )
    if not 0 < cell.numbers.min() <= cell.numbers.max() < NUM_ELEMENTS:
        raise StructureError(
            f"structure {place} has atomic numbers {cell.numbers.min()} to {cell.numbers.max()}; they must be 1 to "
            f"{NUM_ELEMENTS - 1}"
        )
