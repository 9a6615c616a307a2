"""Tiny models of random weights, and worlds small enough to be written out gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement, product

import numpy as np
import torch

from aristotype.crystal import GeneBatch, canonical_genes, gene_keys
from aristotype.models.wyckoff_transformer import WyckoffTransformer, WyckoffTransformerConfig
from aristotype.symmetry import space_group
from tests.random_genes import GROUPS, random_genes

VOCABULARY = (3, 8, 26)
SIZES = {
    "width": 16,
    "heads": 2,
    "element_width": 8,
    "template_width": 12,
    "template_heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "template_layers": 1,
    "members": 2,
}


def tiny_model(genes: GeneBatch, *, seed: int = 0, spread: float = 0.3, **sizes: int) -> WyckoffTransformer:
    """A model whose random weights are far from symmetric: relabelled templates differ by nats."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WyckoffTransformer.for_training(WyckoffTransformerConfig(**{**SIZES, **sizes}), genes)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(spread * torch.randn_like(parameter))
    return model.eval()


@cache
def training_genes() -> GeneBatch:
    """Two genes of two groups in three: a third of the groups is never seen."""
    groups = [n for n in GROUPS for _ in range(2) if n % 3]
    return random_genes(np.random.default_rng(11), groups, elements=VOCABULARY, max_sites=4)


@cache
def model_of_all_groups() -> WyckoffTransformer:
    return tiny_model(training_genes(), max_sites=8)


def all_genes(number: int, elements: Sequence[int], most: int) -> GeneBatch:
    """Every legal gene of a group of up to `most` sites, once."""
    sites = list(product(range(len(space_group(number).positions)), elements))
    listed = [gene for count in range(1, most + 1) for gene in combinations_with_replacement(sites, count)]
    batch = GeneBatch.from_lists(
        [number] * len(listed), [[z for _, z in gene] for gene in listed], [[w for w, _ in gene] for gene in listed]
    )
    legal = canonical_genes(batch.take(batch.legal()))
    _, first = np.unique([key.hex() for key in gene_keys(legal).tolist()], return_index=True)
    return legal.take(first)


@cache
def closed_world(
    number: int, most: int = 2, elements: tuple[int, ...] = (3, 8)
) -> tuple[WyckoffTransformer, GeneBatch]:
    """A model that can write up to `most` sites of two elements, and all it can write in one group.

    It remembers about a third of the templates.
    """
    everything = all_genes(number, elements, most)
    rng = np.random.default_rng(number)
    seen = everything.take(rng.choice(len(everything), max(2, len(everything) // 3)))
    everywhere = GeneBatch.from_lists([1, 1], [[z] for z in elements], [[0], [0]])  # so that the vocabulary is complete
    return tiny_model(GeneBatch.concatenate([seen, everywhere]), seed=number, max_sites=most), everything


def frequencies(sampled: GeneBatch, everything: GeneBatch) -> np.ndarray:
    """How often each gene of a world was sampled; fails if another was."""
    index = {key: row for row, key in enumerate(gene_keys(everything).tolist())}
    return np.bincount([index[key] for key in gene_keys(sampled).tolist()], minlength=len(everything))
