"""Round trip of a whole file of real structures: what is read, decoded and encoded again is the same crystal.

Run `python -m tests.crystal.round_trip FILE.parquet` in the repository root for all rows; the tests take a sample.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from aristotype.crystal import Cell, CrystalTable, Failure, decode_table, encode_arrays, gene_keys


@dataclass(kw_only=True)
class RoundTrip:
    """What was found; lists hold ids."""

    rows: int = 0
    seconds: float = 0.0  # CPU seconds of the first encoding
    failures: list[Failure] = field(default_factory=list)
    lowered: list[str] = field(default_factory=list)  # the search ended with a smaller tolerance
    largest_lattice_error: float = 0.0  # Angstrom, against moyopy's standardised cell
    largest_position_error: float = 0.0  # Angstrom
    changed: list[str] = field(default_factory=list)  # another gene when encoded again at 1e-4 Angstrom
    risen: list[tuple[str, int, int]] = field(default_factory=list)  # another gene at the first tolerance: id, from, to


def read_cells(path: Path, rows: slice = slice(None)) -> tuple[list[str], list[Cell]]:
    """Ids and structures of a file with the columns of the data folder."""
    table = pq.read_table(path, columns=["material_id", "lattice", "atomic_numbers", "frac_coords"])
    table = table.take(np.arange(len(table))[rows])
    cells = [
        Cell(np.reshape(lattice, (3, 3)), np.array(numbers, np.int64), np.reshape(coords, (-1, 3)))
        for lattice, numbers, coords in zip(
            table["lattice"].to_pylist(), table["atomic_numbers"].to_pylist(), table["frac_coords"].to_pylist()
        )
    ]
    return table["material_id"].to_pylist(), cells


def encode_all(cells, ids, tolerance, failures=None) -> CrystalTable:
    # Real data holds layers in a vacuum, and all of it is to be encoded: no limit on gaps.
    parts = [[getattr(cell, name) for cell in cells] for name in ("lattice", "numbers", "coords")]
    return encode_arrays(*parts, ids=ids, tolerance=tolerance, failures=failures, max_gap=None)


def standard_cell(cell: Cell, tolerance: float) -> Cell:
    """moyopy's own standardised cell, by nothing of ours."""
    from moyopy import Cell as MoyoCell
    from moyopy import MoyoDataset, Setting

    moyo = MoyoCell(cell.lattice.tolist(), cell.coords.tolist(), cell.numbers.tolist())
    standard = MoyoDataset(moyo, symprec=tolerance, setting=Setting.standard()).std_cell
    return Cell(np.array(standard.basis), np.array(standard.numbers), np.array(standard.positions))


def distance_between(one: Cell, other: Cell) -> float:
    """Largest distance (Angstrom) of an atom from the nearest of its kind in the other; infinite if they differ."""
    if sorted(one.numbers.tolist()) != sorted(other.numbers.tolist()):
        return np.inf
    step = one.coords[:, None] - other.coords[None]
    lengths = np.linalg.norm((step - np.rint(step)) @ one.lattice, axis=-1)
    lengths[one.numbers[:, None] != other.numbers[None]] = np.inf
    nearest = lengths.argmin(axis=1)
    return np.inf if len(set(nearest.tolist())) < len(nearest) else float(lengths.min(axis=1).max())


def round_trip(path: Path, rows: slice = slice(None), tolerance: float = 0.1) -> RoundTrip:
    """Encodes, decodes and encodes again all rows of a file."""
    import time

    ids, cells = read_cells(path, rows)
    by_id = dict(zip(ids, cells))
    found = RoundTrip(rows=len(ids))
    start = time.process_time()
    table = encode_all(cells, ids, tolerance, found.failures)
    found.seconds = time.process_time() - start
    found.lowered = table.filter(table.column("tolerance").to_numpy() != tolerance).ids
    decoded = list(decode_table(table).cells())
    for name, cell in zip(table.ids, decoded):
        standard = standard_cell(by_id[name], tolerance)
        found.largest_lattice_error = max(found.largest_lattice_error, np.abs(cell.lattice - standard.lattice).max())
        found.largest_position_error = max(found.largest_position_error, distance_between(cell, standard))
    keys = gene_keys(table.genes())
    again = encode_all(decoded, table.ids, 1e-4)
    found.changed = again.filter(gene_keys(again.genes()) != keys).ids
    loose = encode_all(decoded, table.ids, tolerance)
    for row in np.flatnonzero(gene_keys(loose.genes()) != keys).tolist():
        found.risen.append((table.ids[row], int(table.space_group[row]), int(loose.space_group[row])))
    return found


if __name__ == "__main__":
    result = round_trip(Path(sys.argv[1]))
    print(f"{result.rows} rows, {len(result.failures)} failures, {result.rows / result.seconds:.0f} rows a CPU second")
    print(f"largest error, lattice: {result.largest_lattice_error:.2g} A")
    print(f"largest error, positions: {result.largest_position_error:.2g} A")
    print(f"another gene at 1e-4 A: {len(result.changed)} {result.changed}")
    print(f"another gene at 0.1 A: {len(result.risen)}")
    for name, before, after in result.risen:
        print(f"  {name}: {before} -> {after}")
    print(f"search ended below 0.1 A: {len(result.lowered)}")
