"""WyckoffGNN, the published network: messages on the complete graph of a group's positions.

Kelvinius et al., arXiv:2502.06485, algorithms 2 to 4, with their sizes. The first layer of the perceptron on pairs is
split, W [w_i, w_j] = W_1 w_i + W_2 w_j: it is done for every position instead of every pair.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aristotype.models.wyckoffdiff._config import WyckoffDiffConfig
from aristotype.models.wyckoffdiff._occupation import Layout, Occupation
from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, tables

_POSITION_WIDTH = 16
_PAIRS_AT_ONCE = 4096
"""Pairs whose hidden values are held at once on a CPU: they stay in the cache, and backwards they are made again."""


def _perceptron(inside: int, hidden: int, out: int) -> nn.Sequential:
    """Four linear layers; what the paper calls two hidden layers."""
    layers: list[nn.Module] = [nn.Linear(inside, hidden), nn.SiLU()]
    for _ in range(2):
        layers += [nn.Linear(hidden, hidden), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, out))


class _GNNLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inside = width + _POSITION_WIDTH
        hidden = 2 * inside
        self.first = nn.Linear(inside, hidden)
        self.second = nn.Linear(inside, hidden, bias=False)
        self.pair = nn.Sequential(
            nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1)
        )
        self.message = _perceptron(inside, hidden, width)

    def forward(self, h: Tensor, position: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        """New vectors (m, width) of positions (m,), from those of pairs (p,)."""
        w = torch.cat([h, position], dim=1)
        first, second = self.first(w), self.second(w)

        def scores(receiver: Tensor, sender: Tensor) -> Tensor:
            return self.pair(first[receiver] + second[sender])[:, 0]

        pieces = []
        for to, come in zip(receiver.split(_PAIRS_AT_ONCE), sender.split(_PAIRS_AT_ONCE), strict=True):
            if torch.is_grad_enabled() and len(receiver) > _PAIRS_AT_ONCE:
                pieces.append(checkpoint(scores, to, come, use_reentrant=False))
            else:
                pieces.append(scores(to, come))
        score = torch.cat(pieces)
        largest = score.detach().new_full((len(h),), -torch.inf).scatter_reduce(0, receiver, score.detach(), "amax")
        share = torch.exp(score - largest[receiver])
        total = share.new_zeros(len(h)).index_add(0, receiver, share)
        messages = self.message(w)[sender] * (share / total[receiver])[:, None]
        return h + torch.zeros_like(h).index_add(0, receiver, messages)


class WyckoffGNN(nn.Module):
    """Logits of x_0 for every variable."""

    freedom: Tensor
    multiplicity: Tensor

    def __init__(self, config: WyckoffDiffConfig) -> None:
        super().__init__()
        width, elements, count = config.width, len(config.elements), config.max_count + 1
        data = tables()
        self.register_buffer(
            "freedom", torch.from_numpy(data.padded("freedom", fill=0).astype("int64")), persistent=False
        )
        sizes = torch.from_numpy(data.padded("multiplicity", fill=0).astype("int64"))
        different, place = torch.unique(sizes, return_inverse=True)
        self.register_buffer("multiplicity", place, persistent=False)
        self.element_in = nn.Embedding(elements + 1, width)
        self.count_in = nn.Embedding(count, 1)
        self.counts_in = nn.Linear(elements, width)
        self.freedom_in = nn.Embedding(4, _POSITION_WIDTH)
        self.letter_in = nn.Embedding(MAX_POSITIONS, _POSITION_WIDTH)
        self.group_in = nn.Embedding(NUM_GROUPS + 1, _POSITION_WIDTH)
        self.multiplicity_in = nn.Embedding(len(different), _POSITION_WIDTH)
        self.time_in = nn.Embedding(config.timesteps + 1, _POSITION_WIDTH)
        self.layers = nn.ModuleList(_GNNLayer(width) for _ in range(config.layers))
        self.fixed_out = _perceptron(width, 2 * width, elements + 1)
        self.free_out = _perceptron(width, 2 * width, elements * count)
        self.shape = (elements, count)

    def forward(self, layout: Layout, occupation: Occupation, time: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (F, N + 1) and (M, N, P + 1) of x_0, given x_t and t (n,); sizes are not looked at."""
        del sizes
        places = layout.exists.flatten().nonzero()[:, 0]
        n, length = layout.exists.shape
        h = self.element_in.weight.new_zeros(n * length, self.element_in.embedding_dim)
        h = h.index_copy(0, layout.fixed, self.element_in(occupation.fixed))
        h = h.index_copy(0, layout.free, self.counts_in(self.count_in(occupation.free)[..., 0]))[places]
        row, letter = places // length, places % length
        group = layout.group[row]
        position = (
            self.freedom_in(self.freedom[group, letter])
            + self.letter_in(letter)
            + self.group_in(group)
            + self.multiplicity_in(self.multiplicity[group, letter])
            + self.time_in(time)[row]
        )
        receiver, sender = _pairs(layout.exists)
        for layer in self.layers:
            h = nn.functional.silu(layer(h, position, receiver, sender))
        x = h.new_zeros(n * length, h.shape[1]).index_copy(0, places, h)
        return self.fixed_out(x[layout.fixed]), self.free_out(x[layout.free]).unflatten(1, self.shape)


def _pairs(exists: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of the receiving and the sending position of all pairs (p,), among the positions that exist."""
    number = exists.flatten().cumsum(0).view(exists.shape) - 1
    row, to, come = (exists[:, :, None] & exists[:, None, :]).nonzero(as_tuple=True)
    return number[row, to], number[row, come]
