"""Tiny models of random weights, and everything they can write in one group."""

from __future__ import annotations

from itertools import product

import torch

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoffdiff import WyckoffDiff, WyckoffDiffConfig
from aristotype.models.wyckoffdiff._occupation import Layout, Occupation, genes_of

SIZES = {"width": 16, "layers": 1, "heads": 2, "element_width": 8, "dropout": 0.0, "timesteps": 40, "steps": 4}
TOLD = {"told_sizes": True, "max_kinds": 2, "max_sites": 3}


def tiny_model(elements=(3, 8), max_count=2, *, seed=0, spread=0.4, groups=(), **changes) -> WyckoffDiff:
    """A model of random weights; `groups` are those that it has seen."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        own = {**SIZES, "told_sizes": False, "elements": elements, "max_count": max_count, **changes}
        model = WyckoffDiff(WyckoffDiffConfig(**own))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(spread * torch.randn_like(parameter))
        if model.config.network == "transformer" and model.config.prior == "marginal":
            model.network.fixed_bias.data[0] += 2.0  # genes of few sites, of which some are as conditions ask
            model.network.free_bias.data[:, 0] += 2.0
        if model.config.prior == "marginal":
            model.fixed_prior.copy_(torch.softmax(torch.randn_like(model.fixed_prior), dim=-1))
            model.free_prior.copy_(torch.softmax(torch.randn_like(model.free_prior), dim=-1))
    for number in groups:
        model.group_counts[number] += 1
    return model.eval()


def everything(model: WyckoffDiff, number: int) -> tuple[Layout, Occupation, GeneBatch]:
    """All occupations of one group that are not empty."""
    one = Layout.of(torch.tensor([number]).numpy())
    elements, most = len(model.config.elements), model.config.max_count
    fixed, free = len(one.fixed), len(one.free)
    values = [range(elements + 1)] * fixed + [range(most + 1)] * (free * elements)
    rows = torch.tensor([row for row in product(*values) if any(row)])
    layout = Layout.of(torch.full((len(rows),), number).numpy())
    occupation = Occupation(fixed=rows[:, :fixed].reshape(-1), free=rows[:, fixed:].reshape(len(rows) * free, elements))
    return layout, occupation, genes_of(occupation, layout, model.config.elements)
