"""`relax`: crystals in, crystals at rest out, first within their symmetry and then without it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from aristotype.calculators import too_dense
from aristotype.crystal import CrystalTable, Failure, element_symbol, encode_arrays, gene_keys
from aristotype.realize._descent import ENDS, Walker, descend_together
from aristotype.realize._freedom import FullFreedom, SymmetricFreedom
from aristotype.realize._relax_config import RelaxConfig

if TYPE_CHECKING:
    from ase import Atoms as AseAtoms

    from aristotype.calculators import Potential, Prediction

_TOLERANCES = (1e-2, 1e-3, 1e-4)
"""Angstrom, for structures that cannot be encoded at the tolerance that was asked for."""
_CORE = ("id", "space_group", "elements", "wyckoffs", "free", "lattice")


@dataclass(kw_only=True)
class _Outcome:
    """What became of one structure."""

    before: AseAtoms
    after: AseAtoms
    start: float = np.nan  # eV/atom
    symmetric: float = np.nan
    energy: float = np.nan
    residual: float = np.nan
    symmetric_steps: int = 0
    steps: int = 0
    end: str = ""

    @property
    def volume_change(self) -> float:
        """Relative to the volume before."""
        return float(self.after.get_volume() / self.before.get_volume() - 1.0)

    def fail(self, reason: str) -> None:
        """Goes back to the structure before; no energy is told that belongs to another one."""
        self.after, self.end = self.before, reason
        self.energy = self.symmetric = self.residual = np.nan


def relax_rows(table: CrystalTable, potential: Potential, config: RelaxConfig) -> CrystalTable:
    """Relaxes the crystals of a table, all of them side by side.

    Every row comes out again, whatever became of it: `relax_end` says `converged`, `steps` or `seconds` (that limit was
    reached), `stuck` (no step lowered the energy further), or why it failed, in which case the last sound geometry is
    kept.

    Args:
        table: crystals.
        potential: what gives energies, forces and stresses.
        config: settings.

    Returns:
        the relaxed crystals, encoded at `config.tolerance`, with the columns `energy` (eV/atom), `energy_start`,
        `energy_symmetric` (after the first stage), `max_force` (eV/Angstrom, virial included), `relax_steps_symmetric`,
        `relax_steps`, `relax_end`, `space_group_before`, `gene_kept`, `rmsd` (Angstrom, root of the mean square
        displacement in the mean cell), `volume_change` (relative) and `calculator`.

    Raises:
        TableError: a row is a gene without a geometry.
    """
    table.check_geometry()
    starts = [SymmetricFreedom(table.take([row])) for row in range(len(table))]
    outcomes = [_unfit(start.structure(start.start), potential, config) for start in starts]
    rows = [row for row, outcome in enumerate(outcomes) if not outcome.end]
    freedoms = [starts[row] for row in rows]
    refusals = [_Limits(outcomes[row].before, config) for row in rows]
    walkers = descend_together(
        freedoms, potential.predict, refusals, fmax=config.fmax, steps=config.steps, seconds=config.seconds
    )
    for row, freedom, walker in zip(rows, freedoms, walkers, strict=True):
        _record(outcomes[row], walker, freedom.structure(walker.x))
    again = [place for place, walker in enumerate(walkers) if walker.sound and config.free_steps]
    full = [FullFreedom(_rattled(outcomes[rows[place]].after, config.rattle)) for place in again]
    free_walkers = descend_together(
        full,
        potential.predict,
        [refusals[place] for place in again],
        fmax=config.fmax,
        steps=config.free_steps,
        seconds=config.seconds,
    )
    for place, whole, walker in zip(again, full, free_walkers, strict=True):
        _record_free(outcomes[rows[place]], walker, whole.structure(walker.x), config.least_gain)
    return _table(table, outcomes, potential, config)


def _unfit(structure: AseAtoms, potential: Potential, config: RelaxConfig) -> _Outcome:
    """The outcome of a row before anything is done: with an end where nothing can be."""
    outcome = _Outcome(before=structure, after=structure)
    unknown = sorted(set(structure.numbers.tolist()) - potential.elements)
    if unknown:
        names = ", ".join(element_symbol(number) for number in unknown)
        outcome.end = f"{potential.name} does not know {names}"
    else:
        # Before the potential sees it: the neighbours of a collapsed cell fill the memory.
        outcome.end = too_dense(structure) or _too_close(structure, config.min_distance)
    return outcome


class _Limits:
    """Where a structure is no crystal any more."""

    def __init__(self, start: AseAtoms, config: RelaxConfig) -> None:
        self._volume, self._config = start.get_volume(), config

    def __call__(self, structure: AseAtoms, found: Prediction) -> str:
        """Why a state is not physical, or nothing."""
        config = self._config
        if not (np.isfinite(found.energy) and np.isfinite(found.forces).all() and np.isfinite(found.stress).all()):
            return "the potential gives no number for it"
        change = structure.get_volume() / self._volume
        if not 1 / config.max_volume_change < change < config.max_volume_change:
            return f"its volume changed by a factor of {change:.3g}; the limit is {config.max_volume_change:g}"
        return _too_close(structure, config.min_distance)


def _too_close(structure: AseAtoms, limit: float) -> str:
    closest = closest_distance(structure, limit)
    return f"two atoms are {closest:.2f} Angstrom apart; the limit is {limit:g}" if closest < limit else ""


def closest_distance(structure: AseAtoms, reach: float) -> float:
    """Smallest distance of two atoms in Angstrom, infinite beyond the reach."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    points = np.ascontiguousarray(structure.positions)
    source, target, _, lengths = find_points_in_spheres(
        points,
        points,
        r=float(reach),
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(structure.cell.array),
        tol=1e-8,
    )
    others = lengths[(source != target) | (lengths > 1e-6)]
    return float(others.min(initial=np.inf))


