"""WyckoffAUGen asked for a formula: how often it writes the gene that is known, by masks alone and weighed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aristotype.crystal import Conditions, GeneBatch, formulas, gene_keys
from benchmarks.augen import augen_model
from benchmarks.core import Clock, Context, Outcome, Section, Skipped
from benchmarks.data import model, random_rows, split

FORMULAS, DRAWS = 100, 32
_BESIDE = "wyckoff-transformer-mp20"


def augen_formulas(context: Context) -> Outcome:
    """WyckoffAUGen: formulas of mp_20_val asked for; how many draws are of the known group, and of the known gene."""
    from aristotype.models.wyckoff_augen import WyckoffAugen

    ours, other = augen_model(context), model(_BESIDE)
    if not isinstance(ours, WyckoffAugen):
        raise Skipped(f"{ours.name} keeps to a formula by masks alone; this is for the family wyckoff-augen")
    table = split(context, "val")
    known = random_rows(table.filter(ours.writes(table.genes())), FORMULAS, context.seed).genes()
    ways: dict[str, Callable[[str], GeneBatch]] = {
        f"`{ours.name}`, masks alone": lambda formula: _written(ours, formula, context.seed, weighed=False),
        f"`{ours.name}`": lambda formula: _written(ours, formula, context.seed, weighed=True),
        f"`{other.name}`": lambda formula: other.sample(
            DRAWS, Conditions(formula=formula), seed=context.seed, score=False
        ).genes(),
    }
    lines = [_row(name, draw, known) for name, draw in ways.items()]
    head = (
        "| model | of the known group | of the known gene | known genes among the draws | sites | CPU s a draw |\n"
        + "|---" * 6
        + "|\n"
    )
    note = (
        f"{len(known)} random crystals of mp_20_val, seed {context.seed}; {DRAWS} genes drawn for each formula, with "
        "up to 40 atoms in the primitive cell. Known crystals have "
        f"{known.num_sites.mean():.2f} sites. Intervals: twice the standard error over formulas."
    )
    yield Section(
        title="Formulas asked of WyckoffAUGen", text=f"{note}\n\n{head}" + "|---" * 6 + "|\n" + "\n".join(lines)
    )


def _written(ours: Any, formula: str, seed: int, weighed: bool) -> GeneBatch:
    """Genes without cells and coordinates."""
    import torch

    from aristotype.models.wyckoff_augen._drawing import Asked
    from aristotype.models.wyckoff_augen._spaces import Spaces
    from aristotype.models.wyckoff_augen.diffusion._sampler import DiffusionDrawing

    spaces, rows = Spaces(ours, Conditions(formula=formula)), np.arange(DRAWS)
    group, space = spaces.draw(seed, rows)

    def others(numbers: Any) -> Any:
        return spaces.draw(seed, numbers)

    drawing = DiffusionDrawing(ours, Asked(group, space, seed, rows, spaces.limits, others=others))
    with torch.no_grad():
        (drawing.write if weighed else drawing.write_sites)()
    genes: GeneBatch = drawing.written()
    return genes


def _row(name: str, draw: Callable[[str], GeneBatch], known: GeneBatch) -> str:
    keys = gene_keys(known, merge_enantiomorphs=True).tolist()
    group, gene, sites = (np.zeros(len(known)) for _ in range(3))
    with Clock() as clock:
        drawn = [draw(formula) for formula in formulas(known)]
    for row, genes in enumerate(drawn):
        group[row] = (genes.space_group == known.space_group[row]).mean()
        gene[row] = np.mean([key == keys[row] for key in gene_keys(genes, merge_enantiomorphs=True).tolist()])
        sites[row] = genes.num_sites.mean()
    shares = " | ".join(
        f"{part.mean():.1%} ± {2 * part.std() / np.sqrt(len(part)):.1%}" for part in (group, gene, gene > 0)
    )
    return f"| {name} | {shares} | {sites.mean():.2f} | {clock.cpu / (len(known) * DRAWS):.3f} |"
