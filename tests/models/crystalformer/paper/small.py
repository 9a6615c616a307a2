"""Small models with random weights: laws hold for any weights."""

from __future__ import annotations

import torch

from aristotype.models.crystalformer.paper import CrystalFormerPaper, PaperConfig

SIZES = {"width": 16, "layers": 1, "heads": 2, "head_width": 8, "coordinate_components": 3, "cell_components": 2}


def paper_model(
    seed: int = 0,
    *,
    nudge: float = 0.0,
    elements: tuple[int, ...] = tuple(range(1, 104)),
    max_sites: int = 64,
    scale: float = 0.3,
) -> CrystalFormerPaper:
    """Weights drawn with a seed; with a nudge, moved a little from there."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = CrystalFormerPaper(PaperConfig(elements=elements, max_sites=max_sites, dropout=0.0, **SIZES))
        for weights in made.parameters():
            weights.data += scale * torch.randn_like(weights)
        made.network.cell_out.weight.data *= 0.1  # cells of ordinary shapes
        made.network.cell_out.bias.data.view(-1, 14)[:, 8:] += 0.5  # broad laws: means over samples are known well
        for head in made.network.coordinate_out:
            head.bias.data[6:] -= 1.5
        for weights in made.parameters():
            weights.data += nudge * torch.randn_like(weights)
    return made.eval()
