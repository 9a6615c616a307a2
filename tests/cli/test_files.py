"""`data prepare`, `encode`, `export` and `models` as a user calls them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from aristotype._files import output_lock
from aristotype.cli._data import parse_split
from aristotype.cli._models import key_figures
from aristotype.crystal import CrystalTable, gene_keys
from aristotype.datasets import _paths
from aristotype.errors import InputError
from aristotype.models import shipped_models
from aristotype.realize import realize

from .conftest import handful


@pytest.fixture(scope="session")
def crystals_file(tmp_path_factory) -> Path:
    """A table of five crystals."""
    genes = handful().take([0, 40, 80, 130, 200])
    path = tmp_path_factory.mktemp("crystals") / "five.parquet"
    realize(CrystalTable.from_genes(genes, [f"c{i}" for i in range(5)]), seed=0).write(path)
    return path


@pytest.fixture(scope="session")
def cif_folder(crystals_file, tmp_path_factory) -> Path:
    """The same as CIF files."""
    folder = tmp_path_factory.mktemp("cifs") / "cif"
    CrystalTable.read(crystals_file).write(folder, format="cif")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ARISTOTYPE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("ARISTOTYPE_DATA", raising=False)


def by_id(table: CrystalTable) -> dict[str, bytes]:
    return dict(zip(table.ids, gene_keys(table.genes()).tolist(), strict=True))


# ---- encode


def test_files_and_folders_and_tables_encode_alike(invoke, crystals_file, cif_folder, tmp_path):
    expected = by_id(CrystalTable.read(crystals_file))
    files = sorted(cif_folder.glob("*.cif"))
    for name, paths in (("files", files), ("folder", [cif_folder]), ("table", [crystals_file])):
        out = tmp_path / f"{name}.parquet"
        result = invoke("encode", *paths, "--tolerance", "0.001", "--out", out)
        assert result.exit_code == 0, result.output
        assert by_id(CrystalTable.read(out)) == expected
        assert "5 crystals in" in result.stdout


def test_processes_change_nothing(invoke, cif_folder, tmp_path):
    files = sorted(cif_folder.glob("*.cif"))
    for processes in "12":
        out = tmp_path / f"{processes}.parquet"
        assert invoke("encode", *files, "--processes", processes, "--out", out).exit_code == 0
    assert CrystalTable.read(tmp_path / "1.parquet") == CrystalTable.read(tmp_path / "2.parquet")


def test_what_fails_is_listed_and_the_rest_is_there(invoke, cif_folder, tmp_path):
    bad, twice = tmp_path / "bad.cif", tmp_path / "c0.cif"
    bad.write_text("not a CIF")
    twice.write_text((cif_folder / "c1.cif").read_text())
    out = tmp_path / "out.parquet"
    result = invoke("encode", *sorted(cif_folder.glob("*.cif")), bad, twice, "--out", out)
    assert result.exit_code == 1
    assert len(CrystalTable.read(out)) == 5
    listed = json.loads((tmp_path / "out.parquet.report.json").read_text())["failures"]
    # Files are named by their stems.
    assert [Path(row["id"]).stem for row in listed] == ["bad", "c0"]
    assert "ids must be unique" in listed[1]["reason"]
    assert "2 failed; all are listed in" in result.stderr


def test_nothing_to_encode_is_an_error_and_writes_nothing(invoke, tmp_path):
    (tmp_path / "empty.cif").write_text("")
    result = invoke("encode", tmp_path / "empty.cif", "--out", tmp_path / "out.parquet")
    assert result.exit_code == 2
    assert "empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.cif"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["nowhere.cif"], "does not exist"),
        (["nowhere.csv"], "nowhere.csv"),
        (["a.csv", "b.cif"], "encode each table by itself"),
    ],
)
def test_paths_that_cannot_be_encoded(invoke, tmp_path, paths, message):
    result = invoke("encode", *paths, "--out", tmp_path / "out.parquet")
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_encode_refuses_a_tolerance_that_is_none(invoke, cif_folder, tmp_path):
    result = invoke("encode", cif_folder / "c0.cif", "--tolerance", "-1", "--out", tmp_path / "out.parquet")
    assert result.exit_code == 2
    assert "tolerance -1" in result.stderr


def test_encode_overwrites_by_force_only(invoke, cif_folder, tmp_path):
    out = tmp_path / "out.parquet"
    out.write_text("precious")
    first = invoke("encode", cif_folder / "c0.cif", "--out", out)
    assert first.exit_code == 2
    assert "--force" in first.stderr
    assert out.read_text() == "precious"
    assert invoke("encode", cif_folder / "c0.cif", "--out", out, "--force").exit_code == 0
    with output_lock(tmp_path / "other.parquet"):
        busy = invoke("encode", cif_folder / "c0.cif", "--out", tmp_path / "other.parquet")
    assert busy.exit_code == 2
    assert "being written by process" in busy.stderr


# ---- data prepare


def test_a_folder_is_prepared_once(invoke, cif_folder, tmp_path):
    out = tmp_path / "mine.parquet"
    first = invoke("data", "prepare", cif_folder, "--split", "0.6,0.2,0.2", "--out", out)
    assert first.exit_code == 0, first.output
    assert set(CrystalTable.read(out).column("split").to_pylist()) <= {"train", "val", "test"}
    again = invoke("data", "prepare", cif_folder, "--split", "0.6,0.2,0.2", "--out", out)
    assert again.exit_code == 0
    assert "nothing was done" in again.stdout
    other = invoke("data", "prepare", cif_folder, "--split", "val", "--out", out)
    assert other.exit_code == 2
    assert "--force" in other.stderr


def test_rows_that_fail_are_exit_code_1(invoke, cif_folder, tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    (folder / "good.cif").write_text((cif_folder / "c0.cif").read_text())
    (folder / "bad.cif").write_text("not a CIF")
    result = invoke("data", "prepare", folder, "--out", tmp_path / "out.parquet")
    assert result.exit_code == 1
    assert "failed: bad:" in result.stderr
    assert len(CrystalTable.read(tmp_path / "out.parquet")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "neither a registered dataset"),
        (["mp_20", "--source", "nowhere"], "nowhere"),
        (["mp_20", "--source", "."], "mp_20"),
        ([__file__], "of no known kind"),
    ],
)
def test_data_that_cannot_be_prepared(invoke, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = invoke("data", "prepare", *arguments, "--out", tmp_path / "out.parquet")
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_splits_are_names_or_three_shares():
    assert parse_split(None) is None
    assert parse_split("val") == "val"
    assert parse_split("0.8,0.1,0.1") == (0.8, 0.1, 0.1)
    for text in ("0.8,0.2", "a,b,c"):
        with pytest.raises(InputError, match="three shares"):
            parse_split(text)


@pytest.mark.slow
def test_a_named_dataset_says_its_share(invoke, data_folder, tmp_path):
    out = tmp_path / "perov_5.parquet"
    result = invoke("data", "prepare", "perov_5", "--source", data_folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert "11,356, 100.0 %" in result.stdout


# ---- export


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("cif", [f"c{i}.cif" for i in range(5)]),
        ("poscar", [f"c{i}.vasp" for i in range(5)]),
        ("extxyz", ["crystals.extxyz"]),
        ("asedb", ["crystals.db"]),
    ],
)
def test_every_format_is_written(invoke, crystals_file, tmp_path, format, names):
    out = tmp_path / "out"
    result = invoke("export", crystals_file, "--format", format, "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "export.json"])
    assert "5 crystals in" in result.stdout
    again = invoke("export", crystals_file, "--format", format, "--out", out)
    assert again.exit_code == 2
    assert invoke("export", crystals_file, "--format", format, "--out", out, "--force").exit_code == 0


def test_export_takes_what_generate_wrote(invoke, crystals_file, tmp_path):
    folder = tmp_path / "generated"
    folder.mkdir()
    (folder / "crystals.parquet").write_bytes(crystals_file.read_bytes())
    assert invoke("export", folder, "--format", "extxyz", "--primitive", "--out", tmp_path / "out").exit_code == 0


def test_what_cannot_be_exported(invoke, crystals_file, table_file, tmp_path):
    (tmp_path / "half.parquet").write_bytes(crystals_file.read_bytes()[:-100])
    for file, message in (
        (tmp_path / "none.parquet", "cannot read"),
        (tmp_path / "half.parquet", "not a whole Parquet file"),
        (table_file, "have no geometry"),
    ):
        result = invoke("export", file, "--format", "cif", "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert message in result.stderr
        assert not (tmp_path / "out").exists()


def test_encoding_paths_goes_on_where_it_was_interrupted(invoke, cif_folder, tmp_path, monkeypatch):
    """Forty files in two batches, an id twice: the first batch is not done again, nor seen to be done again."""
    text = (cif_folder / "c0.cif").read_text()
    paths = []
    for number in range(40):
        paths.append(tmp_path / "in" / str(number % 39) / f"s{number % 39}.cif")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_text(text)
    done = []

    def encode(path, **settings):
        done.append(path)
        if len(done) == 35:
            raise KeyboardInterrupt
        return real(path, **settings)

    real = _paths.encode
    monkeypatch.setattr(_paths, "encode", encode)
    out = tmp_path / "out.parquet"
    assert invoke("encode", *paths, "--dry-run", "--out", out).stdout.startswith("40 files to encode")
    done.clear()
    assert invoke("encode", *paths, "--out", out).exit_code == 130
    assert not out.exists()
    assert len(list((tmp_path / "out.parquet.parts").iterdir())) == 1
    result = invoke("encode", *paths, "--out", out)
    assert result.exit_code == 1
    assert "s0: another structure has this id" in result.stderr
    assert len(done) == 35 + 8
    assert CrystalTable.read(out).ids == [f"s{number}" for number in range(39)]
    assert not (tmp_path / "out.parquet.parts").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text on this system")
def test_paths_need_not_be_utf_8(invoke, spawn, cif_folder, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    (folder / "one.cif").write_text((cif_folder / "c0.cif").read_text())
    process = spawn("encode", folder / "one.cif", folder / "none.cif", "--out", folder / "out.parquet")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "\\xff/none.cif does not exist" in stderr
    process = spawn("encode", folder / "one.cif", "--out", folder / "out.parquet")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    process = spawn("export", folder / "out.parquet", "--format", "poscar", "--out", folder / "p")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert (folder / "p" / "one.vasp").is_file()


# ---- models


def test_models_lists_what_is_shipped(invoke):
    result = invoke("models")
    assert result.exit_code == 0
    for name in shipped_models():
        assert name in result.stdout
        assert invoke("models", name).stdout.startswith("#")
    assert invoke("models", "nonsense").exit_code == 2


def test_models_shows_size_description_and_key_figures(invoke, tiny_model, monkeypatch, tmp_path):
    from aristotype.models import ModelInfo

    (tmp_path / "README.md").write_text(
        "# m\n\nA model.\n\n## Key figures\n\n- NLL 15.5 nats\n- novel 95 %\n\n## Data\n\n- x\n"
    )
    info = ModelInfo(name="m", path=tmp_path, family="f", variant="default", description="A model.", megabytes=1.25)
    monkeypatch.setattr("aristotype.models.shipped_models", lambda: {"m": info})
    shown = invoke("models").stdout
    for text in ("m", "1.2 MB", "A model.", "NLL 15.5 nats", "novel 95 %"):
        assert text in shown
    assert key_figures((tmp_path / "README.md").read_text()) == ["NLL 15.5 nats", "novel 95 %"]
