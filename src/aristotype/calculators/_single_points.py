"""Energies of a table of crystals at the geometry they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.calculators._face import too_dense
from aristotype.calculators._registry import shared_potential
from aristotype.crystal import CrystalTable, map_table

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from aristotype._shards import Shards

_ATOMS, _ROWS = 2000, 200


@dataclass(frozen=True)
class _Settings:
    calculator: str
    device: str


def single_points(
    table: CrystalTable,
    calculator: str = "chgnet",
    *,
    device: str = "auto",
    processes: int = 1,
    shards: Shards | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Energies (n,) in eV/atom of crystals as they are; NaN where the potential gives none or atoms are too dense.

    Args:
        table: crystals.
        calculator: a name or `module:factory` (see `load_potential`).
        device: `auto`, `cpu` or `cuda`.
        processes: worker processes, one thread each.
        shards: where finished chunks are kept.
        executor: runs the work instead of processes of our own.
        progress: called with the rows done and all rows.

    Raises:
        TableError: a row is a gene without a geometry.
        UnknownNameError: there is no such calculator.
    """
    table.check_geometry()
    found = map_table(
        _chunk,
        table,
        _Settings(calculator, device),
        identity=["single points", shared_potential(calculator, device).fingerprint],
        atoms=_ATOMS,
        rows=_ROWS,
        processes=processes,
        shards=shards,
        executor=executor,
        progress=progress,
    )
    return found.column("energy").to_numpy() if len(found) else np.zeros(0)


def _chunk(table: CrystalTable, settings: _Settings) -> CrystalTable:
    potential = shared_potential(settings.calculator, settings.device)
    atoms = table.to_atoms(primitive=True)
    known = [
        row
        for row, structure in enumerate(atoms)
        if set(structure.numbers.tolist()) <= potential.elements and not too_dense(structure)
    ]
    energies = np.full(len(table), np.nan)
    try:
        energies[known] = potential.energies([atoms[row] for row in known])
    except Exception:  # noqa: BLE001 (somebody else's calculator may raise anything: it is asked row by row)
        for row in known:
            try:
                energies[row] = potential.energies([atoms[row]])[0]
            except Exception:  # noqa: BLE001
                energies[row] = np.nan
    per_atom = energies / np.array([len(structure) for structure in atoms])
    return table.without_columns(table.columns[6:]).with_columns(
        energy=pa.array(np.where(np.isfinite(per_atom), per_atom, np.nan), pa.float64())
    )
