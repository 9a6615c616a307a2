"""`aristotype train crystalformer` and what comes after it, as a user calls them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from aristotype.crystal import Crystal, CrystalTable
from aristotype.models import load
from aristotype.realize import RealizeConfig, realize

from .conftest import handful

SMALL = [
    "--set=model.width=24",
    "--set=model.heads=2",
    "--set=model.encoder_layers=1",
    "--set=model.decoder_layers=1",
]
BRIEF = [
    f"--set=training.{text}"
    for text in ("epochs=2", "batch_size=64", "threads=1", "tensorboard=false", "device=cpu", "validate_every=0")
]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARISTOTYPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("ARISTOTYPE_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def crystals_file(tmp_path_factory):
    """A table of crystals with the splits train and val."""
    table = CrystalTable.from_genes(handful())
    made = realize(table, seed=0, config=RealizeConfig(trials=1, screened=1))
    made = made.with_columns(split=["val" if row % 5 == 0 else "train" for row in range(len(made))])
    path = tmp_path_factory.mktemp("table") / "crystals.parquet"
    made.write(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, crystals_file, tiny_model):
    from typer.testing import CliRunner

    from aristotype.cli._app import app

    out = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["train", "crystalformer", "--data", str(crystals_file), "--out", str(out), *SMALL, *BRIEF]
    result = CliRunner().invoke(app, [*arguments, f"--set=model.genes={tiny_model}"])
    assert result.exit_code == 0, result.output
    return out


def test_a_run_ends_in_a_checkpoint_that_holds_its_gene_model(trained):
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    nll = [line["nll"] for line in log if "nll" in line]
    assert len(nll) == 2
    assert np.isfinite(nll).all()
    model = load(trained / "best")
    crystals = model.sample(5, seed=0)
    assert not crystals.is_gene.any()
    assert np.isfinite(crystals.column("log_prob").to_numpy()).all()
    settings = json.loads((trained / "best" / "config.json").read_text())["config"]
    assert settings["model"]["genes"] == "best"  # the name alone, not where it was
    assert settings["genes"]["family"] == "wyckoff-transformer"
    assert "calibrated on validation crystals" in (trained / "best" / "README.md").read_text()
    assert {settings["model"][name] for name in ("bin_temperature", "offset_spread", "cell_spread")} != {1.0}


def test_a_known_part_is_kept(invoke, trained, tmp_path):
    known = Crystal(
        space_group=136, elements=(8,), wyckoffs=(5,), free=(0.31,), lattice=(4.6, 4.6, 3.0, 90.0, 90.0, 90.0), id="o"
    )
    CrystalTable.from_crystals([known]).write(tmp_path / "known.parquet")
    asked = ["generate", "--model", trained / "best", "-n", "3", "--keep-forced", "--sites", "2"]
    for name, options in (("held", []), ("free", ["--free-cell"])):
        part = ["--partial-crystal", tmp_path / "known.parquet", *options]
        result = invoke(*asked, *part, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        table = CrystalTable.read(tmp_path / name / "crystals.parquet")
        assert len(table) == 3
        for crystal in table:
            assert (5, 8, (0.31,)) in zip(crystal.wyckoffs, crystal.elements, crystal.site_free, strict=True)
        held = [np.allclose(crystal.lattice, known.lattice, atol=1e-6) for crystal in table]
        assert all(held) if name == "held" else not any(held)
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        assert summary["conditions"]["partial_crystal"]["sites"] == [["O", "f", 0.31]]
        again = invoke(*asked, *part, "--out", tmp_path / f"{name}-again")
        assert again.exit_code == 0
        assert CrystalTable.read(tmp_path / f"{name}-again" / "crystals.parquet") == table


def test_a_structure_file_holds_a_known_part(invoke, trained, tmp_path):
    sodium = Crystal(space_group=225, elements=(11,), wyckoffs=(0,), free=(), lattice=(5.6, 5.6, 5.6, 90, 90, 90))
    table = CrystalTable.from_crystals([sodium])
    table.write(tmp_path / "cif", format="cif")
    (file,) = (tmp_path / "cif").glob("*.cif")
    asked = ["generate", "--model", trained / "best", "-n", "2", "--formula", "NaCl", "--keep-forced"]
    result = invoke(*asked, "--partial-crystal", file, "--out", tmp_path / "salt")
    assert result.exit_code in (0, 1), result.output  # there may be one arrangement only
    for crystal in CrystalTable.read(tmp_path / "salt" / "crystals.parquet"):
        assert (0, 11) in zip(crystal.wyckoffs, crystal.elements, strict=True)
        assert crystal.lattice == pytest.approx(sodium.lattice)


def test_a_known_part_that_cannot_be_kept_is_refused(invoke, trained, tiny_model, tmp_path):
    sodium = Crystal(space_group=225, elements=(11,), wyckoffs=(0,), free=(), lattice=(5.6, 5.6, 5.6, 90, 90, 90))
    table = CrystalTable.from_crystals([sodium])
    table.write(tmp_path / "one.parquet")
    CrystalTable.from_genes(table.genes()).write(tmp_path / "gene.parquet")
    table[:0].write(tmp_path / "empty.parquet")
    odd = CrystalTable.from_crystals([replace(sodium, elements=(84,))])
    odd.write(tmp_path / "odd.parquet")
    table.write(tmp_path / "cif", format="cif")
    (file,) = (tmp_path / "cif").glob("*.cif")
    mixed = tmp_path / "mixed.cif"
    mixed.write_text(file.read_text().rstrip().removesuffix(" 1") + " 0.5\n")
    own, genes = trained / "best", tiny_model
    for model, name, options, message in (
        (own, "one.parquet", ["--space-group", "62"], "is of space group 225"),
        (own, "one.parquet", ["--formula", "LiCl"], "holds an element that the other conditions exclude"),
        (own, "one.parquet", ["--genes-only"], "which would lose them"),
        (own, "one.parquet", ["--geometry", "search"], "which would lose them"),
        (own, "one.parquet", ["--partial", tmp_path / "one.parquet"], "give one of them"),
        (own, "gene.parquet", [], "is a gene, which has no coordinates"),
        (own, "empty.parquet", [], "holds 0 crystals"),
        (own, "odd.parquet", [], "Po is in the partial crystal but not among"),
        (own, "mixed.cif", [], "partially occupied"),
        (own, "none.cif", [], "does not exist"),
        (genes, "one.parquet", [], "which would lose them; take a model of crystals"),
    ):
        asked = ["generate", "--model", model, "-n", "1", "--partial-crystal", tmp_path / name, *options]
        result = invoke(*asked, "--out", tmp_path / "out")
        assert result.exit_code == 2, (message, result.output)
        assert message in " ".join(result.output.split()), result.output
        assert not (tmp_path / "out").exists()
    result = invoke("generate", "--model", own, "-n", "1", "--free-cell", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "give --partial-crystal too" in " ".join(result.output.split())


def test_genes_of_another_family_are_searched_from_it(invoke, trained, tiny_model, tmp_path):
    asked = ["generate", "--model", tiny_model, "-n", "2", "--source", trained / "best"]
    result = invoke(*asked, "--out", tmp_path / "found")
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "found" / "summary.json").read_text())
    assert (summary["geometry"], summary["source"]) == ("search", str(trained / "best"))
    table = CrystalTable.read(tmp_path / "found" / "crystals.parquet")
    assert set(table.column("start").to_pylist()) <= {"proposed", "random", "repulsion"}
    result = invoke(*asked, "--geometry", "quick", "--out", tmp_path / "none")
    assert result.exit_code == 2 and "is for --geometry search" in " ".join(result.output.split())


def test_crystals_are_generated_with_the_geometry_of_the_model(invoke, trained, tmp_path):
    result = invoke("generate", "--model", trained / "best", "-n", "3", "--keep-forced", "--out", tmp_path / "own")
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(tmp_path / "own" / "crystals.parquet")
    assert (table.column("closest").to_numpy() >= 0.7).all()
    assert len(list((tmp_path / "own" / "cif").iterdir())) == 3
    assert json.loads((tmp_path / "own" / "summary.json").read_text())["geometry"] == "model"
    quick = ["--geometry", "quick", "--keep-forced", "-n", "3"]
    result = invoke("generate", "--model", trained / "best", *quick, "--out", tmp_path / "quick")
    assert result.exit_code == 0, result.output
    other = CrystalTable.read(tmp_path / "quick" / "crystals.parquet")
    assert other.ids[0].startswith("0-")
    assert "site_draws" not in other.columns


def test_a_checkpoint_is_fine_tuned(invoke, trained, crystals_file, tmp_path):
    result = invoke(
        "train", "crystalformer", "--data", crystals_file, "--from", trained / "best", "--out", tmp_path / "run",
        *BRIEF, "--set=training.warmup_steps=1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    tuned, start = load(tmp_path / "run" / "best").config, load(trained / "best").config
    assert (tuned.width, tuned.elements, tuned.genes) == (start.width, start.elements, start.genes)


def test_genes_cannot_be_learnt_from(invoke, table_file, tmp_path, tiny_model):
    result = invoke(
        "train", "crystalformer", "--data", table_file, "--out", tmp_path / "run", f"--set=model.genes={tiny_model}"
    )
    assert result.exit_code == 2
    assert "have no geometry" in result.stderr
    result = invoke("train", "crystalformer", "--data", table_file, "--out", tmp_path / "b", "--set=model.genes=nobody")
    assert result.exit_code == 2
    assert "there is no model 'nobody'" in result.stderr


def test_a_gene_model_has_no_geometry_to_give(invoke, tiny_model, tmp_path):
    result = invoke("generate", "--model", tiny_model, "--geometry", "model", "-n", "2", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "draws genes without geometry; take --geometry search or quick" in result.stderr
    assert not (tmp_path / "out").exists()


def test_starting_structures_have_the_content_that_was_asked_for(invoke, trained, tmp_path):
    asked = ["--model", trained / "best", "--formula", "Li2Cl2", "-n", "6", "--seed", "3"]
    result = invoke("initialize", *asked, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(tmp_path / "a" / "crystals.parquet")
    assert len(table) == 6
    assert all(crystal.composition == {3: 2, 17: 2} for crystal in table)
    assert (table.column("closest").to_numpy() >= 0.7).all()
    assert len(list((tmp_path / "a" / "cif").iterdir())) == 6
    result = invoke("initialize", *asked[:-4], "-n", "3", "--seed", "3", "--format", "extxyz", "--out", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert CrystalTable.read(tmp_path / "b" / "crystals.parquet") == table[:3]


def test_ase_searches_get_their_candidates(trained):
    from ase import Atoms

    from aristotype.discover import StartGenerator

    generator = StartGenerator(load(trained / "best"), "Li2Cl2", seed=3)
    found = [generator.get_new_candidate() for _ in range(3)]
    assert all(isinstance(atoms, Atoms) and str(atoms.symbols.get_chemical_formula()) == "Cl2Li2" for atoms in found)
    assert not np.allclose(found[0].cell.lengths(), found[1].cell.lengths())
    assert next(iter(generator)).pbc.all()


def test_what_cannot_be_started_from_is_told(invoke, trained, tiny_model, tmp_path):
    for asked, message in (
        (["--model", tiny_model, "--formula", "LiCl"], "draws genes without geometry"),
        (["--model", trained / "best", "--formula", "Li2Xx"], "'Xx' is not a chemical element"),
        (["--model", trained / "best", "--formula", "LiCl", "--space-group", "231"], "231"),
        (["--model", trained / "best", "--formula", "Li5Cl", "--space-group", "225"], "225"),
    ):
        result = invoke("initialize", *asked, "-n", "2", "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert not (tmp_path / "out").exists()


def test_the_published_configuration_is_trained_continued_and_drawn_from(invoke, crystals_file, tmp_path):
    small = ["width=16", "layers=1", "heads=2", "head_width=8", "coordinate_components=4", "max_sites=6"]
    shape = [f"--set=model.{text}" for text in small]
    out = tmp_path / "paper"
    command = ["train", "crystalformer-paper", "--data", crystals_file, "--out", out, *shape, *BRIEF]
    result = invoke(*command, "--set=training.max_steps=4")
    assert result.exit_code == 0, result.output
    nll = [line["nll"] for line in map(json.loads, (out / "log.jsonl").read_text().splitlines()) if "nll" in line]
    assert np.isfinite(nll).all()
    few = ["--space-group", "62", "-n", "2", "--keep-forced"]
    result = invoke("generate", "--model", out / "best", *few, "--out", tmp_path / "crystals")
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(tmp_path / "crystals" / "crystals.parquet")
    assert np.isfinite(table.column("log_prob").to_numpy()).all()
    result = invoke(
        "train",
        "crystalformer-paper",
        "--data",
        crystals_file,
        "--from",
        out / "best",
        *BRIEF,
        "--out",
        tmp_path / "on",
    )
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "on" / "best").train_keys() == load(out / "best").train_keys()
    refused = invoke("generate", "--model", out / "best", "--formula", "LiCl", "-n", "1", "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "use the default configuration of crystalformer" in refused.stderr
