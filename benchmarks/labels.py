"""Our protostructure labels beside pymatgen's: how often they agree, and which change with the description."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from pymatgen.analysis import prototypes
from pymatgen.core import Lattice, Structure

from aristotype.cli._conditions import parse_label
from aristotype.crystal import GeneBatch, encode, gene_keys, protostructure_labels
from aristotype.errors import AristotypeError
from benchmarks.core import Clock, Context, Outcome, Section
from benchmarks.data import random_rows, split
from benchmarks.intervals import share_text

STRUCTURES = 2_000
_TOLERANCE = 0.1  # Angstrom, of all
_FAILED = "failed"


def labels(context: Context) -> Outcome:
    """Labels of known structures as they are stored, and of the same ones in another cell with another origin."""
    table = random_rows(split(context, "val"), STRUCTURES, context.seed)
    rng = np.random.default_rng(context.seed)
    given = table.to_structures()
    moved = [redescribed(structure, rng) for structure in given]
    mine, mine_cpu = _labelled(_ours, given)
    lines = [_line("ours", mine, _labelled(_ours, moved)[0], mine, mine_cpu)]
    for name, label in (
        ("pymatgen, spglib", lambda s: prototypes.get_protostructure_label_from_spglib(s, raise_errors=True)),
        ("pymatgen, moyopy", lambda s: prototypes.get_protostructure_label_from_moyopy(s, raise_errors=True)),
    ):
        theirs, cpu = _labelled(label, given)
        lines.append(_line(name, theirs, _labelled(label, moved)[0], mine, cpu))
    text = (
        f"{len(given):,} random structures of mp_20 val, tolerance {_TOLERANCE:g} Angstrom. `same gene`: read back, "
        "the label describes an equivalent gene of ours, whatever the letters and the Pearson symbol. `changes`: the "
        "label differs when the same crystal is given with another origin, another primitive cell and its sites in "
        "another order."
    )
    head = (
        "| labels | the same text as ours | same gene as ours | changes with the description | failed | a CPU second |"
    )
    yield Section(title="Protostructure labels", text="\n".join([text, "", head, "|---|" + "---|" * 5, *lines]))


def redescribed(structure: Any, rng: np.random.Generator) -> Any:
    """The same crystal: another primitive cell of the same lattice, a random origin, sites in another order."""
    change = np.eye(3, dtype=int)
    for _ in range(2):
        row, other = rng.choice(3, 2, replace=False)
        step = np.eye(3, dtype=int)
        step[row, other] = rng.choice([-1, 1])
        change = step @ change
    coordinates = np.mod((structure.frac_coords + rng.random(3)) @ np.linalg.inv(change), 1.0)
    order = rng.permutation(len(structure))
    species = [structure[int(site)].species for site in order]
    return Structure(Lattice(change @ structure.lattice.matrix), species, coordinates[order])


def _ours(structure: Any) -> str:
    return str(protostructure_labels(encode([structure], tolerance=_TOLERANCE, max_gap=None).genes())[0])


def _labelled(label: Callable[[Any], Any], structures: list[Any]) -> tuple[list[str], float]:
    """A label for each structure, or `_FAILED`, and structures a CPU second."""
    found = []
    with warnings.catch_warnings(), Clock() as clock:
        warnings.simplefilter("ignore")
        for structure in structures:
            try:
                found.append(str(label(structure)))
            except Exception:  # noqa: BLE001 (what other people's code raises, for any reason, is a label that failed)
                found.append(_FAILED)
    return found, len(structures) / clock.cpu


def _line(name: str, found: list[str], moved: list[str], ours: list[str], speed: float) -> str:
    same = [a == b for a, b in zip(found, ours, strict=True)]
    both = [_same_gene(a, b) for a, b in zip(found, ours, strict=True)]
    changed = [a != b for a, b in zip(found, moved, strict=True)]
    cells = [share_text(same), share_text(both), share_text(changed), f"{found.count(_FAILED)}", f"{speed:.0f}"]
    return f"| {name} | {' | '.join(cells)} |"


def _same_gene(label: str, other: str) -> bool:
    if label == other:
        return True
    try:
        genes = GeneBatch.concatenate([parse_label(label), parse_label(other)])
    except AristotypeError:
        return False
    one, two = gene_keys(genes).tolist()
    return bool(one == two)
