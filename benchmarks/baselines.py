"""The baselines: how fast they are, and what their genes are worth by the protocol of the models."""

from __future__ import annotations

from aristotype.crystal import CrystalTable, gene_keys
from aristotype.discover import make_baseline
from aristotype.evaluate import PROTOCOL, KnownKeys, charge_balanced, gene_report, metrics_table
from aristotype.models.baselines import Baseline
from benchmarks.core import Clock, Context, Measurement, Outcome, Section
from benchmarks.data import split

FIRST = 1_000
"""Crystals that uniqueness and novelty are told of."""
_COLUMNS = {
    "ion exchange": ("ion-exchange", "uniform"),
    "decoration, all elements alike": ("decoration", "uniform"),
    "decoration, elements by frequency": ("decoration", "frequency"),
}


def baselines(context: Context) -> Outcome:
    """Ion exchange and decoration from the train part, beside the validation split taken as if generated."""
    train, test = split(context, "train"), split(context, "test").genes()
    known = KnownKeys.of(train.genes())
    later = {
        key
        for name in ("val", "test")
        for key in gene_keys(split(context, name).genes(), merge_enantiomorphs=True).tolist()
    } - known.merged_genes
    columns, lines = {}, []
    for title, (name, elements) in _COLUMNS.items():
        with Clock() as made:
            model = make_baseline(name, train, elements=elements)
        model.sample(64, seed=context.seed + 1)  # caches are filled
        with Clock() as clock:
            table = model.sample(context.genes, seed=context.seed)
        yield _speed(title, table, context, made, clock)
        report = gene_report(table.genes(), test, train_keys=known, seed=context.seed)
        columns[title] = report["metrics"]
        lines.append(_line(title, model, table, later))
    ceiling = gene_report(split(context, "val").genes(), test, train_keys=known, seed=context.seed)
    head = "| baseline | balanced | novel | distinct before repeats are dropped | in val or test | tries a crystal |"
    counts = (
        f"The first {FIRST:,} crystals with seed {context.seed}, from {len(train):,} known ones. All are distinct by "
        "construction: the share before that is of the rows drawn. Val or test: genes of these splits that the train "
        "part lacks.\n\n" + "\n".join([head, "|---|---|---|---|---|---|", *lines])
    )
    yield Section(title="Baselines", text=counts)
    yield Section(
        title=f"Baselines by the protocol {PROTOCOL}",
        text=f"{context.genes:,} crystals each, seed {context.seed}; reference mp_20_test ({len(test):,}).\n\n"
        + metrics_table({**columns, "ceiling (mp_20_val)": ceiling["metrics"]}),
    )


def _speed(title: str, table: CrystalTable, context: Context, made: Clock, clock: Clock) -> Measurement:
    return Measurement(
        work=f"crystals made, {title}",
        value=len(table) / clock.cpu,
        unit="distinct charge-balanced crystals a CPU second",
        count=f"{context.genes:,} asked for, {len(table):,} returned",
        cpu_seconds=clock.cpu,
        seed=context.seed,
        note=f"with geometry; {made.cpu:.2f} CPU s to learn from the table",
    )


def _line(title: str, model: Baseline, table: CrystalTable, later: set[bytes]) -> str:
    first = table[:FIRST]
    keys = gene_keys(first.genes(), merge_enantiomorphs=True).tolist()
    size = max(1, len(first))
    drawn = int(first.ids[-1].partition("-")[2]) + 1 if len(first) else 1
    shares = (
        charge_balanced(first.genes()).sum() / size,
        sum(key not in model.train_keys() for key in keys) / size,
        len(first) / drawn,
        sum(key in later for key in keys) / size,
    )
    tries = first.column("tries").to_numpy().sum() / size
    return f"| {title} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + f" | {tries:.2f} |"
