"""Message passing on graphs of crystals (A.4, equations 4 to 9).

What the paper leaves open is settled so: multiplicities are those of the primitive cell, whose atoms make the graph;
attention is a sigmoid, so that the denominator of equation 9 is not 0; only the empty crystal has a seed node.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._graph import Graph
from aristotype.models.wyckoff_augen.paper._layers import GraphNorm, Joint, frequencies, gaussians, mlp, waves

FURTHEST = 15.0
"""Angstrom up to which distances are told; the paper does not say."""
_WAVES, _SCALE, _SEED = 32, 1.0, 31
"""Of the Fourier features of coordinates: how many, cycles in a cell edge, seed."""
_EDGES_KEPT = 200_000
"""Edges of a batch beyond which messages are computed again for gradients, so that memory stays bounded."""
_SAME = 1e-6
"""Angstrom within which an edge has no direction."""


class MessageLayer(nn.Module):
    """One round of messages (equations 6 and 7)."""

    def __init__(self, width: int, filters: int) -> None:
        super().__init__()
        self.filter = Joint((filters, width, width), width, width, hidden=1)
        self.norm = GraphNorm(width)
        self.update = mlp(width, width, width)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, u: Tensor, edge: Tensor, graph: Graph) -> Tensor:
        """(V, width) nodes after it; `edge` (B, filters)."""
        first, here, there = self.filter.first
        hidden = first(edge)[graph.edge] + here(u)[graph.target] + there(u)[graph.source]
        message = u[graph.source] * self.filter.rest(hidden)
        count = u.new_zeros(len(u)).index_add(0, graph.target, u.new_ones(len(graph.target))).clamp(min=1.0)
        total = message.new_zeros(len(u), message.shape[1]).index_add(0, graph.target, message)
        x = self.norm(total / torch.sqrt(count)[:, None], graph.node_graph, graph.graphs)
        return u + self.scale * cast(Tensor, self.update(x))


class MessageNetwork(nn.Module):
    """Vectors of graphs from sites, and from the relative positions of atoms."""

    wave: Tensor

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width = config.width
        self.distances = config.distances
        self.register_buffer("wave", frequencies(3, _WAVES, _SCALE, _SEED))
        self.node = Joint((width, width, 2 * _WAVES), width, width)
        self.seed = nn.Parameter(torch.randn(width))
        self.edge = mlp(3 + config.distances, config.filters, config.filters)
        self.layers = nn.ModuleList(MessageLayer(width, config.filters) for _ in range(config.layers))
        self.out = mlp((config.layers + 1) * width, width, width)
        self.attention = mlp(width, width, 1)

    def forward(self, position: Tensor, element: Tensor, point: Tensor, atoms: Tensor, graph: Graph) -> Tensor:
        """(graphs, width) vectors of graphs.

        Args:
            position: (n S, width) of the positions of sites.
            element: (n S, width) of their elements.
            point: (n S, 3) fractional coordinates.
            atoms: (n S,) of each site in the primitive cell.
            graph: of the n sequences of S sites.
        """
        sites = self.node(position, element, waves(point, self.wave))
        empty = (graph.node_site < 0)[:, None]
        if len(sites):
            at = graph.node_site.clamp(min=0)
            u, weight = torch.where(empty, self.seed, sites[at]), torch.where(empty, 1.0, atoms[at, None])
        else:
            u, weight = self.seed.expand(len(empty), -1), self.seed.new_ones(len(empty), 1)
        edge = self._edges(graph, atoms)
        every = [u]
        keep = torch.is_grad_enabled() and len(graph.target) > _EDGES_KEPT
        for layer in self.layers:
            last = every[-1]
            every.append(
                checkpoint(layer, last, edge, graph, use_reentrant=False) if keep else layer(last, edge, graph)
            )
        u = self.out(torch.cat(every, dim=1))
        weight = weight * torch.sigmoid(self.attention(u))
        return self._pooled(u, weight, graph)

    def _edges(self, graph: Graph, atoms: Tensor) -> Tensor:
        """(B, filters) vectors of edges (equation 5)."""
        step = graph.step.to(atoms)
        length = torch.linalg.vector_norm(step, dim=1)
        direction = step / length.clamp(min=_SAME)[:, None]
        told = torch.cat([direction, gaussians(length, self.distances, FURTHEST)], dim=1)
        return cast(Tensor, self.edge(told)) / atoms[graph.step_site][:, None]

    @staticmethod
    def _pooled(u: Tensor, weight: Tensor, graph: Graph) -> Tensor:
        """(graphs, width) weighted sums of nodes that preserve variances (equation 9)."""
        total = u.new_zeros(graph.graphs, u.shape[1]).index_add(0, graph.node_graph, weight.to(u) * u)
        squares = u.new_zeros(graph.graphs, 1).index_add(0, graph.node_graph, torch.square(weight.to(u)))
        return total * torch.rsqrt(squares)
