"""Parts of the network: perceptrons of several vectors, normalisation over graphs, features of numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Joint(nn.Module):
    """A perceptron of vectors that are told together, as if they were concatenated.

    Its first layer is applied to each of them and the results are added up, so that they broadcast, and what many pairs
    have in common is computed once.
    """

    def __init__(self, sizes: tuple[int, ...], width: int, out: int, *, hidden: int = 2) -> None:
        """Of vectors of these sizes; `hidden` layers of a width."""
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(size, width, bias=place == 0) for place, size in enumerate(sizes))
        scale = len(sizes) ** -0.5
        for layer in self.first:
            layer.weight.data *= scale
        more: list[nn.Module] = []
        for _ in range(hidden - 1):
            more += [nn.SiLU(), nn.Linear(width, width)]
        self.rest = nn.Sequential(*more, nn.SiLU(), nn.Linear(width, out))

    def forward(self, *parts: Tensor) -> Tensor:
        """(..., out) of vectors (..., size)."""
        hidden = self.first[0](parts[0])
        for layer, part in zip(list(self.first)[1:], parts[1:], strict=True):
            hidden = hidden + layer(part)
        found: Tensor = self.rest(hidden)
        return found


class GraphNorm(nn.Module):
    """Normalises features over the nodes of each graph, with a learnt share of the mean taken off.

    Source: Cai et al., "GraphNorm: a principled approach to accelerating graph neural network training", ICML 2021.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.share = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, graph: Tensor, graphs: int) -> Tensor:
        """(V, width) of nodes (V, width) in graphs (V,), of which there are `graphs`."""
        count = x.new_zeros(graphs).index_add(0, graph, x.new_ones(len(x))).clamp(min=1.0)[:, None]
        centred = x - self.share * mean_by(x, graph, count)[graph]
        spread = mean_by(torch.square(centred), graph, count)
        return self.gain * centred * torch.rsqrt(spread + _LEAST)[graph] + self.bias


def mean_by(x: Tensor, graph: Tensor, count: Tensor) -> Tensor:
    """(graphs, width) means of nodes (V, width), of which each graph has `count` (graphs, 1)."""
    return x.new_zeros(len(count), x.shape[1]).index_add(0, graph, x) / count


_LEAST = 1e-5
"""Added to variances."""


def mlp(size: int, width: int, out: int) -> nn.Sequential:
    """A perceptron with one hidden layer."""
    return nn.Sequential(nn.Linear(size, width), nn.SiLU(), nn.Linear(width, out))


def frequencies(rows: int, count: int, scale: float, seed: int) -> Tensor:
    """(rows, count) random frequencies with a standard deviation, the same for the same seed."""
    return scale * torch.randn(rows, count, generator=torch.Generator().manual_seed(seed))


def waves(point: Tensor, frequency: Tensor) -> Tensor:
    """(..., 2 f) Fourier features of points (..., 3) for frequencies (3, f).

    Not by a product of matrices, for which autocasting would round turns.
    """
    return fourier((point[..., None] * frequency).sum(dim=-2))


def fourier(turns: Tensor) -> Tensor:
    """(..., 2 f) cosines and sines of numbers of turns (..., f)."""
    angle = 2.0 * math.pi * turns
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)


def gaussians(distance: Tensor, count: int, furthest: float) -> Tensor:
    """(..., count) how near distances (...) are to even steps from 0 to `furthest`, which is as wide as a step."""
    middle = torch.linspace(0.0, furthest, count, dtype=distance.dtype, device=distance.device)
    return torch.exp(-0.5 * torch.square((distance[..., None] - middle) * ((count - 1) / furthest)))
