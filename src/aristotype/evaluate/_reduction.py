"""Reduced cells, the form in which structures are compared: made once a structure, used in every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aristotype.crystal import Cell

Floats = NDArray[np.float64]


class ReducedCell(NamedTuple):
    """A primitive Niggli cell."""

    matrix: Floats  # (3, 3) row vectors, Angstrom
    numbers: NDArray[np.int64]  # (n,) atomic numbers
    coords: Floats  # (n, 3) fractional
    volume: float  # cubic Angstrom
    edges: Floats  # (3,) lengths of the vectors, the shortest first, Angstrom


def reduced_cells(task: tuple[Sequence[str], Sequence[Cell]]) -> list[ReducedCell]:
    """What pymatgen's `StructureMatcher` makes of each structure before it compares: Niggli cell, then primitive cell.

    The primitive cell is looked for with pymatgen's tolerance of 0.25 Angstrom. A formula that is no multiple of a
    smaller one has no smaller cell, so the search for one is left out there; the result is the same to the bit.

    Args:
        task: names for messages, and as many structures.

    Raises:
        StructureError: pymatgen finds no reduced cell.
    """
    from pymatgen.core import Lattice, Structure

    cells = []
    for name, cell in zip(*task, strict=True):
        structure = Structure(Lattice(cell.lattice), cell.numbers.tolist(), cell.coords)
        try:
            structure = structure.get_reduced_structure()
            if np.gcd.reduce(np.unique(cell.numbers, return_counts=True)[1]) > 1:
                structure = structure.get_primitive_structure()
        except (ValueError, np.linalg.LinAlgError) as error:
            a, b, c, *angles = structure.lattice.parameters
            raise StructureError(
                f"structure {name!r} has no reduced cell ({error}); its cell is {a:.3g} {b:.3g} {c:.3g} Angstrom and "
                f"{angles[0]:.4g} {angles[1]:.4g} {angles[2]:.4g} degrees: leave it out"
            ) from error
        cells.append(
            ReducedCell(
                matrix=np.array(structure.lattice.matrix),
                numbers=np.array(structure.atomic_numbers, np.int64),
                coords=np.array(structure.frac_coords),
                volume=structure.volume,
                edges=np.sort(structure.lattice.lengths),
            )
        )
    return cells
