"""`relax`: a table of any length, in processes, resumable, with trials of a gene until its energy repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.calculators import Potential, shared_potential
from aristotype.crystal import CrystalTable, Failure, formulas, map_table, protostructure_labels
from aristotype.errors import AristotypeError, InputError
from aristotype.realize._config import RealizeConfig
from aristotype.realize._descent import ENDS
from aristotype.realize._realize import realize
from aristotype.realize._relax import broken_down, relax_rows
from aristotype.realize._relax_config import RelaxConfig

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from aristotype._shards import Shards

_ATOMS, _ROWS = 200, 16
"""A chunk: enough for full batches of a potential, and little to lose when a run is killed."""
_TRIAL = 8  # rows of a time estimate
_OF_GEOMETRY = {"formula": formulas, "label": protostructure_labels}
"""Columns of an input that say what the gene is, and how they are made anew."""
_STALE = ("min_distance_ratio", "volume_per_atom", "log_prob", "gene_key")
"""Columns of an input that are of the geometry or gene before."""


@dataclass(frozen=True)
class _Settings:
    calculator: str | Potential
    device: str
    config: RelaxConfig


def relax(
    table: CrystalTable,
    *,
    calculator: str | Potential = "chgnet",
    config: RelaxConfig | None = None,
    device: str = "auto",
    processes: int = 1,
    shards: Shards | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CrystalTable:
    """Relaxes crystals: within their symmetry, then without it.

    Every row comes out again, with an outcome in `relax_end`: `converged`, `steps` or `seconds` (that limit was
    reached), `stuck` (no step lowered the energy further), or why it failed.

    Args:
        table: crystals.
        calculator: a name or `module:factory` (see `load_potential`), or a potential.
        config: settings; the defaults are in `RelaxConfig`.
        device: `auto`, `cpu` or `cuda`.
        processes: worker processes, one thread each; more than one needs a calculator by name.
        shards: where finished chunks are kept, so that a run that was stopped goes on where it was.
        executor: runs the work instead of processes of our own.
        progress: called with the rows done and all rows.

    Returns:
        the relaxed crystals with the columns of the input (those that describe the gene are made anew, scores and
        figures of the geometry before are dropped) and those of `relax_rows`; with repeats also `trials_relaxed` and
        `trials_agree`.

    Raises:
        TableError: a row is a gene without a geometry.
        InputError: more than one process for a potential that is no name.
        UnknownNameError: there is no such calculator.
        AristotypeError: a worker process died; what was finished is kept in the shards.
    """
    config = config or RelaxConfig()
    table.check_geometry()
    if not isinstance(calculator, str) and (processes > 1 or executor is not None):
        raise InputError(
            f"a {type(calculator).__name__} cannot be sent to {processes} processes; name the calculator "
            "(module:factory), or relax in one process"
        )
    potential = shared_potential(calculator, device) if isinstance(calculator, str) else calculator
    relaxed = map_table(
        _relax_chunk,
        table,
        _Settings(calculator, device, config),
        identity=["relax", potential.fingerprint, asdict(config)],
        atoms=_ATOMS,
        rows=_ROWS,
        processes=processes,
        shards=shards,
        executor=executor,
        progress=progress,
    )
    return _carried(table, relaxed)


def relax_seconds(table: CrystalTable, calculator: str, config: RelaxConfig, device: str = "auto") -> float:
    """CPU seconds that relaxing a table should take, from a few of its rows."""
    import time

    few = table.take(np.linspace(0, len(table) - 1, min(_TRIAL, len(table))).astype(np.int64))
    settings = _Settings(calculator, device, config)
    _relax_chunk(few[:1], settings)  # loads what relaxing needs
    begin = time.perf_counter()
    _relax_chunk(few, settings)
    return (time.perf_counter() - begin) / len(few) * len(table)


def relax_failures(table: CrystalTable) -> list[Failure]:
    """The rows of a relaxed table whose relaxation failed, with the reason."""
    ends = table.column("relax_end").to_pylist()
    return [
        Failure(index=row, id=name, reason=end)
        for row, (name, end) in enumerate(zip(table.ids, ends, strict=True))
        if end not in ENDS
    ]


def _relax_chunk(table: CrystalTable, settings: _Settings) -> CrystalTable:
    """Relaxes some rows; one that nobody foresaw does not take the others with it."""
    calculator, config = settings.calculator, settings.config
    potential = shared_potential(calculator, settings.device) if isinstance(calculator, str) else calculator
    try:
        relaxed = relax_rows(table, potential, config)
    except AristotypeError:
        raise
    except Exception:  # noqa: BLE001 (found below, row by row)
        relaxed = CrystalTable.concatenate(
            [_alone(table[row : row + 1], potential, config) for row in range(len(table))]
        )
    return _repeated(table, relaxed, potential, config) if config.repeats > 1 else relaxed


def _alone(row: CrystalTable, potential: Potential, config: RelaxConfig) -> CrystalTable:
    try:
        return relax_rows(row, potential, config)
    except AristotypeError:
        raise
    except Exception as error:  # noqa: BLE001 (somebody else's calculator may raise anything)
        return broken_down(row, potential, f"the relaxation broke down on it ({type(error).__name__}: {error})")


def _repeated(table: CrystalTable, first: CrystalTable, potential: Potential, config: RelaxConfig) -> CrystalTable:
    """Trials of every gene until its two lowest energies agree; the lowest stays."""
    best = [first[row : row + 1] for row in range(len(first))]
    energies = [[value] for value in _energy(first).tolist()]
    genes = CrystalTable.from_genes(table.genes(), table.ids)
    for trial in range(1, config.repeats):
        rows = [row for row, found in enumerate(energies) if not _agree(found, config.agree)]
        if not rows:
            break
        again = realize(genes.take(rows), seed=config.seed + trial, config=RealizeConfig(verify=False), failures=[])
        if len(again):
            found = _relax_chunk(again, _Settings(potential, "auto", _once(config)))
            place = {name: row for row, name in enumerate(genes.ids)}
            for at, (name, energy) in enumerate(zip(found.ids, _energy(found).tolist(), strict=True)):
                row = place[name]
                if energy < np.nanmin([np.inf, *energies[row]]):
                    best[row] = found[at : at + 1]
                energies[row].append(energy)
    return CrystalTable.concatenate(best).with_columns(
        space_group_before=pa.array(table.space_group, pa.int16()),
        trials_relaxed=pa.array([len(found) for found in energies], pa.int32()),
        trials_agree=pa.array([_agree(found, config.agree) for found in energies], pa.bool_()),
    )


def _once(config: RelaxConfig) -> RelaxConfig:
    return RelaxConfig(**{**asdict(config), "repeats": 1})


def _energy(table: CrystalTable) -> NDArray[np.float64]:
    """Energies (n,) of relaxations that came to an end; NaN of the others."""
    sound = np.isin(np.array(table.column("relax_end").to_pylist(), dtype=object), ENDS)
    energy = table.column("energy").to_numpy()
    return np.where(sound, energy, np.nan)


def _agree(energies: list[float], within: float) -> bool:
    """Whether the two lowest energies are the same."""
    sound = sorted(value for value in energies if np.isfinite(value))
    return len(sound) > 1 and sound[1] - sound[0] <= within


def _carried(table: CrystalTable, relaxed: CrystalTable) -> CrystalTable:
    """The relaxed crystals with the other columns of the input."""
    genes = relaxed.genes()
    made = {name: pa.array(make(genes), pa.string()) for name, make in _OF_GEOMETRY.items() if name in table.columns}
    kept = {
        name: table.column(name)
        for name in table.columns
        if name not in relaxed.columns and name not in made and name not in _STALE
    }
    return relaxed.with_columns({**kept, **made})
