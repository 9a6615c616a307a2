"""Guidance measured: towards a density against the model alone, and towards powder patterns of known crystals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable, centring_orders, formulas, gene_keys
from aristotype.discover import ChainConfig, ChainsResult, Guide, PatternLikeness, guide, property_named
from aristotype.evaluate import Matcher, geometry
from aristotype.evaluate._bootstrap import share
from aristotype.symmetry import forced
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import model, split
from benchmarks.figures import GENERATED, REAL

Floats = NDArray[np.float64]
DENSITY, WEIGHT, NEAR = 8.0, 4.0, 0.5
"""g/cm^3 that is looked for, nats for the square of one, and how near counts as there."""
GROUP = 225
CLOSEST = 0.7
CHAINS, STEPS, DRAWS = 64, 80, 1_536
TARGETS, PATTERN_CHAINS, SCREENED, PATTERN_STEPS, PATTERN_WEIGHT = 12, 4, 30, 30, 100.0
PATTERN_MOVES = {"draw": 0.3, "exchange": 0.3, "displace": 1.0, "strain": 1.0}
MOST_ATOMS = 12
DRAWN = "diffraction.png"


def guidance(context: Context) -> Outcome:
    """Crystals of group 225 drawn towards a density, against draws of the model and what Bayes' rule makes of them."""
    drawn = model(context.crystal_model).without_redraws()
    conditions = Conditions(space_groups=[GROUP])
    with Clock() as prior_clock:
        prior = _acceptable(drawn.sample(DRAWS, conditions, seed=context.seed))
    weights = np.exp(-WEIGHT * np.square(property_named("density")(prior) - DENSITY))
    towards = Guide(name="density", property=property_named("density"), weight=WEIGHT, target=DENSITY)
    config = ChainConfig(steps=STEPS, temperature=4.0, final_temperature=1.0, seed=context.seed)
    with Clock() as clock:
        result = guide(drawn, [towards], conditions, chains=CHAINS, config=config)
    last = _last(result)
    rows = [
        _density_row("the model alone", prior, np.ones(len(prior))),
        _density_row("the same draws, weighted by the property", prior, weights),
        _density_row("last crystals of the chains", last, np.ones(len(last))),
    ]
    told = "; ".join(
        f"{name} {move['accepted']:,} of {move['tried']:,}" for name, move in result.summary["moves"].items()
    )
    yield Section(
        title=f"Density guided to {DENSITY} g/cm^3, space group {GROUP}",
        text="\n".join(
            [
                "| crystals | n (effective) | mean density | within "
                f"{NEAR} g/cm^3 | median log p (nats) | distinct genes |",
                "|---|---|---|---|---|---|",
                *rows,
                "",
                f"Model `{context.crystal_model}` (76.7 % of MP-20 train), seed {context.seed}, weight {WEIGHT:g} "
                f"nats, temperature 4 to 1; {len(prior):,} of {DRAWS:,} draws have no overlap "
                f"({prior_clock.cpu:.0f} CPU s), {CHAINS} chains of {STEPS} steps took {clock.cpu:.0f} CPU s. The "
                f"second line is what the chains should be distributed as. Accepted: {told}.",
            ]
        ),
    )


def _acceptable(table: CrystalTable) -> CrystalTable:
    """What chains may visit: no overlaps, no forced symmetry."""
    genes = table.genes()
    keep = (geometry(table).closeness >= CLOSEST) & ~forced(genes.space_group, genes.elements, genes.wyckoffs)
    return table.filter(keep)


def _last(result: ChainsResult) -> CrystalTable:
    return result.table.filter(np.array(result.table.column("kind").to_pylist()) == "last")


def _density_row(name: str, table: CrystalTable, weights: Floats) -> str:
    density = property_named("density")(table)
    total = weights / weights.sum()
    effective = 1.0 / np.square(total).sum()
    near = float(total[np.abs(density - DENSITY) <= NEAR].sum())
    # Weighted draws count as their effective number.
    interval = share(round(near * effective), max(1, round(effective)))
    order = np.argsort(table.column("log_prob").to_numpy())
    median = table.column("log_prob").to_numpy()[order][np.searchsorted(np.cumsum(total[order]), 0.5)]
    distinct = len(set(gene_keys(table.genes()).tolist())) if np.ptp(weights) == 0 else None
    return (
        f"| {name} | {len(table):,} ({effective:.0f}) | {float(total @ density):.2f} | {100 * near:.1f} % "
        f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}] | {median:.1f} | "
        f"{'' if distinct is None else f'{distinct:,}'} |"
    )


@dataclass(frozen=True, kw_only=True)
class Solved:
    """What was found for one pattern."""

    formula: str
    group: int
    likeness: tuple[float, float]  # of the best draw, of the best crystal of the chains
    found: tuple[bool, bool]  # whether they match the true structure
    share: float  # of all draws that do
    best: CrystalTable  # of the chains
    profiles: Floats  # (3, m) true, best draw, best of the chains
    angles: Floats  # (m,)


