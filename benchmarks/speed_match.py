"""Which structures are new: duplicates of their own table, and matches in a training part."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aristotype.crystal import CrystalTable, encode_arrays, formulas
from aristotype.evaluate import Matcher, novelty_columns
from benchmarks.core import Clock, Context, Measurement, Outcome, Skipped
from benchmarks.data import data_folder, split

FILE = "peer_structures.parquet"
MODEL = "DiffCSP++"
PROCESSES = 2
ROWS = 300


def match(context: Context) -> Outcome:
    """Structures of a published model against the training part, and a part of them beside pymatgen's own matcher."""
    table, reference = peer_structures(context), split(context, "train")
    with Clock() as clock:
        columns = novelty_columns(table, reference, processes=PROCESSES)
    duplicates, known = (len(table) - columns[name].null_count for name in ("duplicate_of", "reference_match"))
    yield Measurement(
        work=f"uniqueness and novelty at three levels, {MODEL} against mp_20_train",
        value=clock.wall,
        unit="s wall",
        count=f"{len(table):,} structures, {len(reference):,} known",
        cpu_seconds=clock.cpu,
        better="less",
        note=f"{PROCESSES} processes; {duplicates:,} duplicates, {known:,} known",
    )
    yield beside_pymatgen(table, reference, context.seed)


def peer_structures(context: Context) -> CrystalTable:
    """The structures of the model, encoded at 0.1 Angstrom; those that cannot be are left out.

    Raises:
        Skipped: they are not at hand.
    """
    path = data_folder(context) / FILE
    if not path.is_file():
        raise Skipped(f"{path} is not there")
    rows = pq.read_table(path, columns=["model", "lattice", "atomic_numbers", "frac_coords"])
    rows = rows.filter(pc.equal(rows["model"], MODEL))
    lattices, numbers, coords = (rows[name].to_pylist() for name in rows.column_names[1:])
    shaped = [np.reshape(x, (3, 3)) for x in lattices], numbers, [np.reshape(x, (-1, 3)) for x in coords]
    return encode_arrays(*shaped, tolerance=0.1, failures=[], max_gap=None)


def beside_pymatgen(table: CrystalTable, reference: CrystalTable, seed: int) -> Measurement:
    """Random structures whose formula is known: `StructureMatcher.fit` with each of that formula until one matches."""
    from pymatgen.analysis.structure_matcher import ElementComparator, StructureMatcher

    known = defaultdict(list)
    for row, formula in enumerate(formulas(reference.genes())):
        known[formula].append(row)
    names = formulas(table.genes())
    rows = np.array([row for row, name in enumerate(names) if name in known], np.int64)
    if not len(rows):
        raise Skipped(f"no structure of {MODEL} has a formula of the training part")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:ROWS])
    others = sorted({other for row in rows for other in known[names[row]]})
    ours = dict(zip(rows.tolist(), table.take(rows).to_structures(primitive=True)))
    theirs = dict(zip(others, reference.take(others).to_structures(primitive=True)))
    oracle = StructureMatcher(comparator=ElementComparator())
    with Clock() as slow:
        found = [next((x for x in known[names[row]] if oracle.fit(theirs[x], own)), None) for row, own in ours.items()]
    expected = [None if other is None else others.index(other) for other in found]
    with Clock() as clock:
        answers = Matcher().reference_matches(table.take(rows), reference.take(others))
    same = sum(one == other for one, other in zip(answers, expected, strict=True))
    return Measurement(
        work="novelty of structures whose formula is known",
        value=len(rows) / clock.cpu,
        unit="a CPU second",
        count=f"{len(rows)} structures, {len(others)} known, {same} answered as by pymatgen",
        cpu_seconds=clock.cpu,
        seed=seed,
        note=f"a loop over pymatgen's StructureMatcher.fit: {len(rows) / slow.cpu:,.0f}",
    )
