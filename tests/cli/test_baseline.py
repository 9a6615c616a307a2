"""`aristotype baseline` as a user calls it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from aristotype._files import output_lock
from aristotype.cli import _baseline
from aristotype.crystal import CrystalTable, GeneBatch, gene_keys, template_keys
from aristotype.discover import BASELINES
from aristotype.evaluate import charge_balanced
from aristotype.models import load_encoder
from tests.models.prototypes import known_crystals

ALL = pytest.mark.parametrize("name", BASELINES)


@pytest.fixture(scope="module")
def crystals_file(tmp_path_factory) -> Path:
    """Known crystals with the splits train and val."""
    path = tmp_path_factory.mktemp("known") / "known.parquet"
    table = known_crystals()
    table.with_columns(split=["val" if row % 4 == 0 else "train" for row in range(len(table))]).write(path)
    return path


@pytest.fixture
def baseline(invoke, crystals_file):
    return lambda name, *arguments: invoke("baseline", name, "--data", crystals_file, *arguments)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def summary_of(out: Path) -> dict:
    return json.loads(_baseline.summary_path(out).read_text())


@ALL
def test_a_table_of_crystals_and_a_summary(baseline, tmp_path, name):
    out = tmp_path / "new" / "out.parquet"
    result = baseline(name, "-n", "30", "--out", out)
    assert result.exit_code == 0, result.output
    assert left(tmp_path / "new") == ["out.parquet", "out.parquet.summary.json"]
    table, summary = CrystalTable.read(out), summary_of(out)
    assert len(table) == summary["crystals"] == summary["requested"] == 30
    assert not table.is_gene.any()
    assert charge_balanced(table.genes()).all()
    assert summary["model"] == name
    assert summary["crystals_sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert summary["rows_drawn"] >= 30
    assert summary["tries_a_crystal"] >= 1
    assert summary["elements"] == ("uniform" if name == "decoration" else None)
    assert (summary["num_exchanged"] is None) == (name == "decoration")


@ALL
def test_parents_are_of_the_train_split_alone(baseline, crystals_file, tmp_path, name):
    known = CrystalTable.read(crystals_file)
    train = set(known.filter([split == "train" for split in known.column("split").to_pylist()]).ids)
    assert baseline(name, "-n", "150", "--out", tmp_path / "out").exit_code == 0
    assert set(CrystalTable.read(tmp_path / "out").column("parent").to_pylist()) <= train
    assert summary_of(tmp_path / "out")["known_crystals"] == len(train)


def test_a_table_without_splits_is_known_as_a_whole(invoke, tmp_path):
    for name, table in {
        "none": known_crystals(),
        "null": known_crystals().with_columns(split=[None] * len(known_crystals())),
    }.items():
        table.write(tmp_path / f"{name}.parquet")
        arguments = ["-n", "5", "--data", tmp_path / f"{name}.parquet", "--out", tmp_path / name]
        assert invoke("baseline", "decoration", *arguments).exit_code == 0
        assert summary_of(tmp_path / name)["known_crystals"] == len(known_crystals())


def test_the_printed_table_names_each_crystal(baseline, tmp_path):
    result = baseline("ion-exchange", "-n", "25", "--out", tmp_path / "out")
    table = CrystalTable.read(tmp_path / "out")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["id", "formula", "group", "parent", "exchange", "log", "L", "(nats)", "novelty"]
    parents, values = (table.column(name).to_pylist() for name in ("parent", "log_likelihood"))
    for line, name, parent, value in zip(lines[1:21], table.ids, parents, values):
        assert name in line.split()
        assert parent in line.split()
        assert f"{value:.2f}" in line.split()
    assert "and 5 more" in result.stdout
    assert "25 crystals in" in result.stdout


@ALL
def test_the_same_seed_gives_the_same_file_and_fewer_are_the_first_of_more(baseline, tmp_path, name):
    for out, *arguments in (("a", "-n", "40"), ("b", "-n", "40"), ("c", "-n", "7"), ("d", "-n", "40", "--seed", "1")):
        assert baseline(name, *arguments, "--out", tmp_path / out).exit_code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    a, c, d = (CrystalTable.read(tmp_path / out) for out in "acd")
    assert c == a[:7]
    assert gene_keys(d.genes()).tolist() != gene_keys(a.genes()).tolist()


@ALL
def test_conditions_hold_for_every_crystal(baseline, tmp_path, name):
    conditions = ["--space-group", "225,221", "--elements", "Li,Mg,Na,Cl,O", "--exclude", "Cl", "--require", "O"]
    assert baseline(name, "-n", "5", *conditions, "--max-atoms", "5", "--out", tmp_path / "out").exit_code == 0
    for row in CrystalTable.read(tmp_path / "out"):
        assert row.space_group in (221, 225)
        assert {8} <= set(row.elements) <= {3, 8, 11, 12}
        assert row.num_atoms_primitive <= 5
    assert summary_of(tmp_path / "out")["conditions"]["excluded_elements"] == ["Cl"]


@ALL
def test_templates_sites_and_formulas_hold(baseline, tmp_path, name):
    assert baseline(name, "-n", "3", "--template", "A2B_tP6_136_f_a", "--out", tmp_path / "rutiles").exit_code == 0
    rutile = GeneBatch.from_lists([136], [[8, 22]], [[5, 0]])
    found = template_keys(CrystalTable.read(tmp_path / "rutiles").genes()).tolist()
    assert set(found) == set(template_keys(rutile).tolist())
    arguments = ["--formula", "MgTiO3", "--z", "1", "--sites", "3", "--out", tmp_path / "perovskites"]
    assert baseline(name, "-n", "1", *arguments).exit_code == 0
    (row,) = CrystalTable.read(tmp_path / "perovskites")
    assert (row.formula, row.num_sites, row.num_atoms_primitive) == ("MgTiO3", 3, 5)


@ALL
def test_targets_are_drawn_towards(baseline, tmp_path, name):
    energies = []
    for number, options in enumerate([[], ["--target", "formation_energy=:-1.5", "--strength", "3"]]):
        out = tmp_path / f"{number}.parquet"
        assert baseline(name, "-n", "20", *options, "--out", out).exit_code in (0, 1)
        energies.append(load_encoder("gene-encoder-mp20").predict(CrystalTable.read(out).genes())[0].mean())
    assert energies[1] < energies[0]


@ALL
def test_novel_crystals_are_not_known(baseline, tmp_path, name):
    result = baseline(name, "-n", "20", "--novel", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert all(CrystalTable.read(tmp_path / "out").column("novel").to_pylist())
    assert "20 of them novel" in result.stdout


def test_decoration_draws_elements_by_frequency_if_asked(baseline, tmp_path):
    for draw in ("uniform", "frequency"):
        assert baseline("decoration", "-n", "20", "--draw", draw, "--out", tmp_path / draw).exit_code == 0
        assert summary_of(tmp_path / draw)["elements"] == draw
    assert CrystalTable.read(tmp_path / "uniform") != CrystalTable.read(tmp_path / "frequency")


def test_fewer_than_asked_for_is_exit_code_1_with_the_reason(baseline, tmp_path):
    arguments = ["--formula", "MgO", "--template", "AB_cF8_225_a_b", "--out", tmp_path / "out"]
    result = baseline("decoration", "-n", "5", *arguments)
    assert result.exit_code == 1
    assert "of the 5 that were asked for" in result.stderr
    assert not summary_of(tmp_path / "out")["complete"]
    assert len(CrystalTable.read(tmp_path / "out")) == 1


@ALL
def test_a_dry_run_counts_and_writes_nothing(baseline, tmp_path, name):
    result = baseline(name, "-n", "5000", "--dry-run", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "5,000 crystals into" in result.stdout
    assert left(tmp_path) == []


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["decoration", "--elements", "Li,Xx"], "'Xx' is not a chemical element"),
        (["decoration", "--require", "Au"], "Au is required but in none"),
        (["ion-exchange", "--formula", "Li2(O"], "cannot be read at character"),
        (["ion-exchange", "--formula", "MgO3"], "MgO3 is not charge balanced"),
        (["ion-exchange", "--space-group", "230"], "none of the"),
        (["ion-exchange", "--space-group", "999"], "999"),
        (["decoration", "--template", "nonsense"], "neither a file that exists nor a prototype label"),
        (["ion-exchange", "--draw", "frequency"], "--draw frequency is for decoration"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(baseline, tmp_path, arguments, message):
    result = baseline(*arguments, "-n", "2", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert left(tmp_path) == []


def test_data_that_cannot_be_used_is_refused(invoke, table_file, tmp_path):
    for data, message in (("nonsense", "nonsense"), (table_file, "no geometry")):
        result = invoke("baseline", "decoration", "--data", data, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output
    assert left(tmp_path) == []


@pytest.mark.parametrize("arguments", [["nonsense"], [], ["decoration", "-n", "0"], ["decoration", "--seed", "-1"]])
def test_wrong_usage_exits_with_2(invoke, tmp_path, arguments):
    result = invoke("baseline", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_what_exists_is_replaced_by_force_only(baseline, tmp_path):
    out = tmp_path / "out"
    assert baseline("decoration", "-n", "2", "--out", out).exit_code == 0
    again = baseline("decoration", "-n", "3", "--out", out)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert len(CrystalTable.read(out)) == 2
    assert baseline("decoration", "-n", "3", "--out", out, "--force").exit_code == 0
    assert len(CrystalTable.read(out)) == summary_of(out)["crystals"] == 3
    (tmp_path / "folder").mkdir()
    refused = baseline("decoration", "-n", "3", "--out", tmp_path / "folder", "--force")
    assert refused.exit_code == 2
    assert "is a folder" in refused.stderr


def test_an_out_that_another_process_writes_is_refused(baseline, tmp_path):
    with output_lock(tmp_path / "out"):
        result = baseline("decoration", "-n", "2", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"being written by process {os.getpid()}" in result.stderr
    assert left(tmp_path) == []


def test_an_interrupt_leaves_nothing(baseline, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("aristotype.discover.generate", interrupt)
    result = baseline("decoration", "-n", "2", "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert left(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_nothing(spawn, crystals_file, tmp_path):
    arguments = ["--data", crystals_file, "-n", "100000000", "--out", tmp_path / "out"]
    process = spawn("baseline", "decoration", *arguments)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.lock").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert left(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text on this system")
def test_paths_need_not_be_utf_8(spawn, crystals_file, tmp_path):
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/out-\xff"))
    process = spawn("baseline", "ion-exchange", "--data", crystals_file, "-n", "2", "--out", out)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "out-\\xff" in stdout
    assert len(CrystalTable.read(out)) == 2


def test_the_names_are_those_of_the_baselines():
    assert tuple(name.value for name in _baseline.Name) == BASELINES
