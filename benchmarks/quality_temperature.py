"""Validity against novelty: genes and crystals of the shipped models at several sampling temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from aristotype.crystal import Conditions, CrystalTable, gene_keys
from aristotype.evaluate import KnownKeys, charge_balanced, geometry, novelty_columns, validity
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import composed_model, model, split
from benchmarks.figures import GENERATED, REAL, save
from benchmarks.intervals import share_text

FACTORS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6)
GENES = 2_000
CRYSTAL_FACTORS = (0.4, 0.7, 1.0, 1.3, 1.6)
CRYSTALS = 1_000
GROUPS = (None, 225)
TOUCHING = 0.7
"""Of the sum of two covalent radii: nearer atoms overlap."""


def temperature(context: Context) -> Outcome:
    """Charge balance, novelty and uniqueness of genes by the factor on the calibrated temperature."""
    known = KnownKeys.of(split(context, "train").genes())
    shipped = model(context.model)
    rows = []
    with Clock() as clock:
        for factor in FACTORS:
            changed = shipped.with_config(temperature=shipped.config.temperature * factor)
            genes = changed.sample(GENES, None, seed=context.seed, score=False).genes()
            keys = gene_keys(genes, merge_enantiomorphs=True).tolist()
            rows.append(
                f"| {factor:g} | {share_text(charge_balanced(genes))} | "
                f"{share_text([key not in known.merged_genes for key in keys])} | {len(set(keys)) / len(keys):.1%} |"
            )
    yield Section(
        title="Validity against novelty by sampling temperature",
        text=(
            f"{GENES:,} genes each of `{context.model}`, seed {context.seed}; the factor multiplies the calibrated "
            f"temperature of the elements ({shipped.config.temperature:g}); space groups and templates are drawn as "
            "always. Novelty is against the part of mp_20 train at hand (76.7 %). Wilson intervals; "
            f"{clock.cpu:.0f} CPU s.\n\n| factor | charges balance (smact14) | novel | distinct |\n|---|---|---|---|\n"
            + "\n".join(rows)
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    """What crystals of one temperature are worth, flags (n,) each."""

    group: int | None
    factor: float
    apart_first: np.ndarray  # no two atoms overlap, as drawn first
    structure_first: np.ndarray  # structural validity, as drawn first
    apart: np.ndarray  # and with overlaps drawn again, as all that follow
    structure: np.ndarray
    charge: np.ndarray
    novel: np.ndarray  # unlike every structure of the train part
    distinct: np.ndarray  # unlike every row before


def crystal_temperature(context: Context) -> Outcome:
    """Validity, novelty and uniqueness of crystals by one factor on all temperatures, of all groups and of 225."""
    drawer, train = composed_model(context), split(context, "train")
    with Clock() as clock:
        rows = [
            _row(at_temperature(drawer, factor), train, group, factor, context.seed)
            for group in GROUPS
            for factor in CRYSTAL_FACTORS
        ]
    path = save(_picture(rows), context.images / "temperature.png")
    head = (
        "| groups | factor | structure, as drawn first | no overlap, as drawn first | no overlap, drawn again | "
        "composition | valid, drawn again | novel | distinct |\n|---|---|---|---|---|---|---|---|---|"
    )
    yield Section(
        title=f"Validity against novelty of crystals of `{context.crystal_model}`",
        text=(
            f"{CRYSTALS:,} crystals each, seed {context.seed}. The factor multiplies the calibrated temperatures of "
            "elements and of bins, its root the widths of offsets and cells; space groups and templates are drawn as "
            f"always. Structure: no two atoms below .5 Angstrom; no overlap: none below {TOUCHING} of the sum of "
            "their radii; composition: SMACT; novel and distinct: pymatgen's StructureMatcher, against the part of "
            f"mp_20 train at hand (76.7 %, so novelty reads high). Wilson intervals; {clock.cpu:.0f} CPU s.\n\n"
            + "\n".join([head, *map(_line, rows)])
            + f"\n\n{path}"
        ),
    )


def at_temperature(drawer: Any, factor: float) -> Any:
    """A model of crystals whose elements, bins, offsets and cells are drawn by a factor hotter than calibrated.

    The widths of normal laws grow with the root of their temperature.
    """
    from aristotype.models.crystalformer import CrystalFormer

    genes, config = drawer.genes, drawer.config
    hotter = drawer.with_config(
        bin_temperature=config.bin_temperature * factor,
        offset_spread=config.offset_spread * sqrt(factor),
        cell_spread=config.cell_spread * sqrt(factor),
    )
    return CrystalFormer(genes.with_config(temperature=genes.config.temperature * factor), hotter.geometry)


def _row(drawer: Any, train: CrystalTable, group: int | None, factor: float, seed: int) -> Row:
    from aristotype.models.crystalformer import Tries

    conditions = None if group is None else Conditions(space_groups=[group])
    drawer.tries = Tries.none()
    first = drawer.sample(CRYSTALS, conditions, seed=seed, score=False)
    drawer.tries = Tries()
    again = drawer.sample(CRYSTALS, conditions, seed=seed, score=False)
    judged, new = validity(again), novelty_columns(again, train)
    return Row(
        group=group,
        factor=factor,
        apart_first=geometry(first).closeness >= TOUCHING,
        structure_first=validity(first).structure,
        apart=geometry(again).closeness >= TOUCHING,
        structure=judged.structure,
        charge=judged.charge,
        novel=np.array(new["novel"]),
        distinct=np.array(new["unique"]),
    )


def _line(row: Row) -> str:
    flags = (
        *(row.structure_first, row.apart_first, row.apart, row.charge, row.structure & row.charge),
        *(row.novel, row.distinct),
    )
    return f"| {row.group or 'all'} | {row.factor:g} | " + " | ".join(map(share_text, flags)) + " |"


def _picture(rows: Sequence[Row]) -> Any:
    """Valid against novel and distinct, one line a set of groups, its points the factors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 3.3), layout="constrained")
    panels = figure.subplots(1, 2)
    for group, colour in zip(GROUPS, (REAL, GENERATED), strict=True):
        own = [row for row in rows if row.group == group]
        label = "all groups" if group is None else f"group {group}"
        for axes, values in (
            (panels[0], [np.mean(row.novel & row.distinct) for row in own]),
            (panels[1], [np.mean(row.distinct) for row in own]),
        ):
            valid = [np.mean(row.structure_first & row.charge) for row in own]
            axes.plot(values, valid, "o-", color=colour, label=label, markersize=4)
            for row, x, y in zip(own, values, valid, strict=True):
                axes.annotate(f"{row.factor:g}", (x, y), (3, 4), textcoords="offset points", fontsize=7)
    panels[0].set(xlabel="novel and distinct", ylabel="valid, as drawn first")
    panels[1].set(xlabel="distinct")
    panels[1].legend(fontsize=8, frameon=False)
    return figure
