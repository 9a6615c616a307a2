"""`aristotype score` as a user calls it: on tables, folders and structure files, good and bad."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.models import load

from .conftest import handful


@pytest.fixture
def genes_file(tmp_path):
    """Ten genes that the model knows, and one with an element that it does not."""
    table = CrystalTable.from_genes(handful().take(range(10)))
    strange = CrystalTable.from_genes(GeneBatch.from_lists([225], [[92, 8]], [[0, 1]]), ids=["uranium"])
    path = tmp_path / "genes.parquet"
    CrystalTable.concatenate([table, strange]).write(path)
    return path


def test_scores_are_those_of_the_model_and_what_it_does_not_know_is_listed(invoke, tiny_model, genes_file, tmp_path):
    out = tmp_path / "scores"
    result = invoke("score", genes_file, "--model", tiny_model, "-n", "3", "--out", out)
    assert result.exit_code == 1, result.output
    assert "uranium: it holds U, which is not among the" in result.stderr
    found = CrystalTable.read(out / "scores.parquet")
    assert len(found) == 10
    np.testing.assert_allclose(found.column("log_prob").to_numpy(), load(tiny_model).log_prob(found), atol=1e-9)
    summary = json.loads((out / "summary.json").read_text())
    assert [row["id"] for row in summary["failures"]] == ["uranium"]
    assert summary["scored"] == 10
    report = (out / "report.md").read_text()
    assert "10 crystals, 1 more could not be scored" in report
    assert "## Template, least likely" in report
    for title in ("most likely:", "least likely:"):
        assert title in result.stdout


def test_percentiles_are_among_the_reference(invoke, tiny_model, genes_file, table_file, tmp_path):
    arguments = ["score", genes_file, "--model", tiny_model, "--reference", table_file]
    result = invoke(*arguments, "--out", tmp_path / "scores")
    assert result.exit_code == 1, result.output
    found = CrystalTable.read(tmp_path / "scores" / "scores.parquet")
    assert min(found.column("compared_with").to_pylist()) >= 100
    assert f"of {table_file.name}, of like size first" in result.stdout


def test_structure_files_are_scored_too(invoke, tiny_model, tmp_path):
    from ase.build import bulk
    from ase.io import write

    folder = tmp_path / "structures"
    folder.mkdir()
    write(folder / "salt.cif", bulk("NaCl", "rocksalt", a=5.64))
    write(folder / "halite.cif", bulk("LiCl", "rocksalt", a=5.1))
    result = invoke("score", folder / "salt.cif", folder / "halite.cif", "--model", tiny_model, "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    assert CrystalTable.read(tmp_path / "s" / "scores.parquet").column("formula").to_pylist() == ["NaCl", "LiCl"]


def test_a_crystal_by_itself_has_no_percentile(invoke, tiny_model, genes_file, tmp_path):
    CrystalTable.read(genes_file)[:1].write(tmp_path / "one.parquet")
    result = invoke("score", tmp_path / "one.parquet", "--model", tiny_model, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "nothing to compare with: give a --reference" in result.stdout


def test_what_cannot_be_scored_at_all_is_refused(invoke, tiny_model, genes_file, tmp_path):
    only = tmp_path / "only.parquet"
    CrystalTable.read(genes_file)[10:].write(only)
    for arguments, message in (
        ([only, "--model", tiny_model], "1 of 1 crystals cannot be scored, first 'uranium'"),
        ([genes_file, "--model", "nobody"], "there is no model 'nobody'"),
        ([genes_file, "--model", tiny_model, "--reference", tmp_path / "no.parquet"], "no.parquet does not exist"),
        ([tmp_path / "nothing", "--model", tiny_model], "nothing does not exist"),
    ):
        result = invoke("score", *arguments, "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_unasked(invoke, tiny_model, genes_file, tmp_path):
    arguments = ["score", genes_file, "--model", tiny_model, "--out", tmp_path / "scores"]
    assert invoke(*arguments).exit_code == 1
    first = (tmp_path / "scores" / "scores.parquet").read_bytes()
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert invoke(*arguments, "--force").exit_code == 1
    assert (tmp_path / "scores" / "scores.parquet").read_bytes() == first
