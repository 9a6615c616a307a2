"""p(elements | template, number of different elements): which element sits on each position, given all positions.

Sites stand in canonical order; among sites on one position the elements do not decrease, so that a multiset is written
in exactly one way. The template is read by layers that see all of it; causal layers write the elements, one a site.
Attention averages, and a formula is a sum: each site is told its share of the atoms, and the mean element vector of the
atoms that are already there, so that charges can be balanced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import ElementEmbedding, KeyValueCache, Layer, SiteEmbedding
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig
from aristotype.symmetry import tables

_LENGTHS = (12, 8, 5, 3)
"""Templates are read in batches between these numbers of sites."""


class ElementNetwork(nn.Module):
    """A transformer encoder over the template and a causal decoder over the elements."""

    multiplicity: Tensor

    def __init__(self, config: WyckoffTransformerConfig) -> None:
        super().__init__()
        width = config.width
        multiplicity = torch.from_numpy(tables().padded("multiplicity", fill=0).astype(np.float32))
        self.register_buffer("multiplicity", multiplicity, persistent=False)
        self.sites = SiteEmbedding(width)
        self.share = nn.Linear(1, width, bias=False)
        self.elements = ElementEmbedding(config.elements, config.element_width)
        self.element_in = nn.Linear(config.element_width, width)
        self.formula_in = nn.Linear(config.element_width, width)
        self.current = nn.Linear(width, width)
        self.previous = nn.Linear(width, width)
        self.start = nn.Parameter(torch.zeros(width))
        self.kinds = nn.Embedding(config.max_sites + 1, width)
        nn.init.zeros_(self.kinds.weight)

        def layers(count: int) -> Sequence[Layer]:
            made = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(count))
            return cast("Sequence[Layer]", made)

        self.encoder = layers(config.encoder_layers)
        self.decoder = layers(config.decoder_layers)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.element_width)
        self.bias = nn.Parameter(torch.zeros(len(config.elements)))
        self.tilt = nn.Parameter(torch.zeros(len(config.elements)))
        self.drop = nn.Dropout(config.dropout)
        self.temperature = config.temperature

    def shares(self, group: Tensor, wyckoffs: Tensor, present: Tensor | None = None) -> Tensor:
        """(n, S, 1) the share of the atoms that each site of a template holds; see `encode`."""
        atoms = self.multiplicity[group[:, None], wyckoffs]
        if present is not None:
            atoms = atoms * present
        return (atoms / atoms.sum(dim=1, keepdim=True))[..., None]

    def encode(
        self, group: Tensor, wyckoffs: Tensor, shares: Tensor, kinds: Tensor, present: Tensor | None = None
    ) -> Tensor:
        """Reads templates: groups (n,), letters (n, S), shares of the atoms, numbers of different elements (n,).

        `present` (n, S) says where sites are, if some rows are shorter.
        """
        x = self.sites(group, wyckoffs) + self.share(shares) + self.kinds(kinds)[:, None]
        mask = None if present is None else present[:, None, None, :]
        for layer in self.encoder:
            x = layer(x, causal=False, mask=mask)
        return x

    def forward(self, group: Tensor, wyckoffs: Tensor, elements: Tensor, kinds: Tensor) -> Tensor:
        """Logits (n, S, vocabulary) for genes of equal length; elements (n, S) are indices in the vocabulary."""
        shares = self.shares(group, wyckoffs)
        current, previous = self._read(group, wyckoffs, shares, kinds)
        table = self.elements()
        filled = torch.cumsum(shares * table[elements], dim=1)
        seen = previous + self.element_in(table)[elements] + self.formula_in(filled)
        seen = torch.cat([self.start.expand(len(group), 1, -1), seen[:, :-1]], dim=1)
        x = self.drop(current + seen)
        for layer in self.decoder:
            x = layer(x, causal=True)
        return self.logits(x, shares, table)

    def _read(self, group: Tensor, wyckoffs: Tensor, shares: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder hears of each site (n, S, width), when it writes it and when it writes the next one.

        Each different template is read once where there is no dropout: descriptions of a gene share theirs.
        """
        if self.training:
            context = self.encode(group, wyckoffs, shares, kinds)
            return self.current(context), self.previous(context)
        templates = torch.cat([group[:, None], kinds[:, None], wyckoffs], dim=1)
        different, owner = torch.unique(templates, dim=0, return_inverse=True)
        row = owner.new_empty(len(different)).scatter_(0, owner, torch.arange(len(owner), device=owner.device))
        context = self.encode(group[row], wyckoffs[row], shares[row], kinds[row])
        return self.current(context)[owner], self.previous(context)[owner]

    def logits(self, x: Tensor, shares: Tensor, table: Tensor) -> Tensor:
        """Logits (..., vocabulary) from the last layer's output, shares of the atoms (..., 1) and element vectors."""
        return (self.out(self.norm(x)) @ table.T + self.bias + shares * self.tilt) / self.temperature

    def log_prob(self, group: Tensor, wyckoffs: Tensor, elements: Tensor) -> Tensor:
        """Log-probabilities (n,) in nats of sorted element assignments to sorted templates of equal length.

        Given the template and the number of different elements of the assignment.
        """
        size = len(self.bias)
        present = functional.one_hot(elements, size).bool()
        kinds = present.any(dim=1).sum(dim=1)
        allowed = assignment_mask(wyckoffs, elements, present, kinds)
        logits = self(group, wyckoffs, elements, kinds).masked_fill(~allowed, -torch.inf)
        picked = functional.log_softmax(logits.float(), dim=-1).gather(2, elements[..., None])
        return picked[..., 0].sum(dim=1)

    def start_decoding(self, group: Tensor, wyckoffs: Tensor, kinds: Tensor, sites: Tensor) -> Decoding:
        """Prepares to write elements site by site.

        Rows are sorted by decreasing number of sites (n,); templates of like length are read together, because most are
        far shorter than the longest.
        """
        width = self.current.in_features
        context = self.start.new_zeros(*wyckoffs.shape, width)
        places = torch.arange(wyckoffs.shape[1], device=wyckoffs.device)
        shares = self.shares(group, wyckoffs, places < sites[:, None])
        first = 0
        for longest in (*_LENGTHS, 0):
            last = int((sites > longest).sum())
            if last > first:
                length = int(sites[first])
                present = places[:length] < sites[first:last, None]
                rows = slice(first, last)
                context[rows, :length] = self.encode(
                    group[rows], wyckoffs[rows, :length], shares[rows, :length], kinds[rows], present
                )
                first = last
        return Decoding(self, context, shares)


