"""The score of noisy coordinates: messages between sites and the atoms they see.

What a site is told does not change with the description of the crystal: elements, the group, numbers of atoms,
distances, and angles by inner products of vectors. Vectors are sums of directions to atoms, carried to the images of a
site by the operations that make them. So the score turns with the crystal, lies in the subspace of each site, and is
the same whichever images and whichever setting the crystal is given in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import ElementEmbedding, GroupEmbedding, widened
from aristotype.models.wyckoff_augen.diffusion._config import WyckoffAugenConfig
from aristotype.models.wyckoff_augen.diffusion._frames import SITE_TOLD
from aristotype.models.wyckoff_augen.diffusion._graph import Graph

_NARROW, _FROM, _NEAR = 0.12, 0.4, 4.0  # Angstrom: fine shells and where they are
_WIDE = 0.35  # Angstrom, from there to the cutoff
_FAR = 6.0  # Angstrom, an ordinary reach
_NOISES = 20
_SHORT = 0.15  # Angstrom below which a step has no clear direction
_SHARPEST = 0.06  # Angstrom of the sharpest features that are expected
_LONGEST = 4.0  # of a score times the noise: it is a mean of normal numbers, and no crystal costs more than this
_MESSAGES = 8.0


class ScoreNetwork(nn.Module):
    """Scores times noise, (N, 3) along Cartesian axes."""

    middles: Tensor
    widths: Tensor
    noises: Tensor

    def __init__(self, config: WyckoffAugenConfig) -> None:
        super().__init__()
        width, edge = config.width, config.edge_width
        fine, wide = torch.arange(_FROM, _NEAR, _NARROW), torch.arange(_NEAR, config.cutoff + 1e-6, _WIDE)
        self.register_buffer("middles", torch.cat([fine, wide]), persistent=False)
        spread = torch.cat([torch.full_like(fine, _NARROW), torch.full_like(wide, _WIDE)])
        self.register_buffer("widths", spread, persistent=False)
        levels = torch.linspace(math.log(config.smallest_noise), math.log(20.0), _NOISES)
        self.register_buffer("noises", levels, persistent=False)
        self.groups = GroupEmbedding(width)
        self.elements = ElementEmbedding(config.elements, config.element_width)
        self.element_in = nn.Linear(config.element_width, width)
        self.group_in = nn.Linear(width, width)
        self.told_in = nn.Linear(SITE_TOLD, width)
        self.noise_in = nn.Sequential(nn.Linear(_NOISES, width), nn.SiLU(), nn.Linear(width, width))
        shells = len(self.middles) + 2
        self.rounds = nn.ModuleList(
            Round(width, edge, config.vectors, shells, config.score_dropout, first=place == 0)
            for place in range(config.score_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, config.vectors))

    def forward(self, graph: Graph) -> Tensor:
        """The scores; 0 for sites of which nothing is known at their noise."""
        crystals = len(graph.group)
        log_noise = torch.log(graph.noise)
        gap = float(self.noises[1] - self.noises[0])
        levels = torch.exp(-0.5 * torch.square((log_noise[:, None] - self.noises) / gap))
        about = self.group_in(self.groups(graph.group)) + self.noise_in(levels)
        state = self.element_in(self.elements())[graph.elements] + self.told_in(graph.told) + about[graph.crystal]
        direction = graph.step / torch.sqrt(torch.square(graph.distance) + _SHORT**2)[:, None]
        fade = torch.square(1.0 - torch.square(graph.distance / graph.radius))
        near = torch.exp(-0.5 * torch.square((graph.distance[:, None] - self.middles) / self.widths))
        told = torch.cat([near, (graph.distance / graph.radius)[:, None], graph.radius[:, None] / _FAR], dim=1)
        vectors = state.new_zeros(len(state), self.rounds[0].vectors, 3)
        for one in self.rounds:
            state, vectors = one(state, vectors, graph, told, direction, fade[:, None])
        gate = self.out(self.norm(state))
        pulled = widened((gate[:, :, None] * vectors).sum(dim=1))
        noise = graph.noise[graph.crystal][:, None]
        pulled = pulled * noise / torch.sqrt(torch.square(noise) + _SHARPEST**2)
        pulled = pulled * _LONGEST / torch.sqrt(_LONGEST**2 + torch.square(pulled).sum(dim=1, keepdim=True))
        pulled = torch.einsum("ni,nij->nj", pulled, graph.within)
        pulled = torch.where(graph.moving[:, None], pulled, 0.0)
        return self._without_drift(pulled, graph, crystals)

    @staticmethod
    def _without_drift(pulled: Tensor, graph: Graph, crystals: int) -> Tensor:
        """Less the mean along the directions in which the origin floats: no motion of the whole crystal is wanted."""
        sums = pulled.new_zeros(crystals, 3).index_add(0, graph.crystal, pulled)
        counts = pulled.new_zeros(crystals).index_add(0, graph.crystal, torch.ones_like(graph.share))
        mean = torch.einsum("ni,nij->nj", sums / counts[:, None], graph.polar)
        return pulled - mean[graph.crystal]


class Round(nn.Module):
    """Messages from atoms to sites, which change the states and the vectors of sites."""

    def __init__(self, width: int, edge: int, vectors: int, shells: int, dropout: float, *, first: bool) -> None:
        """Fresh weights; in the first round there are no vectors yet."""
        super().__init__()
        self.vectors, self.first = vectors, first
        self.norm = nn.LayerNorm(width)
        self.from_site = nn.Linear(width, edge)
        self.from_atom = nn.Linear(width, edge, bias=False)
        self.gate = nn.Linear(width, edge)
        self.from_shells = nn.Linear(shells, edge, bias=False)
        if not first:
            self.from_angles = nn.Linear(2 * vectors, edge, bias=False)
        self.to_vectors = nn.Linear(edge, vectors, bias=False)
        self.change = nn.Sequential(
            nn.Linear(width + edge + vectors, 2 * width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.pooled = nn.Linear(width, width, bias=False)

    def forward(
        self, state: Tensor, vectors: Tensor, graph: Graph, told: Tensor, direction: Tensor, fade: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New states (N, width) and vectors (N, vectors, 3).

        Args:
            state: (N, width).
            vectors: (N, vectors, 3).
            graph: of N sites with K edges.
            told: (K, shells) what is told of distances.
            direction: (K, 3).
            fade: (K, 1) how much of each atom is seen.
        """
        known = self.norm(state)
        heard = self.from_shells(told) * (1.0 + self.gate(known))[graph.site]
        heard = heard + self.from_site(known)[graph.site]
        heard = heard + self.from_atom(known)[graph.atom_site[graph.atom]]
        if not self.first:
            carried = torch.einsum("mvi,mij->mvj", vectors[graph.atom_site], graph.rotation)
            ends = torch.cat([vectors[graph.site], carried[graph.atom]], dim=1)  # (K, 2 vectors, 3)
            heard = heard + self.from_angles(torch.einsum("kvi,ki->kv", ends, direction))
        heard = functional.silu(heard) * fade
        sums = heard.new_zeros(len(state), heard.shape[1]).index_add(0, graph.site, heard) / _MESSAGES
        pulls = (self.to_vectors(heard)[:, :, None] * direction[:, None]).flatten(1)
        added = pulls.new_zeros(len(state), pulls.shape[1]).index_add(0, graph.site, pulls)
        vectors = vectors + added.view_as(vectors)
        lengths = torch.sqrt(torch.square(vectors).sum(dim=2) + 1e-4)
        whole = known.new_zeros(len(graph.group), known.shape[1])
        whole = whole.index_add(0, graph.crystal, graph.share[:, None] * known)
        change = self.change(torch.cat([known, sums, lengths], dim=1)) + self.pooled(whole)[graph.crystal]
        return state + change, vectors
