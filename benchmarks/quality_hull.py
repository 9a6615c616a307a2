"""Hulls where an entry is missing: every labelled formula left out of each hull in turn, and its energy predicted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aristotype.calculators import load_potential
from aristotype.evaluate import Hull, read_hull
from aristotype.realize import RelaxConfig, relax_rows
from benchmarks.core import Clock, Context, Outcome, Section, Skipped
from benchmarks.data import random_rows, split

RESTED = 200  # known structures that are relaxed
CLASSES = ((0, 0), (1, 2), (3, 10), (11, 10**9))
NAMES = {
    "reference": "(a) labels",
    "calculator": "(b) the calculator's energies",
    "joined": "(c) both",
}


def hull(context: Context) -> Outcome:
    """Leave-one-formula-out: how far a hull is off where the composition asked for is no entry."""
    if context.hull is None:
        raise Skipped("needs labels: build a hull from the data and give --hull FILE")
    found = read_hull(context.hull)
    if "joined" not in found.kinds:
        raise Skipped(f"{context.hull} holds no labels; build it with mp_20 and mpts_52")
    amounts, truth = _compounds(found)
    rows, clocks = [], {}
    entries = found.points("joined").evaluate(amounts, without_own=True).entries
    for kind, name in NAMES.items():
        points = found.points(kind)
        with Clock() as clock:
            energy = points.evaluate(amounts, without_own=True).energy
        clocks[kind] = clock.cpu
        known = np.isfinite(energy)
        error = np.where(known, energy, 0.0) - truth
        rows.append(f"| {name} | {_figures(error, known)} |")
        rows += [
            f"| {'&nbsp;' * 4}{_class(low, high)} | {_figures(error, known & (entries >= low) & (entries <= high))} |"
            for low, high in CLASSES
        ]
    about = found.about
    bias = about["deviation"]
    yield Section(
        title="Energies above hull where an entry is missing",
        text=(
            f"{len(truth):,} labelled formulas of two or more elements, each left out of the hull and predicted "
            "from the rest, in eV/atom; classes by the number of other entries (labels and calculator) in the chemical "
            f"system. "
            f"{about['calculator']} against {bias['n']:,} labels: mean absolute deviation {bias['mae']:.3f}, bias "
            f"{bias['bias']:+.3f}. Too high a hull makes energies above it too low. CPU s for all: "
            + ", ".join(f"{NAMES[kind]} {seconds:.1f}" for kind, seconds in clocks.items())
            + ".\n\n| hull | formulas | mean absolute error | median | mean error | off by more than .1 |\n"
            + "|---|---|---|---|---|---|\n"
            + "\n".join(rows)
        ),
    )


def _compounds(found: Hull) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Compositions (n, 119) of the labelled compounds and their energies on the hull (n,)."""
    points = found.points("reference")
    keep = [row for row, formula in enumerate(points.formulas) if len(formula) > 1]
    amounts = np.zeros((len(keep), 119), np.int64)
    for place, row in enumerate(keep):
        for number, count in points.formulas[row]:
            amounts[place, number] = count
    return amounts, points.energy[keep]


def _figures(error: NDArray[np.float64], which: NDArray[np.bool_]) -> str:
    few = error[which]
    if not len(few):
        return "0 | - | - | - | -"
    off = np.abs(few)
    return f"{len(few):,} | {off.mean():.3f} | {np.median(off):.3f} | {few.mean():+.3f} | {(off > 0.1).mean():.1%}"


def _class(low: int, high: int) -> str:
    if low == high:
        return "no other entry"
    return f"{low} to {high} others" if high < 10**9 else f"{low} or more others"


def hull_rest(context: Context) -> Outcome:
    """How far entries of a calculator's hull, single points, lie above their energies at rest."""
    table = random_rows(split(context, "val"), RESTED, context.seed)
    potential = load_potential("chgnet", "cpu")
    with Clock() as clock:
        found = relax_rows(table, potential, RelaxConfig(free_steps=0, steps=60))
    drop = (found.column("energy_start").to_numpy() - found.column("energy").to_numpy()).astype(np.float64)
    drop = drop[np.isfinite(drop)]
    yield Section(
        title="Known structures relaxed",
        text=(
            f"{len(drop)} random structures of mp_20_val (seed {context.seed}) relaxed with CHGNet within their "
            f"symmetry: the energy falls by {drop.mean():.4f} eV/atom in the mean, {np.median(drop):.4f} in "
            "the median, "
            f"{np.percentile(drop, 90):.4f} at the 90th percentile; {clock.cpu / len(drop):.2f} CPU s a structure. "
            "Energies above the hull of single points read low by that much for structures that were relaxed."
        ),
    )
