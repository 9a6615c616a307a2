"""The space group and the space of elements, in either order: p(group) p(space | group) and p(space) p(group | space).

A space is a set of elements, written in increasing order: at each step a heavier element, or the end. p(space) shares
its weights with p(space | group), on a vector of zeros for the group (the paper, section 2.1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import ElementEmbedding, SiteEmbedding
from aristotype.symmetry import NUM_GROUPS


class SpaceNetwork(nn.Module):
    """Sets of elements given groups, and groups given sets."""

    def __init__(
        self,
        elements: tuple[int, ...],
        width: int,
        element_width: int,
        most: int,
        *,
        one_hot: bool = False,
        dropout: float = 0.0,
        temperatures: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        """Fresh weights.

        Args:
            elements: vocabulary.
            width: of hidden vectors.
            element_width: of an element's vector.
            most: largest number of elements of a set.
            one_hot: whether groups are told sets by a number for each element, as in the paper, not by their vectors.
            dropout: of vectors that are told and of hidden ones.
            temperatures: what logits of elements, and of groups, are divided by.
        """
        super().__init__()
        self.most, self.one_hot, self.temperatures = most, one_hot, temperatures
        self.drop = nn.Dropout(dropout)
        self.groups = SiteEmbedding(width)
        self.elements = ElementEmbedding(elements, element_width)
        self.chosen = nn.Sequential(nn.Linear(element_width, width), nn.GELU(), nn.Linear(width, width))
        self.next = nn.Sequential(
            nn.Linear(2 * width + 1, 2 * width), nn.GELU(), self.drop, nn.Linear(2 * width, element_width)
        )
        self.bias = nn.Parameter(torch.zeros(len(elements)))
        self.end = nn.Linear(2 * width + 1, 1)
        if not one_hot:
            self.members = nn.Sequential(nn.Linear(element_width, width), nn.GELU(), nn.Linear(width, width))
        self.to_group = nn.Sequential(
            nn.Linear((len(elements) if one_hot else width) + 1, 2 * width),
            nn.GELU(),
            self.drop,
            nn.Linear(2 * width, 2 * width),
            nn.GELU(),
            self.drop,
        )
        self.group_out = nn.Linear(2 * width, NUM_GROUPS)

    def log_steps(self, group: Tensor, chosen: Tensor) -> Tensor:
        """(n, E + 1) log-probabilities of the next element, or the end, given the elements (n, E) that are chosen.

        Args:
            group: (n,) numbers; 0 where the space comes first.
            chosen: (n, E) 1 for elements that are there, 0 for others.
        """
        vectors = self.elements()
        count = chosen.sum(dim=1, keepdim=True)
        told = torch.where((group > 0)[:, None], self.groups.group(group), 0.0)
        state = torch.cat([self.drop(torch.cat([told, chosen @ self.chosen(vectors)], dim=1)), count / 4.0], dim=1)
        logits = torch.cat([self.next(state) @ vectors.T + self.bias, self.end(state)], dim=1) / self.temperatures[0]
        numbers = torch.arange(len(self.bias), device=chosen.device)
        last = torch.where(chosen > 0, numbers, -1).amax(dim=1, keepdim=True)
        allowed = torch.cat([(numbers > last) & (count < self.most), count > 0], dim=1)
        return functional.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=1)

    def log_space(self, group: Tensor, space: Tensor) -> Tensor:
        """(n,) log p(space | group) of sets (n, E); log p(space) where the group is 0."""
        n, size = space.shape
        total = self.bias.new_zeros(n)
        chosen = torch.zeros_like(space, dtype=total.dtype)
        members = space.sum(dim=1)
        order = torch.where(space, torch.arange(size, device=space.device), size).sort(dim=1).values
        for step in range(int(members.max()) + 1 if n else 0):
            here = (step <= members).nonzero()[:, 0]
            following = order[here, step] if step < size else torch.full_like(here, size)
            steps = self.log_steps(group[here], chosen[here])
            total = total.index_add(0, here, steps.gather(1, following[:, None])[:, 0])
            if step < size:
                more = here[step < members[here]]
                chosen = chosen.index_put((more, order[more, step]), chosen.new_ones(()))
        return total

    def log_groups(self, space: Tensor) -> Tensor:
        """(n, 231) log p(group | space) for sets (n, E); that of the number 0 is -inf."""
        members = space.to(self.bias.dtype)
        told = members if self.one_hot else self.drop(members @ self.members(self.elements()))
        hidden = self.to_group(torch.cat([told, members.sum(dim=1, keepdim=True) / 4.0], dim=1))
        return functional.pad(
            functional.log_softmax(self.group_out(hidden) / self.temperatures[1], dim=1), (1, 0), value=-torch.inf
        )
