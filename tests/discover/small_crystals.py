"""A small model of crystals with random weights, as quick as a model can be."""

from __future__ import annotations

from functools import cache

import torch

from aristotype.crystal import GeneBatch
from aristotype.models.crystalformer import CrystalFormer, GeometryConfig, GeometryNetwork, Tries
from aristotype.models.wyckoff_transformer import WyckoffTransformer, WyckoffTransformerConfig

ELEMENTS = (3, 8, 12, 17, 26, 55)
SIZES = {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "element_width": 8, "dropout": 0.0}


@cache
def small_crystalformer() -> CrystalFormer:
    """Rock salt, caesium chloride, zinc blende and perovskite of six elements."""
    pairs = [(a, b) for a in ELEMENTS for b in ELEMENTS if a != b]
    groups = [(225, (0, 1)), (221, (0, 1)), (216, (0, 2))]
    genes = GeneBatch.from_lists(
        [*(number for number, _ in groups for _ in pairs), 221],
        [*(list(pair) for _ in groups for pair in pairs), [3, 12, 8]],
        [*(list(sites) for _, sites in groups for _ in pairs), [0, 1, 2]],
    )
    genes = GeneBatch.concatenate([genes] * 40)  # counted often, so that hardly any other template is drawn
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = WyckoffTransformerConfig(**SIZES, template_width=12, template_heads=2, template_layers=1, max_sites=3)
        model = WyckoffTransformer.for_training(config, genes).eval()
        geometry = GeometryNetwork(GeometryConfig(**SIZES, elements=ELEMENTS))
    return CrystalFormer(model, geometry, Tries.none()).eval()
