"""What a preparation leaves besides the table: counts, shares, failures; in the table's metadata and in a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from aristotype._files import atomic_path, printable
from aristotype.crystal import CrystalTable
from aristotype.errors import TableError

if TYPE_CHECKING:
    import os

METADATA_KEY = b"aristotype.dataset"
"""Key of the Parquet metadata under which a prepared table says what it is."""


@dataclass(frozen=True, kw_only=True)
class RowFailure:
    """A row that is not in the table.

    Attributes:
        id: Its name.
        source: The file it stands in.
        row: Its place there, counted from 0.
        split: Its split, None where the source leaves it open.
        reason: Why, with value, limit and remedy.
    """

    id: str
    source: str
    row: int
    split: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class SplitCount:
    """How much of a split is there.

    Attributes:
        split: Its name; empty for failed rows whose split the source leaves open.
        rows: Rows in the table.
        failed: Rows of the sources that are not.
        official_rows: Rows as published, None where nothing is published.
    """

    split: str
    rows: int
    failed: int
    official_rows: int | None = None

    @property
    def share(self) -> float | None:
        """Rows in the table over rows as published."""
        return None if not self.official_rows else self.rows / self.official_rows


@dataclass(frozen=True, kw_only=True)
class PreparedDataset:
    """A prepared table on disk and what is known about it.

    Attributes:
        path: The Parquet file.
        name: Registered name, or the stem of what it was made from.
        title: Name for people.
        address: Digest of sources, settings and versions; equal addresses mean equal tables.
        splits: Counts of every split.
        settings: How structures were encoded.
        versions: Versions of what decides the result.
        sources: Name, digest, size, rows and status of every source.
        duplicate_ids: Rows left out since their id was taken.
        lowered_tolerance: Rows for which the symmetry search lowered the tolerance.
        licence: What may be done with the data; empty where unknown.
        citation: Whom to cite.
        notes: What else to know.
        reused: Whether it was there already, so that nothing was done.
    """

    path: Path
    name: str
    title: str
    address: str
    splits: tuple[SplitCount, ...]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    sources: tuple[Mapping[str, Any], ...]
    duplicate_ids: int = 0
    lowered_tolerance: int = 0
    licence: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()
    reused: bool = False

    @property
    def report_path(self) -> Path:
        """The report beside the table."""
        return report_path(self.path)

    @property
    def num_rows(self) -> int:
        """Rows in the table."""
        return sum(count.rows for count in self.splits)

    @property
    def num_failed(self) -> int:
        """Rows of the sources that are not in the table; the report lists them."""
        return sum(count.failed for count in self.splits)

    @property
    def train_share(self) -> float | None:
        """Rows of the train split over those as published; None for a user's own data and without a train split."""
        return next((count.share for count in self.splits if count.split == "train"), None)

    @property
    def statement(self) -> str:
        """What a model card must say of the train split, as "76.7 % of MP-20 train (20,808 of 27,136 rows)"."""
        train = next((count for count in self.splits if count.split == "train"), None)
        if train is None:
            return f"{self.title} without a train split"
        if train.share is None:
            return f"{self.title} train ({train.rows:,} rows)"
        return f"{percent(train.share)} of {self.title} train ({train.rows:,} of {train.official_rows:,} rows)"

    def table(self, split: str | None = None) -> CrystalTable:
        """Reads the table, or one split of it.

        Raises:
            TableError: the file is gone or broken, or has no row of that split.
        """
        return one_split(CrystalTable.read(self.path), split, printable(self.path))

    def failures(self) -> tuple[RowFailure, ...]:
        """Reads what failed from the report.

        Raises:
            TableError: the report is not there or not whole.
        """
        try:
            rows = json.loads(self.report_path.read_text(encoding="utf-8"))["failures"]
            return tuple(RowFailure(**row) for row in rows)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TableError(
                f"{printable(self.report_path)} is no whole report ({error}); prepare the dataset again with --force"
            ) from error

    def summary(self) -> str:
        """Some lines for people: counts, shares, what is missing, what is unverified."""
        there = " (was there, nothing was done)" if self.reused else ""
        lines = [f"{self.title}: {self.num_rows:,} rows in {printable(self.path)}{there}"]
        for count in self.splits:
            share = "" if count.share is None else f", {percent(count.share)} of the published {count.official_rows:,}"
            failed = f", {count.failed:,} failed" if count.failed else ""
            lines.append(f"  {count.split or 'split open'}: {count.rows:,}{share}{failed}")
        if self.train_share is not None and self.train_share < 0.995:
            lines.append(f"  Say: trained on {self.statement}; novelty against this part reads high")
        for status in ("unverified", "differs"):
            names = [str(source["name"]) for source in self.sources if source["status"] == status]
            if names and self.licence:
                meaning = "no published checksum is known" if status == "unverified" else "not the file that is known"
                lines.append(f"  {status}: {', '.join(names)} ({meaning})")
        if self.lowered_tolerance:
            lines.append(f"  {self.lowered_tolerance:,} rows needed a smaller tolerance; see the column tolerance")
        lines += [f"  {note}" for note in self.notes]
        if self.num_failed:
            lines.append(f"  {self.num_failed:,} rows failed, each with its reason in {printable(self.report_path)}")
        return "\n".join(lines)


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.1f} %"


