"""Is it the gene that was asked for: crystals encoded again, and small moves off symmetry that came by accident."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from aristotype.crystal import CrystalTable, Failure, decode_table, encode_arrays, gene_keys
from aristotype.realize._priors import priors
from aristotype.realize._random import stream
from aristotype.realize._solve import Geometry, assess
from aristotype.symmetry import forced

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from aristotype.realize._atoms import Atoms, Floats, Ints
    from aristotype.realize._config import RealizeConfig

_MOVES = (0.02, 0.05, 0.1, 0.2)
"""Angstrom that atoms are moved, a try each; shapes are strained by a tenth of that."""
_PURPOSE = 1 << 32
"""Streams of random numbers from here on are for moves; those below are for rounds of trials."""


def genes_kept(table: CrystalTable, tolerance: float) -> NDArray[np.bool_]:
    """Which crystals (n,), encoded again, have the gene that the table says.

    Args:
        table: crystals with geometry.
        tolerance: distance (Angstrom) up to which positions count as symmetric.
    """
    kept = np.zeros(len(table), bool)
    if not len(table):
        return kept
    atoms = decode_table(table, primitive=True)
    cells = list(atoms.cells())
    failures: list[Failure] = []
    again = encode_arrays(
        atoms.lattices,
        [cell.numbers for cell in cells],
        [cell.coords for cell in cells],
        tolerance=tolerance,
        failures=failures,
        max_gap=None,
    )
    rows = np.array([int(name) for name in again.ids], np.int64)
    kept[rows] = gene_keys(again.genes()) == gene_keys(table.genes().take(rows))
    return kept


def unforced(table: CrystalTable) -> NDArray[np.bool_]:
    """Which genes (n,) do not have more symmetry than their group at every geometry."""
    genes = table.genes()
    return ~forced(genes.space_group, genes.elements, genes.wyckoffs)


def pushed_off(
    atoms: Atoms,
    geometry: Geometry,
    keys: NDArray[np.uint64],
    build: Callable[[Ints], CrystalTable],
    config: RealizeConfig,
) -> NDArray[np.bool_]:
    """Verifies crystals, and moves those with symmetry by accident until they have their gene.

    Args:
        atoms: of n genes.
        geometry: of the same rows; moved ones are written in place.
        keys: (n, 2) of the rows' random streams.
        build: makes the table of some rows of `geometry` as it is now.
        config: settings.

    Returns:
        which crystals (n,) have their gene.
    """
    everything = np.arange(len(atoms))
    kept = genes_kept(build(everything), config.tolerance)
    rows = everything[~kept]
    if len(rows):
        rows = rows[unforced(build(rows))]
    for number, distance in enumerate(_MOVES):
        if not len(rows):
            break
        few, before = atoms.take(rows), geometry.take(atoms, rows)
        moved = _moved(few, before, keys[rows], number, distance)
        room = _room(few, moved, config)
        geometry.put(atoms, rows, replace(moved, volume=moved.volume * np.minimum(room, config.expansion)))
        better = (room <= config.expansion) & genes_kept(build(rows), config.tolerance)
        undone = np.flatnonzero(~better)
        geometry.put(atoms, rows[undone], before.take(few, undone))
        kept[rows[better]] = True
        rows = rows[undone]
    return kept


def _room(atoms: Atoms, geometry: Geometry, config: RealizeConfig) -> Floats:
    """Factors (n,) on the volumes, at least 1, with which no two atoms are too close."""
    closest, _ = assess(atoms, geometry, config.target_ratio, torch.float64)
    # A rounding error more than needed, so that the distance is not a rounding error too short.
    short = np.maximum(config.min_ratio * (1.0 + 1e-9) / np.maximum(closest, 1e-6), 1.0)
    return np.where(closest >= config.min_ratio, 1.0, short**3)


def _moved(atoms: Atoms, geometry: Geometry, keys: NDArray[np.uint64], number: int, distance: float) -> Geometry:
    """Every free parameter moved at random, by up to about a distance in Angstrom."""
    data = priors()
    sites = np.bincount(atoms.site_row, minlength=len(atoms))
    strain, shift = np.empty((len(atoms), 6)), []
    for row, count in enumerate(sites.tolist()):
        generator = stream(keys[row], _PURPOSE + number)
        strain[row] = generator.uniform(-1.0, 1.0, 6)
        shift.append(generator.uniform(-1.0, 1.0, (count, 3)))
    size = np.cbrt(geometry.volume)[atoms.site_row]
    free = np.concatenate(shift) * np.where(np.arange(3) < atoms.site_freedom[:, None], 1.0, 0.0)
    shape = geometry.shape + 0.1 * distance * strain * (data.basis[atoms.group].sum(axis=1) > 0)
    return Geometry(
        shape=np.clip(shape, data.shape_low[atoms.group], data.shape_high[atoms.group]),
        volume=geometry.volume,
        free=geometry.free + distance * free / size[:, None],
    )
