"""A small model of configuration `paper` with random weights: laws hold for any weights."""

from __future__ import annotations

import numpy as np
import torch

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoff_augen import Tries
from aristotype.models.wyckoff_augen.paper import PaperConfig, WyckoffAugenPaper


def tiny_config(**changes: object) -> PaperConfig:
    sizes = {"width": 16, "layers": 2, "filters": 12, "distances": 20, "element_width": 8}
    components = {f"{name}_components": 3 for name in ("segment", "polygon", "interior")}
    settings = {**sizes, **components, "elements": (3, 8, 26), "max_sites": 3}
    return PaperConfig(**{**settings, **changes})  # type: ignore[arg-type]


def tiny_model(*, seed: int = 0, **changes: object) -> WyckoffAugenPaper:
    """Draws without second tries, so that samples follow the score; most cells are of ordinary lengths."""
    config = tiny_config(**changes)
    groups = np.arange(1, 231, dtype=np.int16)
    counted = GeneBatch.from_lists(groups, [[config.elements[0]]] * 230, [[0]] * 230)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WyckoffAugenPaper(config)
        model._learn_counts(counted)
        for weights in model.parameters():
            weights.data += 0.2 * torch.randn_like(weights)
        for layers in list(model.network.lattice.coarse)[:3]:
            layers[-1].bias.data[2:6] += 9.0  # lengths from 4.6 to 9.9 Angstrom
    model.tries = Tries.none()
    return model.eval()