def report_path(path: str | os.PathLike[str]) -> Path:
    """Where the report of a table stands."""
    return Path(f"{Path(path)}.report.json")


def one_split(table: CrystalTable, split: str | None, name: str) -> CrystalTable:
    """The rows of one split; all of them for None.

    Raises:
        TableError: the table has no column `split`, or no row of that split.
    """
    if split is None:
        return table
    if "split" not in table.columns:
        raise TableError(
            f"{name} has no column split, and the split {split!r} is asked for; prepare it with "
            "`aristotype data prepare`"
        )
    given = table.column("split")
    out = table.filter(pa.compute.equal(given, split).fill_null(False))
    if not len(out):
        found = ", ".join(str(value) for value in sorted(set(given.to_pylist()) - {None})) or "none"
        raise TableError(f"{name} has no row of the split {split!r}; it has {found}")
    return out


def read_prepared(path: str | os.PathLike[str]) -> PreparedDataset | None:
    """What a prepared file says about itself; None if it is not one."""
    try:
        with Path(path).open("rb") as file:
            metadata = pq.read_schema(file).metadata or {}
        content = json.loads(metadata[METADATA_KEY])
        splits = tuple(SplitCount(**count) for count in content.pop("splits"))
        # Derived from the counts, and written for readers without this package.
        del content["train_share"], content["statement"]
        content["sources"], content["notes"] = tuple(content["sources"]), tuple(content["notes"])
        return PreparedDataset(path=Path(path), splits=splits, reused=True, **content)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        return None


def write_prepared(
    prepared: PreparedDataset, table: CrystalTable, failures: tuple[RowFailure, ...], timing: Mapping[str, float]
) -> None:
    """Writes the report and then the table, each whole or not at all.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    content = _content(prepared)
    report = {
        **content,
        "splits": [{**count, "share": split.share} for count, split in zip(content["splits"], prepared.splits)],
        "train_share": prepared.train_share,
        "statement": prepared.statement,
        "timing": dict(timing),
        "num_failed": len(failures),
        "failures": [asdict(failure) for failure in failures],
    }
    with atomic_path(prepared.report_path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    told = {**content, "train_share": prepared.train_share, "statement": prepared.statement}
    metadata = {**(table.arrow.schema.metadata or {}), METADATA_KEY: json.dumps(told).encode()}
    with atomic_path(prepared.path) as temporary, temporary.open("wb") as file:
        pq.write_table(table.arrow.replace_schema_metadata(metadata), file, compression="zstd")


def _content(prepared: PreparedDataset) -> dict[str, Any]:
    """All but where it stands and whether it was there."""
    content = asdict(prepared)
    del content["path"], content["reused"]
    return content
