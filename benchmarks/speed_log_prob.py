"""Scoring genes."""

from __future__ import annotations

from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome
from benchmarks.data import model, random_rows, split
from benchmarks.scores import scored

GENES = 1_000


def log_prob(context: Context) -> Outcome:
    """Random genes of the test split, after others have warmed up."""
    scorer = model(context.model)
    scored(scorer, random_rows(split(context, "val"), 64, context.seed))
    table = random_rows(split(context, "test"), GENES, context.seed)
    with Clock() as clock:
        scored(scorer, table)
    yield Measurement(
        work="log_prob of mp_20_test genes",
        value=len(table) / clock.cpu,
        unit="genes a CPU second",
        count=f"{len(table):,} genes",
        cpu_seconds=clock.cpu,
        published=published.SCORED_PER_SECOND,
        seed=context.seed,
        note=f"published: a sequence a gene, of the 8 it averages; wall {clock.wall:.2f} s",
    )
