"""How much chemistry is in the vectors that models learnt for elements.

A vector is the sum of a part of the element's own, which starts at random, and of a linear map of fixed features
(period, group and block among them). What is near in the second part was put there, so the first is judged by itself,
and both beside vectors as they are before training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from aristotype.crystal import element_rows, element_symbol
from benchmarks.core import Context, Outcome, Section, Skipped
from benchmarks.data import composed_model
from benchmarks.figures import save

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PERMUTATIONS = 2_000
UNTRAINED = 20  # fresh sets of vectors


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Cosines of the vectors of n elements, the mean of all vectors taken away, in k sets of vectors."""

    name: str
    part: str
    elements: tuple[int, ...]
    sets: Floats  # (k, n, n)

    @property
    def cosine(self) -> Floats:
        """(n, n) mean of all sets."""
        return self.sets.mean(axis=0)


def vectors(context: Context) -> Outcome:
    """Cosine similarity of element vectors against the periodic table and Mendeleev numbers."""
    found = list(similarities(composed_model(context)))
    rng = np.random.default_rng(context.seed)
    lines = [f"| {one.name} | {one.part} | {_groups(one, rng)} | {_mendeleev(one, rng)} |" for one in found]
    shown = [one for one in found if one.name.startswith("elements") and "before" not in one.part]
    path = save(picture(shown), context.images / "element_vectors.png")
    head = (
        "| vectors of | part | same group minus others, cosine | permuted | rank correlation with Mendeleev numbers | "
        "permuted |\n|---|---|---|---|---|---|"
    )
    text = (
        f"Models of `{context.crystal_model}`; vectors without their mean. Same group: mean cosine of pairs of one "
        "group of the periodic table less that of all others, f-block left out, with the range over "
        "sets of vectors. Rank correlation (Spearman): of "
        "cosines with minus the difference in Mendeleev number (pymatgen), all pairs. Permuted: 95 % of "
        f"{PERMUTATIONS:,} permutations of the elements, seed {context.seed}. Before training: mean of "
        f"{UNTRAINED} fresh sets."
    )
    yield Section(title="Element vectors", text=f"{text}\n\n{head}\n" + "\n".join(lines) + f"\n\n{path}")


def similarities(model: Any) -> Iterator[Similarity]:
    """Of the vectors of every network: the learnt part alone, all of them, and both before training."""
    import torch

    from aristotype.models.blocks import ElementEmbedding

    if not hasattr(model.genes, "members"):
        raise Skipped(f"the gene model {model.genes.name} has no element vectors that are known here")
    kinds = (
        ("elements of genes", [member.elements for member in model.genes.members], model.genes.config.elements),
        ("geometry", [model.geometry.elements], model.config.elements),
    )
    for name, found, elements in kinds:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            width = found[0].identity.embedding_dim
            fresh = [ElementEmbedding(elements, width) for _ in range(UNTRAINED)]
            for part, sets in (
                ("learnt part alone", [one.identity.weight for one in found]),
                ("all", [one() for one in found]),
                ("all, before training", [one() for one in fresh]),
            ):
                each = np.array([cosines(one.double().numpy()) for one in sets])
                yield Similarity(name=name, part=part, elements=elements, sets=each)


def cosines(values: Floats) -> Floats:
    """Cosines (n, n) of vectors (n, d) less their mean."""
    centred = values - values.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return unit @ unit.T


def table_order(elements: tuple[int, ...]) -> Ints:
    """Places of elements by group of the periodic table, the f-block by itself after group 3."""
    rows = {row["number"]: row for row in element_rows()}
    keys = [(rows[z]["group"] + 0.5 * (rows[z]["block"] == "f"), rows[z]["period"], z) for z in elements]
    return np.array(sorted(range(len(elements)), key=keys.__getitem__), np.int64)


