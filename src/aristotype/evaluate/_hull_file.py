"""Hulls on disk: formulas and formation energies, from labels, from a potential, or both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aristotype._files import atomic_path, printable, refuse_overwrite
from aristotype.crystal import atomic_number, element_symbol
from aristotype.errors import InputError, TableError, UnknownNameError
from aristotype.evaluate._hull import KINDS, Floats, HullPoints, Ints, Kind

if TYPE_CHECKING:
    import os

_METADATA = b"aristotype.hull"
_VERSION = 1
SHIPPED = "chgnet"
"""The hull in the package: energies of CHGNet for known structures."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Hull:
    """Entries of two sources in one frame: formation energies relative to the same elements.

    Attributes:
        elements: (m, w) atomic numbers of each entry, 0 beyond the last.
        amounts: (m, w) atoms of each in the reduced formula.
        energy: (m,) formation energies in eV/atom.
        computed: (m,) whether the energy is the calculator's own; others are labels.
        about: calculator and its fingerprint, `references` (eV/atom of each element), what the entries came from, and
            the calculator's deviation from labels.
    """

    elements: Ints
    amounts: Ints
    energy: Floats
    computed: np.ndarray[Any, np.dtype[np.bool_]]
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.energy)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The hulls that can be made of its entries."""
        if self.computed.all() or not self.computed.any():
            return ("calculator",) if self.computed.any() else ("reference",)
        return KINDS

    @property
    def default_kind(self) -> Kind:
        """Both sources joined, where there are both."""
        return "joined" if len(self.kinds) > 1 else self.kinds[0]

    @cached_property
    def references(self) -> Floats:
        """(119,) energies of the elements in eV/atom that formation energies are relative to; NaN where unknown."""
        out = np.full(119, np.nan)
        for symbol, value in self.about["references"].items():
            out[atomic_number(symbol)] = value
        return out

    def points(self, kind: Kind) -> HullPoints:
        """The entries of one hull.

        Raises:
            UnknownNameError: it cannot be made of what is here.
        """
        if kind not in self.kinds:
            raise UnknownNameError(f"there is no hull {kind!r} in this file, only {', '.join(self.kinds)}; build one")
        return self._points(kind)

    @lru_cache(maxsize=3)  # noqa: B019 (hulls are few and live as long as the process)
    def _points(self, kind: Kind) -> HullPoints:
        keep = {"reference": ~self.computed, "calculator": self.computed}.get(kind, np.ones(len(self), bool))
        counts = np.zeros((int(keep.sum()), 119), np.int64)
        rows = np.arange(len(counts))[:, None]
        np.add.at(counts, (rows, self.elements[keep]), self.amounts[keep])
        return HullPoints(counts, self.energy[keep])

    def formation_energies(self, amounts: Ints, energy: Floats) -> Floats:
        """(n,) formation energies in eV/atom of compositions (n, 119) with total energies (n,) in eV/atom."""
        return formation_energies(amounts, energy, self.references)

    def write(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Writes a Parquet file.

        Raises:
            OutputError: the path exists, or cannot be written.
        """
        refuse_overwrite(path, force)
        used = self.elements > 0
        offsets = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int32)
        table = pa.table(
            {
                "elements": pa.ListArray.from_arrays(offsets, pa.array(self.elements[used].astype(np.int8))),
                "amounts": pa.ListArray.from_arrays(offsets, pa.array(self.amounts[used].astype(np.int16))),
                "energy": pa.array(self.energy, pa.float32()),
                "computed": pa.array(self.computed),
            }
        ).replace_schema_metadata({_METADATA: json.dumps({"version": _VERSION, **self.about}).encode()})
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd", compression_level=19)


def formation_energies(amounts: Ints, energy: Floats, references: Floats) -> Floats:
    """Formation energies (n,) in eV/atom of compositions (n, 119); NaN where an element has no reference (119,)."""
    fractions = amounts / amounts.sum(axis=1, keepdims=True)
    unknown = (fractions[:, np.isnan(references)] > 0).any(axis=1)
    return np.where(unknown, np.nan, energy - fractions @ np.nan_to_num(references))


def read_hull(path: str | os.PathLike[str] | None = None) -> Hull:
    """A hull from a file; without a path the one that ships with the package.

    Raises:
        InputError: there is no such file.
        TableError: it is no hull, or of a version that this release does not know.
    """
    source = Path(str(files("aristotype.evaluate") / "hulls" / f"{SHIPPED}.parquet")) if path is None else Path(path)
    if not source.is_file():
        raise InputError(f"{printable(source)} is no file; make a hull with `aristotype hull build`")
    try:
        table = pq.read_table(pa.BufferReader(source.read_bytes()))
        about = json.loads((table.schema.metadata or {})[_METADATA])
        numbers, amounts = (_padded(table[name]) for name in ("elements", "amounts"))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise TableError(
            f"{printable(source)} is no hull ({type(error).__name__}: {error}); make one with `aristotype hull build`"
        ) from error
    if about.pop("version") != _VERSION:
        raise TableError(f"{printable(source)} is a hull of another version than {_VERSION}; build it again")
    return Hull(
        elements=numbers,
        amounts=amounts,
        energy=table["energy"].to_numpy().astype(np.float64),
        computed=table["computed"].to_numpy(),
        about=about,
    )


def _padded(column: pa.ChunkedArray) -> Ints:
    array = column.combine_chunks()
    counts = array.value_lengths().to_numpy()
    used = np.arange(counts.max(initial=1)) < counts[:, None]
    out = np.zeros(used.shape, np.int64)
    out[used] = array.flatten().to_numpy()
    return out


def symbols(references: Floats) -> dict[str, float]:
    """Energies (119,) by symbol, unknown ones left out."""
    return {element_symbol(z): round(float(references[z]), 6) for z in np.flatnonzero(np.isfinite(references)).tolist()}
