"""Which structures are new: duplicates of their own table, and matches in a training part."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aristotype.crystal import CrystalTable, encode_arrays
from aristotype.evaluate import Matcher, novelty_columns
from benchmarks.core import Clock, Context, Measurement, Outcome, Skipped
from benchmarks.data import data_folder, split

FILE = "peer_structures.parquet"
MODEL = "DiffCSP++"
PROCESSES = 2
PAIRS = 300


def match(context: Context) -> Outcome:
    """Structures of a published model against the training part, and single pairs beside pymatgen's own matcher."""
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
    yield pairs_beside_pymatgen(table, reference, columns["reference_match"].to_pylist(), context.seed)


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


def pairs_beside_pymatgen(
    table: CrystalTable, reference: CrystalTable, matches: list[str | None], seed: int
) -> Measurement:
    """Pairs of a structure and what it matches; `StructureMatcher.fit` reduces both each time, ours too."""
    from pymatgen.analysis.structure_matcher import ElementComparator, StructureMatcher

    place = {name: row for row, name in enumerate(reference.ids)}
    found = np.array([(row, place[name]) for row, name in enumerate(matches) if name is not None])
    if not len(found):
        raise Skipped(f"no structure of {MODEL} matches any of the training part")
    pairs = found[np.random.default_rng(seed).permutation(len(found))[:PAIRS]].tolist()
    ours = [table[row : row + 1].to_structures(primitive=True)[0] for row, _ in pairs]
    others = [reference[row : row + 1].to_structures(primitive=True)[0] for _, row in pairs]
    oracle, matcher = StructureMatcher(comparator=ElementComparator()), Matcher()
    with Clock() as theirs:
        expected = [oracle.fit(known, own) for own, known in zip(ours, others, strict=True)]
    with Clock() as clock:
        answers = [matcher.reference_matches([own], [known]) == [0] for own, known in zip(ours, others, strict=True)]
    same = sum(one == other for one, other in zip(answers, expected, strict=True))
    return Measurement(
        work="pairs of structures that match, each reduced anew",
        value=len(pairs) / clock.cpu,
        unit="a CPU second",
        count=f"{len(pairs)} pairs, {same} answered as by pymatgen",
        cpu_seconds=clock.cpu,
        seed=seed,
        note=f"pymatgen's StructureMatcher.fit: {len(pairs) / theirs.cpu:,.0f}",
    )
