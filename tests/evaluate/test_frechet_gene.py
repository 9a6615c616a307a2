"""The Fréchet distance of genes: its laws, what it says of itself, and the order of what it compares."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from aristotype.crystal import GeneBatch, equivalents
from aristotype.errors import InputError
from aristotype.evaluate import frechet_gene, frechet_gene_floor, gene_embedding, gene_report
from aristotype.models import shipped_models
from aristotype.models.gene_encoder import LAYER, GeneEncoder, GeneEncoderConfig
from tests.random_genes import random_genes, shuffled

ELEMENTS = (3, 8, 26)


@cache
def encoder() -> GeneEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"width": 8, "heads": 2, "layers": 1, "elements": ELEMENTS}
        model = GeneEncoder(GeneEncoderConfig(**sizes, target="made_up"))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def genes(seed: int, count: int = 150) -> GeneBatch:
    rng = np.random.default_rng(seed)
    return random_genes(rng, rng.integers(1, 231, count).tolist(), elements=ELEMENTS, max_sites=4)


def distance(one: GeneBatch, other: GeneBatch, **settings) -> float:
    return frechet_gene(one, other, encoder=encoder(), **settings).distance.value


def other_descriptions(batch: GeneBatch, seed: int) -> GeneBatch:
    """Each gene by a random one of its descriptions, sites in random order."""
    rng = np.random.default_rng(seed)
    described, owner = equivalents(batch)
    last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
    first = np.append(0, last[:-1] + 1)
    return shuffled(described.take(rng.integers(first, last + 1)), rng)


def test_of_a_set_from_itself_it_is_zero_and_it_is_symmetric():
    one, other = genes(0), genes(1)
    scale = np.trace(np.cov(gene_embedding(one, encoder()), rowvar=False))
    # Square roots of eigenvalues of rounded products: half of the digits are left.
    assert distance(one, one) == pytest.approx(0.0, abs=1e-7 * scale)
    # The ridge is a fraction of the second set's variance; without it the formula itself is symmetric.
    assert distance(one, other, ridge=0.0) == pytest.approx(distance(other, one, ridge=0.0), rel=1e-6)
    assert distance(one, other) > 1e-3 * scale


def test_it_does_not_see_descriptions_order_of_sites_or_order_of_genes():
    one, other = genes(0), genes(1)
    value = distance(one, other)
    relabelled = other_descriptions(one, 2)
    assert (relabelled.wyckoffs != one.wyckoffs).any()
    # float32 sums in another order, at most 1e-5 of embeddings of size one.
    assert distance(relabelled, other_descriptions(other, 3)) == pytest.approx(value, rel=1e-4)
    assert distance(one.take(np.arange(len(one))[::-1]), other) == pytest.approx(value, rel=1e-4)


def test_it_is_the_formula_on_the_embedding():
    one, other = (gene_embedding(genes(seed), encoder()) for seed in (0, 1))
    covariances = [np.cov(rows, rowvar=False) for rows in (one, other)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(one.mean(axis=0) - other.mean(axis=0)).sum() + np.trace(sum(covariances) - 2 * root)
    assert distance(genes(0), genes(1), ridge=0.0) == pytest.approx(expected, rel=1e-5)
    given = frechet_gene(one, other, encoder=encoder(), ridge=0.0)  # embeddings instead of genes
    assert given.distance.value == pytest.approx(expected, rel=1e-5)


def test_it_says_what_decides_it():
    batch = genes(0)
    foreign = GeneBatch.concatenate([batch, GeneBatch.from_lists([225], [[79]], [[0]])])
    found = frechet_gene(foreign, batch, encoder=encoder())
    assert (found.left_out, found.reference_left_out) == (1, 0)
    assert (found.distance.rows, found.distance.reference_rows, found.distance.dimensions) == (150, 150, 8)
    for part in (LAYER, found.sha256[:16], "ridge 1e-06", "150 rows against 150", "1 genes"):
        assert part in found.note
    assert found.to_dict()["distance"]["ridge"] == 1e-6
    # The hash is of the weights: it stays with them, and changes with any of them.
    again, changed = (GeneEncoder.from_checkpoint(encoder().settings(), encoder().state_dict()) for _ in range(2))
    with torch.no_grad():
        changed.network.norm.weight[0] += 1
    sums = [frechet_gene(batch, batch, encoder=model).sha256 for model in (encoder(), again, changed)]
    assert sums[0] == sums[1] != sums[2]


def test_genes_without_an_embedding_are_no_sample():
    gold = GeneBatch.from_lists([225, 221], [[79], [79]], [[0], [0]])
    with pytest.raises(InputError, match="0 of 2 genes"):
        frechet_gene(gold, genes(0), encoder=encoder())


def test_the_floor_falls_with_the_number_of_genes():
    batch = genes(4, 1200)
    few, many = (frechet_gene_floor(batch, size=n, draws=8, seed=0, encoder=encoder()).mean() for n in (50, 500))
    assert few > 3 * many  # as 1/n, a factor of ten


def test_a_report_of_genes_has_it_with_an_encoder_only():
    batch = genes(0)
    report = gene_report(batch, genes(1), resamples=0, encoder=encoder())
    assert report["metrics"]["frechet_gene"]["value"] == pytest.approx(distance(batch, genes(1)), rel=1e-4)
    assert report["embeddings"]["frechet_gene"]["layer"] == LAYER
    bare = gene_report(batch, genes(1), resamples=0)
    assert "frechet_gene" not in bare["metrics"]
    assert "embeddings" not in bare


def test_the_shipped_embedding_orders_sets_as_it_should(data_folder):
    """Held-out genes near, elements out of place further, genes without sense far; each by a wide margin."""
    from aristotype.datasets import load_dataset
    from benchmarks.gene_distances import exchanged_within, random_legal

    assert shipped_models()["gene-encoder-mp20"].megabytes <= 5
    rng = np.random.default_rng(0)
    train, val = (load_dataset("mp_20", name, source=data_folder).genes() for name in ("train", "val"))
    train, val = (side.take(rng.permutation(len(side))[:1500]) for side in (train, val))
    reference = gene_embedding(train)
    near, wrong, far = (
        frechet_gene(side, reference)
        for side in (val, exchanged_within(val, rng), random_legal(1500, np.unique(train.elements)[1:], rng))
    )
    assert near.distance.dimensions == 128
    assert near.sha256 == shipped_models()["gene-encoder-mp20"].sha256
    assert 4 * near.distance.value < wrong.distance.value
    assert 4 * wrong.distance.value < far.distance.value
