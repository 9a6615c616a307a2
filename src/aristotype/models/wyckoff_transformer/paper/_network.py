"""The published network: an encoder over the set of known sites and the partly masked next one.

There is no positional encoding, so that the order of the known sites has no influence. The next site is told from the
known ones by its masked fields alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.wyckoff_transformer.paper._config import PaperConfig
from aristotype.models.wyckoff_transformer.paper._rules import Field, FieldRules, Prefix
from aristotype.symmetry import tables


class PostNormLayer(nn.Module):
    """Attention and feed-forward, normalised after each is added (Vaswani et al., 2017)."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.mix = nn.Linear(width, width)
        self.norm_attention = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feed_forward)
        self.contract = nn.Linear(feed_forward, width)
        self.norm_forward = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, *, first_only: bool) -> Tensor:
        """X (n, places, width); `mask` (n, 1, 1, places) is True where a place may be looked at.

        With `first_only`, the output of the first place alone, (n, 1, width): all that is read of the last layer.
        """
        n, places, width = x.shape
        out = x[:, :1] if first_only else x
        q = self.query(out).view(n, out.shape[1], self.heads, -1).transpose(1, 2)
        k, v = self.key_value(x).view(n, places, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        mixed = mixed.transpose(1, 2).reshape(n, out.shape[1], width)
        out = self.norm_attention(out + self.drop(self.mix(mixed)))
        hidden = self.drop(functional.relu(self.expand(out)))
        return self.norm_forward(out + self.drop(self.contract(hidden)))


class PaperNetwork(nn.Module):
    """Logits of each field of the next site of a set of known sites."""

    group_features: Tensor

    def __init__(self, config: PaperConfig, rules: FieldRules) -> None:
        super().__init__()
        self.rules = rules
        self.elements = nn.Embedding(rules.num_elements + 1, config.element_width)  # the last row is the mask, as in
        self.symbols = nn.Embedding(rules.num_symbols + 1, config.symmetry_width)  # the two tables below
        self.indices = nn.Embedding(rules.num_indices + 1, config.index_width)
        self.mix = nn.Linear(config.element_width + config.symmetry_width + config.index_width, config.width)
        features = tables().group_features
        padded = np.concatenate([np.zeros((1, features.shape[1]), np.float32), features])
        self.register_buffer("group_features", torch.from_numpy(padded), persistent=False)
        self.start = nn.Linear(features.shape[1], config.width)
        self.layers = nn.ModuleList(
            PostNormLayer(config.width, config.heads, config.feed_forward, config.dropout) for _ in range(config.layers)
        )
        values = {"element": rules.num_elements, "symmetry": rules.num_symbols, "index": rules.num_indices}
        self.heads = nn.ModuleDict(
            {
                field: nn.Linear(config.width + size, size + (field == "element"))  # the element may also be STOP
                for field, size in values.items()
            }
        )

    def forward(self, field: Field, prefix: Prefix, element: Tensor | None, symbol: Tensor | None) -> Tensor:
        """Logits (n, values) of a field of the next site, given its earlier fields (n,); not masked."""
        x = self._places(prefix, element, symbol)
        mask = None
        if prefix.padded:
            always = prefix.present.new_ones(len(prefix), 2)
            mask = torch.cat([always, prefix.present], dim=1)[:, None, None]
        for layer in self.layers[:-1]:
            x = layer(x, mask, first_only=False)
        x = self.layers[-1](x, mask, first_only=True)[:, 0]
        taken = self.rules.taken(field, prefix, symbol)
        return self.heads[field](torch.cat([x, taken.to(x.dtype)], dim=1))

    def _places(self, prefix: Prefix, element: Tensor | None, symbol: Tensor | None) -> Tensor:
        """(n, 2 + k, width): the partly masked site, the start, the known sites."""
        rules, n = self.rules, len(prefix)
        symbols, indices = rules.sites(prefix)
        element = prefix.group.new_full((n,), rules.num_elements) if element is None else element
        symbol = prefix.group.new_full((n,), rules.num_symbols) if symbol is None else symbol
        masked = prefix.group.new_full((n, 1), rules.num_indices)
        sites = self.mix(
            torch.cat(
                [
                    self.elements(torch.cat([element[:, None], prefix.elements], dim=1)),
                    self.symbols(torch.cat([symbol[:, None], symbols], dim=1)),
                    self.indices(torch.cat([masked, indices], dim=1)),
                ],
                dim=2,
            )
        )
        start = self.start(self.group_features[prefix.group])[:, None]
        return torch.cat([sites[:, :1], start, sites[:, 1:]], dim=1)
