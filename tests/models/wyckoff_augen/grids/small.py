"""A small WyckoffAugenGrids with random weights: laws hold for any weights."""

from __future__ import annotations

import numpy as np
import torch

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoff_augen import GridsConfig, Tries, WyckoffAugenGrids


def tiny_model(*, elements: tuple[int, ...] = (3, 8, 26), max_sites: int = 5, seed: int = 0) -> WyckoffAugenGrids:
    """Draws without second tries, so that samples follow the score."""
    config = GridsConfig(
        width=16, layers=1, heads=2, element_width=8, cell_components=3, dropout=0.0, elements=elements,
        max_sites=max_sites,
    )  # fmt: skip
    groups = np.arange(1, 231, dtype=np.int16)
    counted = GeneBatch.from_lists(groups, [[elements[0]]] * 230, [[0]] * 230)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WyckoffAugenGrids(config)
        model._learn_counts(counted)
        for weights in model.parameters():
            weights.data += 0.2 * torch.randn_like(weights)
        model.network.cell.out.weight.data *= 0.1  # cells of ordinary shapes
    model.tries = Tries.none()
    return model.eval()
