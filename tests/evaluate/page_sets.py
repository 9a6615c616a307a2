"""Evaluated sets for the report page: crystals of any table with columns made up as an evaluation would make them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, formulas
from aristotype.symmetry import cell_matrix, lattice_constraints, space_group
from tests.random_genes import random_genes


def crystals(count: int, seed: int, *, prefix: str = "row-") -> CrystalTable:
    """Crystals of random groups with random coordinates: sound as tables, nonsense as chemistry."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(1, 231, count).tolist()
    genes = random_genes(rng, groups, elements=[1, 3, 8, 22, 38, 64, 92], max_sites=4)
    occupied = genes.wyckoffs >= 0
    freedoms = [
        space_group(group).positions[letter].freedom
        for group, row in zip(groups, genes.wyckoffs.tolist())
        for letter in row
        if letter >= 0
    ]
    lattice = []
    for group in groups:
        constraints = lattice_constraints(group)
        start = np.array([4.0, 5.5, 8.0, 95.0, 103.0, 88.0]) * rng.uniform(0.95, 1.05, 6)
        lattice.append(constraints.expand(np.linalg.lstsq(constraints.basis, start - constraints.fixed, rcond=None)[0]))
    return CrystalTable.from_arrays(
        space_group=groups,
        num_sites=occupied.sum(axis=1),
        elements=genes.elements[occupied],
        wyckoffs=genes.wyckoffs[occupied],
        free=rng.random(sum(freedoms)),
        lattice=np.array(lattice),
        ids=[f"{prefix}{row}" for row in range(count)],
    )


def evaluated(
    table: CrystalTable, *, name: str = "a set", seed: int = 0, energies: bool = True
) -> tuple[dict[str, Any], pa.Table]:
    """A summary and a table as an evaluation gives them, values drawn at random."""
    rng, n = np.random.default_rng(seed), len(table)
    atoms = table.genes().multiplicities.sum(axis=1)
    columns: dict[str, Any] = {
        "formula": formulas(table.genes()),
        "min_distance": rng.normal(2.4, 0.4, n),
        "density": rng.gamma(6.0, 1.0, n),
        "volume_per_atom": np.abs(np.linalg.det(cell_matrix(table.lattice))) / atoms,
        "valid": rng.random(n) < 0.9,
        "unique": rng.random(n) < 0.95,
        "novel": rng.random(n) < 0.7,
    }
    if energies:
        columns |= _energies(table, columns, rng)
    flags = {key: int(np.sum(columns[key])) for key in ("valid", "unique", "novel", "stable", "sun") if key in columns}
    metrics = {
        "validity": {"value": 0.9, "low": 0.88, "high": 0.92, "n": n, "unit": "share", "what": "passes all tests"},
        "nothing": {"value": float("nan"), "low": None, "high": float("inf"), "n": 0, "unit": "eV", "what": "no value"},
        "absent": {"value": None, "low": None, "high": None, "n": n, "unit": "", "what": ""},
    }
    summary = {
        "name": name,
        "protocol": {
            "name": "aristotype",
            "version": "1",
            "matcher": {"ltol": 0.2, "limit": float("nan"), "off": None},
        },
        "counts": {"submitted": n + n // 10 + 1, "built": n} | flags,
        "metrics": metrics,
        "notes": ["columns are made up"],
        "versions": {"aristotype": "0.1.0"},
    }
    return summary, table.with_columns(columns).arrow


def _energies(table: CrystalTable, columns: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    n = len(table)
    above = rng.gamma(1.2, 0.1, n) - 0.05
    stable = above <= 0
    above = pa.array(np.where(rng.random(n) < 0.05, np.nan, above)).to_pylist()
    return {
        "energy": np.full(n, -4.0),
        "energy_start": rng.gamma(1.0, 0.1, n) - 4.0,
        "e_above_hull": pa.array([None if row % 17 == 3 else value for row, value in enumerate(above)], pa.float64()),
        "hull_confidence": rng.choice(["formula known", "few entries"], n).tolist(),
        "unphysical": rng.random(n) < 0.02,
        "rmsd": rng.gamma(1.5, 0.08, n),
        "volume_change": rng.normal(0.02, 0.05, n),
        "relax_steps": pa.array(rng.integers(3, 200, n), pa.int32()),
        "space_group_before": table.space_group,
        "stable": stable,
        "sun": stable & columns["unique"] & columns["novel"],
    }
