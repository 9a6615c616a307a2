"""Geometries back to the columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.realize._priors import priors
from aristotype.symmetry import cell_matrix

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable
    from aristotype.realize._atoms import Atoms, Floats
    from aristotype.realize._solve import Geometry

_SNAP = 1e-9
"""A free parameter closer than this below 1 is 0."""


def cell_of(atoms: Atoms, geometry: Geometry) -> Floats:
    """Cells (n, 6) in Angstrom and degrees, exactly within the constraints of their groups."""
    data = priors()
    basis, fixed = data.basis[atoms.group], np.rint(np.degrees(data.fixed[atoms.group]))
    parameters = (basis * geometry.shape[:, None, :]).sum(axis=2)  # one term a sum: exact
    cells = np.empty((len(atoms), 6))
    cells[:, :3] = np.exp(parameters[:, :3])
    cells[:, 3:] = np.where(basis[:, 3:].any(axis=2), np.degrees(parameters[:, 3:]), fixed[:, 3:])
    unit = cell_matrix(cells)
    volume = unit[:, 0, 0] * unit[:, 1, 1] * unit[:, 2, 2]
    cells[:, :3] *= np.cbrt(geometry.volume / volume)[:, None]
    return cells


def with_geometry(table: CrystalTable, atoms: Atoms, geometry: Geometry) -> CrystalTable:
    """The same genes with their free parameters and cells; equal sites of a row are sorted by their parameters.

    Args:
        table: n genes.
        atoms: of the same genes.
        geometry: of the same genes.
    """
    free = geometry.free % 1.0
    free = np.where(free >= 1.0 - _SNAP, 0.0, free)
    used = np.arange(3) < atoms.site_freedom[:, None]
    free = np.where(used, free, 0.0)
    letters, _ = table.ragged("wyckoffs")
    # A site keeps its place in its row; equal ones (letter and element) share out their parameters in order.
    kind = (atoms.site_row, letters.astype(np.int64), atoms.site_element)
    places = np.lexsort(kind[::-1])
    values = np.lexsort((free[:, 2], free[:, 1], free[:, 0], *kind[::-1]))
    ordered = np.empty_like(free)
    ordered[places] = free[values]
    counts = np.bincount(atoms.site_row, weights=atoms.site_freedom, minlength=len(atoms)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    cells = cell_of(atoms, geometry)
    return table.with_columns(
        {
            "free": pa.ListArray.from_arrays(offsets, pa.array(ordered[used])),
            "lattice": pa.FixedSizeListArray.from_arrays(pa.array(cells.reshape(-1)), 6),
        }
    )
