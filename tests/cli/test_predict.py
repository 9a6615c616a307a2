"""`aristotype train property` and `aristotype predict` as a user calls them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.models import load_encoder

from .conftest import handful

QUICK = [
    "--set=model.width=16",
    "--set=model.heads=2",
    "--set=model.layers=1",
    *(f"--set=training.{text}" for text in ("epochs=4", "batch_size=16", "threads=1", "tensorboard=false")),
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARISTOTYPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARISTOTYPE_DATA", raising=False)


@pytest.fixture
def labelled(tmp_path):
    """A table of the user's own with a column `heft`, known of four in five."""
    genes = handful()
    heft = genes.elements.astype(float).max(axis=1)
    heft[::5] = np.nan
    rows = len(genes)
    table = CrystalTable.from_genes(genes).with_columns(
        heft=heft, split=[("train", "train", "val", "test")[row % 4] for row in range(rows)], word=["x"] * rows
    )
    table.write(tmp_path / "mine.parquet")
    return tmp_path / "mine.parquet"


def test_a_column_of_my_own_is_learnt_and_predicted(invoke, labelled, tmp_path):
    out = tmp_path / "run"
    trained = invoke("train", "property", "--target", "heft", "--data", labelled, *QUICK, "--out", out)
    assert trained.exit_code == 0, trained.output
    assert "have no value of heft" in trained.stderr
    card = (out / "best" / "README.md").read_text()
    assert "heft from genes, trained on mine train" in card
    assert "rows to learn from" in card
    assert load_encoder(out / "best").config.target == "heft"
    command = ("predict", labelled, "--model", out / "best", "--out", tmp_path / "p.parquet")
    refused = invoke(*command)
    assert refused.exit_code == 2  # heft is there, and is not overwritten
    assert "--as" in refused.stderr
    done = invoke(*command, "--as", "guess")
    assert done.exit_code == 0, done.output
    table = CrystalTable.read(tmp_path / "p.parquet")
    assert np.isfinite(table.column("guess").to_numpy()).all()
    assert (table.column("guess_std").to_numpy() > 0).all()
    again = invoke("train", "property", "--target", "heft", "--data", labelled, "--from", out / "best", "--out",
                   tmp_path / "more", "--set=training.epochs=1", "--set=training.tensorboard=false")  # fmt: skip
    assert again.exit_code == 0, again.output


def test_rows_that_the_model_does_not_know_are_listed(invoke, labelled, tmp_path):
    out = tmp_path / "run"
    assert invoke("train", "property", "--target", "heft", "--data", labelled, *QUICK, "--out", out).exit_code == 0
    genes = handful()
    genes.elements[3][genes.elements[3] > 0] = 79
    CrystalTable.from_genes(genes).write(tmp_path / "gold.parquet")
    done = invoke("predict", tmp_path / "gold.parquet", "--model", out / "best", "--out", tmp_path / "p.parquet")
    assert done.exit_code == 1
    report = json.loads((tmp_path / "p.parquet.report.json").read_text())
    assert [row["id"] for row in report["failures"]] == ["3"]
    assert CrystalTable.read(tmp_path / "p.parquet").column("heft").to_pylist()[3] is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("property",), "--target"),
        (("property", "--target", "word"), "convert"),
        (("property", "--target", "nothing"), "numeric columns of the table are heft"),
        (("wyckoff-transformer", "--target", "heft"), "train property"),
        (("wyckoff-transformer", "--with", "wbm"), "train property"),
    ],
)
def test_requests_without_sense_are_refused(invoke, labelled, tmp_path, arguments, told):
    result = invoke("train", *arguments, "--data", labelled, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_a_property_or_a_model_is_asked_for_and_not_both(invoke, labelled, tmp_path):
    for options in ((), ("--property", "heft", "--model", tmp_path)):
        result = invoke("predict", labelled, *options, "--out", tmp_path / "p.parquet")
        assert result.exit_code == 2
        assert "--property" in result.stderr


def test_a_generative_model_does_not_predict(invoke, labelled, tiny_model, tmp_path):
    result = invoke("predict", labelled, "--model", tiny_model, "--out", tmp_path / "p.parquet")
    assert result.exit_code == 2
    assert "generates and predicts nothing" in result.stderr


def test_a_dry_run_counts_and_writes_nothing(invoke, labelled, tmp_path):
    out = tmp_path / "run"
    result = invoke("train", "property", "--target", "heft", "--data", labelled, *QUICK, "--out", out, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "steps" in result.stdout
    assert not out.exists()


def test_the_shipped_model_knows_common_salts(invoke, tmp_path):
    """Energies of NaCl, MgO and CaF2 in the Materials Project, to four mean errors of the model (0.07 eV/atom)."""
    genes = GeneBatch.from_lists([225, 225, 225], [[11, 17], [12, 8], [20, 9]], [[0, 1], [0, 1], [0, 2]])
    CrystalTable.from_genes(genes).write(tmp_path / "salts.parquet")
    done = invoke(
        "predict", tmp_path / "salts.parquet", "--property", "formation_energy", "--out", tmp_path / "p.parquet"
    )
    assert done.exit_code == 0, done.output
    assert "eV/atom" in done.stdout
    table = CrystalTable.read(tmp_path / "p.parquet")
    assert np.abs(table.column("formation_energy").to_numpy() - [-2.10, -3.05, -4.24]).max() < 0.28
    assert (table.column("formation_energy_std").to_numpy() < 0.3).all()


def test_an_encoder_generates_nothing(invoke, tmp_path):
    result = invoke("generate", "--model", "gene-encoder-mp20", "-n", "1", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "aristotype predict" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
