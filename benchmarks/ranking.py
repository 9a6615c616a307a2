"""Does an energy from genes alone, asked before any geometry, raise the share of stable structures?"""

from __future__ import annotations

import numpy as np

from aristotype.crystal import CrystalTable, gene_keys
from aristotype.evaluate import Hull, KnownKeys, compositions, read_hull
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import encoder, sampled, split
from benchmarks.intervals import median_text, share_text
from benchmarks.novelty import first_novel
from benchmarks.relaxing import energies_at_rest

RELAXED = 100
"""Genes that are realised and relaxed in each arm."""
POOL = 10
"""Genes ranked for each one that is relaxed."""
LIMITS = (0.0, 0.1)  # eV/atom above hull
FLUORINE = 9


def ranking(context: Context) -> Outcome:
    """Stable shares at equal relaxations: genes as drawn, and those that the gene-only energy puts lowest."""
    model, hull = encoder(context.encoder), read_hull(context.hull)
    pool = _novel(context)
    known = model.known(pool.genes())
    pool = pool.take(np.flatnonzero(known)[: POOL * RELAXED])
    with Clock() as asked:
        energy, deviation = model.predict(pool.genes())
    above = energy - hull.points(hull.default_kind).evaluate(compositions(pool.genes())).energy
    above = np.where(np.isfinite(above), above, np.inf)
    arms = {
        "as drawn": np.arange(RELAXED),
        "lowest predicted energy above hull": np.argsort(above, kind="stable")[:RELAXED],
        "lowest of the same plus two standard deviations": np.argsort(above + 2 * deviation, kind="stable")[:RELAXED],
        "lowest predicted formation energy": np.argsort(energy, kind="stable")[:RELAXED],
    }
    with Clock() as clock:
        lines = [_line(name, pool.take(rows), hull, context.seed) for name, rows in arms.items()]
    about = (
        f"The first {len(pool):,} genes of `{context.model}` (seed {context.seed}) that are novel, distinct and of "
        f"elements that the encoder knows; {RELAXED} of them realised once and relaxed with CHGNet in each arm. Ranking"
        f" all took {asked.cpu:.1f} CPU s, realising and relaxing {clock.cpu:.0f}. Hull: {hull.default_kind}, "
        f"{len(hull):,} entries; a hull that lacks entries makes energies above it too low. Shares over all genes of an"
        " arm, failures included; 95 % intervals (Wilson, bootstrap)."
    )
    limits = " | ".join(f"at most {limit:g} eV/atom above hull" for limit in LIMITS)
    head = [f"| genes | relaxed | {limits} | median, eV/atom | with fluorine |", "|---|" + "---|" * 5]
    yield Section(title="Ranking genes before any geometry", text="\n".join([about, "", *head, *lines]))


def _novel(context: Context) -> CrystalTable:
    """Novel and distinct genes of the model, in the order of the draw."""
    known = KnownKeys.of(split(context, "train").genes()).merged_genes
    table, _ = sampled(context.model, context.genes, context.seed)
    return table.take(first_novel(gene_keys(table.genes(), merge_enantiomorphs=True).tolist(), known)[1])


def _line(name: str, genes: CrystalTable, hull: Hull, seed: int) -> str:
    above = np.nan_to_num(energies_at_rest(genes, hull, "e_above_hull", seed=seed), nan=np.inf)
    stable = " | ".join(share_text(above <= limit) for limit in LIMITS)
    fluorides = float((genes.genes().elements == FLUORINE).any(axis=1).mean())
    return f"| {name} | {len(genes)} | {stable} | {median_text(above)} | {fluorides:.0%} |"
