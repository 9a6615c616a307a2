"""Scoring genes."""

from __future__ import annotations

from statistics import median

import numpy as np

from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome
from benchmarks.data import model, random_rows, split
from benchmarks.scores import scored

GENES = 1_000
RUNS = 5
SPARE = 100


def log_prob(context: Context) -> Outcome:
    """Random genes of the test split that have a probability, others in each run, after a first pass over all."""
    scorer = model(context.model)
    table = random_rows(split(context, "test"), RUNS * GENES + SPARE, context.seed)
    table = table.take(np.flatnonzero(np.isfinite(scored(scorer, table)))[: RUNS * GENES])
    rates, total = [], 0.0
    for rows in np.array_split(np.arange(len(table)), RUNS):
        with Clock() as clock:
            scorer.log_prob(table.take(rows))
        rates.append(len(rows) / clock.cpu)
        total += clock.cpu
    yield Measurement(
        work="log_prob of mp_20_test genes",
        value=median(rates),
        unit="genes a CPU second",
        count=f"{RUNS} times {len(table) // RUNS:,} genes",
        cpu_seconds=total,
        published=published.SCORED_PER_SECOND,
        seed=context.seed,
        note=f"median of {RUNS}, {min(rates):,.0f} to {max(rates):,.0f}; published: one sequence of the 8 a gene needs",
    )
