"""Genes and crystals brought to rest with CHGNet, as several benchmarks need them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aristotype.calculators import load_potential
from aristotype.crystal import CrystalTable
from aristotype.evaluate import Hull, geometry, heights, stability
from aristotype.realize import RelaxConfig, realize, relax_rows

_BATCH = 20  # structures that are relaxed together


def at_rest(crystals: CrystalTable) -> CrystalTable:
    """Crystals relaxed in both stages, with the settings that a user gets."""
    potential = load_potential("chgnet", "cpu")
    parts = [crystals[row : row + _BATCH] for row in range(0, len(crystals), _BATCH)]
    return CrystalTable.concatenate([relax_rows(part, potential, RelaxConfig()) for part in parts])


def energies_at_rest(genes: CrystalTable, hull: Hull, name: str, *, seed: int) -> NDArray[np.float64]:
    """(n,) eV/atom, such as `e_above_hull`, of genes realised once and relaxed; nan where nothing sound came out."""
    found = at_rest(realize(genes, seed=seed, failures=[]))
    values = heights(stability(found, hull, min_distance=geometry(found).min_distance), name)
    place = {row: number for number, row in enumerate(genes.ids)}
    out = np.full(len(genes), np.nan)
    out[[place[row] for row in found.ids]] = np.where(np.isfinite(values), values, np.nan)
    return out
