"""Preparing: every row is in the table or in the report, whatever the source, the processes and the way it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aristotype._files import output_lock
from aristotype.crystal import CrystalTable, encode, encode_arrays, gene_keys
from aristotype.datasets import Estimate, _load, _prepare, estimate, load_dataset, open_dataset, prepare, read_prepared
from aristotype.datasets._report import METADATA_KEY
from aristotype.errors import InputError, OutputError, TableError, UnknownNameError
from tests.datasets.sources import arrays_table, extxyz, structures, write_arrays, write_csv

BAD = {
    "null lattice": lambda row: row.update(lattice=None),
    "eight numbers": lambda row: row.update(lattice=row["lattice"][:8]),
    "flat": lambda row: row.update(lattice=[0.0] * 9),
    "nan": lambda row: row.update(frac_coords=[float("nan"), *row["frac_coords"][1:]]),
    "odd": lambda row: row.update(frac_coords=row["frac_coords"][:-1]),
    "no atoms": lambda row: row.update(atomic_numbers=[], frac_coords=[]),
    "dummy": lambda row: row.update(atomic_numbers=[0, *row["atomic_numbers"][1:]]),
    "overlap": lambda row: row.update(frac_coords=[0.0] * len(row["frac_coords"])),
    "duplicate": lambda row: row.update(material_id="mp-0"),
}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["good", "good", *BAD]), min_size=1, max_size=12))
def test_every_row_is_in_the_table_or_in_the_report_with_its_reason(tmp_path_factory, kinds):
    folder = tmp_path_factory.mktemp("rows")
    kinds = ["good", *kinds]
    rows = arrays_table(structures(len(kinds))).to_pylist()
    for row, kind in zip(rows, kinds, strict=True):
        BAD.get(kind, lambda row: None)(row)
    schema = arrays_table(structures(1)).schema
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "rows.parquet")
    prepared = prepare(folder / "rows.parquet", out=folder / "out.parquet")
    good = [number for number, kind in enumerate(kinds) if kind == "good"]
    assert prepared.table().ids == [f"mp-{number}" for number in good]
    failures = prepared.failures()
    assert sorted(failure.row for failure in failures) == [n for n in range(len(kinds)) if n not in good]
    assert all(len(failure.reason) > 20 and failure.source == "rows.parquet" for failure in failures)
    assert (prepared.num_rows, prepared.num_failed) == (len(good), len(kinds) - len(good))
    assert prepared.duplicate_ids == kinds.count("duplicate")


def test_the_table_is_what_encoding_gives_with_labels_beside_it(tmp_path):
    rows = structures(12)
    energy = [None if n == 3 else -0.1 * n for n in range(12)]
    path = write_arrays(tmp_path / "own.parquet", rows, band_gap=[float(n) for n in range(12)], energy=energy)
    prepared = prepare(path, out=tmp_path / "out.parquet")
    table = prepared.table()
    plain = encode_arrays(
        [s.lattice.matrix for s in rows],
        [s.atomic_numbers for s in rows],
        [s.frac_coords for s in rows],
        ids=[f"mp-{n}" for n in range(12)],
    )
    assert table.without_columns(["split", "gene_key", "band_gap", "energy"]) == plain
    assert table.column("gene_key").to_pylist() == gene_keys(plain.genes()).tolist()
    assert table.column("gene_key").type == pa.binary(16)
    assert table.column("band_gap").to_pylist() == list(map(float, range(12)))
    assert table.column("energy").to_pylist() == energy
    assert table.column("split").to_pylist() == ["train"] * 12
    assert "formula" not in table.columns and "num_sites" not in table.columns


def test_csv_files_and_encoded_tables_give_the_same_genes_as_arrays(tmp_path):
    rows = structures(10)
    (tmp_path / "files").mkdir()
    for number, structure in enumerate(rows):
        (tmp_path / "files" / f"mp-{number}.extxyz").write_text(extxyz(structure))
    encode(rows).write(tmp_path / "encoded.parquet")
    paths = (
        write_arrays(tmp_path / "a.parquet", rows),
        write_csv(tmp_path / "b.csv", rows),
        tmp_path / "files",
        tmp_path / "encoded.parquet",
    )
    made = [prepare(path, out=tmp_path / f"out{number}.parquet").table() for number, path in enumerate(paths)]
    keys = [dict(zip(table.ids, table.column("gene_key").to_pylist(), strict=True)) for table in made]
    assert keys[0] == keys[1] == keys[2]
    assert {f"mp-{name}": key for name, key in keys[3].items()} == keys[0]
    # The list of elements of a published CSV is not our column of that name.
    assert made[1].column("given_elements").to_pylist()[0].startswith("[")
    assert "" not in made[1].columns


@pytest.mark.slow
def test_prototypes_by_way_of_cif_texts_have_the_genes_of_the_structures(tmp_path):
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

    rows = [entry["snl"].structure for entry in AFLOW_PROTOTYPE_LIBRARY[::6]]
    prepared = prepare(write_csv(tmp_path / "aflow.csv", rows), out=tmp_path / "out.parquet")
    assert prepared.num_failed == 0
    assert prepared.table().column("gene_key").to_pylist() == gene_keys(encode(rows).genes()).tolist()


def test_processes_and_executors_do_not_change_the_result(tmp_path):
    rows = structures(300)
    ids = [f"mp-{n % 290}" for n in range(300)]
    path = write_arrays(tmp_path / "own.parquet", rows, ids)
    one = prepare(path, out=tmp_path / "one.parquet", processes=1)
    two = prepare(path, out=tmp_path / "two.parquet", processes=2)
    with ThreadPoolExecutor(1) as executor:
        three = prepare(path, out=tmp_path / "three.parquet", executor=executor)
    assert one.address == two.address == three.address
    assert one.table() == two.table() == three.table()
    assert one.failures() == two.failures() == three.failures()
    assert one.duplicate_ids == 10
    assert Path(one.path).read_bytes() == Path(two.path).read_bytes()


def test_the_second_time_nothing_is_done(tmp_path, monkeypatch):
    path, out = write_arrays(tmp_path / "own.parquet", structures(5)), tmp_path / "out.parquet"
    first = prepare(path, out=out)
    assert not first.reused
    monkeypatch.setattr(_prepare, "encode_chunk", None)
    second = prepare(path, out=out, processes=2)
    assert second.reused and "nothing was done" in second.summary()
    assert (second.address, second.splits, second.sources) == (first.address, first.splits, first.sources)


def test_something_else_at_out_is_replaced_only_by_force(tmp_path):
    path, out = write_arrays(tmp_path / "own.parquet", structures(5)), tmp_path / "out.parquet"
    first = prepare(path, out=out)
    with pytest.raises(OutputError, match="--force"):
        prepare(path, out=out, tolerance=0.01)
    assert read_prepared(out).address == first.address
    assert prepare(path, out=out, tolerance=0.01, force=True).address != first.address
    out.write_text("precious")
    with pytest.raises(OutputError, match="--force"):
        prepare(path, out=out)
    assert out.read_text() == "precious"


def test_a_lost_report_is_made_again(tmp_path):
    path, out = write_arrays(tmp_path / "own.parquet", structures(5)), tmp_path / "out.parquet"
    prepare(path, out=out).report_path.unlink()
    with pytest.raises(TableError, match="no whole report"):
        read_prepared(out).failures()
    assert not prepare(path, out=out).reused
    assert read_prepared(out).failures() == ()


def test_the_address_follows_the_content_and_not_the_place(tmp_path):
    rows = structures(5)
    here = write_arrays(tmp_path / "here" / "own.parquet", rows)
    there = write_arrays(tmp_path / "there" / "own.parquet", rows)
    other = write_arrays(tmp_path / "other" / "own.parquet", structures(5, seed=1))
    addresses = [prepare(path, out=tmp_path / f"{n}.parquet").address for n, path in enumerate((here, there, other))]
    assert addresses[0] == addresses[1] != addresses[2]


def test_shares_are_drawn_by_gene_and_stay_when_rows_are_added(tmp_path):
    rows = structures(240)
    few = prepare(write_arrays(tmp_path / "a.parquet", rows[:160]), out=tmp_path / "few", split=(0.5, 0.25, 0.25))
    all_ = prepare(write_arrays(tmp_path / "b.parquet", rows), out=tmp_path / "all", split=(0.5, 0.25, 0.25))
    splits = all_.table().column("split").to_pylist()
    assert few.table().column("split").to_pylist() == splits[:160]
    by_key = {}
    for key, split in zip(all_.table().column("gene_key").to_pylist(), splits, strict=True):
        assert by_key.setdefault(key, split) == split
    counts = np.array([list(by_key.values()).count(name) for name in ("train", "val", "test")])
    # Five standard deviations of a binomial draw.
    spread = 5 * np.sqrt(counts.sum() * np.array([0.25, 0.1875, 0.1875]))
    assert (np.abs(counts - counts.sum() * np.array([0.5, 0.25, 0.25])) < spread).all()


def test_rows_that_say_their_split_keep_it(tmp_path):
    given = ["train", "Valid", "test", "", None]
    path = write_arrays(tmp_path / "own.parquet", structures(5), split=given)
    table = prepare(path, out=tmp_path / "out.parquet", split="test").table()
    assert table.column("split").to_pylist() == ["train", "val", "test", "test", "test"]
    wrong = write_arrays(tmp_path / "wrong.parquet", structures(1), split=["fold-3"])
    with pytest.raises(InputError, match="fold-3"):
        prepare(wrong, out=tmp_path / "x.parquet")


def test_folders_of_splits(tmp_path):
    rows = structures(9)
    for number, split in enumerate(("train", "val", "test")):
        write_arrays(
            tmp_path / "tables" / f"{split}.parquet", rows[3 * number :][:3], [f"{split}-{n}" for n in range(3)]
        )
        (tmp_path / "files" / split).mkdir(parents=True)
        for n, structure in enumerate(rows[3 * number :][:3]):
            structure.to(filename=str(tmp_path / "files" / split / f"{split}-{n}.cif"))
    for name in ("tables", "files"):
        prepared = prepare(tmp_path / name, out=tmp_path / f"{name}.parquet")
        table = prepared.table()
        splits = dict(zip(table.ids, table.column("split").to_pylist(), strict=True))
        assert splits == {f"{split}-{n}": split for split in ("train", "val", "test") for n in range(3)}
        assert prepared.train_share is None
        assert prepared.statement == f"{name} train (3 rows)"
        assert len(prepared.table("val")) == 3


def test_files_with_several_structures_poscars_and_equal_names(tmp_path):
    rows = structures(6)
    folder = tmp_path / "mixed"
    (folder / "run1").mkdir(parents=True)
    (folder / "run2").mkdir()
    (folder / "run1" / "POSCAR").write_text(rows[0].to(fmt="poscar"))
    (folder / "run2" / "POSCAR").write_text(rows[1].to(fmt="poscar"))
    (folder / "frames.extxyz").write_text(extxyz(rows[2]) + extxyz(rows[3]))
    (folder / "two.cif").write_text(rows[4].to(fmt="cif") + "\n" + rows[5].to(fmt="cif").replace("data_", "data_x"))
    (folder / "bad.cif").write_text("nonsense")
    (folder / "notes.txt").write_text("no structure")
    prepared = prepare(folder, out=tmp_path / "out.parquet")
    ids = prepared.table().ids
    assert {"run1", "run2", "frames-1", "frames-2"} <= set(ids) and len(ids) == 6
    assert sum(name.startswith("two-") for name in ids) == 2
    assert [(failure.id, failure.row) for failure in prepared.failures()] == [("bad", 0)]


def test_frames_that_name_themselves(tmp_path):
    rows = structures(2)
    named = [extxyz(s).replace("pbc=", f"id={name} pbc=") for s, name in zip(rows, ("alpha", "beta"), strict=True)]
    (tmp_path / "frames.extxyz").write_text("".join(named))
    assert prepare(tmp_path / "frames.extxyz", out=tmp_path / "o.parquet").table().ids == [
        "frames-alpha",
        "frames-beta",
    ]


def test_paths_that_are_not_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    structures(1)[0].to(filename=str(tmp_path / "x.cif"))
    (folder / os.fsdecode(b"\xff.cif")).write_bytes((tmp_path / "x.cif").read_bytes())
    prepared = prepare(folder, out=folder / os.fsdecode(b"\xfe.parquet"))
    assert prepared.table().ids == ["\\xff"]
    assert json.loads(prepared.report_path.read_text())["name"] == "caf\\xe9"


def test_nothing_that_can_be_encoded_is_an_error_with_reasons(tmp_path):
    (tmp_path / "bad.cif").write_text("nonsense")
    with pytest.raises(InputError, match=r"none of 1 rows .*bad: "):
        prepare(tmp_path / "bad.cif", out=tmp_path / "out.parquet")
    assert {file.name for file in tmp_path.iterdir()} == {"bad.cif"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tolerance": -1.0}, "tolerance -1"),
        ({"tolerance": float("nan")}, "tolerance nan"),
        ({"max_atoms": 0}, "max_atoms 0"),
        ({"max_gap": 0.0}, "max_gap 0"),
        ({"processes": 0}, "processes is 0"),
        ({"split": "all"}, "'all'"),
        ({"split": (0.5, 0.2, 0.2)}, "add up to 1"),
        ({"source": "."}, "source folder"),
    ],
)
def test_settings_out_of_range(tmp_path, wrong, message):
    path = write_arrays(tmp_path / "own.parquet", structures(2))
    with pytest.raises(InputError, match=message):
        prepare(path, out=tmp_path / "out.parquet", **wrong)
    assert {file.name for file in tmp_path.iterdir()} == {"own.parquet"}


def test_slabs_count_as_crystals_only_where_that_is_asked(tmp_path):
    slab = structures(1)[0].copy()
    slab.lattice = type(slab.lattice).tetragonal(slab.lattice.a, 40.0)
    path = write_arrays(tmp_path / "own.parquet", [*structures(2), slab])
    assert "vacuum" in prepare(path, out=tmp_path / "a.parquet").failures()[0].reason
    assert prepare(path, out=tmp_path / "b.parquet", max_gap=None).num_failed == 0


def test_progress_tells_rows_done_and_failed(tmp_path):
    rows = structures(300)
    path = write_arrays(tmp_path / "own.parquet", rows, ["a", "a", *map(str, range(298))])
    seen = []
    prepare(path, out=tmp_path / "out.parquet", progress=lambda *state: seen.append(state))
    assert seen == [(256, 300, 1), (300, 300, 1)]


class Counting(ThreadPoolExecutor):
    """Counts what it is given to do."""

    submitted = 0

    def submit(self, *arguments, **keywords):
        self.submitted += 1
        return super().submit(*arguments, **keywords)


@pytest.mark.parametrize("damaged", [False, True])
def test_what_was_interrupted_goes_on(tmp_path, damaged):
    """Finished chunks wait beside the output; only the others are done, and the table is that of one go."""
    path = write_arrays(tmp_path / "own.parquet", structures(600), ["a", "a", *map(str, range(598))])
    out = tmp_path / "out" / "table.parquet"

    def stop(done, total, failed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(path, out=out, progress=stop)
    assert [file.name for file in out.parent.iterdir()] == ["table.parquet.parts"]
    (shard,) = (out.parent / "table.parquet.parts").iterdir()
    if damaged:
        shard.write_bytes(shard.read_bytes()[:100])
    with Counting(1) as executor:
        again = prepare(path, out=out, executor=executor)
        assert executor.submitted == 2
    assert {file.name for file in out.parent.iterdir()} == {"table.parquet", "table.parquet.report.json"}
    at_once = prepare(path, out=tmp_path / "whole.parquet")
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert again.failures() == at_once.failures()


def test_shards_of_other_settings_are_not_used(tmp_path):
    path = write_arrays(tmp_path / "own.parquet", structures(300))

    def stop(done, total, failed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(path, out=tmp_path / "table.parquet", progress=stop)
    with Counting(1) as executor:
        prepare(path, out=tmp_path / "table.parquet", tolerance=0.01, executor=executor)
        assert executor.submitted == 2


def test_an_estimate_counts_and_writes_nothing(tmp_path):
    path = write_arrays(tmp_path / "own.parquet", structures(300))
    before = {file.name for file in tmp_path.iterdir()}
    found = estimate(path, out=tmp_path / "table.parquet")
    assert found.rows == 300
    assert 0 < found.seconds < 60
    assert {file.name for file in tmp_path.iterdir()} == before
    prepare(path, out=tmp_path / "table.parquet")
    assert estimate(path, out=tmp_path / "table.parquet") == Estimate(rows=0, seconds=0)


SCRIPT = """
import sys
from aristotype.datasets import prepare
if __name__ == "__main__":
    def tell(done, total, failed):
        print(done, flush=True)
    try:
        prepare(sys.argv[1], out=sys.argv[2], processes=2, progress=tell)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_run_that_is_stopped_ends_all_processes_and_goes_on(tmp_path, sent, code):
    rows = structures(200)
    path = write_arrays(tmp_path / "own.parquet", rows * 15, [str(n) for n in range(3000)])
    (tmp_path / "script.py").write_text(SCRIPT)
    out = tmp_path / "out" / "table.parquet"
    command = [sys.executable, str(tmp_path / "script.py"), str(path), str(out)]
    environment = os.environ | {"PYTHONPATH": str(Path(_prepare.__file__).parents[2])}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True, text=True
    )
    assert child.stdout is not None and child.stdout.readline().strip() == "256"
    os.killpg(child.pid, sent)  # a terminal sends it to the whole group
    _, errors = child.communicate(timeout=60)
    assert child.returncode == code, errors
    assert "Traceback" not in errors
    assert not out.exists()
    deadline = time.monotonic() + 10
    while _group_lives(child.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _group_lives(child.pid)
    with Counting(1) as executor:
        prepare(path, out=out, executor=executor)
        assert executor.submitted < 12
    assert {file.name for file in out.parent.iterdir()} == {"table.parquet", "table.parquet.report.json"}
    prepare(path, out=tmp_path / "whole.parquet")
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_output_that_another_process_writes_is_refused(tmp_path):
    path, out = write_arrays(tmp_path / "own.parquet", structures(2)), tmp_path / "out.parquet"
    with output_lock(out), pytest.raises(OutputError, match="being written by process"):
        prepare(path, out=out)


def test_loading_waits_for_the_process_that_prepares(tmp_path):
    path = write_arrays(tmp_path / "own.parquet", structures(4))
    target = open_dataset(path).path
    target.unlink()
    began = threading.Event()

    def hold():
        with output_lock(target):
            began.set()
            time.sleep(1.0)

    holder = threading.Thread(target=hold)
    holder.start()
    began.wait()
    assert len(load_dataset(path, "train")) == 4
    holder.join()


def test_loading_prepares_once_and_takes_tables_as_they_are(tmp_path):
    path = write_arrays(tmp_path / "own.parquet", structures(4), split=["train", "train", "val", "test"])
    assert not open_dataset(path).reused
    assert open_dataset(path).reused
    assert load_dataset(path, "val").ids == ["mp-2"]
    assert len(load_dataset(path)) == 4
    prepared = prepare(path, out=tmp_path / "table.parquet")
    assert load_dataset(tmp_path / "table.parquet", "train").ids == ["mp-0", "mp-1"]
    assert open_dataset(tmp_path / "table.parquet").address == prepared.address
    encode(structures(3)).write(tmp_path / "plain.parquet")
    assert len(load_dataset(tmp_path / "plain.parquet")) == 3
    with pytest.raises(TableError, match="no column split"):
        load_dataset(tmp_path / "plain.parquet", "train")
    with pytest.raises(TableError, match="has no row of the split 'holdout'; it has test, train, val"):
        load_dataset(tmp_path / "table.parquet", "holdout")
    with pytest.raises(UnknownNameError, match="mp_20"):
        load_dataset("mp_21", "train")


def test_a_lock_released_at_the_last_moment_is_no_failure(tmp_path, monkeypatch):
    path = write_arrays(tmp_path / "own.parquet", structures(3))
    calls = []

    def refused_once(*args, **settings):
        calls.append(args)
        if len(calls) == 1:
            raise OutputError("is being written by process 1")  # which has just ended
        return prepare(*args, **settings)

    monkeypatch.setattr(_load, "prepare", refused_once)
    assert len(load_dataset(path)) == 3
    assert len(calls) == 2


@pytest.mark.parametrize("left", ["older", "newer", "cut", "foreign"])
def test_a_cached_file_that_is_not_understood_is_made_again(tmp_path, left):
    """The cache is ours: nobody is asked for `--force` there."""
    path = write_arrays(tmp_path / "own.parquet", structures(5))
    target, expected = open_dataset(path).path, open_dataset(path).table()
    whole = pq.read_table(target)
    metadata = dict(whole.schema.metadata)
    told = json.loads(metadata[METADATA_KEY])
    if left == "older":
        del told["title"]
    else:
        told["field_of_tomorrow"] = 1
    metadata[METADATA_KEY] = json.dumps(told).encode()
    pq.write_table(whole.replace_schema_metadata(metadata), target)
    if left == "cut":
        target.write_bytes(target.read_bytes()[:-100])
    if left == "foreign":
        target.write_text("not a table")
    assert read_prepared(target) is None
    assert not open_dataset(path).reused
    assert open_dataset(path).reused
    assert load_dataset(path) == expected


def test_a_prepared_table_is_an_ordinary_table(tmp_path):
    prepared = prepare(write_arrays(tmp_path / "own.parquet", structures(4)), out=tmp_path / "out.parquet")
    assert len(CrystalTable.read(prepared.path)) == 4
    report = json.loads(prepared.report_path.read_text())
    assert report["failures"] == [] and report["splits"][0]["rows"] == 4
    assert report["sources"][0]["status"] == "unverified" and len(report["sources"][0]["sha256"]) == 64
    assert report["versions"]["moyopy"] and report["settings"]["tolerance"] == 0.1
    assert report["timing"]["rows_per_second"] > 0
