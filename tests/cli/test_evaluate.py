"""`aristotype hull build` and `aristotype evaluate` as a user calls them, on the outputs of one another."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from aristotype.crystal import CrystalTable
from aristotype.evaluate import read_hull
from aristotype.realize import relax
from tests.realize.test_relax import SYMMETRIC, metals

EMT = "ase.calculators.emt:EMT"
GROUPS = (225, 221, 194, 123, 166, 62, 14, 2, 136, 167, 12, 229)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reference with splits, a set at rest, and a hull of both."""
    from typer.testing import CliRunner

    from aristotype.cli._app import app

    out = tmp_path_factory.mktemp("evaluation")
    known = metals(GROUPS, seed=21)
    split = ["train", "val", "test"]
    known.with_columns(split=[split[row % 3] for row in range(len(known))]).write(out / "known.parquet")
    relax(metals(GROUPS, seed=22), calculator=EMT, config=SYMMETRIC).write(out / "made.parquet")
    arguments = ["hull", "build", "--data", str(out / "known.parquet"), "--calculator", EMT, "--references", "own"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out / "hull.parquet")])
    assert result.exit_code == 0, result.output
    return out


def arguments(folder, *sets):
    paths = sets or (folder / "made.parquet",)
    known = ["--reference", folder / "known.parquet", "--hull", folder / "hull.parquet"]
    return ["evaluate", *paths, *known, "--protocol", "wyformer"]


def test_a_hull_is_built_and_says_what_it_is(folder):
    hull = read_hull(folder / "hull.parquet")
    assert hull.about["calculator"] == EMT and hull.kinds == ("calculator",)
    assert hull.about["sources"][0]["rows"] == len(CrystalTable.read(folder / "known.parquet"))
    assert not (folder / "hull.parquet.parts").exists()


def test_relaxing_near_the_hull_lowers_it(folder, invoke, tmp_path):
    out = tmp_path / "relaxed.parquet"
    options = ["--data", folder / "known.parquet", "--calculator", EMT, "--references", "own", "--relax"]
    assert invoke("hull", "build", *options, "--out", out).exit_code == 0
    assert read_hull(out).about["relaxed"] > 0


def test_a_set_is_judged(folder, invoke, tmp_path):
    out = tmp_path / "report"
    result = invoke(*arguments(folder), "--out", out)
    assert result.exit_code == 0, result.output
    summary = json.loads((out / "evaluation.json").read_text())["sets"][0]
    made = CrystalTable.read(folder / "made.parquet")
    assert summary["counts"]["built"] == len(made)
    assert len(CrystalTable.read(out / "made.parquet")) == len(made)
    page = (out / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "wyformer" in page
    assert "S.U.N." in page or "sun" in result.output
    again = invoke(*arguments(folder), "--out", out)
    assert again.exit_code == 2 and "exists" in again.output
    assert invoke(*arguments(folder), "--out", out, "--force").exit_code == 0


def test_sets_stand_side_by_side(folder, invoke, tmp_path):
    """A table with several models is split, and structure files are encoded."""
    table = CrystalTable.read(folder / "made.parquet")
    many = table.with_columns(model=["one" if row % 2 else "two/three" for row in range(len(table))])
    many.write(tmp_path / "many.parquet")
    table[:3].write(tmp_path / "files", format="cif")
    out = tmp_path / "report"
    result = invoke(*arguments(folder, tmp_path / "many.parquet", tmp_path / "files"), "--out", out)
    assert result.exit_code == 0, result.output
    names = [summary["name"] for summary in json.loads((out / "evaluation.json").read_text())["sets"]]
    assert sorted(names) == ["files", "one", "two_three"]
    assert {path.stem for path in out.glob("*.parquet")} == set(names)


def test_structures_that_cannot_be_read_count_as_submitted(folder, invoke, tmp_path):
    CrystalTable.read(folder / "made.parquet")[:3].write(tmp_path / "files", format="cif")
    (tmp_path / "files" / "broken.cif").write_text("data_x\n_cell_length_a 1\n")
    out = tmp_path / "report"
    result = invoke(*arguments(folder, tmp_path / "files"), "--out", out)
    assert result.exit_code == 1, result.output
    found = json.loads((out / "evaluation.json").read_text())
    counts = found["sets"][0]["counts"]
    assert (counts["submitted"], counts["built"]) == (4, 3)
    assert [failure["id"] for failure in found["failures"]] == ["broken"] and "failed: broken" in result.output
    drawn = tmp_path / "drawn"
    assert invoke(*arguments(folder, tmp_path / "files"), "-n", 3, "--seed", 1, "--out", drawn).exit_code == 1
    assert json.loads((drawn / "evaluation.json").read_text())["sets"][0]["counts"]["submitted"] == 3
    result = invoke(*arguments(folder), "--truth", tmp_path / "files", "--out", tmp_path / "none")
    assert result.exit_code == 2 and "cannot be read" in " ".join(result.output.split())


def test_fewer_structures_are_drawn_by_the_seed(folder, invoke, tmp_path):
    ids = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = invoke(*arguments(folder), "-n", 4, "--seed", seed, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        ids.append(CrystalTable.read(tmp_path / name / "made.parquet").ids)
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 4


def test_interrupted_it_leaves_nothing_behind(folder, spawn, tmp_path):
    out = tmp_path / "report"
    process = spawn(*arguments(folder), "--out", out)
    lock, deadline = tmp_path / "report.lock", time.monotonic() + 60
    while not lock.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    process.wait(60)
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--protocol", "nothing"], "no protocol is called 'nothing'"),
        (["--split", "other"], "has the splits"),
        (["--hull", "nowhere.parquet"], "is no file; make a hull"),
        (["--reference", "nowhere.parquet"], "nowhere.parquet"),
        (["--submitted", "1"], "1 structures submitted"),
    ],
)
def test_mistakes_are_told(folder, invoke, tmp_path, change, message):
    result = invoke(*arguments(folder), *change, "--out", tmp_path / "report")
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "report").exists()


