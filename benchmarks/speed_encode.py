"""Structures to canonical genes with all their equivalent descriptions."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq

from aristotype.crystal import DEFAULT_TOLERANCE, canonical_genes, encode_arrays, equivalents, gene_keys
from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome, Skipped
from benchmarks.data import data_folder

FILE = "mp_20_val.parquet"


def encode(context: Context) -> Outcome:
    """The whole validation split, from arrays in memory; the steps after the symmetry search also by themselves."""
    path = data_folder(context) / FILE
    if not path.is_file():
        raise Skipped(f"{path} is not there")
    columns = pq.read_table(path, columns=["lattice", "atomic_numbers", "frac_coords"])
    lattices, numbers, coords = (columns[name].to_pylist() for name in columns.column_names)
    shaped = ([np.reshape(x, (3, 3)) for x in lattices], numbers, [np.reshape(x, (-1, 3)) for x in coords])
    encode_arrays(*(part[:50] for part in shaped), max_gap=None)  # tables are read, caches filled
    failures: list = []
    with Clock() as search:
        table = encode_arrays(*shaped, failures=failures, max_gap=None)
    with Clock() as rest:
        genes = canonical_genes(table.genes())
        described, _ = equivalents(genes)
        gene_keys(genes)
    total = search.cpu + rest.cpu
    yield Measurement(
        work="structures to canonical genes with equivalents, mp_20_val",
        value=len(numbers) / total,
        unit="a CPU second",
        count=f"{len(numbers):,} structures, {len(failures)} failed",
        cpu_seconds=total,
        published=published.ENCODED_PER_SECOND,
        note=f"{DEFAULT_TOLERANCE} A; {len(described):,} descriptions",
    )
    yield Measurement(
        work="of it canonical genes, equivalents and keys",
        value=len(genes) / rest.cpu,
        unit="a CPU second",
        count=f"{len(genes):,} genes",
        cpu_seconds=rest.cpu,
    )