def diffraction(context: Context) -> Outcome:
    """Structures from simulated powder patterns and formulas: chains against as many draws, ranked by the pattern."""
    targets = _targets(context)
    with Clock() as clock, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        solved = [_solve(context, targets[row : row + 1], row) for row in range(len(targets))]
    path = _picture(solved, context.images)
    n = len(solved)
    lines = [
        f"| {one.formula} | {one.group} | {100 * one.share:.1f} % | {one.likeness[0]:.3f} | "
        f"{'yes' if one.found[0] else 'no'} | {one.likeness[1]:.3f} | {'yes' if one.found[1] else 'no'} |"
        for one in solved
    ]
    totals = [share(sum(one.found[way] for one in solved), n) for way in (0, 1)]
    text = ", ".join(
        f"{name} {round(at.value * n)} of {n} ({100 * at.value:.0f} % [{100 * at.low:.0f}, {100 * at.high:.0f}])"
        for name, at in zip(("best of as many draws", "best of the chains"), totals, strict=True)
    )
    yield Section(
        title="Structures from powder patterns",
        text="\n".join(
            [
                "| formula | group | draws that match | best draw: likeness | found | best of chains: likeness "
                "| found |",
                "|---|---|---|---|---|---|---|",
                *lines,
                "",
                f"True structure found: {text}. Mean likeness of the best: draws "
                f"{np.mean([one.likeness[0] for one in solved]):.3f}, chains "
                f"{np.mean([one.likeness[1] for one in solved]):.3f}. {TARGETS} crystals of mp_20_val with at most "
                f"{MOST_ATOMS} atoms in the primitive cell, seed {context.seed}, model `{context.crystal_model}` "
                f"(76.7 % of MP-20 train); {PATTERN_CHAINS} chains that begin with the best of {SCREENED} draws and "
                f"take {PATTERN_STEPS} steps, against {PATTERN_CHAINS * (SCREENED + PATTERN_STEPS)} draws; weight "
                f"{PATTERN_WEIGHT:g}; matched by pymatgen's StructureMatcher (its own tolerances); "
                f"{clock.cpu:.0f} CPU s; figure {path}.",
            ]
        ),
    )


def _targets(context: Context) -> CrystalTable:
    """Crystals of the validation split, at random, small enough for a quick example."""
    table = split(context, "val")
    genes = table.genes()
    atoms = genes.multiplicities.sum(axis=1) // centring_orders()[genes.space_group]
    rows = np.flatnonzero((atoms <= MOST_ATOMS) & (atoms > 2))
    return table.take(np.random.default_rng(context.seed).permutation(rows)[:TARGETS])


def _solve(context: Context, truth: CrystalTable, row: int) -> Solved:
    """Draws and chains for one pattern, of equally many crystals."""
    drawn = model(context.crystal_model)
    likeness = PatternLikeness.of_crystal(truth)
    formula = formulas(truth.genes())[0]
    content = truth[0].composition
    units = int(np.gcd.reduce(list(content.values())))
    asked = Conditions(formula={z: count // units for z, count in content.items()}, formula_units=units)
    seed = 1000 * context.seed + row
    count = PATTERN_CHAINS * (SCREENED + PATTERN_STEPS)
    plain = drawn.sample(count, asked, seed=seed, score=False)
    values = likeness(plain)
    config = ChainConfig(steps=PATTERN_STEPS, seed=seed)
    towards = Guide(name="pattern", property=likeness, weight=PATTERN_WEIGHT)
    settings: dict[str, Any] = {"chains": PATTERN_CHAINS, "screen": SCREENED, "moves": PATTERN_MOVES, "config": config}
    result = guide(drawn, [towards], asked, **settings)
    own = result.table.column("pattern").to_numpy()
    ends = [plain.take([int(values.argmax())]), result.table.take([int(own.argmax())])]
    matched = _matches(plain, truth)
    return Solved(
        formula=formula,
        group=int(truth.space_group[0]),
        likeness=(float(values.max()), float(own.max())),
        found=(bool(_matches(ends[0], truth)[0]), bool(_matches(ends[1], truth)[0])),
        share=float(matched.mean()),
        best=ends[1],
        profiles=np.concatenate([likeness.profiles(one) for one in (truth, *ends)]),
        angles=likeness.angles,
    )


def _matches(table: CrystalTable, truth: CrystalTable) -> NDArray[np.bool_]:
    return np.array([match is not None for match in Matcher().reference_matches(table, truth)])


def _picture(solved: list[Solved], folder: Path) -> Path:
    """Patterns of four of the targets: where chains gain most and least, and two between."""
    from matplotlib.figure import Figure

    gain = [one.likeness[1] - one.likeness[0] for one in solved]
    order = np.argsort(gain)[::-1]
    shown = [solved[row] for row in order[np.linspace(0, len(order) - 1, min(4, len(order))).astype(int)]]
    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    for axes, one in zip(np.ravel(figure.subplots(2, 2)), shown, strict=False):
        _pattern(axes, one)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / DRAWN, dpi=80)
    return folder / DRAWN


def _pattern(axes: Any, one: Solved) -> None:
    """True pattern in grey, the best of the chains above it, the best draw below."""
    scaled = np.sqrt(one.profiles)
    scaled = scaled / scaled.max(axis=1, keepdims=True)
    axes.fill_between(one.angles, scaled[0], color="0.85", label="true")
    names = (f"best draw, {one.likeness[0]:.2f}", f"best of chains, {one.likeness[1]:.2f}")
    for name, profile, color in zip(names, scaled[1:], (REAL, GENERATED), strict=True):
        axes.plot(one.angles, profile, color=color, lw=1.0, label=name)
    axes.set(
        title=f"{one.formula}, group {one.group}", xlabel="2 theta (degrees)", ylabel="root of intensity", yticks=[]
    )
    axes.set_title(axes.get_title(), fontsize=9)
    axes.legend(fontsize=7, frameon=False)
