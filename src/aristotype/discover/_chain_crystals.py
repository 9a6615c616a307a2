"""Crystals as the states of chains: flat arrays whose numbers change while their description stays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.symmetry import CRYSTAL_SYSTEMS, NUM_GROUPS, cell_matrix, lattice_constraints, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SNAP = 1e-9
"""A free parameter closer than this below 1 is 0."""


@dataclass(frozen=True, kw_only=True)
class ChainCrystals:
    """n crystals of up to S sites; places beyond the sites of a crystal hold letter -1 and element 0."""

    group: NDArray[np.int16]  # (n,)
    letters: NDArray[np.int8]  # (n, S)
    elements: NDArray[np.int8]  # (n, S)
    origin: NDArray[np.int8]  # (n, S) the element that the chain began with
    free: Floats  # (n, S, 3) 0 beyond the freedom of a site
    lattice: Floats  # (n, 6) Angstrom and degrees

    def __len__(self) -> int:
        return len(self.group)

    @staticmethod
    def from_table(table: CrystalTable) -> ChainCrystals:
        """The rows of a table.

        Raises:
            TableError: a row is a gene.
        """
        table.check_geometry()
        genes = table.genes()
        free = np.zeros((*genes.wyckoffs.shape, 3))
        free[np.arange(3) < genes.freedoms[..., None]] = table.ragged("free")[0]
        return ChainCrystals(
            group=table.space_group,
            letters=genes.wyckoffs,
            elements=genes.elements,
            origin=genes.elements,
            free=free,
            lattice=table.lattice,
        )

    def genes(self) -> GeneBatch:
        """The discrete parts, sites in the order that they have here."""
        return GeneBatch(space_group=self.group, elements=self.elements, wyckoffs=self.letters)

    def to_table(self, ids: list[str] | None = None) -> CrystalTable:
        """A table; sites are sorted by letter, element and parameters."""
        free = self.free % 1.0
        free = np.where(free >= 1.0 - _SNAP, 0.0, free)
        keys = (*np.moveaxis(free, 2, 0)[::-1], self.elements, self.letters, self.letters < 0)
        order = np.lexsort(keys, axis=1)
        rows = np.arange(len(self))[:, None]
        letters, elements, freedom = (
            array[rows, order] for array in (self.letters, self.elements, self.genes().freedoms)
        )
        there = letters >= 0
        return CrystalTable.from_arrays(
            space_group=self.group,
            num_sites=there.sum(axis=1),
            elements=elements[there],
            wyckoffs=letters[there],
            free=free[rows, order][np.arange(3) < freedom[..., None]],
            lattice=self.lattice,
            ids=ids,
        )

    def take(self, rows: Ints) -> ChainCrystals:
        """Some of them, which may come more than once."""
        return ChainCrystals(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def replaced(self, rows: Ints, others: Any) -> ChainCrystals:
        """The same with other crystals in some rows."""
        width = max(self.letters.shape[1], others.letters.shape[1])
        out = {field.name: getattr(self._widened(width), field.name).copy() for field in fields(self)}
        for name, array in out.items():
            array[rows] = getattr(others._widened(width), name)
        return ChainCrystals(**out)

    def with_arrays(self, **arrays: NDArray[Any]) -> ChainCrystals:
        """The same with some arrays replaced."""
        return replace(self, **arrays)

    def systems(self) -> Ints:
        """(n,) place of each crystal system in `CRYSTAL_SYSTEMS`."""
        return _systems()[self.group]

    def bases(self) -> Floats:
        """(n, 3, 3) row vectors of the conventional cells."""
        return cell_matrix(self.lattice)

    def composition(self) -> Ints:
        """(n, 119) atoms of each element in the conventional cell."""
        out = np.zeros((len(self), 119), np.int64)
        rows, sites = np.nonzero(self.letters >= 0)
        np.add.at(out, (rows, self.elements[rows, sites]), self.genes().multiplicities[rows, sites])
        return out

    def _widened(self, width: int) -> ChainCrystals:
        room = width - self.letters.shape[1]
        if not room:
            return self
        padding = {"letters": -1, "elements": 0, "origin": 0}
        wide = {
            name: np.pad(getattr(self, name), ((0, 0), (0, room)), constant_values=value)
            for name, value in padding.items()
        }
        return replace(self, **wide, free=np.pad(self.free, ((0, 0), (0, room), (0, 0))))


@cache
def _systems() -> Ints:
    names = [space_group(number).crystal_system for number in range(1, NUM_GROUPS + 1)]
    return np.array([0, *map(CRYSTAL_SYSTEMS.index, names)])


def constrained(group: NDArray[np.int16], lattice: Floats) -> Floats:
    """Cells (n, 6) exactly within the constraints of their groups."""
    out = lattice.copy()
    systems = _systems()[group]
    for system in np.unique(systems).tolist():
        rows = np.flatnonzero(systems == system)
        constraints = lattice_constraints(int(group[rows[0]]))
        out[rows] = constraints.expand(constraints.reduce(lattice[rows], tolerance=1e-6 * float(lattice.max())))
    return out
