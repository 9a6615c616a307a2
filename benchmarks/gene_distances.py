"""Fréchet distances of genes: does the order of what is good and what is not come out as it should."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.discover import make_baseline
from aristotype.errors import AristotypeError
from aristotype.evaluate import frechet_gene, has_fingerprint
from aristotype.models.baselines import ElementChoice
from aristotype.models.gene_encoder import GeneEncoder
from aristotype.symmetry import NUM_GROUPS, tables
from benchmarks.core import Context, Outcome, Section, Skipped
from benchmarks.data import data_folder, encoder, sampled, split

Floats = NDArray[np.float64]

BLOCK = 900
"""Genes of the distances that are compared with each other."""
MOST_BLOCKS = 10
BASELINES: dict[str, tuple[str, ElementChoice]] = {
    "ion exchange of train": ("ion-exchange", "uniform"),
    "decoration of train's templates": ("decoration", "frequency"),
}
PEERS = "peer_structures.parquet"


def gene_distances(context: Context) -> Outcome:
    """Fréchet distances of genes to mp_20 train: val, models, peers, shuffled elements, random legal genes."""
    model = encoder(context.encoder)
    train = split(context, "train").genes()
    reference = model.embed(train)
    rng = np.random.default_rng(context.seed)
    one, other = np.array_split(rng.permutation(len(train)), 2)
    lines = [_line("mp_20 train, one half against the other", reference[one], reference[other], model)]
    lines += [_line(name, model.embed(make()), reference, model) for name, make in _sets(context, train, rng).items()]
    made_of = frechet_gene(reference, reference, encoder=model)
    about = (
        f"Against mp_20 train (76.7 % of the split, {len(train):,} genes), seed {context.seed}. "
        f"Layer: {made_of.layer}, "
        f"{made_of.distance.dimensions} numbers, ridge {made_of.distance.ridge:g} of the mean variance of the "
        f"reference; checkpoint {made_of.checkpoint}, sha256 {made_of.sha256}. The distance reads high by an amount "
        f"that falls as 1/n: compare the column of n = {BLOCK:,}, the mean over up to {MOST_BLOCKS} disjoint blocks."
    )
    head = f"| genes | n | distance | n = {BLOCK:,} | standard deviation | blocks | without embedding |"
    yield Section(title="Fréchet distance of genes", text="\n".join([about, "", head, "|---|" + "---|" * 6, *lines]))


def _sets(context: Context, train: GeneBatch, rng: np.random.Generator) -> dict[str, Callable[[], GeneBatch]]:
    """What is compared, the best first if the distance is worth anything; made when it is their turn."""
    val, test = split(context, "val").genes(), split(context, "test").genes()
    return {
        "mp_20 val": lambda: val,
        "mp_20 test": lambda: test,
        f"{context.model}, seed {context.seed}": lambda: sampled(context.model, context.genes, context.seed)[0].genes(),
        **{name: partial(_baseline, context, *kind) for name, kind in BASELINES.items()},
        **{name: table.genes for name, table in peers(context).items()},
        "val, elements exchanged within each gene": lambda: exchanged_within(val, rng),
        "val, elements of other genes": lambda: elements_of_others(val, rng),
        "random legal genes": lambda: random_legal(len(val), np.unique(train.elements)[1:], rng),
    }


def _baseline(context: Context, name: str, elements: ElementChoice) -> GeneBatch:
    model = make_baseline(name, split(context, "train"), elements=elements)
    return model.sample(context.genes, seed=context.seed).genes()


def _line(name: str, rows: Floats, reference: Floats, model: GeneEncoder) -> str:
    sound = rows[has_fingerprint(rows)]
    value = frechet_gene(sound, reference, encoder=model).distance.value
    blocks = [sound[start : start + BLOCK] for start in range(0, len(sound) - BLOCK + 1, BLOCK)][:MOST_BLOCKS]
    values = [frechet_gene(block, reference, encoder=model).distance.value for block in blocks]
    mean = f"{np.mean(values):.2f}" if values else "-"
    spread = f"{np.std(values, ddof=1):.2f}" if len(values) > 1 else "-"
    return f"| {name} | {len(sound):,} | {value:.2f} | {mean} | {spread} | {len(blocks)} | {len(rows) - len(sound)} |"


def peers(context: Context) -> dict[str, CrystalTable]:
    """Structures of published models, encoded at 0.1 Angstrom, by model.

    Raises:
        Skipped: the file is not there, or cannot be read.
    """
    from aristotype.datasets import open_dataset

    path = data_folder(context) / PEERS
    if not path.is_file():
        raise Skipped(f"it needs {PEERS}, which is not in the data folder")
    try:
        table = open_dataset(path, max_gap=False).table()
    except AristotypeError as error:
        raise Skipped(f"{PEERS} could not be read: {error}") from error
    models = np.array(table.column("model").to_pylist())
    return {str(name): table.filter(models == name) for name in np.unique(models)}


def exchanged_within(genes: GeneBatch, rng: np.random.Generator) -> GeneBatch:
    """Genes whose elements changed places: another order of the sites' elements, where a gene has two or more."""
    order = np.where(genes.elements > 0, rng.random(genes.elements.shape), 2.0).argsort(axis=1)
    return GeneBatch(
        space_group=genes.space_group,
        elements=np.take_along_axis(genes.elements, order, axis=1),
        wyckoffs=genes.wyckoffs,
    )


def elements_of_others(genes: GeneBatch, rng: np.random.Generator) -> GeneBatch:
    """Genes with each different element renamed to one of another gene of the batch, drawn at random.

    How often an element occurs stays about the same; which elements go together, and on which template, does not.
    """
    present = genes.elements > 0
    pool = genes.elements[present]
    names = rng.choice(pool, (len(genes), 128))
    names[:, 0] = 0
    renamed = np.take_along_axis(names, genes.elements.astype(np.int64), axis=1)
    return GeneBatch(space_group=genes.space_group, elements=renamed.astype(np.int8), wyckoffs=genes.wyckoffs)


def random_legal(count: int, elements: np.ndarray, rng: np.random.Generator) -> GeneBatch:
    """Legal genes without sense: any group, one to five positions, any of the elements, all equally likely."""
    drawn: list[GeneBatch] = []
    have = 0
    while have < count:
        groups = rng.integers(1, NUM_GROUPS + 1, count).astype(np.int16)
        places = tables().num_positions[groups]
        letters = (rng.random((count, 5)) * places[:, None]).astype(np.int8)
        there = np.arange(5) < rng.integers(1, 6, count)[:, None]
        batch = GeneBatch(
            space_group=groups,
            elements=np.where(there, rng.choice(elements, (count, 5)), 0).astype(np.int8),
            wyckoffs=np.where(there, letters, -1).astype(np.int8),
        )
        drawn.append(batch.take(batch.legal()))
        have += len(drawn[-1])
    return GeneBatch.concatenate(drawn).take(np.arange(count))
