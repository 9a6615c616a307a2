"""What a report page shows: evaluated sets and a reference, with columns as numbers that can be trusted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.errors import InputError, TableError

Floats = NDArray[np.float64]
MAX_SETS = 12
"""Six colours that can be told apart without colour vision, twice, by two kinds of lines."""
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
"""What stands for a number that is not there, and before one below zero."""
_LONGEST_NAME = 80
# Control and format characters (a NUL, a right-to-left override), lone surrogates and unassigned code points.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def printable_text(value: Any, longest: int = _LONGEST_NAME) -> str:
    """A value as one line that a page can hold; what cannot be printed becomes U+FFFD, what is too long is cut off."""
    text = "".join("\ufffd" if unicodedata.category(c) in _UNPRINTABLE else c for c in str(value))
    return text if len(text) <= longest else text[: longest - 1] + "…"


@dataclass(frozen=True, kw_only=True)
class EvaluatedSet:
    """A set of structures with what its evaluation found."""

    name: str
    table: CrystalTable
    summary: Mapping[str, Any] = field(default_factory=dict)
    place: int | None = None  # among the sets of the page, which decides its colour; None for the reference

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def genes(self) -> GeneBatch:
        """The discrete parts of its structures."""
        return self.table.genes()

    def has(self, *columns: str) -> bool:
        """Whether it has all of some columns."""
        return all(name in self.table.columns for name in columns)

    def numbers(self, column: str) -> Floats:
        """(n,) values of a column, NaN where it is null, infinite or absent.

        Raises:
            TableError: the column holds no numbers.
        """
        if column not in self.table.columns:
            return np.full(len(self), np.nan)
        values = self.table.column(column)
        try:
            out = np.array(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TableError(
                f"column {column} of {self.name!r} has the type {values.type}, and numbers are needed: {error}; "
                "leave it out or make it a float"
            ) from error
        out[~np.isfinite(out)] = np.nan
        return out

    def flags(self, column: str) -> NDArray[np.bool_]:
        """(n,) whether a column of booleans is true; null or absent counts as false."""
        return np.nan_to_num(self.numbers(column)) > 0

    def energies(self, column: str) -> Floats:
        """(n,) energies, NaN too where the structure is unphysical, for which a potential returns any number."""
        return np.where(self.flags("unphysical"), np.nan, self.numbers(column))


@dataclass(frozen=True, kw_only=True)
class Sets:
    """The sets of a page, side by side, and what they are compared with."""

    evaluated: tuple[EvaluatedSet, ...]
    reference: EvaluatedSet | None = None

    @property
    def everything(self) -> tuple[EvaluatedSet, ...]:
        """The reference first, if there is one, so that it is drawn behind the others; sets without rows left out."""
        all_of_them = self.evaluated if self.reference is None else (self.reference, *self.evaluated)
        return tuple(one for one in all_of_them if len(one))


@dataclass(frozen=True, kw_only=True)
class Values:
    """Finite numbers of one set, to be drawn."""

    owner: EvaluatedSet
    numbers: Floats  # (m,)


def gathered(sets: Sets, numbers: Callable[[EvaluatedSet], Floats]) -> list[Values]:
    """What is finite among the numbers of each set; sets without any are left out."""
    found = [(one, np.asarray(numbers(one), np.float64)) for one in sets.everything]
    return [
        Values(owner=one, numbers=values[np.isfinite(values)]) for one, values in found if np.isfinite(values).any()
    ]


def evaluated_sets(
    evaluations: Sequence[tuple[Mapping[str, Any], pa.Table]], reference: pa.Table | None, reference_name: str
) -> Sets:
    """The sets of a page from summaries and tables; sets of one name are numbered.

    Raises:
        InputError: there is no set, or more than `MAX_SETS`.
        TableError: a table is no table of crystals.
    """
    if not 1 <= len(evaluations) <= MAX_SETS:
        raise InputError(f"{len(evaluations)} evaluated sets; a page shows 1 to {MAX_SETS}: write several pages")
    names = [printable_text(summary.get("name") or "unnamed") for summary, _ in evaluations]
    repeated = {name for name in names if names.count(name) > 1}
    sets = tuple(
        EvaluatedSet(
            name=f"{name} ({place + 1})" if name in repeated else name,
            table=CrystalTable(rows),
            summary=summary,
            place=place,
        )
        for place, (name, (summary, rows)) in enumerate(zip(names, evaluations, strict=True))
    )
    known = (
        None if reference is None else EvaluatedSet(name=printable_text(reference_name), table=CrystalTable(reference))
    )
    return Sets(evaluated=sets, reference=known)
