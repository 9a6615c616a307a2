"""`aristotype generate` as a user calls it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aristotype._files import output_lock
from aristotype.cli import _generate
from aristotype.crystal import CrystalTable, GeneBatch, encode, gene_keys, template_keys
from aristotype.models import DEFAULT_MODEL, shipped_models
from aristotype.predict import predict


@pytest.fixture
def generate(invoke, tiny_model):
    return lambda *arguments: invoke("generate", "--model", tiny_model, *arguments)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_both_kinds_of_geometry_hold_the_same_genes(invoke, tiny_model, tmp_path):
    tables = {}
    for kind in ("search", "quick"):
        out = tmp_path / kind
        result = invoke("generate", "--model", tiny_model, "-n", 6, "--geometry", kind, "--out", out)
        assert result.exit_code == 0, result.output
        tables[kind] = CrystalTable.read(out / "crystals.parquet")
        assert json.loads((out / "summary.json").read_text())["geometry"] == kind
    search, quick = tables["search"], tables["quick"]
    assert search.ids == quick.ids
    assert search.column("label").to_pylist() == quick.column("label").to_pylist()
    assert "objective" in search.columns and "objective" not in quick.columns


def test_a_folder_with_table_cifs_and_summary(generate, tmp_path):
    out = tmp_path / "new" / "out"
    result = generate("-n", "6", "--out", out)
    assert result.exit_code == 0, result.output
    assert left(tmp_path / "new") == ["out"]
    assert left(out) == ["cif", "crystals.parquet", "summary.json"]
    table = CrystalTable.read(out / "crystals.parquet")
    assert len(table) == 6
    assert left(out / "cif") == sorted(f"{name}.cif" for name in table.ids)
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["crystals"], summary["complete"], summary["seed"]) == (6, True, 0)
    assert summary["crystals_sha256"] == hashlib.sha256((out / "crystals.parquet").read_bytes()).hexdigest()
    again = encode(out / "cif", tolerance=1e-3)
    order = [again.ids.index(name) for name in table.ids]
    assert gene_keys(again.genes().take(order)).tolist() == gene_keys(table.genes()).tolist()


def test_the_printed_table_names_each_crystal(generate, tmp_path):
    result = generate("-n", "25", "--genes-only", "--out", tmp_path / "out")
    table = CrystalTable.read(tmp_path / "out" / "crystals.parquet")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["id", "formula", "group", "label", "sites", "log", "p", "(nats)", "novelty"]
    for line, name, label, value in zip(
        lines[1:21], table.ids, table.column("label").to_pylist(), table.column("log_prob").to_pylist()
    ):
        assert name in line.split()
        assert label in line.split()
        assert f"{value:.2f}" in line.split()
    assert "and 5 more" in result.stdout
    assert "25 genes in" in result.stdout


def test_the_same_seed_gives_the_same_crystals_and_fewer_are_the_first_of_more(generate, tmp_path):
    for name, *arguments in (("a", "-n", "8"), ("b", "-n", "8"), ("c", "-n", "3"), ("d", "-n", "8", "--seed", "1")):
        assert generate(*arguments, "--out", tmp_path / name).exit_code == 0
    a, b, c, d = (CrystalTable.read(tmp_path / name / "crystals.parquet") for name in "abcd")
    assert a == b
    assert c == a[:3]
    assert gene_keys(d.genes()).tolist() != gene_keys(a.genes()).tolist()
    assert (tmp_path / "a/crystals.parquet").read_bytes() == (tmp_path / "b/crystals.parquet").read_bytes()


def test_genes_only_writes_no_cif(generate, tmp_path):
    assert generate("-n", "4", "--genes-only", "--out", tmp_path / "out").exit_code == 0
    assert left(tmp_path / "out") == ["crystals.parquet", "summary.json"]
    assert CrystalTable.read(tmp_path / "out/crystals.parquet").is_gene.all()


def test_conditions_hold_for_every_crystal(generate, tmp_path):
    out = tmp_path / "out"
    conditions = ["--space-group", "225,221", "--elements", "Li,O,Mg,Cl", "--exclude", "Cl", "--require", "O"]
    assert generate("-n", "3", *conditions, "--max-atoms", "8", "--out", out).exit_code == 0
    table = CrystalTable.read(out / "crystals.parquet")
    for row in table:
        assert row.space_group in (221, 225)
        assert {8} <= set(row.elements) <= {3, 8, 12}
        assert row.num_atoms_primitive <= 8
    summary = json.loads((out / "summary.json").read_text())
    assert summary["conditions"]["space_groups"] == [221, 225]
    assert summary["conditions"]["excluded_elements"] == ["Cl"]


def test_targets_are_drawn_towards_told_and_repeated(generate, tmp_path):
    options = ["-n", "6", "--genes-only", "--target", "formation_energy=:-1", "--strength", "2"]
    result = generate(*options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "off target" in result.stdout
    table = CrystalTable.read(tmp_path / "out/crystals.parquet")
    assert (table.column("formation_energy_std").to_numpy() > 0).all()
    free = generate("-n", "6", "--genes-only", "--out", tmp_path / "free")
    assert free.exit_code == 0
    known = predict(CrystalTable.read(tmp_path / "free/crystals.parquet"), "gene-encoder-mp20")
    assert np.mean(table.column("formation_energy")) < np.mean(known.column("formation_energy"))
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["conditions"] == {"targets": [{"property": "formation_energy", "high": -1.0, "strength": 2.0}]}
    assert (
        summary["off_target"] == summary["attempts"] - summary["crystals"] - summary["duplicates"] - summary["forced"]
    )
    assert generate(*options, "--out", tmp_path / "again").exit_code == 0
    assert CrystalTable.read(tmp_path / "again/crystals.parquet") == table


def test_templates_and_partial_crystals_hold(generate, tmp_path):
    assert generate("-n", "4", "--template", "A2B_tP6_136_f_a", "--out", tmp_path / "rutiles").exit_code == 0
    rutiles = CrystalTable.read(tmp_path / "rutiles/crystals.parquet")
    rutile = GeneBatch.from_lists([136], [[8, 22]], [[5, 0]])
    assert set(template_keys(rutiles.genes()).tolist()) == set(template_keys(rutile).tolist())
    one = tmp_path / "one.parquet"
    CrystalTable.from_genes(GeneBatch.from_lists([225], [[12]], [[0]])).write(one)
    arguments = ["--partial", one, "--formula", "MgO", "--z", "1", "--out", tmp_path / "oxides"]
    assert generate("-n", "1", *arguments).exit_code == 0
    (oxide,) = CrystalTable.read(tmp_path / "oxides/crystals.parquet")
    assert (oxide.formula, oxide.space_group, oxide.num_atoms_primitive) == ("MgO", 225, 2)


def test_novel_crystals_are_not_in_the_training_data(generate, tmp_path):
    result = generate("-n", "5", "--novel", "--genes-only", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(tmp_path / "out/crystals.parquet")
    assert all(table.column("novel").to_pylist())
    assert "known" not in result.stdout.split("\n")[1]


def test_fewer_than_asked_for_is_exit_code_1_with_the_reason(generate, tmp_path):
    arguments = ["--template", "AB_cF8_225_a_b", "--elements", "Li,O", "--genes-only", "--out", tmp_path / "out"]
    result = generate("-n", "5", *arguments)
    assert result.exit_code == 1
    assert "of the 5 that were asked for" in result.stderr
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert not summary["complete"]
    assert summary["crystals"] == len(CrystalTable.read(tmp_path / "out/crystals.parquet")) == 1


def test_a_dry_run_counts_and_writes_nothing(generate, tmp_path):
    result = generate("-n", "500", "--genes-only", "--dry-run", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "500 crystals into" in result.stdout
    assert left(tmp_path) == []


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nonsense"], "no model 'nonsense'"),
        (["--elements", "Li,Xx"], "'Xx' is not a chemical element"),
        (["--require", "Au"], "Au"),
        (["--formula", "Li2(O"], "cannot be read at character"),
        (["--formula", "LiO", "--sites", "1"], ""),
        (["--formula", "LiO", "--z", "1", "--max-atoms", "1"], ""),
        (["--space-group", "999"], "999"),
        (["--target", "formation_energy"], "NAME=LOW:HIGH"),
        (["--target", "colour=1:2"], "there is no predictor 'colour'"),
        (["--target", "formation_energy=:1", "--strength", "0"], "strength of a target is 0"),
        (["--template", "nonsense"], "neither a file that exists nor a prototype label"),
        (["--partial", "nowhere.cif"], "nowhere.cif does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(generate, tmp_path, arguments, message):
    result = generate("-n", "2", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert left(tmp_path) == []


def test_what_exists_is_replaced_by_force_only_and_only_what_generate_wrote(generate, tmp_path):
    out = tmp_path / "out"
    assert generate("-n", "2", "--genes-only", "--out", out).exit_code == 0
    again = generate("-n", "3", "--genes-only", "--out", out)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert len(CrystalTable.read(out / "crystals.parquet")) == 2
    assert generate("-n", "3", "--genes-only", "--out", out, "--force").exit_code == 0
    assert len(CrystalTable.read(out / "crystals.parquet")) == 3
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    foreign = generate("-n", "2", "--out", tmp_path / "home", "--force")
    assert foreign.exit_code == 2
    assert "did not write" in foreign.stderr
    assert left(tmp_path / "home") == ["thesis.tex"]
    assert generate("-n", "2", "--out", tmp_path / "home" / "thesis.tex", "--force").exit_code == 2


def test_an_out_that_another_process_writes_is_refused(generate, tmp_path):
    with output_lock(tmp_path / "out"):
        result = generate("-n", "2", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"being written by process {os.getpid()}" in result.stderr
    assert left(tmp_path) == []


def test_an_interrupt_while_files_are_written_leaves_nothing(generate, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("aristotype.crystal.write_files", interrupt)
    result = generate("-n", "2", "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert left(tmp_path) == []


def test_a_full_disk_leaves_nothing_and_is_said(generate, tmp_path, monkeypatch):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("aristotype.crystal.write_files", full)
    result = generate("-n", "2", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert left(tmp_path) == []


# ---- in a process of its own


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("seconds", [0.0, 6.0], ids=["while it starts", "while it works"])
def test_ctrl_c_leaves_nothing(spawn, tiny_model, tmp_path, seconds):
    process = spawn("generate", "--model", tiny_model, "-n", "1000000", "--genes-only", "--out", tmp_path / "out")
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.lock").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(seconds)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert left(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text on this system")
def test_paths_need_not_be_utf_8(spawn, tiny_model, tmp_path):
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/out-\xff"))
    model = Path(os.fsdecode(os.fsencode(tmp_path) + b"/model-\xfe"))
    model.symlink_to(tiny_model)
    process = spawn("generate", "--model", model, "-n", "2", "--out", out)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "out-\\xff" in stdout
    assert left(out) == ["cif", "crystals.parquet", "summary.json"]


# ---- what is shipped


def test_the_default_model_is_the_shipped_one(invoke, tmp_path):
    assert _generate.DEFAULT_MODEL == DEFAULT_MODEL
    assert DEFAULT_MODEL in shipped_models()
    assert invoke("generate", "-n", "20", "--novel", "--out", tmp_path / "out").exit_code == 0
    assert len(CrystalTable.read(tmp_path / "out/crystals.parquet")) == 20
