"""`aristotype train wyckoff-augen` and what comes after it, as a user calls them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aristotype.crystal import Crystal, CrystalTable, formulas
from aristotype.evaluate import geometry
from aristotype.models import load

from .test_crystalformer import BRIEF, _own_cache, crystals_file  # noqa: F401 (fixtures)

SMALL = {
    "wyckoff-augen-grids": ("width=16", "layers=1", "heads=2", "element_width=8", "cell_components=4"),
    "wyckoff-augen": (
        "width=16",
        "layers=1",
        "heads=2",
        "element_width=8",
        "cell_components=4",
        "score_layers=1",
        "edge_width=8",
        "vectors=4",
        "steps=8",
        "levels=2",
    ),
    "wyckoff-augen-paper": ("width=16", "layers=1", "filters=16", "distances=20", "element_width=8"),
}


@pytest.mark.parametrize("family", SMALL)
def test_a_model_is_trained_continued_and_drawn_from(family, invoke, crystals_file, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    small = [f"--set=model.{text}" for text in SMALL[family]]
    command = ["train", family, "--data", crystals_file, "--out", out, *small, *BRIEF]
    result = invoke(*command, "--set=training.max_steps=4")
    assert result.exit_code == 0, result.output
    log = list(map(json.loads, (out / "log.jsonl").read_text().splitlines()))
    assert np.isfinite([line["nll"] for line in log if "nll" in line]).all()
    few = ["--elements", "Li,Cl,O", "-n", "3", "--keep-forced", "--seed", "1"]
    result = invoke("generate", "--model", out / "best", *few, "--out", tmp_path / "crystals")
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(tmp_path / "crystals" / "crystals.parquet")
    assert np.isfinite(table.column("log_prob").to_numpy()).all()
    assert set(np.unique(table.genes().elements)) <= {0, 3, 8, 17}
    on = invoke("train", family, "--data", crystals_file, "--from", out / "best", *BRIEF, "--out", tmp_path / "on")
    assert on.exit_code == 0, on.output
    assert load(tmp_path / "on" / "best").train_keys() == load(out / "best").train_keys()
    few = ["--formula", "LiCl", "--max-atoms", "12", "-n", "2", "--keep-forced"]
    result = invoke("generate", "--model", out / "best", *few, "--out", tmp_path / "salts")
    assert result.exit_code == 0, result.output
    salts = CrystalTable.read(tmp_path / "salts" / "crystals.parquet")
    assert formulas(salts.genes()) == ["LiCl", "LiCl"]
    best = ["--best-of", "4", "--best-by", "density", "-n", "2", "--keep-forced"]
    result = invoke("generate", "--model", out / "best", *best, "--out", tmp_path / "dense")
    assert result.exit_code == 0, result.output
    dense = CrystalTable.read(tmp_path / "dense" / "crystals.parquet")
    np.testing.assert_allclose(dense.column("reward").to_numpy(), geometry(dense).density)
    told = json.loads((tmp_path / "dense" / "summary.json").read_text())
    assert (told["best_of"], told["best_by"]) == (4, "density")
    unknown = invoke("generate", "--model", out / "best", *best[:3], "taste", "--out", tmp_path / "no")
    assert unknown.exit_code == 2 and "there is no reward 'taste'" in " ".join(unknown.stderr.split())
    known = Crystal(
        space_group=136, elements=(8,), wyckoffs=(5,), free=(0.31,), lattice=(4.6, 4.6, 3.0, 90.0, 90.0, 90.0), id="o"
    )
    CrystalTable.from_crystals([known]).write(tmp_path / "known.parquet")
    part = ["--partial-crystal", tmp_path / "known.parquet", "--sites", "2", "-n", "2", "--keep-forced"]
    result = invoke("generate", "--model", out / "best", *part, "--out", tmp_path / "filled")
    if family != "wyckoff-augen-paper":
        assert result.exit_code == 0, result.output
        for crystal in CrystalTable.read(tmp_path / "filled" / "crystals.parquet"):
            assert (5, 8, (0.31,)) in zip(crystal.wyckoffs, crystal.elements, crystal.site_free, strict=True)
            assert crystal.lattice == known.lattice
            assert crystal.num_sites == 2
    else:
        assert result.exit_code == 2
        assert "which this model does not take" in " ".join(result.stderr.split())
    refused = invoke("generate", "--model", out / "best", "--formula", "UO2", "-n", "1", "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "U is required" in " ".join(refused.stderr.split())
    assert not (tmp_path / "no").exists()
