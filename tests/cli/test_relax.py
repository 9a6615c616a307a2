"""`aristotype realize` and `aristotype relax` as a user calls them, killed on the way too."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch

EMT = "ase.calculators.emt:EMT"


@pytest.fixture(scope="module")
def genes(tmp_path_factory):
    """Alloys that EMT can compute."""
    metals = (13, 28, 29, 46, 47, 78, 79)
    pairs = [(a, b) for a in metals for b in metals if a != b]
    batch = GeneBatch.from_lists([62] * len(pairs), [list(pair) for pair in pairs], [[2, 3]] * len(pairs))
    path = tmp_path_factory.mktemp("alloys") / "genes.parquet"
    CrystalTable.from_genes(batch, [f"{a}-{b}" for a, b in pairs]).write(path)
    return path


@pytest.fixture(scope="module")
def crystals(genes):
    from typer.testing import CliRunner

    from aristotype.cli._app import app

    out = genes.with_name("crystals.parquet")
    result = CliRunner().invoke(app, ["realize", str(genes), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


def test_realise_and_relax(invoke, crystals, genes, tmp_path):
    assert len(CrystalTable.read(crystals)) == len(CrystalTable.read(genes))
    out = tmp_path / "relaxed.parquet"
    result = invoke("relax", crystals, "--calculator", EMT, "--free-steps", 0, "--out", out)
    assert result.exit_code == 0, result.output
    relaxed = CrystalTable.read(out)
    assert relaxed.ids == CrystalTable.read(crystals).ids
    assert "converged" in result.output and not (tmp_path / "relaxed.parquet.parts").exists()
    assert (relaxed.column("energy").to_numpy() <= relaxed.column("energy_start").to_numpy() + 1e-6).all()


def test_killed_anywhere_it_goes_on_and_gives_the_same(spawn, invoke, crystals, tmp_path):
    """kill -9 while shards are being written, twice; what was finished is not touched again."""
    arguments = ("relax", crystals, "--calculator", EMT, "--free-steps", 0, "--fmax", 0.001)
    whole = tmp_path / "whole.parquet"
    assert invoke(*arguments, "--out", whole).exit_code == 0
    out, parts = tmp_path / "out.parquet", tmp_path / "out.parquet.parts"
    times: dict[str, int] = {}
    for least in (1, 2):
        process = spawn(*arguments, "--out", out)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None and len(list(parts.glob("[!.]*.parquet"))) < least:
            time.sleep(0.002)
        assert process.poll() is None, "it was through before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not out.exists()
        now = {path.name: path.stat().st_mtime_ns for path in parts.glob("[!.]*.parquet")}
        assert len(now) >= least and times.items() <= now.items()
        times = now
    result = invoke(*arguments, "--out", out)
    assert result.exit_code == 0, result.output
    assert CrystalTable.read(out) == CrystalTable.read(whole)
    assert not parts.exists()


def test_failures_are_listed_and_the_exit_code_tells(invoke, tmp_path):
    batch = GeneBatch.from_lists([225, 225], [[29], [92]], [[0], [0]])
    CrystalTable.from_genes(batch, ["copper", "uranium"]).write(tmp_path / "genes.parquet")
    assert invoke("realize", tmp_path / "genes.parquet", "--out", tmp_path / "c.parquet").exit_code == 0
    result = invoke("relax", tmp_path / "c.parquet", "--calculator", EMT, "--out", tmp_path / "r.parquet")
    assert result.exit_code == 1
    assert "failed: uranium: the relaxation broke down on it" in result.output
    assert np.isnan(CrystalTable.read(tmp_path / "r.parquet").column("energy").to_pandas()).tolist() == [False, True]


def test_structure_files_and_folders_are_taken(invoke, crystals, tmp_path):
    few = CrystalTable.read(crystals)[:2]
    few.write(tmp_path / "files", format="cif")
    files = sorted((tmp_path / "files").glob("*.cif"))
    for number, paths in enumerate(([tmp_path / "files"], files)):
        out = tmp_path / f"{number}.parquet"
        result = invoke("relax", *paths, "--calculator", EMT, "--free-steps", 0, "--out", out)
        assert result.exit_code == 0, result.output
        assert len(CrystalTable.read(out)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--calculator", "nothing"], "there is no potential 'nothing'"),
        (["--fmax", "0"], "fmax = 0.0 is outside"),
        (["--repeats", "0"], "repeats = 0 is outside"),
    ],
)
def test_mistakes_are_told_before_the_work(invoke, crystals, tmp_path, arguments, message):
    result = invoke("relax", crystals, "--out", tmp_path / "out.parquet", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_genes_and_missing_paths_are_refused(invoke, genes, tmp_path):
    result = invoke("relax", genes, "--calculator", EMT, "--out", tmp_path / "out.parquet")
    assert result.exit_code == 2 and "realize them first" in result.output
    result = invoke("relax", tmp_path / "nothing", "--out", tmp_path / "out.parquet")
    assert result.exit_code == 2 and "does not exist" in result.output


def test_a_dry_run_counts_and_writes_nothing(invoke, crystals, genes, tmp_path):
    for command, path, more in (("relax", crystals, ["--calculator", EMT]), ("realize", genes, [])):
        result = invoke(command, path, "--dry-run", "--out", tmp_path / "out.parquet", *more)
        assert result.exit_code == 0, result.output
        assert "42 " in result.output and "about" in result.output
    assert not list(tmp_path.iterdir())


def test_generate_then_realise_then_relax(invoke, tiny_model, tmp_path):
    """The output of one is the input of the next."""
    folder = tmp_path / "genes"
    assert invoke("generate", "--model", tiny_model, "-n", 3, "--genes-only", "--out", folder).exit_code == 0
    assert invoke("realize", folder, "--out", tmp_path / "c.parquet").exit_code == 0
    result = invoke("relax", tmp_path / "c.parquet", "--steps", 3, "--free-steps", 0, "--out", tmp_path / "r.parquet")
    assert result.exit_code == 0, result.output
    relaxed = CrystalTable.read(tmp_path / "r.parquet")
    assert len(relaxed) == 3 and set(relaxed.column("calculator").to_pylist()) == {"chgnet-0.3.0"}
    assert json.loads((folder / "summary.json").read_text())["crystals"] == 3


def test_minima_are_searched_and_the_lowest_kept(invoke, genes, tmp_path):
    few = CrystalTable.read(genes)[:2]
    few.write(tmp_path / "few.parquet")
    found, best = tmp_path / "minima.parquet", tmp_path / "best.parquet"
    result = invoke("realize", tmp_path / "few.parquet", "--minima", 2, "--trials", 2, "--out", found)
    assert result.exit_code == 0, result.output
    assert set(CrystalTable.read(found).column("gene").to_pylist()) == set(few.ids)
    options = ["--calculator", EMT, "--free-steps", 0, "--lowest"]
    result = invoke("relax", found, *options, "--out", best)
    assert result.exit_code == 0, result.output
    assert CrystalTable.read(best).ids == few.ids
    result = invoke("relax", tmp_path / "few.parquet", *options, "--out", tmp_path / "none.parquet")
    assert result.exit_code == 2 and "has no column gene" in " ".join(result.output.split())
    result = invoke("realize", genes, "--known", found, "--out", tmp_path / "none.parquet")
    assert result.exit_code == 2 and "give --minima too" in " ".join(result.output.split())
    asked = ["--source", "crystalformer-mp20", "--trials", 2]
    result = invoke("realize", genes, *asked, "--out", tmp_path / "none.parquet")
    assert result.exit_code == 2 and "--trials 2 is for the search" in " ".join(result.output.split())


@pytest.mark.parametrize("model", ["crystalformer-mp20", "augen-mp20"])
def test_a_model_of_crystals_draws_the_geometry(invoke, genes, tmp_path, model):
    few = CrystalTable.read(genes)[:5]
    unknown = CrystalTable.from_genes(GeneBatch.from_lists([221], [[84]], [[0]]), ["unknown"])
    CrystalTable.concatenate([few, unknown]).write(tmp_path / "few.parquet")
    asked = ["realize", tmp_path / "few.parquet", "--source", model, "--seed", 3]
    result = invoke(*asked, "--out", tmp_path / "one.parquet")
    assert result.exit_code == 1 and "holds an element that is unknown there" in " ".join(result.output.split())
    found = CrystalTable.read(tmp_path / "one.parquet")
    assert found.ids == few.ids and (found.column("closest").to_numpy() > 0.5).all()
    assert (found.genes().wyckoffs == few.genes().wyckoffs).all()
    assert (found.genes().elements == few.genes().elements).all()
    result = invoke(*asked, "--processes", 2, "--out", tmp_path / "two.parquet")
    assert CrystalTable.read(tmp_path / "two.parquet") == found
    result = invoke(*asked, "--dry-run", "--out", tmp_path / "none.parquet")
    assert result.exit_code == 0 and "6 genes to realise" in result.output
    assert not (tmp_path / "none.parquet").exists()


def test_a_model_of_crystals_proposes_starts(invoke, genes, tmp_path):
    CrystalTable.read(genes)[:2].write(tmp_path / "few.parquet")
    asked = ["realize", tmp_path / "few.parquet", "--minima", 1, "--trials", 2]
    found = {}
    for name, options in (("with", ["--source", "crystalformer-mp20"]), ("without", [])):
        result = invoke(*asked, *options, "--out", tmp_path / f"{name}.parquet")
        assert result.exit_code == 0, result.output
        found[name] = CrystalTable.read(tmp_path / f"{name}.parquet")
    assert set(found["without"].column("start").to_pylist()) == {"random"}
    assert set(found["with"].column("start").to_pylist()) <= {"proposed", "random"}
    assert found["with"].column("objective").to_pylist() != found["without"].column("objective").to_pylist()
    for wrong, message in (
        ("wyckoff-transformer-mp20", "gives no geometry to genes"),
        ("nowhere", "no model 'nowhere'"),
    ):
        result = invoke(*asked, "--source", wrong, "--out", tmp_path / "none.parquet")
        assert result.exit_code == 2 and message in " ".join(result.output.split())
        assert not (tmp_path / "none.parquet").exists()
