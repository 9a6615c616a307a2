"""Scoring genes."""

from __future__ import annotations

from statistics import median

import numpy as np

from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome
from benchmarks.data import model, random_rows, split

GENES = 1_000
RUNS = 5


def log_prob(context: Context) -> Outcome:
    """Random genes of the test split, others in each run, after some of the validation split have filled caches."""
    scorer = model(context.model)
    scorer.log_prob(random_rows(split(context, "val"), 64, context.seed))
    table = split(context, "test")
    known = np.isin(table.genes().elements, (0, *scorer.config.elements)).all(axis=1)
    table = random_rows(table.take(np.flatnonzero(known)), RUNS * GENES, context.seed)
    rates, total = [], 0.0
    for run in range(RUNS):
        with Clock() as clock:
            scorer.log_prob(table[run * GENES : (run + 1) * GENES])
        rates.append(GENES / clock.cpu)
        total += clock.cpu
    yield Measurement(
        work="log_prob of mp_20_test genes",
        value=median(rates),
        unit="genes a CPU second",
        count=f"{RUNS} times {GENES:,} genes",
        cpu_seconds=total,
        published=published.SCORED_PER_SECOND,
        seed=context.seed,
        note=f"median of {RUNS}, {min(rates):,.0f} to {max(rates):,.0f}; published: one sequence of the 8 a gene needs",
    )
