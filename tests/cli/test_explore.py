"""`aristotype explore` as a user calls it: with a small hull, interrupted on the way, and with what cannot be."""

from __future__ import annotations

import json
import signal
import time

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.evaluate import Known, build_hull
from aristotype.models.wyckoff_augen import Tries
from aristotype.realize import RelaxConfig, realize, relax
from tests.models.wyckoff_augen.grids.small import tiny_model

EMT = "ase.calculators.emt:EMT"
METALS = (13, 28, 29)
SPACE = ["--elements", "Al,Ni,Cu", "--max-atoms", "4", "--calculator", EMT, "--seed", "2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of random weights, whose crystals do not overlap."""
    made = tiny_model(elements=METALS, max_sites=3)
    made.tries = Tries()
    folder = tmp_path_factory.mktemp("model") / "best"
    made.save(folder, half=False)
    return folder


@pytest.fixture(scope="module")
def hull(tmp_path_factory):
    genes = GeneBatch.from_lists([225] * 3, [[z] for z in METALS], [[0]] * 3)
    pure = realize(CrystalTable.from_genes(genes, [f"e{z}" for z in METALS]), seed=0)
    path = tmp_path_factory.mktemp("hull") / "hull.parquet"
    pure = relax(pure, calculator=EMT, config=RelaxConfig(free_steps=0))
    build_hull([Known("elements", pure)], calculator=EMT, references="own").write(path)
    return path


def test_phases_are_ranked_and_written(invoke, model, hull, tmp_path):
    out = tmp_path / "space"
    result = invoke("explore", "--model", model, "--hull", hull, "-n", 12, *SPACE, "--within", 0.3, "--out", out)
    assert result.exit_code in (0, 1), result.output  # random networks draw crystals that may not relax
    table = CrystalTable.read(out / "phases.parquet")
    height = np.array(table.column("e_above_hull").to_pylist())
    assert len(table) >= 2 and (np.diff(height) >= 0).all()
    assert table.column("rank").to_pylist() == list(range(1, len(table) + 1))
    assert set(np.unique(table.genes().elements)) <= {0, *METALS}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["within_limit"] == (height <= 0.3).sum() == len(list((out / "cif").glob("*.cif")))
    found = sum(table.column("found").to_pylist())
    others = sum(
        n for reason, n in summary["lost"].items() if reason not in ("the same phase as another", "without geometry")
    )
    assert found + others == summary["generated"]["crystals"]
    assert f"{len(table)} phases" in result.output and not (tmp_path / "space.parts").exists()
    again = invoke("explore", "--model", model, "--hull", hull, "-n", 12, *SPACE, "--out", out)
    assert again.exit_code == 2 and "--force" in again.stderr


def test_interrupted_it_goes_on(spawn, invoke, model, hull, tmp_path):
    out, parts = tmp_path / "space", tmp_path / "space.parts"
    arguments = ("explore", "--model", model, "--hull", hull, "-n", 24, *SPACE, "--out", out)
    process = spawn(*arguments)
    deadline = time.monotonic() + 120
    while not list(parts.glob("[!.]*.parquet")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert not out.exists(), "it ended before it could be interrupted"
    assert list(parts.glob("[!.]*.parquet"))
    assert invoke(*arguments).exit_code in (0, 1)
    whole = tmp_path / "whole"
    assert invoke(*arguments[:-1], whole).exit_code in (0, 1)
    one, other = (CrystalTable.read(folder / "phases.parquet") for folder in (out, whole))
    assert one.ids == other.ids
    np.testing.assert_array_equal(one.column("energy").to_numpy(), other.column("energy").to_numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --elements"),
        (["--elements", "Al,Xx"], "not a chemical element"),
        (["--elements", "Al", "--require", "Ni"], "allow it"),
        (["--elements", "Al", "--hull", "nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_what_cannot_be_is_refused(invoke, model, tmp_path, arguments, message):
    result = invoke("explore", "--model", model, "-n", 2, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_an_estimate_writes_nothing(invoke, model, hull, tmp_path):
    out = tmp_path / "out"
    result = invoke("explore", "--model", model, "--hull", hull, "-n", 100, *SPACE, "--dry-run", "--out", out)
    assert result.exit_code == 0 and "100 crystals to relax" in result.output
    assert not out.exists()
