"""How probable real crystals are under the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable
from benchmarks import published
from benchmarks.core import Context, Outcome, Section
from benchmarks.data import model, random_rows, split
from benchmarks.scores import scored

RANDOM_GENES = 1_000
TRAIN_GENES = 5_000
SITES = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 8), (9, 12), (13, 20), (21, None))


def nll(context: Context) -> Outcome:
    """Negative log-likelihoods of test, validation and train genes, and of test genes by number of sites."""
    scorer = model(context.model)
    test = split(context, "test")
    all_test = -scored(scorer, test)
    chosen = np.sort(np.random.default_rng(context.seed).permutation(len(test))[:RANDOM_GENES])
    val = split(context, "val")
    train = random_rows(split(context, "train"), TRAIN_GENES, context.seed)
    rows = [
        _row(f"mp_20_test, {len(chosen):,} random (seed {context.seed})", all_test[chosen], published.NLL_TEST),
        _row("mp_20_test, all", all_test, published.NLL_TEST),
        _row("mp_20_val, all", -scored(scorer, val), published.NLL_VAL),
        _row(f"train part, {len(train):,} random", -scored(scorer, train), published.NLL_TRAIN_PART),
    ]
    head = "| genes of | n | mean, nats | median | not scored | published mean |\n|---|---|---|---|---|---|\n"
    note = (
        "Probabilities of a gene: all orders and equivalent descriptions summed, p(group) included. Means are given "
        "with their standard errors over the genes that have a probability; `not scored` are genes with an element "
        "that the model does not know or of probability zero. Published median of the random test genes: "
        f"{published.NLL_TEST_MEDIAN}, of its mean {published.NLL_GROUP} for the group."
    )
    parts = _parts(scorer, test.filter(np.isfinite(all_test)))
    yield Section(title=f"NLL under `{context.model}`", text=f"{note}\n\n{head}" + "\n".join(rows) + parts)
    yield Section(title="NLL of mp_20_test by number of sites", text=by_sites(all_test, test.genes().num_sites))


def _row(name: str, values: NDArray[np.float64], theirs: float) -> str:
    finite = values[np.isfinite(values)]
    error = finite.std(ddof=1) / np.sqrt(len(finite)) if len(finite) > 1 else float("nan")
    mean, middle = (float(finite.mean()), float(np.median(finite))) if len(finite) else (float("nan"), float("nan"))
    missing = len(values) - len(finite)
    return f"| {name} | {len(values):,} | {mean:.2f} ± {error:.2f} | {middle:.2f} | {missing} | {theirs:.2f} |"


def _parts(scorer: object, table: CrystalTable) -> str:
    """What group, template and elements cost, for models that tell."""
    tell = getattr(scorer, "log_prob_parts", None)
    if tell is None:
        return ""
    means = {name: -float(np.mean(values)) for name, values in tell(table).items() if name != "total"}
    return "\n\nParts of the mean over mp_20_test: " + ", ".join(f"{name} {value:.2f}" for name, value in means.items())


def by_sites(values: NDArray[np.float64], sites: NDArray[np.int64]) -> str:
    """A Markdown table of mean NLL by number of sites."""
    theirs: Sequence[float | None] = (*published.NLL_BY_SITES, None)
    lines = ["| sites | n | mean, nats | published |", "|---|---|---|---|"]
    for (low, high), reference in zip(SITES, theirs, strict=True):
        inside = (sites >= low) & (sites <= (high or sites.max(initial=low))) & np.isfinite(values)
        if not inside.any():
            continue
        label = str(low) if low == high else f"{low}-{high}" if high else f"{low} and more"
        shown = "-" if reference is None else f"{reference:.1f}"
        lines.append(f"| {label} | {inside.sum():,} | {values[inside].mean():.2f} | {shown} |")
    return "\n".join(lines)
