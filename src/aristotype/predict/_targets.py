"""Properties by name: the columns they stand in, and their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Target:
    """A property.

    Attributes:
        name: What `predict` calls its column.
        column: The column of a table in which known values stand.
        unit: Of the values; empty where it is not known.
    """

    name: str
    column: str
    unit: str = ""


_TARGETS = (
    Target(name="formation_energy", column="formation_energy_per_atom", unit="eV/atom"),
    Target(name="band_gap", column="band_gap", unit="eV"),
    Target(name="bulk_modulus", column="bulk_modulus", unit="GPa"),
    Target(name="shear_modulus", column="shear_modulus", unit="GPa"),
    Target(name="debye_temperature", column="debye_temperature", unit="K"),
    Target(name="thermal_conductivity", column="thermal_conductivity", unit="W/(m K)"),
    Target(name="thermal_expansion", column="thermal_expansion", unit="1/K"),
    Target(name="refractive_index", column="n"),
    Target(name="phonon_peak", column="last_phdos_peak_cm-1", unit="1/cm"),
    Target(name="piezoelectric_modulus", column="eij_max", unit="C/m^2"),
)

TARGETS: Mapping[str, Target] = {target.name: target for target in _TARGETS}
"""Properties that have a unit and a column by which published tables call them."""


def target_named(name: str) -> Target:
    """A registered property, or the column of that name, in whatever unit it is."""
    return TARGETS.get(name) or Target(name=name, column=name)
