"""Best of n: how quality grows with the number of draws that one crystal is chosen from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, gene_keys
from aristotype.discover import EnergyAboveHull, rewards_of, sized, typicality, with_own_geometry
from aristotype.evaluate import validity
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import crystal_model
from benchmarks.intervals import median_text, share_text

DRAWS = 512
CANDIDATES = (1, 2, 4, 8, 16, 32)
NEAR = 0.1
"""eV/atom above hull."""


def best_of(context: Context) -> Outcome:
    """Best of n by likelihood and by energy above hull, all from the same draws."""
    model = crystal_model(context)
    with Clock() as drawing:
        pool = with_own_geometry(model.sample(2 * DRAWS, seed=context.seed, score=False), seed=0, failures=[])[:DRAWS]
    with Clock() as scoring:
        pool = pool.with_columns(log_prob=model.log_prob(pool))
    with Clock() as judging:
        height = -rewards_of(pool, EnergyAboveHull())[0]
    ranks = typicality(sized({"total": pool.column("log_prob").to_numpy()}, pool.genes(), model))["percentile"]
    known = model.train_keys()
    judges = {"likelihood": ranks.to_numpy(zero_copy_only=False), "energy above hull": -height}
    lines = [
        _row(name, n, pool, height, values, known)
        for name, values in judges.items()
        for n in CANDIDATES
        if name == "likelihood" or n > 1
    ]
    seconds = [clock.cpu / count for clock, count in ((drawing, 2 * DRAWS), (scoring, len(pool)), (judging, len(pool)))]
    note = (
        f"{len(pool)} crystals of `{context.crystal_model}` without overlaps, seed {context.seed}; of each n in a row "
        "the one is kept that has the highest percentile of its likelihood among those of like size, or the lowest "
        "energy above the shipped hull. Energies are those after 8 evaluations of CHGNet within the symmetry. A draw "
        f"takes {seconds[0]:.2f} CPU s, its likelihood {seconds[1]:.2f}, its energy {seconds[2]:.2f}. 95 % intervals "
        "(Wilson); novelty is against 76.7 % of MP-20 train."
    )
    head = (
        "| chosen by | n | crystals | at most 0.1 eV/atom above hull | median, eV/atom | charges balance | novel |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    yield Section(title="Best of n", text=f"{note}\n\n{head}" + "\n".join(lines))


def _row(
    name: str, n: int, pool: CrystalTable, height: NDArray[np.float64], values: NDArray[np.float64], known: set[bytes]
) -> str:
    groups = np.where(np.isnan(values), -np.inf, values)[: len(values) // n * n].reshape(-1, n)
    chosen = np.arange(len(groups)) * n + groups.argmax(axis=1)
    table, found = pool.take(chosen), np.nan_to_num(height[chosen], nan=np.inf)
    novel = [key not in known for key in gene_keys(table.genes(), merge_enantiomorphs=True).tolist()]
    shares = [share_text(flags) for flags in (found <= NEAR, validity(table).charge, novel)]
    return f"| {name} | {n} | {len(chosen)} | {shares[0]} | {median_text(found)} | {shares[1]} | {shares[2]} |"
