"""A model of crystals as a source of geometries for genes of another family."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch, gene_keys
from aristotype.discover import GeometrySource
from aristotype.errors import InputError, UnknownNameError
from aristotype.realize import MinimaConfig, RealizeConfig, minima, realize_many


@pytest.fixture(scope="module", params=["crystalformer-mp20", "augen-mp20"])
def source(request) -> GeometrySource:
    return GeometrySource.of(request.param)


@pytest.fixture(scope="module")
def genes() -> CrystalTable:
    """Rock salt, quartz, a perovskite, lead dioxide in two settings, and one with polonium, which MP-20 lacks."""
    batch = GeneBatch.from_lists(
        [225, 154, 62, 14, 14, 221],
        [[11, 17], [14, 8], [20, 22, 8, 8], [82, 8, 8], [82, 8, 8], [84]],
        [[0, 1], [0, 2], [2, 0, 2, 3], [0, 4, 4], [1, 4, 4], [0]],
    )
    return CrystalTable.from_genes(batch, ["salt", "quartz", "tilted", "a", "b", "unknown"])


def test_it_draws_for_what_it_knows_the_same_again_after_a_pickle(source, genes):
    found = source(genes, seed=3)
    assert found.ids == genes.ids[:5]
    assert gene_keys(found.genes()).tolist() == gene_keys(genes.genes())[:5].tolist()
    assert pickle.loads(pickle.dumps(source))(genes, seed=3) == found
    assert source(genes, seed=4) != found


def test_the_search_starts_from_it(source, genes):
    config = MinimaConfig(trials=1, screened=4, raced=2, heat=3, steps=10, proposed=1.0)
    found = minima(genes, seed=0, keep=1, config=config, source=source)
    start = dict(zip(found.column("gene").to_pylist(), found.column("start").to_pylist(), strict=True))
    assert {start[name] for name in genes.ids[:5]} == {"proposed"}
    assert start["unknown"] == "random"
    assert gene_keys(found.genes()).tolist() == gene_keys(genes.genes()).tolist()
    assert (found.genes().wyckoffs == genes.genes().wyckoffs).all()
    assert np.isfinite(found.column("objective").to_numpy()).all()


def test_it_is_given_without_settings_of_another_way(source, genes):
    with pytest.raises(InputError, match="settings of `realize` are given"):
        realize_many(genes, seed=0, source=source, config=RealizeConfig())


def test_what_is_no_model_of_crystals_is_refused():
    with pytest.raises(InputError, match="gives no geometry to genes"):
        GeometrySource.of("wyckoff-transformer-mp20")
    with pytest.raises(UnknownNameError, match="no model 'nothing'"):
        GeometrySource.of("nothing")
