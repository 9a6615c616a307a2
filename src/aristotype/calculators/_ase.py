"""Between our face and that of ASE, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from aristotype.calculators._face import Potential, Prediction


class AseFace(Calculator):
    """A potential as ASE calls it, for its optimisers, molecular dynamics and the rest."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Energy, forces and stress of `atoms`, whichever were asked for."""
        super().calculate(atoms, properties, system_changes)
        found = self.potential.predict([self.atoms])[0]
        self.results = {
            "energy": found.energy,
            "free_energy": found.energy,
            "forces": found.forces,
            "stress": full_3x3_to_voigt_6_stress(found.stress),
        }


class AsePotential:
    """Any ASE calculator behind our face, one structure after the other."""

    def __init__(self, calculator: Any, name: str, fingerprint: str, elements: frozenset[int] | None = None) -> None:
        self.calculator, self.name, self.fingerprint = calculator, name, fingerprint
        self.elements = frozenset(range(1, 119)) if elements is None else elements

    def energies(self, structures: Sequence[Atoms]) -> NDArray[np.float64]:
        """(n,) energies in eV of the whole cells."""
        return np.array([self._with(structure).get_potential_energy() for structure in structures], dtype=np.float64)

    def predict(self, structures: Sequence[Atoms]) -> list[Prediction]:
        """Energies, forces and stresses."""
        found = []
        for structure in structures:
            atoms = self._with(structure)
            found.append(
                Prediction(
                    energy=float(atoms.get_potential_energy()),
                    forces=np.asarray(atoms.get_forces(), dtype=np.float64),
                    stress=np.asarray(atoms.get_stress(voigt=False), dtype=np.float64),
                )
            )
        return found

    def _with(self, structure: Atoms) -> Atoms:
        atoms = structure.copy()
        atoms.calc = self.calculator
        return atoms
