"""Genes of any model get cells and coordinates, and are read as the model's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import CrystalTable, GeneBatch, canonical_genes, gene_keys
from aristotype.errors import InputError
from aristotype.models.wyckoff_augen import Tries
from aristotype.models.wyckoff_augen._drawing import Asked
from aristotype.models.wyckoff_augen.diffusion._sampler import DiffusionDrawing
from aristotype.symmetry import NUM_GROUPS
from tests.models.wyckoff_augen.diffusion.small import tiny_model
from tests.random_genes import random_genes

ELEMENTS = (3, 8, 26)


@pytest.fixture(scope="module")
def model():
    return tiny_model(elements=ELEMENTS, max_sites=4)


def test_every_gene_of_every_group_keeps_its_key_and_its_columns(model):
    batch = random_genes(np.random.default_rng(1), range(1, NUM_GROUPS + 1), elements=ELEMENTS, max_sites=4)
    table = CrystalTable.from_genes(canonical_genes(batch)).with_columns(mark=np.arange(NUM_GROUPS))
    found = model.realize(table, seed=0)
    assert gene_keys(found.genes()).tolist() == gene_keys(table.genes()).tolist()
    assert found.ids == table.ids and found.column("mark").to_pylist() == list(range(NUM_GROUPS))
    assert np.isfinite(model.log_prob(found[::10])).all()
    alone = model.realize(table[61:63], seed=0)
    np.testing.assert_allclose(alone.lattice, found.lattice[61:63], rtol=1e-5)
    renamed = table[61:63].with_columns(id=["other", "names"])
    for other in (model.realize(table[61:63], seed=1), model.realize(renamed, seed=0)):
        assert not np.allclose(other.lattice, alone.lattice, rtol=1e-3)


@torch.no_grad()
def test_given_sites_are_read_as_those_that_are_drawn(model):
    """The law of the cell is that of the same sites when the model writes them itself."""
    rng = np.random.default_rng(0)
    group, rows = rng.integers(1, NUM_GROUPS + 1, 60), np.arange(60)
    space = rng.random((60, 3)) < 0.5
    space[:, 1] = True
    own = DiffusionDrawing(model, Asked(group, space, 3, rows, {}))
    own.write()
    genes = own.written()
    given = DiffusionDrawing(model, Asked(group, space, 3, rows, {}, genes=genes))
    given.write()
    for name in ("letters", "atoms", "lattice"):
        np.testing.assert_array_equal(getattr(given, name), getattr(own, name))
    sites = (own.letters >= 0).sum(axis=1)
    for row, count in enumerate(sites.tolist()):
        np.testing.assert_array_equal(given.told[row, : count + 1], own.told[row, : count + 1])


def test_what_overlaps_is_drawn_again():
    model = tiny_model(elements=ELEMENTS, max_sites=4)
    genes = GeneBatch.from_lists([2] * 40, [[3, 8, 8]] * 40, [[8, 8, 8]] * 40)
    table = CrystalTable.from_genes(genes, ids=[str(row) for row in range(40)])
    first = model.realize(table, seed=0).column("closest").to_numpy()
    model.tries = Tries(sites=2)
    again = model.realize(table, seed=0)
    assert (first < model.tries.closest).any()
    kept = first >= model.tries.closest
    assert (again.column("crystal_draws").to_numpy()[kept] == 1).all()
    assert np.median(again.column("closest").to_numpy()[~kept]) > np.median(first[~kept])
    assert gene_keys(again.genes()).tolist() == gene_keys(genes).tolist()


def test_what_the_model_cannot_write_is_refused(model):
    long = CrystalTable.from_genes(GeneBatch.from_lists([1], [[3] * 5], [[0] * 5]))
    with pytest.raises(InputError, match="gene 0 has 5 sites, and this model writes at most 4"):
        model.realize(long, seed=0)
    with pytest.raises(InputError, match="holds element 92"):
        model.realize(CrystalTable.from_genes(GeneBatch.from_lists([225], [[92]], [[0]])), seed=0)
    assert len(model.realize(long[:0], seed=0)) == 0
