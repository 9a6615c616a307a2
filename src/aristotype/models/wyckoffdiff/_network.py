"""What is on each position, guessed from what noise has left: a transformer over the positions of a space group.

Positions are known by features of the tables, which groups share, so that groups without training data have a meaning
too. Each position is told what is on it, how much noise there is, the formula of all that is there, and how many
different elements and sites are there and still to come: attention averages, and a formula is a sum. That an element is
there already adds a number to its logit: crystals have fewer elements than sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from aristotype.models.blocks import ElementEmbedding, Layer, SiteEmbedding
from aristotype.models.wyckoffdiff._config import WyckoffDiffConfig
from aristotype.models.wyckoffdiff._noise import schedule
from aristotype.models.wyckoffdiff._occupation import Layout, Occupation
from aristotype.models.wyckoffdiff._sizes import sizes_on
from aristotype.symmetry import tables

_COUNTS_IN = 4  # numbers that a count is turned into
_COUNTS_OUT = 4  # of products of element and position that a count's logit mixes
_WAVES = 8
_MOST_KINDS = 9  # different elements that are there; more count as so many


class OccupationTransformer(nn.Module):
    """Logits of x_0 for every variable."""

    multiplicity: Tensor
    kept: Tensor

    def __init__(self, config: WyckoffDiffConfig) -> None:
        super().__init__()
        width, narrow, count = config.width, config.element_width, config.max_count + 1
        multiplicity = torch.from_numpy(tables().padded("multiplicity", fill=0).astype(np.float32))
        self.register_buffer("multiplicity", multiplicity, persistent=False)
        self.sites = SiteEmbedding(width)
        self.elements = ElementEmbedding(config.elements, narrow)
        self.element_in = nn.Linear(narrow, width)
        self.nothing = nn.Parameter(torch.zeros(width))
        self.counts = nn.Parameter(torch.linspace(0, 1, count)[:, None].repeat(1, _COUNTS_IN))
        self.counts_in = nn.Linear(_COUNTS_IN * narrow, width)
        self.formula_in = nn.Linear(narrow + 1, width)
        # Of different elements that are there; of those, and of sites, that are still to come. One too many is told.
        self.kinds_in = nn.Embedding(_MOST_KINDS + 1, width)
        self.told = (config.max_kinds, config.max_sites) if config.told_sizes else None
        if self.told:
            self.kinds_left = nn.Embedding(self.told[0] + 2, width)
            self.sites_left = nn.Embedding(self.told[1] + 2, width)
            nn.init.normal_(self.kinds_left.weight, std=0.1)
            nn.init.normal_(self.sites_left.weight, std=0.1)
        nn.init.normal_(self.kinds_in.weight, std=0.1)
        self.noise_in = nn.Sequential(nn.Linear(2 * _WAVES + 1, width), nn.SiLU(), nn.Linear(width, width))
        made = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(config.layers))
        self.layers = cast("Sequence[Layer]", made)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)
        self.fixed_out = nn.Linear(width, narrow)
        self.fixed_empty = nn.Linear(width, 1)
        self.free_out = nn.Linear(width, _COUNTS_OUT * narrow)
        self.free_mix = nn.Parameter(torch.randn(_COUNTS_OUT, count) / _COUNTS_OUT)
        self.free_count = nn.Linear(width, count)
        self.again = nn.Linear(width, 2)  # to an element's logit where it is there already, without and with freedom
        nn.init.zeros_(self.again.weight)
        nn.init.zeros_(self.again.bias)
        self.fixed_bias = nn.Parameter(torch.zeros(len(config.elements) + 1))
        self.free_bias = nn.Parameter(torch.zeros(len(config.elements), count))
        self.register_buffer("kept", schedule(config.timesteps), persistent=False)
        self.zeros = config.prior == "zeros"

    def forward(self, layout: Layout, occupation: Occupation, time: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (F, N + 1) and (M, N, P + 1) of x_0, given x_t, t (n,) and what is told of x_0's sizes (n, 2)."""
        table = self.elements()
        kept = self.kept[time]
        content = self._content(layout, occupation, table)
        noise = self.noise_in(_waves(kept).to(table.dtype))
        present, sites = sizes_on(layout, occupation)
        kinds = present.sum(dim=1)
        whole = noise + self.kinds_in(kinds.clamp(max=_MOST_KINDS))
        if self.told:
            left = sizes - torch.stack([kinds, sites], dim=1) + 1
            for embedding, number, most in zip((self.kinds_left, self.sites_left), left.T, self.told, strict=True):
                whole = whole + embedding(number.clamp(0, most + 1))
        x = self.sites(layout.group, layout.letters) + content + whole[:, None]
        mask = None if bool(layout.exists.all()) else layout.exists[:, None, None, :]
        x = self.drop(x)
        for layer in self.layers:
            x = layer(x, causal=False, mask=mask)
        x = self.norm(x).flatten(0, 1)
        return self._logits(layout, x, table, kept, present.to(x.dtype))

    def _content(self, layout: Layout, occupation: Occupation, table: Tensor) -> Tensor:
        """(n, L, width) what each position is told of the elements on it, and of those on all positions."""
        n, length = layout.exists.shape
        vectors = torch.cat([torch.zeros_like(table[:1]), table])[occupation.fixed]
        fixed = torch.where(occupation.fixed[:, None] > 0, self.element_in(vectors), self.nothing)
        counts = (self.counts - self.counts[:1])[occupation.free]  # (M, N, 4), zero where there is nothing
        free = self.counts_in(torch.einsum("mek,ew->mkw", counts, table).flatten(1))
        out = fixed.new_zeros(n * length, fixed.shape[1])
        out = out.index_copy(0, layout.fixed, fixed.to(out.dtype)).index_copy(0, layout.free, free.to(out.dtype))
        return out.view(n, length, -1) + self.formula_in(self._formula(layout, occupation, vectors, table))[:, None]

    def _formula(self, layout: Layout, occupation: Occupation, vectors: Tensor, table: Tensor) -> Tensor:
        """(n, element width + 1) mean vector of the atoms that are there, and the logarithm of their number."""
        atoms = self.multiplicity[layout.group[:, None], layout.letters].flatten()
        on_fixed = atoms[layout.fixed, None] * (occupation.fixed > 0)[:, None]
        counts = occupation.free.to(table.dtype)
        on_free = atoms[layout.free, None]
        total = table.new_zeros(len(layout), table.shape[1] + 1)
        total = total.index_add(0, layout.fixed_row, torch.cat([vectors * on_fixed, on_fixed.to(table.dtype)], dim=1))
        sums = torch.cat([counts @ table, counts.sum(dim=1, keepdim=True)], dim=1) * on_free
        total = total.index_add(0, layout.free_row, sums)
        number = total[:, -1:]
        return torch.cat([total[:, :-1] / number.clamp(min=1), torch.log1p(number)], dim=1)

    def _logits(self, layout: Layout, x: Tensor, table: Tensor, kept: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        on_fixed, on_free = x[layout.fixed], x[layout.free]
        again = self.again(on_fixed)[:, :1] * present[layout.fixed_row]
        some = self.fixed_out(on_fixed) @ table.T + again
        fixed = torch.cat([self.fixed_empty(on_fixed), some], dim=1) + self.fixed_bias
        products = self.free_out(on_free).unflatten(1, (_COUNTS_OUT, -1)) @ table.T  # (M, 4, N)
        free = torch.einsum("mke,kc->mec", products, self.free_mix) + self.free_count(on_free)[:, None] + self.free_bias
        again = self.again(on_free)[:, 1:] * present[layout.free_row]
        free = torch.cat([free[..., :1], free[..., 1:] + again[..., None]], dim=2)
        if self.zeros:  # a value that is there in x_0 and not to be seen was lost: what the noise alone says of that
            lost = torch.log((1 - kept).clamp(min=1e-12)).to(fixed.dtype)
            fixed = torch.cat([fixed[:, :1], fixed[:, 1:] + lost[layout.fixed_row, None]], dim=1)
            free = torch.cat([free[..., :1], free[..., 1:] + lost[layout.free_row, None, None]], dim=2)
        return fixed, free


def _waves(kept: Tensor) -> Tensor:
    """(n, 17) sines and cosines of the angle whose cosine is the share that is kept."""
    angle = torch.acos(kept.clamp(0, 1))[:, None]
    turns = angle * torch.arange(1, _WAVES + 1, device=kept.device)
    return torch.cat([angle, torch.sin(turns), torch.cos(turns)], dim=1)
