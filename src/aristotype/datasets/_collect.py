"""Encoded chunks to one table: ids, splits and labels are joined again, and no row gets lost unnamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, unpack
from aristotype.datasets._registry import SPLITS
from aristotype.datasets._report import RowFailure
from aristotype.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aristotype.datasets._read import Rows
    from aristotype.datasets._work import Encoded

Split = str | tuple[float, float, float]
"""One of `SPLITS` for all rows, or shares of train, val and test."""


class Collected:
    """What has come out of the chunks so far.

    Args:
        split: For rows whose split is open; None for `train`.

    Attributes:
        failures: Rows that are not in the table, in the order they were met.
        duplicate_ids: How many of them for an id that was taken.
        num_rows: Rows that are.
    """

    def __init__(self, split: Split | None) -> None:
        self._split = split
        self._parts: list[pa.Table] = []
        self._taken: dict[str, tuple[str, int]] = {}
        self.failures: list[RowFailure] = []
        self.duplicate_ids = 0
        self.num_rows = 0

    def add_unreadable(self, part: Rows) -> None:
        """Lists the rows of a source that could not even be read."""
        for number, reason in part.unreadable:
            name, split = f"{part.source}-{number}", self._open(part.split)
            self.failures.append(RowFailure(id=name, source=part.source, row=number, split=split, reason=reason))

    def add(self, part: Rows, start: int, result: Encoded) -> None:
        """Takes the result of the chunk of a source that begins at `start`; of equal ids the first one stays."""
        columns = part.columns.slice(start, max(result.places, default=-1) + 1)
        for place, suffix, reason in result.failures:
            self._fail(part, start + place, suffix, reason)
        names = columns["id"].to_pylist()
        ids = [names[place] + suffix for place, suffix in zip(result.places, result.suffixes, strict=True)]
        kept = [i for i, name in enumerate(ids) if self._take(name, part, start + result.places[i], result.suffixes[i])]
        if not kept:
            return
        table = unpack(result.table).take(kept)
        rows = columns.take([result.places[i] for i in kept])
        keys = table["gene_key"].to_pylist()
        table = table.set_column(0, "id", pa.array([ids[i] for i in kept], pa.string()))
        table = table.append_column("split", pa.array(self._splits(rows["split"].to_pylist(), keys), pa.string()))
        for name in rows.column_names[2:]:
            table = table.append_column(name, rows[name])
        self._parts.append(table)
        self.num_rows += len(kept)

    def table(self) -> CrystalTable:
        """All rows as one table; a label that one source lacks is null in its rows.

        Raises:
            InputError: a label has types in two sources that do not go together.
        """
        try:
            joined = pa.concat_tables(self._parts, promote_options="permissive")
        except pa.ArrowException as error:
            raise InputError(f"the sources' columns do not fit together ({error}); give the column one type") from error
        return CrystalTable(joined.unify_dictionaries())

    def _take(self, name: str, part: Rows, row: int, suffix: str) -> bool:
        if name not in self._taken:
            self._taken[name] = (part.source, part.numbers[row])
            return True
        source, number = self._taken[name]
        self.duplicate_ids += 1
        reason = f"its id is that of row {number} of {source}; ids must be unique: rename or remove one"
        self._fail(part, row, suffix, reason)
        return False

    def _fail(self, part: Rows, row: int, suffix: str, reason: str) -> None:
        name, split = part.columns["id"][row].as_py(), part.columns["split"][row].as_py()
        self.failures.append(
            RowFailure(
                id=name + suffix, source=part.source, row=part.numbers[row], split=self._open(split), reason=reason
            )
        )

    def _open(self, split: str | None) -> str | None:
        """The split of a row without a gene key; None where the key would decide."""
        if split is not None or isinstance(self._split, tuple):
            return split
        return self._split or "train"

    def _splits(self, given: Sequence[str | None], keys: Sequence[bytes]) -> list[str]:
        if not isinstance(self._split, tuple):
            return [split or self._split or "train" for split in given]
        drawn = _drawn(keys, self._split)
        return [split or str(SPLITS[index]) for split, index in zip(given, drawn, strict=True)]


def _drawn(keys: Sequence[bytes], shares: tuple[float, float, float]) -> NDArray[Any]:
    """Splits (n,) by index from the keys themselves, which are uniform as they are digests."""
    uniform = np.array([int.from_bytes(key[:8], "big") for key in keys], np.float64) / 2.0**64
    return np.searchsorted(np.cumsum(shares)[:2], uniform, side="right")
