"""Crystals with their symmetry taken away: primitive cells in space group 1, every atom a site of its own.

`python -m benchmarks.as_p1 OUT.parquet` writes the splits train and val of MP-20 so, to train models on that are
compared with those which know symmetry.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from aristotype.crystal import CrystalTable, decode_table
from aristotype.datasets import load_dataset
from aristotype.symmetry import cell_parameters


def as_p1(table: CrystalTable) -> CrystalTable:
    """The crystals of a table in space group 1, by their primitive cells."""
    atoms = decode_table(table, primitive=True)
    counts = np.diff(atoms.offsets)
    owner = np.repeat(np.arange(len(table)), counts)
    order = np.lexsort((atoms.numbers, owner))
    return CrystalTable.from_arrays(
        space_group=np.ones(len(table), np.int16),
        num_sites=counts,
        elements=atoms.numbers[order],
        wyckoffs=np.zeros(len(order), np.int8),
        free=atoms.coords[order].ravel(),
        lattice=cell_parameters(atoms.lattices),
        ids=table.ids,
    )


def write(path: Path) -> None:
    """Writes both splits, in a column `split`."""
    parts = []
    for split in ("train", "val"):
        table = as_p1(load_dataset("mp_20", split))
        parts.append(table.with_columns(split=[split] * len(table)))
    CrystalTable.concatenate(parts).write(path)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
