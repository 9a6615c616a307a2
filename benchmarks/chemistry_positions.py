"""Which elements sit at which Wyckoff positions of a group: crystals drawn, beside known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, GeneBatch, canonical_genes, element_symbol
from aristotype.evaluate import jensen_shannon
from aristotype.symmetry import LETTERS
from benchmarks.chemistry_vectors import table_order
from benchmarks.core import Context, Outcome, Section
from benchmarks.data import composed_model, split
from benchmarks.figures import save

Floats = NDArray[np.float64]
GROUP = 225
DRAWN = 4_000
RESAMPLES = 200
ANIONS = (8, 9, 17, 35, 53)
NOBLE = (2, 10, 18, 36, 54, 86)


def positions(context: Context) -> Outcome:
    """Elements by position in group 225: drawn, validation and test crystals, and the train part."""
    model = composed_model(context).genes
    drawn = model.sample(DRAWN, Conditions(space_groups=[GROUP]), seed=context.seed, score=False).genes()
    real = GeneBatch.concatenate([split(context, name).genes() for name in ("val", "test")])
    real = real.take(np.flatnonzero(real.space_group == GROUP))
    train = split(context, "train").genes()
    train = train.take(np.flatnonzero(train.space_group == GROUP))
    sets = {"drawn": drawn, "val and test": real, "train part": train}
    counts = {name: occupation(genes) for name, genes in sets.items()}
    rng = np.random.default_rng(context.seed)
    lines = [
        f"| {name} | {len(genes):,} | {_share(counts[name], ANIONS, 'e')} | {_share(counts[name], NOBLE)} | "
        f"{_divergence(genes, real, rng) if genes is not real else '-'} |"
        for name, genes in sets.items()
    ]
    path = save(
        _picture({name: counts[name] for name in ("drawn", "val and test")}), context.images / "positions_225.png"
    )
    text = (
        f"Sites of canonical genes of group {GROUP}, {DRAWN:,} drawn by the gene model of `{context.crystal_model}`, "
        f"seed {context.seed}. Divergence (Jensen-Shannon, bits) of the joint distribution of element and position "
        f"from that of val and test, with {RESAMPLES} bootstrap resamples of as many genes as val and test have: what "
        "a sample of that size reads.\n\n| genes | n | of O, F, Cl, Br, I sites, at 24e | noble gases, of all sites | "
        "divergence from val and test |\n|---|---|---|---|---|\n"
    )
    yield Section(title=f"Elements at positions of group {GROUP}", text=text + "\n".join(lines) + f"\n\n{path}")


def occupation(genes: GeneBatch) -> Floats:
    """(positions, 119) sites of each element at each position of one group, genes in canonical form."""
    canonical = canonical_genes(genes)
    there = canonical.wyckoffs >= 0
    counts = np.zeros((len(LETTERS), 119))
    np.add.at(counts, (canonical.wyckoffs[there], canonical.elements[there]), 1)
    return counts


def _share(counts: Floats, elements: tuple[int, ...], letter: str = "") -> str:
    few = counts[:, list(elements)]
    if letter:
        return f"{few[LETTERS.index(letter)].sum() / few.sum():.1%} of {few.sum():,.0f}"
    return f"{few.sum() / counts.sum():.2%}"


def _divergence(genes: GeneBatch, real: GeneBatch, rng: np.random.Generator) -> str:
    """Median and 95 % of resamples as large as the real set."""
    target = occupation(real).ravel()
    values = [
        float(jensen_shannon(occupation(genes.take(rng.integers(len(genes), size=len(real)))).ravel(), target))
        for _ in range(RESAMPLES)
    ]
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return f"{middle:.4f} ({low:.4f} to {high:.4f})"


def _picture(counts: dict[str, Floats]) -> Any:
    """Heat maps of sites by element (ordered by group) and position, as shares on a root scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    present = np.flatnonzero(sum(values.sum(axis=0) for values in counts.values())).tolist()
    order = [present[place] for place in table_order(tuple(present))]
    letters = int(np.flatnonzero(sum(values.sum(axis=1) for values in counts.values())).max()) + 1
    for axes, (name, values) in zip(figure.subplots(len(counts), 1), counts.items(), strict=True):
        shares = np.sqrt(values[:letters, order] / values.sum())
        image = axes.imshow(shares, cmap="magma_r", vmin=0, aspect="auto", vmax=0.16, interpolation="nearest")
        axes.set_yticks(range(letters), list(LETTERS[:letters]), fontsize=6)
        axes.set_xticks(range(len(order)), [element_symbol(number) for number in order], fontsize=5, rotation=90)
        axes.tick_params(length=0, pad=1)
        axes.set_ylabel(name, fontsize=8)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.7, label="share of all sites")
    bar.set_ticks([0, 0.05, 0.1, 0.15], labels=["0", "0.25%", "1%", "2.25%"])
    return figure