def _rattled(structure: AseAtoms, size: float) -> AseAtoms:
    """The structure with its atoms displaced at random, the same way for the same structure."""
    digest = hashlib.sha256(np.round(structure.positions, 3).tobytes() + structure.numbers.tobytes()).digest()
    generator = np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))
    moved: AseAtoms = structure.copy()
    moved.positions += size * generator.standard_normal(moved.positions.shape)
    return moved


def _record(outcome: _Outcome, walker: Walker, structure: AseAtoms) -> None:
    """The end of the first stage."""
    outcome.symmetric_steps, outcome.end = walker.steps, walker.end
    if walker.found is not None:
        outcome.after, outcome.residual = structure, walker.residual
        outcome.start = walker.first / walker.atoms
        outcome.symmetric = outcome.energy = walker.found.energy / walker.atoms


def _record_free(outcome: _Outcome, walker: Walker, structure: AseAtoms, least_gain: float) -> None:
    """The end of the second stage; where it gains nothing, that of the first one stands."""
    outcome.steps = walker.steps
    if walker.found is not None and walker.found.energy / walker.atoms < outcome.energy - least_gain:
        outcome.end = walker.end
        outcome.after, outcome.residual = structure, walker.residual
        outcome.energy = walker.found.energy / walker.atoms


def _displacement(before: AseAtoms, after: AseAtoms) -> float:
    """Root of the mean square displacement of the atoms in the mean cell, without drift."""
    moved = after.get_scaled_positions(wrap=False) - before.get_scaled_positions(wrap=False)
    moved -= np.rint(moved)
    moved -= moved.mean(axis=0)
    arrows = moved @ (before.cell.array + after.cell.array) / 2
    return float(np.sqrt(np.square(arrows).sum(axis=1).mean()))


def _table(
    table: CrystalTable, outcomes: Sequence[_Outcome], potential: Potential, config: RelaxConfig
) -> CrystalTable:
    """The relaxed crystals with what became of them."""
    every, reasons = _encoded(table, outcomes, config.tolerance)
    for name, outcome in zip(table.ids, outcomes, strict=True):
        if name in reasons:
            outcome.fail(reasons[name])
    failed = np.array([outcome.end not in ENDS for outcome in outcomes], bool)
    keys = (gene_keys(found.genes(), merge_enantiomorphs=True) for found in (table, every))
    columns: dict[str, Any] = {
        "energy": pa.array([_or_null(outcome.energy) for outcome in outcomes], pa.float64()),
        "energy_start": pa.array([_or_null(outcome.start) for outcome in outcomes], pa.float64()),
        "energy_symmetric": pa.array([_or_null(outcome.symmetric) for outcome in outcomes], pa.float64()),
        "max_force": pa.array([_or_null(outcome.residual) for outcome in outcomes], pa.float64()),
        "relax_steps_symmetric": pa.array([outcome.symmetric_steps for outcome in outcomes], pa.int32()),
        "relax_steps": pa.array([outcome.steps for outcome in outcomes], pa.int32()),
        "relax_end": pa.array([outcome.end for outcome in outcomes], pa.string()),
        "space_group_before": pa.array(table.space_group, pa.int16()),
        "gene_kept": pa.array(next(keys) == next(keys), pa.bool_(), mask=failed),
        "rmsd": pa.array([_displacement(one.before, one.after) for one in outcomes], pa.float64(), mask=failed),
        "volume_change": pa.array([outcome.volume_change for outcome in outcomes], pa.float64(), mask=failed),
        "calculator": pa.array([potential.name] * len(table), pa.string()),
    }
    return every.with_columns(columns)


def _encoded(
    table: CrystalTable, outcomes: Sequence[_Outcome], tolerance: float
) -> tuple[CrystalTable, dict[str, str]]:
    """The structures after relaxation as crystals, and why some could not be encoded: those keep the geometry before.

    At a large tolerance atoms may be taken for equivalent that are not; then a smaller one finds the symmetry.
    """
    found: list[CrystalTable] = []
    reasons: dict[str, str] = {}
    names, rows = table.ids, list(range(len(table)))
    for smaller in (tolerance, *(limit for limit in _TOLERANCES if limit < tolerance)):
        lost: list[Failure] = []
        after = [outcomes[row].after for row in rows]
        part = encode_arrays(
            [structure.cell.array for structure in after],
            [structure.numbers for structure in after],
            [structure.get_scaled_positions() for structure in after],
            tolerance=smaller,
            ids=[names[row] for row in rows],
            failures=lost,
            max_gap=None,
        )
        found.append(part.without_columns(["tolerance"]))
        reasons = {failure.id: f"the relaxed structure cannot be encoded: {failure.reason}" for failure in lost}
        rows = [row for row in rows if names[row] in reasons]
        if not rows:
            break
    every = CrystalTable.concatenate([*found, _plain(table.take(rows))])
    place = {name: row for row, name in enumerate(every.ids)}
    return every.take([place[name] for name in names]), reasons


def broken_down(row: CrystalTable, potential: Potential, reason: str) -> CrystalTable:
    """The outcome of a row whose relaxation raised an error: its geometry as it was, and the reason."""
    structure = SymmetricFreedom(row)
    outcome = _Outcome(before=structure.structure(structure.start), after=structure.structure(structure.start))
    outcome.end = reason
    return _table(row, [outcome], potential, RelaxConfig())


def _plain(table: CrystalTable) -> CrystalTable:
    extra = [name for name in table.columns if name not in _CORE]
    return table.without_columns(extra)


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
