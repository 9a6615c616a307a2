"""WyckoffAUGen: which part of a draw is to blame for atoms that overlap, and for structures unlike real ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable
from aristotype.evaluate import charge_balanced, evaluate, geometry, load_reference
from benchmarks.augen import FINGERPRINTS, augen_model
from benchmarks.core import Context, Outcome, Section, Skipped
from benchmarks.crystals import TOUCHING
from benchmarks.data import random_rows, split
from benchmarks.intervals import share_text

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen._sequences import Descriptions

KNOWN, DRAWN = 1_000, 2_000
LONG = 15
"""Sites from which on a sequence is taken for one that went astray."""


def augen_parts(context: Context) -> Outcome:
    """WyckoffAUGen: overlaps and CMD where genes, or genes and cells, are those of real crystals; sequences astray."""
    from aristotype.models.wyckoff_augen import Tries, WyckoffAugen
    from aristotype.models.wyckoff_augen._sequences import descriptions_of, first_of_each

    model = augen_model(context)
    if not isinstance(model, WyckoffAugen):
        raise Skipped(f"{model.name} draws coordinates site by site; this is for the family wyckoff-augen")
    kept, model.tries = model.tries, Tries.none()
    val = split(context, "val")
    known = random_rows(val.filter(model.writes(val.genes())), KNOWN, context.seed)
    found = first_of_each(descriptions_of(known))
    reference = load_reference("mp_20", novel_against=("train",), compare="test")
    drawn = model.sample(min(DRAWN, context.genes), seed=context.seed, score=False)
    sets = {
        "known crystals": known,
        "known genes and cells": _completed(model, found, context.seed, cells=False),
        "known genes": _completed(model, found, context.seed, cells=True),
        "nothing known": drawn,
    }
    model.tries = kept
    lines = []
    for name, table in sets.items():
        lines.append(_row(name, table, reference, context.seed))
        print(lines[-1], file=sys.stderr, flush=True)
    head = "| drawn from | n | no pair below .7 | structures valid | W density | CMD |\n" + "|---" * 6 + "|\n"
    note = (
        f"`{model.name}`, every crystal as drawn first, seed {context.seed}. Known crystals are of mp_20_val, at most "
        f"{model.config.max_sites} sites, elements of the model. CMD is that of at most {FINGERPRINTS:,} unique and "
        "novel ones of them and of mp_20_test. 95 % intervals."
    )
    yield Section(title="Parts of WyckoffAUGen", text=f"{note}\n\n{head}" + "\n".join(lines))
    yield Section(title="Overlaps of WyckoffAUGen", text=_overlaps(drawn, known))


def _completed(model: Any, known: Descriptions, seed: int, cells: bool) -> CrystalTable:
    """Known genes with coordinates of the model, and with its cells if those are not kept."""
    import torch

    from aristotype.models.wyckoff_augen._drawing import Asked
    from aristotype.models.wyckoff_augen.diffusion._sampler import DiffusionDrawing

    genes, rows = known.genes, np.arange(len(known))
    asked = genes.space_group.astype(np.int64), model.members(genes)
    drawing = DiffusionDrawing(model, Asked(*asked, seed, rows, {}, genes=genes))
    with torch.no_grad():
        drawing.write()
        if not cells:
            drawing.cell, drawing.lattice = known.cell.copy(), known.lattice.copy()
        drawing.closest[:] = -np.inf
        drawing.move(rows)
    return drawing.table(rows)


def _row(name: str, table: CrystalTable, reference: Any, seed: int) -> str:
    summary, _ = evaluate(
        table, reference=reference, protocol="augen", fingerprints=FINGERPRINTS, resamples=0, seed=seed
    )
    figures = {key: each["value"] for key, each in summary["metrics"].items()}
    return (
        f"| {name} | {len(table):,} | {share_text(geometry(table).closeness >= TOUCHING)} | "
        f"{figures['valid_structure']:.1%} | {figures['emd_density']:.3f} | {figures['cmd']:.3f} |"
    )


def _overlaps(drawn: CrystalTable, known: CrystalTable) -> str:
    """How many of which draws overlap, and how long sequences get."""
    genes = drawn.genes()
    overlap = geometry(drawn).closeness < TOUCHING
    balanced, sites = charge_balanced(genes), genes.num_sites
    which: dict[str, NDArray[np.bool_]] = {
        "all": np.ones(len(drawn), bool),
        "charges balance": balanced,
        "charges do not": ~balanced,
        "1 to 4 sites": sites <= 4,
        f"5 to {LONG - 1} sites": (sites > 4) & (sites < LONG),
        f"{LONG} sites and more": sites >= LONG,
    }
    lines = []
    for name, here in which.items():
        lines.append(f"| {name} | {share_text(here)} | {share_text(overlap[here])} | {share_text(balanced[here])} |")
    long = share_text(known.genes().num_sites >= LONG)
    head = "| draws | of all | overlap | balance |\n" + "|---" * 4 + "|\n"
    return f"Of the known crystals {long} have {LONG} sites and more.\n\n{head}" + "\n".join(lines)
