"""Which elements a model holds likely in the place of another one, in known crystals.

Every element of some validation crystals is exchanged for every other one in turn: same group, positions and free
parameters, all lengths scaled by the volumes of elements. The change of log p is compared with tables that were mined
from data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from aristotype.crystal import CrystalTable, Score, element_symbol
from aristotype.models.baselines import ExchangeLikelihood, Fillings, element_lists
from aristotype.models.baselines._geometry import exchanged_crystals
from aristotype.models.baselines._known import KnownCrystals
from aristotype.realize import priors
from benchmarks.chemistry_vectors import mark_groups, table_order
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import composed_model, split
from benchmarks.exchanges import NUMBERS, pymatgen_tables
from benchmarks.figures import save

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PARENTS = {"genes": 10, "crystals": 2}  # that hold an element
SITES = 6  # largest of them
TOP = 5
RESAMPLES = 1000
PERMUTATIONS = 20  # of each element's row
_NOTE = (
    "Rank correlation (Spearman) over the elements that come in, mean over the elements that leave, with its bootstrap "
    "interval; the same given how often the train part holds the element that comes in (partial correlation); overlap "
    f"of the first {TOP}. All over the elements that pymatgen's table knows (Hautier et al. 2011, mined from ICSD). "
    "The gene model was trained on exchanges counted in the train part too: only pymatgen's table is independent."
)
SHOWN = (3, 11, 12, 20, 26, 28, 30, 14, 8, 16, 17, 57, 92)


def substitution(context: Context) -> Outcome:
    """Changes of log p when an element of a known crystal is exchanged, against mined tables."""
    model, train = composed_model(context), split(context, "train")
    scores = {"genes": lambda table: model.genes.log_prob(table.genes()), "crystals": model.log_prob}
    vocabulary = sorted(model.vocabulary)
    known = _crystals(split(context, "val"), vocabulary)
    changes, counted = {}, []
    with Clock() as clock:
        for name, score in scores.items():
            parents, old = _parents(known, PARENTS[name], np.random.default_rng(context.seed))
            changes[name] = _changes(score, known, parents, old, vocabulary)
            counted.append(f"{len(parents):,} for {name}")
    path = save(_picture(changes["genes"], vocabulary), context.images / "substitution.png")
    about = (
        f"Crystals of mp_20_val with at most {SITES} sites, drawn with seed {context.seed}: {' and '.join(counted)} "
        f"({PARENTS['genes']} and {PARENTS['crystals']} an element where there are as many), each with one element "
        f"exchanged for every other: {clock.cpu:.0f} CPU s."
    )
    parts = (f"{about} {_NOTE}", _compared(changes, train, context.seed), _partners(changes, vocabulary), str(path))
    yield Section(title="Substitution partners", text="\n\n".join(parts))


def _compared(changes: Mapping[str, Floats], train: CrystalTable, seed: int) -> str:
    """Every order of partners against every mined table."""
    tables = {
        **pymatgen_tables(),
        "counted in the train part": ExchangeLikelihood.learnt(Fillings.of(train.genes())).joint,
    }
    held = np.bincount(element_lists(train.genes()).ravel(), minlength=NUMBERS).astype(float)
    held[0] = 0
    common = tables["pymatgen, summed over oxidation states"].sum(axis=1) > 0
    ours = {f"log p of {name}": values for name, values in changes.items()}
    ours["frequency of the new element alone"] = np.broadcast_to(held, (NUMBERS, NUMBERS))
    lines = [
        f"| {name} | {title} | {agreement(values, table, held, common, np.random.default_rng(seed))} |"
        for title, table in tables.items()
        for name, values in ours.items()
    ]
    head = f"| change | table | rank correlation | given the frequency | first {TOP} | first {TOP}, permuted |"
    return "\n".join([head, "|---|---|---|---|---|---|", *lines])


def _crystals(val: CrystalTable, vocabulary: list[int]) -> KnownCrystals:
    genes = val.genes()
    fit = (genes.num_sites <= SITES) & np.isin(genes.elements, [0, *vocabulary]).all(axis=1)
    return KnownCrystals(val.filter(fit), priors().volumes)


def _parents(known: KnownCrystals, most: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Rows (m,) of crystals and the element (m,) of each that is exchanged."""
    rows, old = [], []
    for number in known.vocabulary.tolist():
        chosen = rng.permutation(np.flatnonzero((known.kinds == number).any(axis=1)))[:most]
        rows += chosen.tolist()
        old += [number] * len(chosen)
    return np.array(rows, np.int64), np.array(old, np.int64)


