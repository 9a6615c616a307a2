"""pymatgen and ASE objects to arrays, without importing either package: an object brings its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from aristotype.crystal._checks import Cell

_MIN_OCCUPANCY = 1.0 - 1e-3


def is_pymatgen(thing: Any) -> bool:
    """Whether a thing is a pymatgen structure or molecule."""
    return hasattr(thing, "sites") and hasattr(thing, "species_and_occu")


def is_ase(thing: Any) -> bool:
    """Whether a thing is an ASE `Atoms`."""
    return hasattr(thing, "get_scaled_positions") and hasattr(thing, "numbers")


def from_pymatgen(structure: Any) -> Cell | str:
    """Arrays of a pymatgen `Structure`, or the reason why it is no crystal.

    Oxidation states, spins and isotopes (D and T) are dropped: a species stands for its element.
    """
    if not hasattr(structure, "lattice"):
        return "it is a molecule without a lattice; put it into a crystal first"
    if not all(structure.lattice.pbc):
        return f"it repeats along {_axes(structure.lattice.pbc)} of its axes only; a crystal repeats along all three"
    numbers = []
    for index, site in enumerate(structure.sites):
        species = site.species
        if len(species) != 1 or species.num_atoms < _MIN_OCCUPANCY:
            return f"site {index} ({site.species_string}) is partially occupied; order it, for example by a supercell"
        kind = next(iter(species))
        element = getattr(kind, "element", kind)
        # Dummy species have a number too, made from their name; only elements are real.
        if type(kind).__name__ == "DummySpecies" or not hasattr(element, "atomic_mass"):
            return f"site {index} is {kind}, which is no element; replace or remove it"
        numbers.append(int(kind.Z))
    return Cell(
        lattice=np.array(structure.lattice.matrix, float),
        numbers=np.array(numbers, np.int64),
        coords=np.array(structure.frac_coords, float).reshape(-1, 3),
    )


def from_ase(atoms: Any) -> Cell | str:
    """Arrays of ASE `Atoms`, or the reason why they are no crystal."""
    if not all(atoms.pbc):
        return f"it repeats along {_axes(atoms.pbc)} of its axes only; a crystal repeats along all three (set pbc=True)"
    lattice = np.array(atoms.cell.array, float)
    if not np.isfinite(lattice).all():
        return "its lattice holds NaN or infinity; correct or remove it"
    if abs(np.linalg.det(lattice)) < 1e-6:
        return (
            f"its cell has the volume {abs(np.linalg.det(lattice)):.3g} cubic Angstrom; give three independent vectors"
        )
    occupancy = atoms.info.get("occupancy")
    if occupancy and any(abs(sum(kinds.values()) - 1.0) > 1e-3 or len(kinds) > 1 for kinds in occupancy.values()):
        return "it has partially occupied sites (info['occupancy']); order it, for example by a supercell"
    return Cell(
        lattice=lattice,
        numbers=np.array(atoms.numbers, np.int64),
        coords=np.array(atoms.positions, float) @ np.linalg.inv(lattice),
    )


def _axes(pbc: Any) -> str:
    return f"{sum(bool(axis) for axis in pbc)}"
