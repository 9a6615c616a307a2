"""Validity against novelty: genes of the shipped model at several sampling temperatures of its elements."""

from __future__ import annotations

from aristotype.crystal import gene_keys
from aristotype.evaluate import KnownKeys, charge_balanced
from aristotype.evaluate._bootstrap import share
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import model, split

FACTORS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6)
GENES = 2_000


def temperature(context: Context) -> Outcome:
    """Charge balance, novelty and uniqueness of genes by the factor on the calibrated temperature."""
    known = KnownKeys.of(split(context, "train").genes())
    shipped = model(context.model)
    rows = []
    with Clock() as clock:
        for factor in FACTORS:
            changed = shipped.with_config(temperature=shipped.config.temperature * factor)
            genes = changed.sample(GENES, None, seed=context.seed, score=False).genes()
            keys = gene_keys(genes, merge_enantiomorphs=True).tolist()
            valid = share(int(charge_balanced(genes).sum()), len(genes))
            novel = share(sum(key not in known.merged_genes for key in keys), len(genes))
            rows.append(
                f"| {factor:g} | {valid.value:.1%} ({valid.low:.1%} to {valid.high:.1%}) | {novel.value:.1%} "
                f"({novel.low:.1%} to {novel.high:.1%}) | {len(set(keys)) / len(keys):.1%} |"
            )
    yield Section(
        title="Validity against novelty by sampling temperature",
        text=(
            f"{GENES:,} genes each of `{context.model}`, seed {context.seed}; the factor multiplies the calibrated "
            f"temperature of the elements ({shipped.config.temperature:g}); space groups and templates are drawn as "
            "always. Novelty is against the part of mp_20 train at hand (76.7 %). Wilson intervals; "
            f"{clock.cpu:.0f} CPU s.\n\n| factor | charges balance (smact14) | novel | distinct |\n|---|---|---|---|\n"
            + "\n".join(rows)
        ),
    )