def _changes(score: Score, known: KnownCrystals, parents: Ints, old: Ints, new: list[int]) -> Floats:
    """(119, 119) mean change of a score when an element (rows) is exchanged for another, NaN where there is none."""
    kinds = known.kinds[parents]
    row, column = np.meshgrid(np.arange(len(parents)), np.array(new), indexing="ij")
    row, column = row.ravel(), column.ravel()
    # The parent itself stays in, to compare with; an element that it holds already is no exchange.
    keep = (column == old[row]) | ~(kinds[row] == column[:, None]).any(axis=1)
    keep &= known.volumes[column] > 0
    row, column = row[keep], column[keep]
    replaced = np.where(kinds[row] == old[row][:, None], column[:, None], kinds[row])
    table = exchanged_crystals(known, parents[row], replaced, [str(place) for place in range(len(row))])
    values = score(table)
    same = column == old[row]
    before = np.zeros(len(parents))
    before[row[same]] = values[same]
    sums, counts = np.zeros((NUMBERS, NUMBERS)), np.zeros((NUMBERS, NUMBERS))
    places = (old[row[~same]], column[~same])
    np.add.at(sums, places, (values - before[row])[~same])
    np.add.at(counts, places, 1)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def agreement(change: Floats, table: Floats, held: Floats, common: NDArray[np.bool_], rng: np.random.Generator) -> str:
    """How alike two tables (119, 119) order what comes in, for each element that leaves; cells of a table line."""
    plain, partial, overlaps, chance = [], [], [], []
    for old in np.flatnonzero(common):
        new = np.flatnonzero(common & np.isfinite(change[old]) & (np.arange(NUMBERS) != old))
        if len(new) <= 2 * TOP or np.ptp(table[old, new]) == 0:
            continue
        ours, theirs = change[old, new], table[old, new]
        first = spearmanr(ours, theirs).statistic
        plain.append(first)
        partial.append(without(first, spearmanr(ours, held[new]).statistic, spearmanr(theirs, held[new]).statistic))
        overlaps.append(shared_top(ours, theirs))
        chance += [shared_top(rng.permutation(ours), theirs) for _ in range(PERMUTATIONS)]
    given = "-" if np.isnan(partial).any() else _mean(partial, rng, "+.3f")
    return " | ".join([_mean(plain, rng, "+.3f"), given, _mean(overlaps, rng, ".1%"), f"{np.mean(chance):.1%}"])


def without(both: float, first: float, second: float) -> float:
    """The partial correlation of two figures, given their correlations with each other and with a third."""
    rest = (1 - first**2) * (1 - second**2)
    return float((both - first * second) / np.sqrt(rest)) if rest > 1e-12 else float("nan")


def shared_top(ours: Floats, theirs: Floats) -> float:
    """The share of the `TOP` largest of one list that are among those of the other."""
    return len(set(np.argsort(-ours)[:TOP]) & set(np.argsort(-theirs)[:TOP])) / TOP


def _mean(values: list[float], rng: np.random.Generator, form: str) -> str:
    array = np.array(values)
    resampled = array[rng.integers(len(array), size=(RESAMPLES, len(array)))].mean(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return f"{array.mean():{form}} ({low:{form}} to {high:{form}})"


def _partners(changes: Mapping[str, Floats], vocabulary: list[int]) -> str:
    """The likeliest partners of some elements."""
    lines = ["| element | partners by genes | partners by crystals |", "|---|---|---|"]
    for number in SHOWN:
        if number in vocabulary:
            cells = []
            for name in ("genes", "crystals"):
                row = np.where(np.isfinite(changes[name][number]), changes[name][number], -np.inf)
                best = np.argsort(-row)[:TOP]
                cells.append(", ".join(f"{element_symbol(int(z))} {row[z]:+.1f}" for z in best if np.isfinite(row[z])))
            lines.append(f"| {element_symbol(number)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _picture(change: Floats, vocabulary: list[int]) -> Any:
    """The matrix of changes, elements that leave as rows, ordered by group."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 5.0), layout="constrained")
    axes = figure.subplots()
    order = [vocabulary[place] for place in table_order(tuple(vocabulary))]
    image = axes.imshow(change[np.ix_(order, order)], cmap="viridis", vmin=-15, vmax=0, interpolation="nearest")
    mark_groups(axes, order)
    axes.set(xlabel="comes in, by group", ylabel="leaves, by group")
    figure.colorbar(image, shrink=0.8, label="mean change of log p, nats")
    return figure
