"""The known crystals that a baseline is made from, as arrays."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, GeneBatch, compositions, gene_keys, template_keys
from aristotype.errors import InputError
from aristotype.models.baselines._likelihood import NUMBERS
from aristotype.models.baselines._prototypes import Fillings, element_lists

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class KnownCrystals:
    """A table of crystals with geometry and what is asked of it again and again."""

    def __init__(self, table: CrystalTable, volumes: Floats) -> None:
        """Checks the table.

        Args:
            table: n crystals.
            volumes: (119,) volume of an atom by atomic number in cubic Angstrom, NaN where there is none.

        Raises:
            TableError: a row has no geometry.
            InputError: the table is empty, a crystal is not legal, or an element has no volume.
        """
        if not len(table):
            raise InputError("the table of known crystals is empty; give at least one crystal to start from")
        table.check_geometry()
        self.table = table
        self.genes: GeneBatch = table.genes()
        legal = self.genes.legal()
        if not legal.all():
            row = int((~legal).argmax())
            raise InputError(
                f"{int((~legal).sum())} known crystals have no site, or a position without freedom twice, first row "
                f"{row} (id {table.ids[row]!r}); leave them out"
            )
        self.kinds = element_lists(self.genes)  # (n, k) different elements, 0 padded
        self.num_kinds = (self.kinds > 0).sum(axis=1)
        self.volumes = volumes
        self._check_volumes()
        self.fillings = Fillings.of(self.genes)

    def _check_volumes(self) -> None:
        if self.volumes.shape != (NUMBERS,):
            raise InputError(f"the volumes have the shape {self.volumes.shape}; give one an element, ({NUMBERS},)")
        missing = ~(self.volumes[self.vocabulary] > 0)
        if missing.any():
            raise InputError(
                f"element {self.vocabulary[missing][0]} has no volume, and cells are scaled by volumes; leave crystals "
                "that hold it out"
            )

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def vocabulary(self) -> Ints:
        """Atomic numbers of all known crystals, ascending."""
        return np.unique(self.kinds[self.kinds > 0])

    @cached_property
    def atoms(self) -> Ints:
        """(n, k) atoms of each element in the primitive cell."""
        counts = np.zeros((len(self), NUMBERS), np.int64)
        for row, composition in enumerate(compositions(self.genes)):
            counts[row, list(composition)] = list(composition.values())
        return np.where(self.kinds > 0, np.take_along_axis(counts, self.kinds, axis=1), 0)

    @cached_property
    def num_atoms(self) -> Ints:
        """(n,) atoms in the primitive cell."""
        return self.atoms.sum(axis=1)

    @cached_property
    def units(self) -> Ints:
        """(n,) formula units in the primitive cell."""
        return np.gcd.reduce(self.atoms, axis=1)

    @cached_property
    def templates(self) -> list[bytes]:
        """Keys of the templates."""
        return template_keys(self.genes).tolist()

    @cached_property
    def keys(self) -> frozenset[bytes]:
        """Keys of the genes, enantiomorphic groups merged."""
        return frozenset(gene_keys(self.genes, merge_enantiomorphs=True).tolist())

    @cached_property
    def fillings_by_prototype(self) -> tuple[Ints, Ints]:
        """All fillings ordered by prototype, and where each prototype's begin (one more than there are prototypes)."""
        own = self.fillings.prototype[self.fillings.owner]
        order = np.argsort(own, kind="stable")
        return order, np.concatenate([[0], np.cumsum(np.bincount(own))])
