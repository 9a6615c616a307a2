"""Which structures could be crystals at all: distances, volumes, charges and densities under named rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import formulas, protostructure_labels
from aristotype.errors import InputError
from aristotype.evaluate._bootstrap import Interval, share
from aristotype.evaluate._geometry import Geometry, geometry
from aristotype.evaluate._smact import charge_balanced

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

Flags = NDArray[np.bool_]

MIN_DISTANCE = 0.5
"""Angstrom; two atoms closer than this make a structure invalid (Xie et al., ICLR 2022, appendix B)."""
MIN_VOLUME = 0.1
"""Cubic Angstrom of the primitive cell (as above)."""
MIN_CLOSENESS = 0.5
"""Least distance of a plausible structure over the sum of the covalent radii (as in LeMat-GenBench)."""
DENSITIES = (0.01, 25.0)
"""g/cm^3 between which a structure is plausible (as in LeMat-GenBench)."""
NUMBER_DENSITIES = (1e-5, 0.5)
"""Atoms a cubic Angstrom between which a structure is plausible (as in LeMat-GenBench)."""


@dataclass(frozen=True, kw_only=True)
class Validity:
    """Which of n structures pass which rule."""

    distance: Flags  # (n,) no two atoms closer than MIN_DISTANCE
    volume: Flags  # (n,) a primitive cell of at least MIN_VOLUME
    charge: Flags  # (n,) the composition passes `charge_balanced` (SMACT, oxidation states smact14)
    plausible: Flags  # (n,) closeness, density and number density within their bounds

    @property
    def structure(self) -> Flags:
        """(n,) structural validity of CDVAE."""
        return self.distance & self.volume

    @property
    def valid(self) -> Flags:
        """(n,) validity of CDVAE: structure and composition."""
        return self.structure & self.charge


def validity(table: CrystalTable, sizes: Geometry | None = None) -> Validity:
    """Judges every structure of a table.

    Args:
        table: n crystals with geometry.
        sizes: their `geometry`, where it is at hand.

    Raises:
        TableError: a row is a gene, which has no geometry.
        InputError: the sizes are of another number of structures.
        MissingDependencyError: smact is not installed.
    """
    sizes = geometry(table) if sizes is None else sizes
    if len(sizes.volume) != len(table):
        raise InputError(f"sizes of {len(sizes.volume)} structures for a table of {len(table)}; give those of its rows")
    plausible = sizes.closeness >= MIN_CLOSENESS  # false where a radius is not known
    for values, (low, high) in ((sizes.density, DENSITIES), (1.0 / sizes.volume_per_atom, NUMBER_DENSITIES)):
        plausible &= (values >= low) & (values <= high)
    return Validity(
        distance=sizes.min_distance >= MIN_DISTANCE,
        volume=sizes.volume >= MIN_VOLUME,
        charge=charge_balanced(table.genes()),
        plausible=plausible,
    )


def structure_columns(table: CrystalTable, sizes: Geometry, judged: Validity) -> dict[str, Any]:
    """Names, sizes and validity of each structure, as columns for `CrystalTable.with_columns`.

    Args:
        table: n crystals.
        sizes: their `geometry`.
        judged: their `validity`.

    Returns:
        `formula` (reduced), `label` (AFLOW protostructure), `min_distance` (Angstrom), `density` (g/cm^3),
        `volume_per_atom` (cubic Angstrom), `valid_distance`, `valid_volume`, `valid_charge`, `plausible` and `valid`.
    """
    genes = table.genes()
    return {
        "formula": formulas(genes),
        "label": protostructure_labels(genes),
        "min_distance": sizes.min_distance,
        "density": sizes.density,
        "volume_per_atom": sizes.volume_per_atom,
        "valid_distance": judged.distance,
        "valid_volume": judged.volume,
        "valid_charge": judged.charge,
        "plausible": judged.plausible,
        "valid": judged.valid,
    }


def validity_metrics(judged: Validity, *, submitted: int | None = None) -> dict[str, Interval]:
    """Shares of structures that pass, with Wilson's intervals.

    Args:
        judged: of the structures that could be built.
        submitted: how many were submitted, where that is more: those that could not be built pass nothing.

    Raises:
        InputError: there is no structure, or fewer were submitted than built.
    """
    built = len(judged.distance)
    total = built if submitted is None else submitted
    if total < max(built, 1):
        raise InputError(f"{total} structures submitted and {built} built; at least one, and no fewer than were built")
    rules = {
        "valid": judged.valid,
        "valid_structure": judged.structure,
        "valid_distance": judged.distance,
        "valid_volume": judged.volume,
        "valid_charge": judged.charge,
        "plausible": judged.plausible,
    }
    return {name: share(int(flags.sum()), total) for name, flags in rules.items()}
