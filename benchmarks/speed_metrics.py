"""Judging structures: every metric that needs neither CrystalNN nor a potential."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from aristotype.crystal import CrystalTable, encode_arrays
from aristotype.evaluate import (
    Interval,
    Scaler,
    distribution_metrics,
    embed,
    frechet_distance,
    geometry,
    mean_pairwise_distance,
    structure_columns,
    symmetry_metrics,
    validity,
    validity_metrics,
    vendi_score,
)
from benchmarks.core import Clock, Context, Measurement, Outcome, Section, Skipped
from benchmarks.data import data_folder, split

PEERS = "peer_structures.parquet"
PEER = "DiffCSP++"
TOLERANCE = 0.1


def structure_metrics(context: Context) -> Outcome:
    """10,000 structures of a published model against the test split, from encoded tables to figures."""
    table, submitted, encoding = peer(data_folder(context) / PEERS, PEER)
    reference = split(context, "test")
    Scaler.fit(embed(reference, "magpie"))  # element properties are read
    validity(table[:50])
    metrics, times = measured(table, reference, submitted, context.seed)
    yield Measurement(
        work=f"metrics of {PEER} against mp_20_test, no CrystalNN, no potential",
        value=sum(clock.wall for clock in times.values()),
        unit="s",
        count=f"{len(table):,} structures, {len(reference):,} of the reference",
        cpu_seconds=sum(clock.cpu for clock in times.values()),
        better="less",
        seed=context.seed,
        note=f"200 resamples; encoding before that took {encoding.cpu:.0f} CPU s",
    )
    steps = ["| step | CPU s |", "|---|---|", *(f"| {name} | {clock.cpu:.2f} |" for name, clock in times.items())]
    yield Section(title=f"Metrics of {PEER} against mp_20_test: cost", text="\n".join(steps))
    lines = ["| metric | value |", "|---|---|", *(f"| {name} | {_shown(value)} |" for name, value in metrics.items())]
    yield Section(title=f"Metrics of {PEER} against mp_20_test", text="\n".join(lines))


@lru_cache(maxsize=2)
def peer(path: Path, name: str) -> tuple[CrystalTable, int, Clock]:
    """Structures of a published model, encoded; how many there were; and what encoding took.

    Raises:
        Skipped: the file is not there.
    """
    if not path.is_file():
        raise Skipped(f"{path} is not there")
    rows = pq.read_table(path, filters=[("model", "==", name)])
    lattices, numbers, coords = (rows[column].to_pylist() for column in ("lattice", "atomic_numbers", "frac_coords"))
    with Clock() as clock:
        table = encode_arrays(
            [np.reshape(lattice, (3, 3)) for lattice in lattices],
            numbers,
            [np.reshape(points, (-1, 3)) for points in coords],
            tolerance=TOLERANCE,
            max_gap=None,
            failures=[],
        )
    return table, len(numbers), clock


def measured(
    table: CrystalTable, reference: CrystalTable, submitted: int, seed: int
) -> tuple[dict[str, Interval], dict[str, Clock]]:
    """All metrics, and the time of each step."""
    times: dict[str, Clock] = {}

    def timed(step: str, call: Callable[[], Any]) -> Any:
        with Clock() as times[step]:
            return call()

    sizes = timed("sizes of both", lambda: (geometry(table), geometry(reference)))
    judged = timed("validity", lambda: validity(table, sizes[0]))
    timed("columns, labels", lambda: table.with_columns(structure_columns(table, sizes[0], judged)))
    metrics = validity_metrics(judged, submitted=submitted)
    metrics |= timed("symmetry", lambda: symmetry_metrics(table.genes(), reference.genes(), seed=seed))
    metrics |= timed(
        "distributions",
        lambda: distribution_metrics(table, reference, sizes=sizes[0], reference_sizes=sizes[1], seed=seed),
    )
    rows, others = timed("Magpie of both", lambda: (embed(table, "magpie"), embed(reference, "magpie")))
    scaler = Scaler.fit(others)
    scaled, others = scaler.transform(rows), scaler.transform(others)
    singles = {
        "compositional_diversity": lambda: mean_pairwise_distance(scaled),
        "vendi_magpie": lambda: vendi_score(scaled),
        "frechet_magpie": lambda: frechet_distance(scaled, others, embedding="magpie, standardised").value,
    }
    for name, call in singles.items():
        metrics[name] = Interval(value=timed(name, call))
    return metrics, times


def _shown(figure: Interval) -> str:
    text = f"{figure.value:.5g}"
    return text if figure.low is None else f"{text} ({figure.low:.5g} to {figure.high:.5g})"
