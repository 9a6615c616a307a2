"""How many new genes and prototypes each family writes: tables 1 and 2 of WyckoffDiff (arXiv:2502.06485), all alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, gene_keys, prototype_keys
from aristotype.discover import make_baseline
from aristotype.evaluate import frechet_gene, gene_embedding
from aristotype.models import shipped_models
from benchmarks.core import Clock, Context, Outcome, Section, Skipped
from benchmarks.data import model, split
from benchmarks.gene_distances import peers

FIRST = 500
"""Novel genes among which prototypes are counted for every row, so that small sets can stand beside large ones."""
BASELINE = "decoration"
_HEAD = (
    "| genes of | draws | Fréchet distance of genes | novel | distinct | Fréchet distance, novel | novel genes a CPU "
    "minute | novel prototypes among the first {many:,} novel | among the first {few:,} |"
)


@dataclass(frozen=True)
class _Known:
    """What is not new."""

    genes: frozenset[bytes]
    prototypes: frozenset[bytes]
    reference: Any  # embedding of what sets are compared with

    @staticmethod
    def of(train: GeneBatch, reference: GeneBatch) -> _Known:
        return _Known(
            genes=frozenset(gene_keys(train, merge_enantiomorphs=True).tolist()),
            prototypes=frozenset(prototype_keys(train, merge_enantiomorphs=True).tolist()),
            reference=gene_embedding(reference),
        )


def novelty(context: Context) -> Outcome:
    """New genes and new prototypes of every shipped model, a baseline, published sets and the validation split."""
    known = _Known.of(split(context, "train").genes(), split(context, "test").genes())
    lines = [_line(name, genes, cpu, known, context.genes) for name, genes, cpu in _sets(context)]
    about = (
        f"{context.genes:,} draws of every model with seed {context.seed}; the distance is to mp_20_test; known is "
        "mp_20 train (76.7 % of the split), mirror images taken for one. Novel prototypes are counted once each, among "
        "the first so many novel and distinct genes; sets with fewer have no figure."
    )
    head = _HEAD.format(many=context.genes // 2, few=FIRST)
    yield Section(title="New genes and new prototypes", text="\n".join([about, "", head, "|---|" + "---|" * 8, *lines]))


def _sets(context: Context) -> Iterator[tuple[str, GeneBatch, float | None]]:
    """Name, genes in the order of the draw, and CPU seconds."""
    for info in shipped_models().values():
        if info.family in ("wyckoff-transformer", "wyckoffdiff"):  # others draw the genes of these, or predict
            yield info.name, *_drawn(model(info.name), context)
    yield BASELINE, *_drawn(make_baseline(BASELINE, split(context, "train")), context)
    try:
        for name, table in peers(context).items():
            genes = table.genes()
            yield f"{name} (published set)", genes.take(genes.legal()), None
    except Skipped:
        pass
    yield "mp_20 val, as a ceiling", split(context, "val").genes(), None


def _drawn(drawer: Any, context: Context) -> tuple[GeneBatch, float]:
    drawer.sample(64, None, seed=context.seed + 1, score=False)
    with Clock() as clock:
        table = drawer.sample(context.genes, None, seed=context.seed, score=False)
    genes = table.genes()
    return genes.take(genes.legal()), clock.cpu


def _line(name: str, genes: GeneBatch, cpu: float | None, known: _Known, draws: int) -> str:
    keys = gene_keys(genes, merge_enantiomorphs=True).tolist()
    new, fresh = first_novel(keys, known.genes)
    prototypes = prototype_keys(genes.take(fresh), merge_enantiomorphs=True).tolist()
    counts = [
        f"{len(set(prototypes[:size]) - known.prototypes):,}" if len(prototypes) >= size else "-"
        for size in (draws // 2, FIRST)
    ]
    speed = "-" if cpu is None else f"{60 * new.sum() / cpu:,.0f}"
    distinct = len(set(keys)) / len(keys)
    return (
        f"| {name} | {len(genes):,} | {_distance(genes, known)} | {new.mean():.1%} | {distinct:.1%} | "
        f"{_distance(genes.take(np.flatnonzero(new)), known)} | {speed} | {counts[0]} | {counts[1]} |"
    )


def first_novel(keys: list[bytes], known: frozenset[bytes]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which rows are not known (n,), and the rows (k,) of novel genes that come for the first time."""
    new = np.array([key not in known for key in keys], bool)
    seen: set[bytes] = set()
    rows = []
    for row in np.flatnonzero(new).tolist():
        if keys[row] not in seen:
            seen.add(keys[row])
            rows.append(row)
    return new, np.array(rows, np.int64)


def _distance(genes: GeneBatch, known: _Known) -> str:
    return f"{frechet_gene(gene_embedding(genes), known.reference).distance.value:.3f}"
