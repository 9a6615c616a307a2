"""The one face of every interatomic potential: structures in, energies, forces and stresses out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a potential says of one structure."""

    energy: float  # eV of the whole cell
    forces: NDArray[np.float64]  # (atoms, 3) eV/Angstrom
    stress: NDArray[np.float64]  # (3, 3) eV/cubic Angstrom: derivative of the energy by the strain over the volume


class Potential(Protocol):
    """An interatomic potential. Stateless: the same structures give the same figures."""

    name: str
    fingerprint: str  # of all that decides the figures: weights and version
    elements: frozenset[int]  # atomic numbers that it knows

    def energies(self, structures: Sequence[Atoms]) -> NDArray[np.float64]:
        """(n,) energies in eV of the whole cells."""
        ...

    def predict(self, structures: Sequence[Atoms]) -> list[Prediction]:
        """Energies, forces and stresses."""
        ...


MOST_DENSE = 0.6
"""Atoms a cubic Angstrom, three times diamond: beyond it neighbours are so many that they fill the memory."""


def too_dense(structure: Atoms) -> str:
    """Why a structure must not be given to a potential, or nothing."""
    density = len(structure) / abs(structure.get_volume())
    if density <= MOST_DENSE:
        return ""
    return f"it has {density:.3g} atoms a cubic Angstrom; the limit is {MOST_DENSE:g}: its cell is too small"
