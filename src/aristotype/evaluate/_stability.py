"""Energies above hull of a table, how far they can be trusted, and what is not physical at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import element_symbol
from aristotype.errors import InputError, TableError
from aristotype.evaluate._counts import compositions
from aristotype.evaluate._hull import Floats, Kind
from aristotype.evaluate._hull_file import Hull

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

MIN_DISTANCE = 0.5
"""Angstrom below which two atoms have collapsed."""
MIN_FORMATION_ENERGY = -5.0
"""eV/atom below which no compound is: CHGNet falls to -80 where atoms overlap."""


def stability(table: CrystalTable, hull: Hull, *, kind: Kind | None = None, min_distance: Floats) -> dict[str, Any]:
    """Columns about the energy of each row.

    Args:
        table: crystals with the column `energy`, total energies in eV/atom of the calculator of the hull; null where
            there is none.
        hull: entries to fall apart into.
        kind: which of its hulls; None takes its default.
        min_distance: (n,) smallest distance of two atoms in Angstrom.

    Returns:
        `formation_energy`, `e_above_hull` (by `kind`), `e_above_hull_<kind>` for every hull there is, `hull_entries`
        (other formulas in the chemical system), `hull_confidence`, `hull_missing` (elements without an entry, null
        where none is missing) and `unphysical`. Energies above hull are null where there is no energy, where an
        element is missing, and where the structure is not physical.

    Raises:
        TableError: there is no column `energy`, or it holds no numbers.
        InputError: the energies are of another potential than the hull's.
        UnknownNameError: the file does not hold that hull.
    """
    kind = kind or hull.default_kind
    _check_calculator(table, hull)
    energy = _energies(table)
    amounts = compositions(table.genes())
    formation = hull.formation_energies(amounts, energy)
    unphysical = (formation < MIN_FORMATION_ENERGY) | (min_distance < MIN_DISTANCE)
    columns: dict[str, Any] = {"formation_energy": _column(formation)}
    chosen = hull.points(kind).evaluate(amounts)
    for name in hull.kinds:
        height = formation - (chosen if name == kind else hull.points(name).evaluate(amounts)).energy
        height[unphysical] = np.nan
        columns[f"e_above_hull_{name}"] = _column(height)
        if name == kind:
            columns["e_above_hull"] = columns[f"e_above_hull_{name}"]
    columns["hull_entries"] = pa.array(chosen.entries, pa.int32())
    columns["hull_confidence"] = pa.array(chosen.confidence(), pa.string())
    columns["hull_missing"] = pa.array(_missing(amounts, hull, chosen.missing), pa.string())
    columns["unphysical"] = pa.array(unphysical, pa.bool_())
    return columns


def heights(columns: dict[str, Any], name: str = "e_above_hull") -> Floats:
    """Energies above hull (n,) of `stability`, NaN where they are null."""
    out: Floats = np.array(columns[name].to_pylist(), dtype=np.float64)
    return out


def _check_calculator(table: CrystalTable, hull: Hull) -> None:
    """Energies of two potentials have different zeros: above one hull only those of its own mean anything."""
    own = hull.about.get("potential")
    if own is None or "calculator" not in table.columns:
        return
    others = sorted({name for name in table.column("calculator").to_pylist() if name is not None} - {own})
    if others:
        raise InputError(
            f"the energies are by {', '.join(others)}, and the hull is of {own}; relax the structures with it, or give "
            "a hull that `aristotype hull build --calculator` made with the same potential"
        )


def _missing(amounts: NDArray[np.int64], hull: Hull, missing: tuple[str, ...]) -> list[str | None]:
    """Elements without an entry or without a reference energy, None where there is none."""
    unknown = np.isnan(hull.references)
    out: list[str | None] = []
    for row, told in zip(amounts, missing, strict=True):
        names = set(told.split()) | {element_symbol(number) for number in np.flatnonzero((row > 0) & unknown).tolist()}
        out.append(" ".join(sorted(names)) or None)
    return out


def _energies(table: CrystalTable) -> Floats:
    if "energy" not in table.columns:
        raise TableError(
            f"the table has no column energy, only {', '.join(table.columns)}; relax it first (`aristotype relax`), or "
            "add total energies in eV/atom"
        )
    try:
        out: Floats = np.array(table.column("energy").to_pylist(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        kind = table.column("energy").type
        raise TableError(f"the column energy is of type {kind}; total energies in eV/atom are numbers") from error
    return out


def _column(values: Floats) -> pa.Array:
    known: NDArray[np.bool_] = np.isfinite(values)
    return pa.array(np.where(known, values, 0.0), pa.float64(), mask=~known)
