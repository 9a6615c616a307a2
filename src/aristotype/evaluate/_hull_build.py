"""`build_hull`: known structures to the points of two hulls, of labels and of a potential's own energies."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from aristotype._files import printable
from aristotype._shards import Shards
from aristotype.calculators import shared_potential, single_points
from aristotype.crystal import CrystalTable, atomic_number, element_symbol, package_version
from aristotype.errors import DataUnavailableError, InputError
from aristotype.evaluate._counts import compositions
from aristotype.evaluate._hull import Floats, Formula, HullPoints, Ints
from aristotype.evaluate._hull_file import Hull, formation_energies, symbols
from aristotype.evaluate._stability import MIN_FORMATION_ENERGY

ELEMENTS_FILE = "mp_elemental_reference_entries_2023-02-07.json.gz"
"""Corrected energies of the elements of the Materials Project, as Matbench Discovery publishes them."""
_NEAR = 0.1  # eV/atom above the hull within which a structure is worth relaxing
_LABELS = ("formation_energy_per_atom", "e_above_hull")


class Relax(Protocol):
    """Energies in eV/atom of crystals after relaxation, NaN where it failed."""

    def __call__(self, table: CrystalTable, *, name: str) -> Floats: ...


@dataclass(frozen=True)
class Known:
    """Known structures under a name."""

    name: str
    table: CrystalTable


def build_hull(
    known: Sequence[Known],
    *,
    calculator: str = "chgnet",
    device: str = "auto",
    references: Literal["mp", "own"] = "mp",
    relax: Relax | None = None,
    processes: int = 1,
    shards: Shards | None = None,
    executor: Executor | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Hull:
    """The points of the reference hull and of the calculator's.

    A row with a formation energy and an energy above hull is an exact point of the hull that the latter refers to:
    their difference is the hull's energy at its composition. Every row gives the calculator a point by its energy at
    the given geometry.

    Args:
        known: structures; labels are the columns `formation_energy_per_atom` and `e_above_hull` (eV/atom).
        calculator: a name or `module:factory`.
        device: `auto`, `cpu` or `cuda`.
        references: where the elements' energies, which formation energies are relative to, come from: `mp`, those of
            the Materials Project (right for potentials trained on its total energies), or `own`, the calculator's
            lowest energy of each element among the structures.
        relax: relaxes the rows within 0.1 eV/atom of the calculator's hull of single points; their energies after
            relaxation count where they are lower. None relaxes nothing.
        processes: worker processes.
        shards: where finished work is kept.
        executor: runs the work instead of processes of our own.
        progress: called with the name of a source, rows done and all rows.

    Raises:
        InputError: there is nothing to build from.
        DataUnavailableError: the elements' energies are not at hand.
    """
    if not sum(len(source.table) for source in known):
        raise InputError("there is no known structure to build a hull from; name a dataset or a table")
    # What can fail at once does so before the work.
    potential = shared_potential(calculator, device)
    published = elemental_references() if references == "mp" else None
    totals = [
        single_points(
            source.table,
            calculator,
            device=device,
            processes=processes,
            shards=shards,
            executor=executor,
            progress=_named(progress, source.name),
        )
        for source in known
    ]
    amounts = [compositions(source.table.genes()) for source in known]
    every, total = np.concatenate(amounts), np.concatenate(totals)
    zero = own_references(every, total) if published is None else published
    relaxed = 0
    if relax is not None:
        total, relaxed = _relaxed(known, every, total, zero, relax)
    labels = np.concatenate([_labels(source.table) for source in known])
    formation, collapsed = _physical(every, total, zero)
    surface = labels[:, 0] - labels[:, 1]
    about = {
        "calculator": calculator,
        "potential": potential.name,
        "fingerprint": potential.fingerprint,
        "references": symbols(zero),
        "sources": [{"name": source.name, "rows": len(source.table)} for source in known],
        "relaxed": relaxed,
        "without_energy": int((~np.isfinite(formation)).sum()),
        "unphysical": collapsed,
        "deviation": deviation(formation, labels[:, 0]),
        "aristotype": package_version(),
    }
    return _joined(every, formation, surface, zero, about)


def elemental_references(folder: str | os.PathLike[str] | None = None) -> Floats:
    """Energies (119,) of the elements in eV/atom that the Materials Project's formation energies are relative to.

    Args:
        folder: the folder with the published file; by default `ARISTOTYPE_DATA`.

    Raises:
        DataUnavailableError: the file is not there.
    """
    place = Path(folder if folder is not None else os.environ.get("ARISTOTYPE_DATA", ".")) / ELEMENTS_FILE
    if not place.is_file():
        raise DataUnavailableError(
            f"{printable(place)} is not there; set ARISTOTYPE_DATA to the folder that holds {ELEMENTS_FILE} (from the "
            "repository janosh/matbench-discovery), or take the elements' own energies"
        )
    out = np.full(119, np.nan)
    for symbol, entry in json.loads(gzip.decompress(place.read_bytes())).items():
        total = entry["energy"] + entry["correction"]
        out[atomic_number(symbol)] = total / sum(entry["composition"].values())
    return out


def own_references(amounts: Ints, total: Floats) -> Floats:
    """Lowest energy (119,) in eV/atom of each element among structures of one element; NaN where there is none."""
    out = np.full(119, np.nan)
    single = np.flatnonzero(((amounts > 0).sum(axis=1) == 1) & np.isfinite(total))
    np.fmin.at(out, amounts[single].argmax(axis=1), total[single])
    return out


def deviation(formation: Floats, labels: Floats) -> dict[str, float | int]:
    """How formation energies deviate from labels, in eV/atom: mean absolute, mean (bias), median."""
    found = (formation - labels)[np.isfinite(formation) & np.isfinite(labels)]
    if not len(found):
        return {"n": 0}
    return {
        "n": len(found),
        "mae": round(float(np.abs(found).mean()), 5),
        "bias": round(float(found.mean()), 5),
        "median": round(float(np.median(found)), 5),
    }


def _named(progress: Callable[[str, int, int], None] | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _labels(table: CrystalTable) -> Floats:
    """(n, 2) formation energies and energies above hull, NaN where unknown."""
    out = np.full((len(table), 2), np.nan)
    for column, name in enumerate(_LABELS):
        if name in table.columns:
            out[:, column] = np.array(table.column(name).to_pylist(), dtype=np.float64)
    return out


def _physical(amounts: Ints, total: Floats, references: Floats) -> tuple[Floats, int]:
    """Formation energies (n,), NaN where the potential collapsed, which would sink a system; how many those are."""
    formation = formation_energies(amounts, total, references)
    collapsed = formation < MIN_FORMATION_ENERGY
    return np.where(collapsed, np.nan, formation), int(collapsed.sum())


def _relaxed(
    known: Sequence[Known], amounts: Ints, total: Floats, references: Floats, relax: Relax
) -> tuple[Floats, int]:
    """Total energies with those near the hull relaxed, and how many they are."""
    formation, _ = _physical(amounts, total, references)
    sound = np.isfinite(formation)
    height = np.full(len(total), np.inf)
    hull = HullPoints(amounts[sound], formation[sound])
    height[sound] = formation[sound] - hull.evaluate(amounts[sound]).energy
    near = height <= _NEAR
    out, start = total.copy(), 0
    for source in known:
        rows = np.flatnonzero(near[start : start + len(source.table)])
        lower = relax(source.table.take(rows), name=source.name)
        out[start + rows] = np.fmin(out[start + rows], lower)
        start += len(source.table)
    return out, int(near.sum())


def _joined(amounts: Ints, formation: Floats, surface: Floats, zero: Floats, about: dict[str, Any]) -> Hull:
    """The lowest entry of each formula, of labels and of the calculator.

    Elements are at zero among labels; so are those with a reference energy of which the calculator saw no structure.
    """
    labelled, computed = np.isfinite(surface), np.isfinite(formation)
    present = np.flatnonzero(amounts.any(axis=0))
    seen = amounts[computed & ((amounts > 0).sum(axis=1) == 1)].any(axis=0)
    unseen = present[~seen[present] & np.isfinite(zero[present])]
    about["elements_without_structure"] = [element_symbol(number) for number in unseen.tolist()]
    entries: list[tuple[Formula, float, bool]] = []
    for flags, energy, elements, own in ((labelled, surface, present, False), (computed, formation, unseen, True)):
        if flags.any():
            pure = np.eye(119, dtype=np.int64)[elements]
            counts = np.concatenate([amounts[flags], pure])
            points = HullPoints(counts, np.concatenate([energy[flags], np.zeros(len(pure))]))
            entries += [(*entry, own) for entry in zip(points.formulas, points.energy.tolist(), strict=True)]
    entries.sort()
    width = max(len(formula) for formula, _, _ in entries)
    numbers, counts = np.zeros((len(entries), width), np.int64), np.zeros((len(entries), width), np.int64)
    for row, (formula, _, _) in enumerate(entries):
        numbers[row, : len(formula)] = [number for number, _ in formula]
        counts[row, : len(formula)] = [count for _, count in formula]
    return Hull(
        elements=numbers,
        amounts=counts,
        energy=np.array([energy for _, energy, _ in entries]),
        computed=np.array([own for _, _, own in entries], bool),
        about=about,
    )
