"""Interatomic potentials behind one face: structures in, energies, forces and stresses out, several a call."""

from ._face import MOST_DENSE, Potential, Prediction, too_dense
from ._registry import load_potential, potential_names, shared_potential
from ._single_points import single_points

__all__ = [
    "MOST_DENSE",
    "Potential",
    "Prediction",
    "load_potential",
    "potential_names",
    "shared_potential",
    "single_points",
    "too_dense",
]
