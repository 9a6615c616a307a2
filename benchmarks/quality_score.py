"""Which figure makes log-probabilities of crystals of unlike size comparable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from aristotype.discover import score
from aristotype.evaluate import primitive_atoms
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import crystal_model, random_rows, split

ASKED, KNOWN = 2_000, 4_000
FIGURES = {
    "log_prob": "log p",
    "log_prob_per_site": "log p a site",
    "log_prob_per_atom": "log p an atom",
    "percentile": "percentile among crystals of like size",
}


def scores_by_size(context: Context) -> Outcome:
    """Rank correlation of scores with the size of crystals: zero for a figure that is comparable."""
    asked = random_rows(split(context, "test"), ASKED, context.seed)
    known = random_rows(split(context, "val"), KNOWN, context.seed)
    with Clock() as clock:
        found = score(asked, crystal_model(context), reference=known, failures=[])
    genes = found.genes()
    sizes = {"sites": genes.num_sites, "free parameters": genes.freedoms.sum(axis=1), "atoms": primitive_atoms(genes)}
    lines = [
        f"| {title} | "
        + " | ".join(_correlation(found.column(name).to_numpy().astype(float), size) for size in sizes.values())
        + " |"
        for name, title in FIGURES.items()
    ]
    text = (
        f"Spearman's rank correlation with the size, {len(found):,} random crystals of mp_20_test under "
        f"`{context.crystal_model}` beside {len(known):,} of mp_20_val, seed {context.seed}, with 95 % intervals "
        f"(Fisher); {clock.cpu:.0f} CPU s.\n\n| figure | {' | '.join(sizes)} |\n" + "|---" * (1 + len(sizes)) + "|\n"
    )
    yield Section(title="Scores of crystals of unlike size", text=text + "\n".join(lines))


def _correlation(values: NDArray[np.float64], sizes: NDArray[np.int64]) -> str:
    rho = float(spearmanr(values, sizes).statistic)
    half = 1.96 / np.sqrt(len(values) - 3)
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return f"{rho:+.3f} ({low:+.3f} to {high:+.3f})"
