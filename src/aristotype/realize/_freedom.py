"""What may move while a structure is relaxed: only what its symmetry leaves free, or everything."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import primitive_vectors
from aristotype.realize._atoms import Atoms, flatten
from aristotype.symmetry import cell_matrix, lattice_constraints

if TYPE_CHECKING:
    from ase import Atoms as AseAtoms

    from aristotype.calculators import Prediction
    from aristotype.crystal import CrystalTable

Floats = NDArray[np.float64]
_SMALL = 1e-5  # rad, for the derivative of a cell by an angle


class SymmetricFreedom:
    """Free parameters and free cell parameters of one crystal: its space group cannot be lost on the way.

    The coordinates are logarithms of lengths and angles in radians, times the root of the number of atoms, and free
    parameters as lengths in the first cell, times the root of the site's number of atoms.
    """

    def __init__(self, table: CrystalTable) -> None:
        self.maps: Atoms = flatten(table.genes())
        self.number = int(self.maps.group[0])
        self.numbers = self.maps.site_element[self.maps.atom_site]
        self.primitive = primitive_vectors(self.number)
        self.names, self.basis = _cell_freedom(self.number)
        self.used = np.arange(3) < self.maps.site_freedom[:, None]
        lattice, free = first_geometry(table)
        self.first = np.array(lattice_constraints(self.number).reduce(lattice, tolerance=np.inf))
        constraints = lattice_constraints(self.number)
        self.is_length = np.array([name in "abc" for name in self.names])
        self.origin = np.zeros_like(self.used, dtype=np.float64)
        self.origin[self.used] = free
        cell = self.primitive @ cell_matrix(constraints.expand(self.first))
        arrows = np.einsum("skp,kj->spj", self.maps.linear[self.maps.site_atom], cell)
        lengths = np.linalg.norm(arrows, axis=2) * np.sqrt(self.maps.site_weight)[:, None]
        self.length = lengths[self.used]
        self.scale = np.sqrt(len(self.numbers))
        self.start = np.zeros(len(self.names) + len(self.length))

    def geometry(self, x: Floats) -> tuple[Floats, Floats]:
        """Cell (6,) in Angstrom and degrees and free parameters (sites, 3) at some coordinates."""
        count = len(self.names)
        change = x[:count] / self.scale
        values = np.where(self.is_length, self.first * np.exp(change), self.first + np.degrees(change))
        free = self.origin.copy()
        free[self.used] += x[count:] / self.length
        return lattice_constraints(self.number).expand(values), free

    def structure(self, x: Floats) -> AseAtoms:
        """The primitive cell at some coordinates."""
        lattice, free = self.geometry(x)
        cell = self.primitive @ cell_matrix(lattice)
        return _built(self.numbers, self.maps.positions(free) @ cell, cell)

    def slope(self, x: Floats, found: Prediction) -> Floats:
        """(k,) derivatives of the energy of the primitive cell."""
        lattice, _ = self.geometry(x)
        conventional = cell_matrix(lattice)
        cell = self.primitive @ conventional
        work = abs(np.linalg.det(cell)) * np.linalg.inv(conventional).T @ found.stress
        by_cell = [float((work * turn).sum()) for turn in self._cell_slopes(lattice, conventional)]
        arrows = np.einsum("akp,kj->apj", self.maps.linear, cell)
        by_atom = -np.einsum("apj,aj->ap", arrows, found.forces)
        by_site = np.zeros((len(self.used), 3))
        np.add.at(by_site, self.maps.atom_site, by_atom)
        return np.concatenate([np.array(by_cell) / self.scale, by_site[self.used] / self.length])

    def _cell_slopes(self, lattice: Floats, conventional: Floats) -> list[Floats]:
        """Derivative (3, 3) of the conventional cell by each free cell parameter."""
        slopes = []
        for column, is_length in enumerate(self.is_length):
            if is_length:
                slopes.append(self.basis[:3, column][:, None] * conventional)
            else:
                step = np.degrees(_SMALL) * self.basis[:, column]
                slopes.append((cell_matrix(lattice + step) - cell_matrix(lattice - step)) / (2 * _SMALL))
        return slopes

    def residual(self, x: Floats, found: Prediction) -> float:
        """Largest force on an atom and component of the virial an atom, within the symmetry."""
        return _residual(self.structure(x), found)


class FullFreedom:
    """All positions and the whole cell of a structure."""

    def __init__(self, structure: AseAtoms) -> None:
        self.numbers, self.cell, self.positions = structure.numbers, structure.cell.array, structure.positions
        self.scale = np.sqrt(len(structure))
        self.start = np.zeros(9 + 3 * len(structure))

    def structure(self, x: Floats) -> AseAtoms:
        """The structure at some coordinates."""
        deformed = np.eye(3) + x[:9].reshape(3, 3) / self.scale
        return _built(self.numbers, (self.positions + x[9:].reshape(-1, 3)) @ deformed, self.cell @ deformed)

    def slope(self, x: Floats, found: Prediction) -> Floats:
        """(k,) derivatives of the energy."""
        deformed = np.eye(3) + x[:9].reshape(3, 3) / self.scale
        volume = abs(np.linalg.det(self.cell @ deformed))
        by_cell = volume * np.linalg.inv(deformed).T @ found.stress / self.scale
        return np.concatenate([by_cell.ravel(), (-found.forces @ deformed.T).ravel()])

    def residual(self, x: Floats, found: Prediction) -> float:
        """Largest force on an atom and component of the virial an atom."""
        return _residual(self.structure(x), found)


def first_geometry(table: CrystalTable) -> tuple[Floats, Floats]:
    """Cell (6,) and free parameters, flat, of the only row of a table."""
    lattice = np.asarray(table.arrow.column("lattice")[0].as_py(), dtype=np.float64)
    free = np.asarray(table.arrow.column("free")[0].as_py(), dtype=np.float64)
    return lattice, free


def _built(numbers: NDArray[np.int64], positions: Floats, cell: Floats) -> AseAtoms:
    from ase import Atoms as AseAtoms

    return AseAtoms(numbers=numbers, positions=positions, cell=cell, pbc=True)


def _residual(structure: AseAtoms, found: Prediction) -> float:
    force = float(np.linalg.norm(found.forces, axis=1).max(initial=0.0))
    virial = float(np.abs(found.stress).max()) * structure.get_volume() / len(structure)
    return max(force, virial)


@cache
def _cell_freedom(number: int) -> tuple[tuple[str, ...], Floats]:
    constraints = lattice_constraints(number)
    return constraints.names, constraints.basis
