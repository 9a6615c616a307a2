"""Registered datasets: which files stand for them, their shares, and downloads that are whole or not there."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import shutil
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aristotype.datasets import DATASETS, _sources, cache_folder, dataset_spec, load_dataset, prepare
from aristotype.datasets._read import read_rows
from aristotype.datasets._sources import find_sources
from aristotype.errors import DataUnavailableError, InputError, OutputError, UnknownNameError
from tests.datasets.sources import structures, write_arrays, write_csv, write_zip


@pytest.fixture
def tiny(monkeypatch):
    """MP-20 as it would be with a train split of ten rows."""
    spec = replace(dataset_spec("mp_20"), official_rows={"train": 10, "val": 2, "test": 2})
    monkeypatch.setitem(_sources.DATASETS, "mp_20", spec)
    return spec


def serve(monkeypatch, files, length=None):
    """Answers requests for addresses from a dict; returns the list of what was asked for."""
    asked = []

    class Answer(io.BytesIO):
        headers: dict[str, str]

    def urlopen(request, timeout):
        asked.append(request.full_url)
        if request.full_url not in files:
            raise urllib.error.HTTPError(request.full_url, 404, "Not Found", {}, None)
        answer = Answer(files[request.full_url])
        answer.headers = {"Content-Length": str(length or len(files[request.full_url]))}
        return answer

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def test_the_registry_is_complete():
    assert set(DATASETS) == {"mp_20", "mpts_52", "perov_5", "carbon_24", "wbm"}
    for spec in DATASETS.values():
        assert spec.licence and spec.citation and spec.remote
        assert all(remote.address.startswith("https://") for remote in spec.remote)
        assert {remote.split for remote in spec.remote} == set(spec.splits)
        assert all(len(digest) == 64 for digest in spec.known_sha256.values())
    with pytest.raises(UnknownNameError, match="registered are mp_20"):
        dataset_spec("mp20")


def test_a_part_of_the_train_split_is_told_everywhere(tmp_path, tiny):
    write_arrays(tmp_path / "data" / "mp_20_train_part.parquet", structures(7), [f"t{n}" for n in range(7)])
    write_arrays(tmp_path / "data" / "mp_20_val.parquet", structures(2), ["v0", "v1"])
    prepared = prepare("mp_20", out=tmp_path / "out.parquet", source=tmp_path / "data")
    assert prepared.train_share == pytest.approx(0.7)
    assert prepared.statement == "70.0 % of MP-20 train (7 of 10 rows)"
    report = json.loads(prepared.report_path.read_text())
    assert (report["train_share"], report["statement"]) == (prepared.train_share, prepared.statement)
    metadata = json.loads(pq.read_schema(prepared.path).metadata[b"aristotype.dataset"])
    assert {"split": "train", "rows": 7, "failed": 0, "official_rows": 10} in metadata["splits"]
    assert metadata["train_share"] == pytest.approx(0.7)
    for line in ("trained on 70.0 % of MP-20 train", "no file of the splits test", "test: 0, 0.0 %"):
        assert line in prepared.summary()
    # The names are those of known files and the content is not.
    assert [source["status"] for source in prepared.sources] == ["differs", "differs"]
    assert "not the file that is known" in prepared.summary()


def test_failed_rows_do_not_count_as_a_share(tmp_path, tiny):
    write_arrays(tmp_path / "mp_20_train_part.parquet", structures(5), ["a", "a", "b", "c", "d"])
    prepared = prepare("mp_20", out=tmp_path / "out.parquet", source=tmp_path)
    assert prepared.train_share == pytest.approx(0.4)
    assert prepared.splits[0].failed == 1


def test_a_whole_split_comes_before_a_part(tmp_path, tiny):
    write_arrays(tmp_path / "mp_20_train_part.parquet", structures(3))
    write_csv(tmp_path / "mp_20" / "train.csv", structures(10))
    prepared = prepare("mp_20", out=tmp_path / "out.parquet", source=tmp_path)
    assert prepared.train_share == 1.0
    assert [source["name"] for source in prepared.sources] == ["train.csv"]
    assert prepared.sources[0]["status"] == "unverified" and "unverified: train.csv" in prepared.summary()


def test_registered_datasets_keep_their_slabs_and_their_splits(tmp_path, tiny):
    slab = structures(1)[0].copy()
    slab.lattice = type(slab.lattice).tetragonal(slab.lattice.a, 40.0)
    write_arrays(tmp_path / "mp_20_val.parquet", [slab])
    assert prepare("mp_20", out=tmp_path / "out.parquet", source=tmp_path).num_rows == 1
    with pytest.raises(InputError, match="splits of its own"):
        prepare("mp_20", out=tmp_path / "out.parquet", source=tmp_path, split="train")


def test_the_data_folder_of_the_environment(tmp_path, tiny, monkeypatch):
    write_arrays(tmp_path / "mp_20_val.parquet", structures(2))
    monkeypatch.setenv("ARISTOTYPE_DATA", str(tmp_path))
    assert len(load_dataset("mp_20", "val")) == 2
    assert list((cache_folder() / "prepared").glob("mp_20-*.parquet"))
    monkeypatch.setenv("ARISTOTYPE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"ARISTOTYPE_DATA is .*nowhere, which is no folder"):
        load_dataset("mp_20", "val")
    with pytest.raises(InputError, match="--source"):
        prepare("mp_20", out=tmp_path / "out.parquet", source=tmp_path / "nowhere")


def test_a_source_without_the_dataset_names_what_was_looked_for(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"perov_5_train\.parquet.*https://"):
        prepare("perov_5", out=tmp_path / "out.parquet", source=tmp_path)


def test_without_a_network_the_error_tells_what_to_do(tmp_path):
    with pytest.raises(DataUnavailableError, match="no route to host") as caught:
        prepare("mp_20", out=tmp_path / "out.parquet")
    for part in ("mp_20/train.csv", "https://", "--source", "ARISTOTYPE_DATA", str(cache_folder())):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert list((cache_folder() / "downloads" / "mp_20").iterdir()) == []


def test_downloads_are_kept(tmp_path, tiny, monkeypatch):
    rows = {split: structures(count) for split, count in tiny.official_rows.items()}
    files = {}
    for remote in tiny.remote:
        path = write_csv(tmp_path / remote.name, rows[remote.split])
        files[remote.address] = path.read_bytes().replace(b"mp-", f"{remote.split}-".encode())
    asked = serve(monkeypatch, files)
    prepared = prepare("mp_20", out=tmp_path / "out.parquet")
    assert [count.share for count in prepared.splits] == [1.0, 1.0, 1.0]
    assert "Say:" not in prepared.summary()
    assert asked == [remote.address for remote in tiny.remote]
    assert prepare("mp_20", out=tmp_path / "other.parquet").address == prepared.address
    assert len(asked) == 3


def test_a_transfer_that_breaks_off_leaves_nothing(tmp_path, tiny, monkeypatch):
    serve(monkeypatch, {tiny.remote[0].address: b"half"}, length=8)
    with pytest.raises(DataUnavailableError, match="broke off after 4 of 8 bytes"):
        prepare("mp_20", out=tmp_path / "out.parquet")
    assert list((cache_folder() / "downloads" / "mp_20").iterdir()) == []


def test_a_server_that_refuses(tmp_path, monkeypatch):
    serve(monkeypatch, {})
    with pytest.raises(DataUnavailableError, match="404"):
        prepare("carbon_24", out=tmp_path / "out.parquet")


def test_a_full_disk_is_an_output_error(tmp_path, tiny, monkeypatch):
    serve(monkeypatch, {tiny.remote[0].address: b"content"})

    def full(self, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="No space left"):
        prepare("mp_20", out=tmp_path / "out.parquet")


def test_wbm_from_its_archive_and_its_table_of_labels(tmp_path, monkeypatch):
    names = [f"wbm-1-{n}" for n in range(4)]
    archive = write_zip(tmp_path / "atoms.zip", structures(4), names).read_bytes()
    header = "material_id,formula,e_form_per_atom_mp2020_corrected,bandgap_pbe"
    lines = [header, *(f"{name},Xx,{-0.5 * n},{n}" for n, name in enumerate(names[:3]))]
    labels = gzip.compress("\n".join(lines).encode())
    contents = (archive, labels)
    spec = dataset_spec("wbm")
    remote = tuple(
        replace(file, checksum=f"md5:{hashlib.md5(content).hexdigest()}")
        for file, content in zip(spec.remote, contents, strict=True)
    )
    spec = replace(spec, remote=remote, official_rows={"test": 4})
    monkeypatch.setitem(_sources.DATASETS, "wbm", spec)
    serve(monkeypatch, {file.address: content for file, content in zip(remote, contents, strict=True)})
    prepared = prepare("wbm", out=tmp_path / "out.parquet")
    table = prepared.table("test")
    assert table.ids == names
    assert table.column("formation_energy_per_atom").to_pylist() == [0.0, -0.5, -1.0, None]
    assert table.column("band_gap").to_pylist() == [0, 1, 2, None]
    assert prepared.sources[0]["status"] == "verified"
    assert "no line for 1 of 4 structures" in prepared.summary()
    assert prepared.statement == "WBM without a train split"


def test_another_checksum_is_refused_and_not_kept(tmp_path, monkeypatch):
    spec = dataset_spec("wbm")
    serve(monkeypatch, {spec.remote[0].address: b"something else"})
    with pytest.raises(DataUnavailableError, match=r"its md5 is \w+, not 4726643ac0dfbab69a4284454c891e68"):
        prepare("wbm", out=tmp_path / "out.parquet")
    assert list((cache_folder() / "downloads" / "wbm").iterdir()) == []


def test_the_cache_folder_of_each_platform(monkeypatch):
    monkeypatch.delenv("ARISTOTYPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x/cache")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == Path("/x/cache/aristotype")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "aristotype"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "aristotype"


def test_the_data_at_hand_is_the_known_data(data_folder):
    for name, spec in DATASETS.items():
        sources = find_sources(name, data_folder)
        assert {item.status for item in sources.items} == {"verified"}
        rows = {item.split: len(read_rows(item)) for item in sources.items}
        whole = [split for split in rows if split not in spec.parts]
        assert all(rows[split] == spec.official_rows[split] for split in whole)
    mp_20 = {item.split: len(read_rows(item)) for item in find_sources("mp_20", data_folder).items}
    assert mp_20["train"] / DATASETS["mp_20"].official_rows["train"] == pytest.approx(0.767, abs=5e-4)


@pytest.mark.parametrize("name", DATASETS)
def test_the_first_rows_of_every_dataset_at_hand(data_folder, tmp_path, name):
    for item in find_sources(name, data_folder).items:
        pq.write_table(pq.read_table(item.paths[0]).slice(0, 60), tmp_path / item.name)
    prepared = prepare(name, out=tmp_path / "out.parquet", source=tmp_path)
    assert prepared.num_failed == 0
    assert prepared.num_rows == 60 * len(prepared.sources)


@pytest.mark.slow
def test_a_whole_split_in_two_processes(data_folder, tmp_path):
    shutil.copy(data_folder / "perov_5_val.parquet", tmp_path)
    prepared = prepare("perov_5", out=tmp_path / "out.parquet", source=tmp_path, processes=2)
    assert (prepared.num_rows, prepared.num_failed) == (3_787, 0)
    assert [count.share for count in prepared.splits] == [0.0, 1.0, 0.0]
