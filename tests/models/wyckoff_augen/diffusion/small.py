"""A small model of the default configuration with random weights: laws hold for any weights."""

from __future__ import annotations

import numpy as np
import torch

from aristotype.crystal import Crystal, GeneBatch
from aristotype.models.wyckoff_augen import Tries
from aristotype.models.wyckoff_augen.diffusion import WyckoffAugen, WyckoffAugenConfig
from aristotype.models.wyckoff_augen.diffusion._frames import Frame, frame_of
from aristotype.symmetry import space_group

CUTOFF = 5.0


def tiny_model(*, seed: int = 0, **changes: object) -> WyckoffAugen:
    """Draws without second tries."""
    sizes = {"width": 16, "layers": 1, "heads": 2, "element_width": 8, "cell_components": 3, "dropout": 0.0}
    score = {
        "score_layers": 2,
        "score_dropout": 0.0,
        "edge_width": 12,
        "vectors": 5,
        "cutoff": CUTOFF,
        "steps": 12,
        "levels": 6,
    }
    settings = {**sizes, **score, "elements": (3, 8, 26), "max_sites": 5}
    config = WyckoffAugenConfig(**{**settings, **changes})  # type: ignore[arg-type]
    groups = np.arange(1, 231, dtype=np.int16)
    counted = GeneBatch.from_lists(groups, [[config.elements[0]]] * 230, [[0]] * 230)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WyckoffAugen(config)
        model._learn_counts(counted)
        for weights in model.parameters():
            weights.data += 0.2 * torch.randn_like(weights)
        model.network.cell.head.out.weight.data *= 0.1  # cells of ordinary shapes
    model.tries = Tries.none()
    return model.eval()


def frame_and_free(crystal: Crystal) -> tuple[Frame, np.ndarray]:
    """The frame of a crystal and its parameters (S, 3)."""
    frame = frame_of(crystal.space_group, crystal.wyckoffs, np.array(crystal.lattice))
    free, start = np.zeros((len(crystal.wyckoffs), 3)), 0
    for site, letter in enumerate(crystal.wyckoffs):
        freedom = space_group(crystal.space_group).positions[letter].freedom
        free[site, :freedom] = crystal.free[start : start + freedom]
        start += freedom
    return frame, free
