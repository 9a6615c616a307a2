"""Floor 1: the 230 space groups as data (see docs/conventions.md)."""

from aristotype.symmetry._asymmetric_unit import AsymmetricUnit, Wrapped, asymmetric_unit
from aristotype.symmetry._forced import ForcedSupergroup, forced, forced_supergroup
from aristotype.symmetry._groups import NormalizerOperations, SpaceGroup, WyckoffPosition, locate, space_group
from aristotype.symmetry._lattice import LatticeConstraints, cell_matrix, cell_parameters, lattice_constraints
from aristotype.symmetry._relabel import mirror_image, relabelling_table, relabellings
from aristotype.symmetry._shapes import WyckoffShape
from aristotype.symmetry._tables import (
    CENTRINGS,
    CRYSTAL_SYSTEMS,
    GRID,
    LETTERS,
    MAX_POSITIONS,
    NUM_GROUPS,
    Tables,
    check_group,
    tables,
)

__all__ = [
    "CENTRINGS",
    "CRYSTAL_SYSTEMS",
    "GRID",
    "LETTERS",
    "MAX_POSITIONS",
    "NUM_GROUPS",
    "AsymmetricUnit",
    "ForcedSupergroup",
    "LatticeConstraints",
    "NormalizerOperations",
    "SpaceGroup",
    "Tables",
    "Wrapped",
    "WyckoffPosition",
    "WyckoffShape",
    "asymmetric_unit",
    "cell_matrix",
    "cell_parameters",
    "check_group",
    "forced",
    "forced_supergroup",
    "lattice_constraints",
    "locate",
    "mirror_image",
    "relabelling_table",
    "relabellings",
    "space_group",
    "tables",
]
