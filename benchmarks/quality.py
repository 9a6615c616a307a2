"""What the model's genes are worth, beside the published model and the validation split taken as if generated."""

from __future__ import annotations

import json

import numpy as np

from aristotype.crystal import GeneBatch
from aristotype.evaluate import PROTOCOL, KnownKeys, divergences_of_draws, gene_report, metrics_table
from benchmarks import published
from benchmarks.core import Context, Outcome, Section
from benchmarks.data import encoder, sampled, split

DRAWS = 1_000
DRAWN_GROUPS = 10_000


def ceiling(context: Context) -> Outcome:
    """The validation split as generated: what a perfect model would read."""
    report = _report(context, split(context, "val").genes())
    yield Section(
        title="Ceiling: mp_20_val as generated",
        text=metrics_table({"ceiling": report["metrics"]}) + "\n\n" + _group_floor(context),
    )


def quality(context: Context) -> Outcome:
    """Unconditional genes with a fixed seed, every row of the protocol."""
    table, clock = sampled(context.model, context.genes, context.seed)
    genes = table.genes()
    ours = _report(context, genes)
    top = _report(context, split(context, "val").genes())
    columns = {"ours": ours["metrics"], "published": published.QUALITY, "ceiling (mp_20_val)": top["metrics"]}
    counts = (
        f"{context.genes:,} genes of `{context.model}` asked for with seed {context.seed}, {len(genes):,} returned in "
        f"{clock.cpu:.1f} CPU s, {ours['legal']:,} legal; reference mp_20_test ({ours['reference']:,}); protocol "
        f"{PROTOCOL}; 95 % intervals (Wilson for shares, {ours['resamples']} bootstrap resamples of the generated "
        "genes for distances). Novelty is counted against the part of the train split at hand and reads high where "
        "that part is not the whole."
    )
    yield Section(title="Quality of unconditional genes", text=f"{counts}\n\n{metrics_table(columns)}")
    yield Section(title="Space groups of a perfect model", text=_group_floor(context))


def quality_json(context: Context) -> Outcome:
    """The model's report as JSON, for model cards."""
    table, _ = sampled(context.model, context.genes, context.seed)
    text = json.dumps(_report(context, table.genes()), indent=2)
    yield Section(title=f"Report of {context.model}", text=f"```json\n{text}\n```")


def _report(context: Context, genes: GeneBatch) -> dict:
    known = KnownKeys.of(split(context, "train").genes())
    test = split(context, "test").genes()
    return gene_report(genes, test, train_keys=known, seed=context.seed, encoder=encoder(context.encoder))


def _group_floor(context: Context) -> str:
    """What the divergence of groups reads for independent draws from the train part."""
    train, test = (np.bincount(split(context, name).space_group, minlength=231) for name in ("train", "test"))
    drawn = divergences_of_draws(train, test, size=DRAWN_GROUPS, draws=DRAWS, seed=context.seed)
    return (
        f"Space-group JSD of {DRAWS:,} times {DRAWN_GROUPS:,} independent groups from the train part against "
        f"mp_20_test: mean {drawn.mean():.4f}, 95th percentile {np.quantile(drawn, 0.95):.4f} bits."
    )