def test_too_many_sets_and_empty_ones_are_refused_before_the_work(folder, invoke, tmp_path):
    table = CrystalTable.read(folder / "made.parquet")
    repeated = CrystalTable.concatenate(
        [table.with_columns(id=[f"{k}-{name}" for name in table.ids]) for k in range(3)]
    )
    repeated[:13].with_columns(model=[str(row) for row in range(13)]).write(tmp_path / "many.parquet")
    result = invoke(*arguments(folder, tmp_path / "many.parquet"), "--out", tmp_path / "none")
    assert result.exit_code == 2 and "at most 12" in " ".join(result.output.split()) and "validity" not in result.output
    table[:0].write(tmp_path / "empty.parquet")
    for command in (arguments(folder, tmp_path / "empty.parquet"), ["relax", tmp_path / "empty.parquet"]):
        result = invoke(*command, "--out", tmp_path / "none")
        assert result.exit_code == 2 and "has no rows" in " ".join(result.output.split())
    result = invoke(
        *arguments(folder, folder / "made.parquet", folder / "made.parquet"), "--submitted", 50, "--out", "x"
    )
    assert result.exit_code == 2 and "evaluate that set by itself" in " ".join(result.output.split())


def test_energies_of_another_potential_are_refused(folder, invoke, tmp_path):
    """Against the hull in the package, which is of CHGNet."""
    options = ["--reference", folder / "known.parquet", "--protocol", "wyformer"]
    result = invoke("evaluate", folder / "made.parquet", *options, "--out", tmp_path / "none")
    assert result.exit_code == 2, result.output
    assert f"the energies are by {EMT}, and the hull is of chgnet-0.3.0" in " ".join(result.output.split())


def test_hull_build_counts_and_refuses(folder, invoke, tmp_path):
    known = folder / "known.parquet"
    result = invoke("hull", "build", "--data", known, "--calculator", EMT, "--dry-run", "--out", tmp_path / "h.parquet")
    assert result.exit_code == 0 and "structures, single points in about" in result.output
    result = invoke("hull", "build", "--data", tmp_path / "nothing", "--out", tmp_path / "h.parquet")
    assert result.exit_code == 2
    result = invoke("hull", "build", "--data", known, "--out", folder / "hull.parquet")
    assert result.exit_code == 2 and "exists" in result.output
    assert not list(tmp_path.iterdir())
