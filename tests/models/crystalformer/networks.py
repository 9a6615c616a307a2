"""Small networks with random weights, and genes that are certain: laws hold for any weights."""

from __future__ import annotations

import numpy as np
import torch

from aristotype.models.crystalformer import CrystalFormer, GeometryConfig, GeometryNetwork, Tries


class Certain:
    """A gene model in which every gene has probability one: what is left is p(geometry | gene)."""

    name = "certain"
    vocabulary = frozenset(range(1, 104))

    def log_prob(self, genes):
        return np.zeros(len(genes))

    def train_keys(self):
        return set()


def network(seed: int = 0, scale: float = 0.3, nudge: float = 0.0) -> GeometryNetwork:
    """Weights drawn with a seed; with a nudge, moved a little from there."""
    config = GeometryConfig(
        elements=tuple(range(1, 104)), width=24, heads=2, encoder_layers=1, decoder_layers=1, dropout=0.0
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = GeometryNetwork(config)
        for weights in made.parameters():
            weights.data += scale * torch.randn_like(weights)
        made.cell_out.weight.data *= 0.1  # cells of ordinary shapes
        made.cell_out.bias.data.view(-1, 14)[:, 8:] += 0.5  # and broad laws, so that means over samples are known well
        made.offset_out[2].bias.data[12:] += 3.0
        for weights in made.parameters():
            weights.data += nudge * torch.randn_like(weights)
    return made.eval()


def model(seed: int = 0, nudge: float = 0.0, scale: float = 0.3) -> CrystalFormer:
    """Draws without second tries, so that samples follow the score."""
    return CrystalFormer(Certain(), network(seed, scale, nudge), Tries.none()).eval()
