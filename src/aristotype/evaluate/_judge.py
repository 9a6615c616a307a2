"""What is found of every structure: one row each, with all that the figures are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import gene_keys
from aristotype.evaluate._geometry import Geometry, geometry
from aristotype.evaluate._matching import Matcher
from aristotype.evaluate._novelty import novelty_columns
from aristotype.evaluate._stability import heights, stability
from aristotype.evaluate._validity import Validity, structure_columns, validity

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.crystal import CrystalTable
    from aristotype.evaluate._hull_file import Hull
    from aristotype.evaluate._protocols import Protocol
    from aristotype.evaluate._reference import Reference

Flags = NDArray[np.bool_]
_FORMATION = "formation_energy"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The rows of a table with what was found of them."""

    rows: CrystalTable
    sizes: Geometry
    validity: Validity
    flags: dict[str, Flags]  # (n,) each: valid, unique, novel and, with energies, stable, sun, ...


def judge(
    table: CrystalTable,
    reference: Reference,
    protocol: Protocol,
    hull: Hull | None,
    *,
    processes: int = 1,
    stage: Callable[[str], None] | None = None,
) -> Judged:
    """Judges every structure of a table.

    Args:
        table: n crystals with geometry.
        reference: what is known.
        protocol: the definitions.
        hull: what energies are above; None, or a table without energies, leaves stability out.
        processes: worker processes for matching.
        stage: called with the name of what begins.

    Raises:
        TableError: a row has no geometry.
        UnknownNameError: the protocol asks for a hull that the file does not hold.
    """
    say = stage or (lambda name: None)
    say("validity")
    sizes = geometry(table)
    valid = validity(table, sizes)
    columns: dict[str, Any] = {
        **structure_columns(table, sizes, valid),
        "gene_key": pa.array(gene_keys(table.genes()).tolist(), pa.binary(16)),
    }
    say("uniqueness and novelty")
    matcher = Matcher(ltol=protocol.ltol, stol=protocol.stol, angle=protocol.angle, scale=protocol.scale)
    columns |= novelty_columns(table, reference.known, matcher=matcher, processes=processes)
    flags = {name: _flags(columns[name]) for name in ("valid", "unique", "novel")}
    flags["symmetric"] = table.space_group != 1
    if hull is not None and "energy" in table.columns and protocol.stable is not None:
        say("energies above hull")
        table = _with_given_aside(table)
        columns |= stability(table, hull, kind=protocol.hull, min_distance=sizes.min_distance)
        flags |= _stable(flags, heights(columns), _flags(columns["unphysical"]), protocol)
    columns |= {name: pa.array(values, pa.bool_()) for name, values in flags.items()}
    return Judged(rows=table.with_columns(columns), sizes=sizes, validity=valid, flags=flags)


def _with_given_aside(table: CrystalTable) -> CrystalTable:
    """The table with formation energies that it brings, predicted or labels, under a name that judging leaves alone."""
    names = [name for name in (_FORMATION, f"{_FORMATION}_std") if name in table.columns]
    aside = {name.replace(_FORMATION, f"{_FORMATION}_given"): table.column(name) for name in names}
    return table.with_columns(aside).without_columns(names)


def _stable(
    flags: dict[str, Flags], height: NDArray[np.float64], unphysical: Flags, protocol: Protocol
) -> dict[str, Flags]:
    """Stability and what is counted with it; a structure without an energy is not stable."""
    sound = np.isfinite(height) & ~unphysical
    if protocol.needs_valid:
        sound &= flags["valid"]
    assert protocol.stable is not None
    with np.errstate(invalid="ignore"):
        stable = sound & (height <= protocol.stable)
        metastable = sound & (height <= protocol.metastable) if protocol.metastable is not None else None
    fresh = flags["unique"] & flags["novel"]
    out = {"stable": stable, "sun": stable & fresh, "ssun": stable & fresh & flags["symmetric"]}
    if metastable is not None:
        out |= {"metastable": metastable, "msun": metastable & fresh}
    return out


def _flags(values: Any) -> Flags:
    out: Flags = np.array(values.to_pylist() if isinstance(values, pa.Array) else values, dtype=bool)
    return out
