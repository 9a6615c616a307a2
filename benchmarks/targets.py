"""What a property target does: the distribution of the property with and without it, and what relaxation says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable, PropertyTarget, gene_keys
from aristotype.discover import make_baseline
from aristotype.evaluate import KnownKeys, read_hull
from aristotype.models import predictor_of
from aristotype.models._targets import probability_in_range
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import model, split
from benchmarks.figures import GENERATED, REAL, save
from benchmarks.intervals import share_text
from benchmarks.relaxing import energies_at_rest

Floats = NDArray[np.float64]
GENES = 500
RELAXED = 100
HIGH = -2.5  # eV/atom, formation energy
STRONG = 4.0  # strength of the last arm of each property; chains of diffusion would take an hour for it
GAP = (1.0, 2.0)  # eV
DIFFUSION = "wyckoffdiff-mp20"
_HEAD = (
    "| model | asked for | kept of the draws | predicted, mean | 10th to 90th percentile | predicted in range | "
    "expected in range | novel and distinct | genes a CPU second |"
)


@dataclass(frozen=True)
class _Arm:
    """Genes of a model, with or without a target."""

    model: str
    target: PropertyTarget
    strength: float  # of the target; 0 for free draws
    genes: CrystalTable
    clock: Clock
    values: Floats
    chance: Floats

    def line(self, train: KnownKeys) -> str:
        """A row of the table."""
        low, high = self.target.low, self.target.high
        draws = int(self.genes.column("draws").to_numpy().sum()) if self.strength else len(self.genes)
        ends = np.quantile(self.values, [0.1, 0.9])
        novel = set(gene_keys(self.genes.genes(), merge_enantiomorphs=True).tolist()) - train.merged_genes
        name = predictor_of(self.target.property).config.target.replace("_", " ")
        asked = f"{name} {_ends(low, high)}, strength {self.strength:g}" if self.strength else f"nothing ({name})"
        return (
            f"| {self.model} | {asked} | {len(self.genes) / draws:.1%} | {self.values.mean():.2f} | {ends[0]:.2f} to "
            f"{ends[1]:.2f} | {share_text((self.values > low) & (self.values < high))} | {self.chance.mean():.1%} | "
            f"{len(novel) / len(self.genes):.1%} | {len(self.genes) / self.clock.cpu:.2g} |"
        )


def targets(context: Context) -> Outcome:
    """Genes asked for a low formation energy, and for a band gap where there is a predictor of it, beside free ones."""
    train = KnownKeys.of(split(context, "train").genes())
    arms = list(_arms(context))
    about = (
        f"{GENES:,} genes in each row, seed {context.seed}; novelty against 76.7 % of mp_20 train. `expected in range` "
        "is the mean of the predictor's own probabilities: what would be seen if it were right."
    )
    lines = [arm.line(train) for arm in arms]
    yield Section(title="Property targets", text="\n".join([about, "", _HEAD, "|---|" + "---|" * 8, *lines]))
    judged = [
        arm
        for arm in arms
        if arm.target.property == "formation_energy" and arm.model != "decoration" and arm.strength <= 1
    ]
    with Clock() as clock:
        energies = [_relaxed(arm.genes[:RELAXED], context) for arm in judged]
    path = _picture(judged, energies, context.images / "targets.png")
    rows = []
    for arm, (found, predicted) in zip(judged, energies, strict=True):
        asked = f"at most {HIGH:g}" if arm.strength else "nothing"
        error = np.abs(found - predicted).mean()
        rows.append(
            f"| {arm.model} | {asked} | {len(found)} | {np.median(found):.2f} | {error:.2f} | "
            f"{share_text(found < HIGH)} | {arm.chance[:RELAXED].mean():.1%} |"
        )
    text = (
        f"The first {RELAXED} genes of each, realised once and relaxed with CHGNet ({clock.cpu:.0f} CPU s): its "
        f"formation energy, in eV/atom, which knows nothing of the predictor. Picture: {path}."
    )
    head = "| model | asked for | relaxed | median | mean distance from the prediction | in range | expected in range |"
    yield Section(title="The same after relaxation", text="\n".join([text, "", head, "|---|" + "---|" * 6, *rows]))


def _arms(context: Context) -> Iterator[_Arm]:
    wanted = [PropertyTarget(property="formation_energy", high=HIGH)]
    if context.properties is not None:
        gap = Path(context.properties) / "band_gap" / "best"
        wanted.append(PropertyTarget(property=str(gap), low=GAP[0], high=GAP[1]))
    drawers: dict[str, Any] = {name: model(name) for name in (context.model, DIFFUSION)}
    drawers["decoration"] = make_baseline("decoration", split(context, "train"))
    for name, drawer in drawers.items():
        for target in wanted:
            for strength in (0.0, 1.0) if name == DIFFUSION else (0.0, 1.0, STRONG):
                asked = Conditions(targets=[replace(target, strength=strength)]) if strength else None
                with Clock() as clock:
                    table = drawer.sample(GENES, asked, seed=context.seed, score=False)
                values, deviations = predictor_of(target.property).predict(table.genes())
                known = np.isfinite(values)
                chance = probability_in_range(values, deviations, target.low, target.high)
                yield _Arm(name, target, strength, table.filter(known), clock, values[known], chance[known])


def _relaxed(genes: CrystalTable, context: Context) -> tuple[Floats, Floats]:
    """CHGNet's formation energies of the genes that relaxed, and what was predicted of them."""
    energy = energies_at_rest(genes, read_hull(context.hull), "formation_energy", seed=context.seed)
    sound = np.isfinite(energy)
    return energy[sound], predictor_of("formation_energy").predict(genes.genes())[0][sound]


def _picture(arms: list[_Arm], energies: list[tuple[Floats, Floats]], path: Path) -> Path:
    """Predictions and relaxed energies of each model, free and asked for low ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.0 * len(arms) / 2), layout="constrained")
    panels = figure.subplots(len(arms) // 2, 2, sharex=True, squeeze=False)
    edges = np.linspace(-4.5, 1.0, 45)
    for number, (arm, (relaxed, _)) in enumerate(zip(arms, energies, strict=True)):
        color, label = (GENERATED, f"asked for at most {HIGH:g}") if arm.strength else (REAL, "free")
        for axes, values, title in zip(
            panels[number // 2], (arm.values, relaxed), ("predicted from the gene", "relaxed with CHGNet"), strict=True
        ):
            weights = np.full(len(values), 1 / len(values))
            axes.hist(values, edges, weights=weights, color=color, alpha=0.6, label=label)
            axes.set_title(f"{arm.model}: {title}", fontsize=9)
            axes.axvline(HIGH, color="black", linewidth=0.6, linestyle=":")
            axes.set(ylabel="share")
    for axes in panels[-1]:
        axes.set_xlabel("formation energy, eV/atom")
    panels[0, 0].legend(fontsize=8, frameon=False)
    return save(figure, path)


def _ends(low: float, high: float) -> str:
    if np.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"