class Decoding:
    """The running state of a batch whose elements are being written."""

    def __init__(self, network: ElementNetwork, context: Tensor, shares: Tensor) -> None:
        self.network = network
        self.shares = shares
        self.current = network.current(context)
        self.previous = network.previous(context)
        self.table = network.elements()
        self.element_in = network.element_in(self.table)
        self.filled = self.table.new_zeros(len(context), self.table.shape[1])
        rows, sites, width = context.shape
        heads = network.decoder[0].heads
        self.caches = [KeyValueCache(rows, heads, sites, width // heads, context) for _ in network.decoder]

    def step(self, site: int, rows: int, last: Tensor | None) -> Tensor:
        """Logits (rows, vocabulary) for site number `site` of the first `rows` rows; `last` (rows,) sit before it."""
        if last is None:
            seen = self.network.start.expand(rows, -1)
        else:
            self.filled[:rows] += self.shares[:rows, site - 1] * self.table[last]
            seen = self.previous[:rows, site - 1] + self.element_in[last]
            seen = seen + self.network.formula_in(self.filled[:rows])
        x = (self.current[:rows, site] + seen)[:, None]
        for layer, cache in zip(self.network.decoder, self.caches, strict=True):
            x = layer.step(x, cache, site)
        return self.network.logits(x[:, 0], self.shares[:rows, site], self.table)


def assignment_mask(wyckoffs: Tensor, elements: Tensor, present: Tensor, kinds: Tensor) -> Tensor:
    """`site_mask` (n, S, vocabulary) at every site of complete assignments; `present` (n, S, vocabulary) is one-hot."""
    sites = wyckoffs.shape[1]
    used = torch.zeros_like(present)
    used[:, 1:] = present[:, :-1].cumsum(dim=1) > 0
    same = torch.zeros_like(wyckoffs, dtype=torch.bool)
    same[:, 1:] = wyckoffs[:, 1:] == wyckoffs[:, :-1]
    last = torch.cat([torch.zeros_like(elements[:, :1]), elements[:, :-1]], dim=1)
    return site_mask(
        torch.where(same, last, 0),
        used,
        following_on_letter(wyckoffs),
        torch.arange(sites - 1, -1, -1, device=wyckoffs.device).expand_as(wyckoffs),
        kinds[:, None] - used.sum(dim=2),
    )


def following_on_letter(wyckoffs: Tensor) -> Tensor:
    """(n, S) how many later sites share each site's letter."""
    later = torch.ones(wyckoffs.shape[1], wyckoffs.shape[1], dtype=torch.bool, device=wyckoffs.device).triu(1)
    return ((wyckoffs[:, :, None] == wyckoffs[:, None, :]) & later).sum(dim=2)


def site_mask(
    lowest: Tensor, used: Tensor, following: Tensor, remaining: Tensor, needed: Tensor, vocabulary: Tensor | None = None
) -> Tensor:
    """Which elements a site may take so that exactly the wanted number of different elements comes out.

    Exact: on one letter elements do not decrease, an element that is new must still be needed, and what is still needed
    afterwards must find room on later sites.

    Args:
        lowest: (...,) smallest index allowed, that of the site before on the same letter, else 0.
        used: (..., vocabulary) elements that occur before.
        following: (...,) later sites on the same letter.
        remaining: (...,) all later sites.
        needed: (...,) different elements still to come, this site included.
        vocabulary: (vocabulary,) elements that are allowed at all.
    """
    index = torch.arange(used.shape[-1], device=used.device)
    fresh = ~used if vocabulary is None else ~used & vocabulary
    larger = fresh.sum(dim=-1, keepdim=True) - fresh.cumsum(dim=-1)
    room = (remaining - following)[..., None] + torch.minimum(following[..., None], larger)
    needed_after = needed[..., None] - fresh.long()
    possible = (used | (fresh & (needed[..., None] >= 1))) & (needed_after <= room)
    return possible & (index >= lowest[..., None])
