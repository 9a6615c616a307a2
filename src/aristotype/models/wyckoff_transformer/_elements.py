"""p(elements | template): which element sits on each position, given all positions.

Sites stand in canonical order; among sites on one position the elements do not decrease, so that a multiset is written
in exactly one way. The template is read by layers that see all of it; causal layers write the elements, one a site.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import ElementEmbedding, KeyValueCache, Layer, SiteEmbedding
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig

_LENGTHS = (12, 8, 5, 3)
"""Templates are read in batches between these numbers of sites."""


class ElementNetwork(nn.Module):
    """A transformer encoder over the template and a causal decoder over the elements."""

    def __init__(self, config: WyckoffTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.sites = SiteEmbedding(width)
        self.elements = ElementEmbedding(config.elements, config.element_width)
        self.element_in = nn.Linear(config.element_width, width)
        self.current = nn.Linear(width, width)
        self.previous = nn.Linear(width, width)
        self.start = nn.Parameter(torch.zeros(width))

        def layers(count: int) -> Sequence[Layer]:
            made = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(count))
            return cast("Sequence[Layer]", made)

        self.encoder = layers(config.encoder_layers)
        self.decoder = layers(config.decoder_layers)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.element_width)
        self.bias = nn.Parameter(torch.zeros(len(config.elements)))
        self.drop = nn.Dropout(config.dropout)

    def encode(self, group: Tensor, wyckoffs: Tensor, present: Tensor | None = None) -> Tensor:
        """Reads templates: groups (n,), letters (n, S), and where sites are (n, S) if some rows are shorter."""
        x = self.sites(group, wyckoffs)
        mask = None if present is None else present[:, None, None, :]
        for layer in self.encoder:
            x = layer(x, causal=False, mask=mask)
        return x

    def forward(self, group: Tensor, wyckoffs: Tensor, elements: Tensor) -> Tensor:
        """Logits (n, S, vocabulary) for genes of equal length; elements (n, S) are indices in the vocabulary."""
        context = self.encode(group, wyckoffs)
        table = self.elements()
        seen = self.previous(context) + self.element_in(table)[elements]
        seen = torch.cat([self.start.expand(len(group), 1, -1), seen[:, :-1]], dim=1)
        x = self.drop(self.current(context) + seen)
        for layer in self.decoder:
            x = layer(x, causal=True)
        return self.out(self.norm(x)) @ table.T + self.bias

    def log_prob(self, group: Tensor, wyckoffs: Tensor, elements: Tensor) -> Tensor:
        """Log-probabilities (n,) in nats of sorted element assignments to sorted templates of equal length."""
        logits = self(group, wyckoffs, elements)
        logits = logits.masked_fill(decreasing(wyckoffs, elements, logits.shape[-1]), -torch.inf)
        picked = functional.log_softmax(logits.float(), dim=-1).gather(2, elements[..., None])
        return picked[..., 0].sum(dim=1)

    def start_decoding(self, group: Tensor, wyckoffs: Tensor, sites: Tensor) -> Decoding:
        """Prepares to write elements site by site.

        Rows are sorted by decreasing number of sites (n,); templates of like length are read together, because most are
        far shorter than the longest.
        """
        width = self.current.in_features
        context = self.start.new_zeros(*wyckoffs.shape, width)
        places = torch.arange(wyckoffs.shape[1], device=wyckoffs.device)
        first = 0
        for longest in (*_LENGTHS, 0):
            last = int((sites > longest).sum())
            if last > first:
                length = int(sites[first])
                present = places[:length] < sites[first:last, None]
                rows = slice(first, last)
                context[rows, :length] = self.encode(group[rows], wyckoffs[rows, :length], present)
                first = last
        return Decoding(self, context)


class Decoding:
    """The running state of a batch whose elements are being written."""

    def __init__(self, network: ElementNetwork, context: Tensor) -> None:
        self.network = network
        self.current = network.current(context)
        self.previous = network.previous(context)
        self.table = network.elements()
        self.element_in = network.element_in(self.table)
        rows, sites, width = context.shape
        heads = network.decoder[0].heads
        self.caches = [KeyValueCache(rows, heads, sites, width // heads, context) for _ in network.decoder]

    def step(self, site: int, rows: int, last: Tensor | None) -> Tensor:
        """Logits (rows, vocabulary) for site number `site` of the first `rows` rows; `last` (rows,) sit before it."""
        if last is None:
            seen = self.network.start.expand(rows, -1)
        else:
            seen = self.previous[:rows, site - 1] + self.element_in[last]
        x = (self.current[:rows, site] + seen)[:, None]
        for layer, cache in zip(self.network.decoder, self.caches, strict=True):
            x = layer.step(x, cache, site)
        return self.network.out(self.network.norm(x[:, 0])) @ self.table.T + self.network.bias


def decreasing(wyckoffs: Tensor, elements: Tensor, vocabulary: int) -> Tensor:
    """(n, S, vocabulary) True where an element would be smaller than the one before it on the same position."""
    same = torch.zeros_like(wyckoffs, dtype=torch.bool)
    same[:, 1:] = wyckoffs[:, 1:] == wyckoffs[:, :-1]
    before = torch.cat([torch.zeros_like(elements[:, :1]), elements[:, :-1]], dim=1)
    smaller = torch.arange(vocabulary, device=elements.device) < before[..., None]
    return same[..., None] & smaller