def _groups(one: Similarity, rng: np.random.Generator) -> str:
    main, group = main_block(one.elements)
    sets = one.sets[:, main[:, None], main]
    cosine = sets.mean(axis=0)
    found = _with_permutations(lambda order: group_contrast(cosine, group[order]), len(main), rng)
    each = [group_contrast(one, group) for one in sets]
    figure, permuted = found.split(" | ")
    spread = f" ({min(each):+.3f} to {max(each):+.3f}, {len(each)} sets)" * (len(each) > 1)
    return f"{figure}{spread} | {permuted}"


def main_block(elements: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Places (m,) of elements without those of the f-block, and their groups (m,)."""
    rows = {row["number"]: row for row in element_rows()}
    main = np.array([place for place, z in enumerate(elements) if rows[z]["block"] != "f"])
    return main, np.array([rows[elements[place]]["group"] for place in main])


def group_contrast(cosine: Floats, group: Ints) -> float:
    """Mean cosine (n, n) of pairs of one group less that of pairs of two."""
    first, second = np.triu_indices(len(group), 1)
    same = group[first] == group[second]
    values = cosine[first, second]
    return float(values[same].mean() - values[~same].mean())


def _mendeleev(one: Similarity, rng: np.random.Generator) -> str:
    numbers = mendeleev_numbers(one.elements)
    first, second = np.triu_indices(len(numbers), 1)
    ranks = _standard(rankdata(one.cosine[first, second]))
    near = np.zeros((len(numbers), len(numbers)))
    near[first, second] = _standard(rankdata(-np.abs(numbers[first] - numbers[second])))
    near += near.T

    def correlation(order: Ints) -> float:
        return float(ranks @ near[order[first], order[second]])

    return _with_permutations(correlation, len(numbers), rng)


def mendeleev_numbers(elements: tuple[int, ...]) -> Floats:
    """Mendeleev numbers (n,) of elements, as pymatgen has them."""
    try:
        from pymatgen.core import Element
    except ImportError as error:
        raise Skipped(f"it compares with pymatgen, which could not be imported: {error}") from error
    return np.array([float(Element(element_symbol(number)).mendeleev_no) for number in elements])


def _standard(values: Floats) -> Floats:
    centred = values - values.mean()
    return centred / np.linalg.norm(centred)


def _with_permutations(figure: Any, count: int, rng: np.random.Generator) -> str:
    """A figure of elements in their order, and the range of it when they are permuted."""
    permuted = [figure(rng.permutation(count)) for _ in range(PERMUTATIONS)]
    low, high = np.quantile(permuted, [0.025, 0.975])
    return f"{figure(np.arange(count)):+.3f} | {low:+.3f} to {high:+.3f}"


def picture(found: list[Similarity]) -> Any:
    """Matrices of cosines, elements ordered by group."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    colours = colormaps["RdBu_r"].resampled(20)  # fewer colours, smaller files
    figure = Figure(figsize=(4.0 * len(found), 3.8), layout="constrained")
    for axes, one in zip(np.atleast_1d(figure.subplots(1, len(found))), found, strict=True):
        order = table_order(one.elements)
        image = axes.imshow(one.cosine[np.ix_(order, order)], cmap=colours, vmin=-1, vmax=1, interpolation="nearest")
        mark_groups(axes, [one.elements[place] for place in order])
        axes.set_title(f"{one.name}: {one.part}", fontsize=8)
    figure.colorbar(image, ax=figure.axes, shrink=0.7, label="cosine")
    return figure


def mark_groups(axes: Any, elements: list[int]) -> None:
    """Groups of the periodic table along both axes of a matrix of elements in `table_order`."""
    rows = {row["number"]: row for row in element_rows()}
    names = np.array(["f" if rows[z]["block"] == "f" else str(rows[z]["group"]) for z in elements])
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    middles = (starts + np.r_[starts[1:], len(names)] - 1) / 2
    for edge in starts[1:]:
        axes.axvline(edge - 0.5, color="grey", linewidth=0.25)
        axes.axhline(edge - 0.5, color="grey", linewidth=0.25)
    axes.set_xticks(middles, names[starts], fontsize=6)
    axes.set_yticks(middles, names[starts], fontsize=6)
    axes.tick_params(length=0, pad=1)
