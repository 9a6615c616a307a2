"""A crystal of which only a part is known: some sites with their free parameters, and perhaps the cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from aristotype.crystal._rows import Crystal, Gene
from aristotype.errors import InputError
from aristotype.symmetry import cell_matrix, lattice_constraints, space_group

if TYPE_CHECKING:
    from aristotype.crystal._genes import GeneBatch

_SAME = 1e-4
"""Fractional coordinates closer than this are those of one atom."""


@dataclass(frozen=True, kw_only=True)
class PartialCrystal(Gene):
    """Known sites of a crystal in the standard setting of its group, and its cell where that is known.

    In triclinic and monoclinic groups coordinates mean nothing without a cell: where none is given, they are those of
    the reduced cell (see `fix_gauge`) that will be found.

    Raises:
        InputError: there is no site, a position without freedom is there twice, free parameters are not as many as the
            positions have or not numbers, or an atom falls on another one.
        SymmetryError: the group or a position does not exist, or the cell is not one of the group.
    """

    free: tuple[float, ...]  # in site order, as in `Crystal`
    lattice: tuple[float, float, float, float, float, float] | None = None  # a b c (Angstrom) alpha beta gamma

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.wyckoffs:
            raise InputError("the partial crystal has no site; give at least one, or leave it out")
        if not all(1 <= element <= 118 for element in self.elements):
            raise InputError(f"the partial crystal has the elements {self.elements}; atomic numbers go from 1 to 118")
        if len(self.free) != self.degrees_of_freedom:
            raise InputError(
                f"the partial crystal has {len(self.free)} free parameters for positions {self.letters} of space group "
                f"{self.space_group}, which have {self.degrees_of_freedom}; give as many"
            )
        if not np.isfinite(np.array(self.free, float)).all():
            raise InputError(f"the free parameters {self.free} of the partial crystal are not all numbers")
        object.__setattr__(self, "free", tuple(float(value) % 1.0 for value in self.free))
        if self.lattice is not None:
            self._check_lattice()
        self._check_atoms()

    def _check_lattice(self) -> None:
        cell = tuple(float(value) for value in self.lattice or ())
        if len(cell) != 6:
            raise InputError(f"the lattice of the partial crystal has {len(cell)} numbers; give a b c alpha beta gamma")
        cell_matrix(cell)
        lattice_constraints(self.space_group).reduce(cell)
        object.__setattr__(self, "lattice", cell)

    def _check_atoms(self) -> None:
        """Refuses atoms on atoms: of one site, which then belongs on a position of higher symmetry, or of two."""
        positions = space_group(self.space_group).positions
        start, before = 0, np.zeros((0, 3))
        for place, letter in enumerate(self.wyckoffs):
            position = positions[letter]
            points = position.orbit(self.free[start : start + position.freedom])
            start += position.freedom
            if _coincide(points[:1], points[1:]):
                raise InputError(
                    f"site {place} of the partial crystal is on position {position} of space group {self.space_group}, "
                    "and its coordinates are those of a position of higher symmetry; give it the letter of that one"
                )
            if _coincide(points[:1], before):
                raise InputError(f"site {place} of the partial crystal is where another one is; leave one of them out")
            before = np.concatenate([before, points])

    @property
    def site_free(self) -> tuple[tuple[float, ...], ...]:
        """Free parameters by site."""
        ends = np.cumsum((0, *self.freedoms)).tolist()
        return tuple(self.free[start:end] for start, end in pairwise(ends))

    @property
    def genes(self) -> GeneBatch:
        """(1,) the known sites without geometry."""
        from aristotype.crystal._genes import GeneBatch

        return GeneBatch.from_lists([self.space_group], [list(self.elements)], [list(self.wyckoffs)])

    @staticmethod
    def of(crystal: Gene, sites: Iterable[int] | None = None, *, lattice: bool = True) -> PartialCrystal:
        """Some sites of a crystal, with its cell or without.

        Args:
            crystal: a row with geometry.
            sites: which of its sites, by index; all by default.
            lattice: whether the cell is known.

        Raises:
            InputError: the row is a gene, or a site does not exist.
        """
        if not isinstance(crystal, Crystal):
            raise InputError(f"{crystal.id!r} is a gene, which has no coordinates; as a partial gene it can be given")
        chosen = list(range(crystal.num_sites)) if sites is None else list(sites)
        if not all(0 <= site < crystal.num_sites for site in chosen):
            raise InputError(f"sites {chosen} of a crystal with {crystal.num_sites}; indices begin at 0")
        return PartialCrystal(
            space_group=crystal.space_group,
            elements=tuple(crystal.elements[site] for site in chosen),
            wyckoffs=tuple(crystal.wyckoffs[site] for site in chosen),
            free=tuple(value for site in chosen for value in crystal.site_free[site]),
            lattice=crystal.lattice if lattice else None,
            id=crystal.id,
        )


def _coincide(point: np.ndarray, others: np.ndarray) -> bool:
    step = others - point
    return bool((np.abs(step - np.rint(step)).max(axis=1, initial=0.0) < _SAME).any())
