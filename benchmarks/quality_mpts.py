"""The MPTS-52 configuration: trained on the part at hand, judged by the validation split; a later period by design."""

from __future__ import annotations

import numpy as np

from aristotype.evaluate import PROTOCOL, KnownKeys, gene_report, metrics_table
from benchmarks.core import Context, Outcome, Section, Skipped
from benchmarks.data import model, random_rows, sampled, split
from benchmarks.scores import scored

DATASET = "mpts_52"


def mpts(context: Context) -> Outcome:
    """Unconditional genes and likelihoods of the MPTS-52 configuration against mpts_52's validation split."""
    if context.mpts_model is None:
        raise Skipped("no checkpoint of the configuration ships: train one and give --mpts-model RUN/best")
    train, val = split(context, "train", DATASET), split(context, "val", DATASET)
    table, clock = sampled(context.mpts_model, context.genes, context.seed)
    genes = table.genes()
    known = KnownKeys.of(train.genes())
    ours = gene_report(genes, val.genes(), train_keys=known, seed=context.seed)
    top = random_rows(train, len(genes), context.seed).genes()
    parts = gene_report(top, val.genes(), train_keys=known, seed=context.seed)
    columns = {"ours": ours["metrics"], "train part": parts["metrics"]}
    nll = -scored(model(context.mpts_model), val)
    finite = nll[np.isfinite(nll)]
    yield Section(
        title="MPTS-52",
        text=(
            f"{context.genes:,} genes asked for with seed {context.seed}, {len(genes):,} returned in {clock.cpu:.1f} "
            f"CPU s, {ours['legal']:,} legal; reference mpts_52 val ({ours['reference']:,} rows, a later period than "
            f"the {len(train):,} of the train part); protocol {PROTOCOL}. *Train part* is a random part of it taken as "
            "generated: what copying the past would read.\n\n"
            f"{metrics_table(columns)}\n\nNLL of the validation split: {finite.mean():.2f} ± "
            f"{finite.std(ddof=1) / np.sqrt(len(finite)):.2f} nats (median {np.median(finite):.2f}; "
            f"{len(nll) - len(finite)} of {len(nll):,} not scored)."
        ),
    )
