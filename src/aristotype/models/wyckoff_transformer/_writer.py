"""p(template | space group) for templates never seen: positions written one by one in letter order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import KeyValueCache, Layer, SiteEmbedding
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig
from aristotype.symmetry import MAX_POSITIONS, tables

STOP = MAX_POSITIONS
"""Index of the stop token, after the 27 letters."""


class TemplateWriter(nn.Module):
    """A causal transformer that points at the next position of the group, or stops.

    Letters do not decrease, and increase after a position without freedom: every output is legal, in training too.
    """

    freedom: Tensor

    def __init__(self, config: WyckoffTransformerConfig) -> None:
        super().__init__()
        width = config.template_width
        self.width = width
        self.max_sites = config.max_sites
        self.sites = SiteEmbedding(width)
        self.keys = SiteEmbedding(width)
        self.steps = nn.Embedding(config.max_sites + 1, width)
        nn.init.normal_(self.steps.weight, std=0.02)
        layers = (Layer(width, config.template_heads, config.dropout) for _ in range(config.template_layers))
        self.layers = cast("Sequence[Layer]", nn.ModuleList(layers))
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.stop = nn.Linear(width, 1)
        self.drop = nn.Dropout(config.dropout)
        freedom = torch.from_numpy(tables().padded("freedom", fill=-1).astype("int64"))
        self.register_buffer("freedom", freedom, persistent=False)

    def forward(self, group: Tensor, wyckoffs: Tensor) -> Tensor:
        """Masked log-probabilities (n, S + 1, 28) of the next letter or stop, for templates of equal length S."""
        x = torch.cat([self.sites.group(group)[:, None], self.sites(group, wyckoffs)], dim=1)
        x = self.drop(x + self.steps.weight[: x.shape[1]])
        for layer in self.layers:
            x = layer(x, causal=True)
        last = torch.cat([wyckoffs.new_full((len(group), 1), -1), wyckoffs], dim=1)
        return self._next(x, self.position_keys(group), group, last)

    def log_prob(self, group: Tensor, wyckoffs: Tensor) -> Tensor:
        """Log-probability (n,) in nats of one description of each template, letters sorted."""
        target = torch.cat([wyckoffs, wyckoffs.new_full((len(group), 1), STOP)], dim=1)
        return self(group, wyckoffs).gather(2, target[..., None])[..., 0].sum(dim=1)

    def position_keys(self, group: Tensor) -> Tensor:
        """(n, 27, width) what each position of each group is matched against."""
        letters = torch.arange(MAX_POSITIONS, device=group.device).expand(len(group), -1)
        return self.keys(group, letters)

    def start_writing(self, group: Tensor, max_sites: int) -> Writing:
        """Prepares to write a batch of templates."""
        return Writing(self, group, max_sites)

    def allowed(self, group: Tensor, last: Tensor, first: int = 0) -> Tensor:
        """(n, steps, 28) which letters, and last stop, may follow the letter `last` (n, steps), -1 at the start.

        The steps are numbers `first` and on; a template of `max_sites` sites can only stop, so that all probability is
        on templates that can be written.
        """
        freedom = self.freedom[group]
        letters = torch.arange(MAX_POSITIONS, device=group.device)
        of_last = freedom.gather(1, last.clamp(min=0))
        lowest = torch.where((last >= 0) & (of_last == 0), last + 1, last)
        room = torch.arange(first, first + last.shape[1], device=group.device) < self.max_sites
        letter = (freedom >= 0)[:, None] & (letters >= lowest[..., None]) & room[:, None]
        return torch.cat([letter, (last >= 0)[..., None]], dim=2)

    def _next(self, x: Tensor, keys: Tensor, group: Tensor, last: Tensor, first: int = 0) -> Tensor:
        x = self.norm(x)
        pointed = self.query(x) @ keys.transpose(1, 2) / math.sqrt(self.width)
        logits = torch.cat([pointed, self.stop(x)], dim=2).float()
        return functional.log_softmax(logits.masked_fill(~self.allowed(group, last, first), -torch.inf), dim=-1)


class Writing:
    """The running state of a batch of templates that are being written."""

    def __init__(self, network: TemplateWriter, group: Tensor, max_sites: int) -> None:
        self.network = network
        self.group = group
        self.keys = network.position_keys(group)
        heads = network.layers[0].heads
        like = self.keys
        self.caches = [
            KeyValueCache(len(group), heads, max_sites + 1, network.width // heads, like) for _ in network.layers
        ]

    def step(self, index: int, last: Tensor) -> Tensor:
        """Log-probabilities (n, 28) of entry number `index`, after the letters `last` (n,), -1 at the start."""
        network = self.network
        if index == 0:
            x = network.sites.group(self.group)[:, None]
        else:
            x = network.sites(self.group, last.clamp(min=0)[:, None])
        x = x + network.steps.weight[index]
        for layer, cache in zip(network.layers, self.caches, strict=True):
            x = layer.step(x, cache, index)
        return network._next(x, self.keys, self.group, last[:, None], index)[:, 0]
