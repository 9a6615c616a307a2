"""The benchmarks of the gene encoder: spoilt genes are spoilt as they say, and errors come from test rows alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import CrystalTable
from aristotype.models.gene_encoder import GeneEncoder, GeneEncoderConfig
from benchmarks import properties
from benchmarks.core import Context
from benchmarks.gene_distances import elements_of_others, exchanged_within, random_legal
from tests.random_genes import random_genes

ELEMENTS = (3, 8, 17, 26, 56)


@pytest.fixture
def genes():
    rng = np.random.default_rng(0)
    return random_genes(rng, rng.integers(1, 231, 200).tolist(), elements=ELEMENTS, max_sites=6)


def test_elements_exchanged_within_a_gene_are_the_same_elements_on_the_same_positions(genes):
    found = exchanged_within(genes, np.random.default_rng(1))
    assert (found.wyckoffs == genes.wyckoffs).all()
    assert (np.sort(found.elements, axis=1) == np.sort(genes.elements, axis=1)).all()
    assert ((found.elements > 0) == (genes.elements > 0)).all()
    assert (found.elements != genes.elements).any(axis=1).mean() > 0.3


def test_elements_of_others_rename_each_element_alike(genes):
    found = elements_of_others(genes, np.random.default_rng(1))
    assert (found.wyckoffs == genes.wyckoffs).all()
    for before, after in zip(genes.elements, found.elements, strict=True):
        names = {(old, new) for old, new in zip(before.tolist(), after.tolist(), strict=True)}
        assert len(names) == len({old for old, _ in names})  # sites of one element stay sites of one element
    assert set(np.unique(found.elements)) <= {0, *ELEMENTS}


def test_random_genes_are_legal_and_as_many_as_asked_for():
    found = random_legal(333, np.array(ELEMENTS), np.random.default_rng(2))
    assert len(found) == 333
    found.check()
    assert found.legal().all()
    assert len(np.unique(found.space_group)) > 100


def test_errors_are_of_test_rows_that_the_model_knows(tmp_path, genes, monkeypatch):
    pytest.importorskip("sklearn")
    rows = len(genes)
    heft = genes.elements.max(axis=1).astype(float)
    split = np.array(["train", "train", "val", "test"])[np.arange(rows) % 4]
    table = CrystalTable.from_genes(genes).with_columns(heft=heft, split=split.tolist())
    table.write(tmp_path / "mine.parquet")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"width": 8, "heads": 2, "layers": 1, "elements": ELEMENTS[:-1]}  # barium is not known
        model = GeneEncoder(GeneEncoderConfig(**sizes, target="heft"))
    monkeypatch.setenv("ARISTOTYPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(properties, "EXPERIMENTS", (properties.Experiment(target="heft", data="mine.parquet"),))
    monkeypatch.setattr(properties, "encoder", lambda name: model.eval())
    errors, spread = properties.properties(Context(data=tmp_path))
    test = np.flatnonzero(split == "test")
    known = test[~(genes.elements[test] == 56).any(axis=1)]
    line = next(line for line in errors.text.splitlines() if line.startswith("| heft"))
    assert f"/ {len(known)} (of {len(test)})" in line
    values, _ = model.predict(genes.take(known))
    assert f"| {np.abs(values - heft[known]).mean():.4g} (" in line
    blind = np.abs(heft[split == "train"].mean() - heft[known]).mean()
    assert f"| {blind:.4g} |" in line
    assert "| heft |" in spread.text
