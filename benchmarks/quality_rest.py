"""Energies above hull of crystals of one group as a model draws them, and at rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable, gene_keys
from aristotype.evaluate import Hull, KnownKeys, geometry, heights, read_hull, stability
from aristotype.realize import relax_failures
from benchmarks import published, relaxing
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import crystal_model, split
from benchmarks.figures import GENERATED, REAL, save
from benchmarks.intervals import median_text, share_text

Floats = NDArray[np.float64]
GROUP = 225
CRYSTALS = 200
LIMIT = 0.1  # eV/atom
STATES = {"as drawn": "energy_start", "at rest within the symmetry": "energy_symmetric", "at rest, all free": "energy"}
NAMES = {
    "joined": "labels and the calculator's energies",
    "calculator": "the calculator's energies",
    "reference": "labels",
}
SHOWN = (-0.3, 1.2)  # eV/atom, of the histogram


def at_rest(context: Context) -> Outcome:
    """Energies above hull of crystals of group 225 before and after relaxation."""
    table = crystal_model(context).sample(CRYSTALS, Conditions(space_groups=[GROUP]), seed=context.seed, score=False)
    hull = read_hull(context.hull)
    with Clock() as clock:
        found = relaxing.at_rest(table)
    above = {state: _heights(found, table, column, hull) for state, column in STATES.items()}
    kind = hull.default_kind
    path = save(_histogram(above["as drawn"][kind], above["at rest, all free"][kind]), context.images / "rest_225.png")
    rows = [
        f"| {NAMES[kind]} | {state} | {share_text(values[kind] <= LIMIT)} | {median_text(values[kind])} |"
        for kind in hull.kinds
        for state, values in above.items()
    ]
    yield Section(
        title=f"Group {GROUP} of `{context.crystal_model}`, before and after relaxation",
        text=_about(context, table, found, clock, hull)
        + f"\n\n| hull | crystals | at most {LIMIT:g} eV/atom above | median, eV/atom |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\n{path}",
    )


def _heights(found: CrystalTable, table: CrystalTable, column: str, hull: Hull) -> dict[str, Floats]:
    """Energies above every hull (n,) of one stage of the relaxation, infinite where there is no energy."""
    energy = found.column(column).to_numpy()
    shape = table if column == "energy_start" else found
    columns = stability(shape.with_columns(energy=energy), hull, min_distance=geometry(shape).min_distance)
    out = {kind: heights(columns, f"e_above_hull_{kind}") for kind in hull.kinds}
    return {kind: np.where(np.isfinite(values), values, np.inf) for kind, values in out.items()}


def _about(context: Context, table: CrystalTable, found: CrystalTable, clock: Clock, hull: Hull) -> str:
    known = KnownKeys.of(split(context, "train").genes()).merged_genes
    keys = gene_keys(table.genes(), merge_enantiomorphs=True).tolist()
    kept = share_text(found.column("gene_kept").to_pylist())
    change = np.abs(found.column("volume_change").to_numpy().astype(float))
    drop = found.column("energy_start").to_numpy() - found.column("energy").to_numpy()
    return (
        f"{len(table)} crystals drawn in group {GROUP}, seed {context.seed}, {len(set(keys))} different genes, "
        f"{sum(key not in known for key in keys) / len(keys):.0%} of them not in the train part at hand (76.7 % of "
        f"mp_20 train); relaxed with CHGNet, {len(relax_failures(found))} failed, {clock.cpu:.0f} CPU s. Hull of "
        f"{len(hull):,} entries. Published: about {published.NEAR_HULL_225:.0%}, by DFT. At rest {kept} keep "
        f"their gene; the volume changes by {np.nanmedian(change):.1%} and the "
        f"energy falls by {np.nanmedian(drop):.3f} eV/atom (medians). Intervals: Wilson for shares, bootstrap for "
        "medians, 95 %."
    )


def _histogram(before: Floats, after: Floats) -> Any:
    """Both distributions over the same bins, one of which begins at the hull."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    edges = np.round(np.arange(SHOWN[0], SHOWN[1] + 0.01, 0.05), 2)
    for values, colour, name in ((before, REAL, "as drawn"), (after, GENERATED, "at rest")):
        beyond = int((values >= SHOWN[1]).sum())
        label = f"{name}, {(values <= LIMIT).mean():.0%} up to {LIMIT:g}" + f"; {beyond} beyond" * bool(beyond)
        axes.hist(values[np.isfinite(values)], edges, histtype="stepfilled", alpha=0.5, color=colour, label=label)
    axes.axvline(LIMIT, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="energy above hull, eV/atom", ylabel="crystals", xlim=SHOWN)
    axes.legend(fontsize=8, frameon=False)
    return figure
