"""Cell, letters and elements, given a group and a space of elements; coordinates come after all of them.

A transformer reads the letters and elements that are written. It is told the cell and how much of it is filled, and
no coordinates, so that what it says of a sequence is exact whatever the coordinates are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import (
    Layer,
    widened,
)
from aristotype.models.wyckoff_augen._arrays import TOLD
from aristotype.models.wyckoff_augen._cell_network import CellNetwork
from aristotype.models.wyckoff_augen.diffusion._config import DiffusionConfig
from aristotype.symmetry import MAX_POSITIONS


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is written of n crystals, S sites each."""

    group: Tensor  # (n,)
    wyckoffs: Tensor  # (n, S)
    elements: Tensor  # (n, S) indices in the vocabulary
    cell_features: Tensor  # (n, 12)
    told: Tensor  # (n, S + 1, TOLD)


@dataclass(frozen=True, kw_only=True)
class Sequences(Written):
    """n sequences of S sites each."""

    space: Tensor  # (n, E) bool
    cell: Tensor  # (n, 6) points of the box
    acute: Tensor  # (n,) bool
    letters_allowed: Tensor  # (n, S + 1, 28) bool
    elements_allowed: Tensor  # (n, S, E) bool


class SequenceNetwork(CellNetwork):
    """Laws of cells, letters and elements."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__(config)
        width = config.width
        # what is written
        self.told_in = nn.Sequential(nn.Linear(TOLD, width), nn.GELU(), nn.Linear(width, width))
        self.drop = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        # what comes next
        self.letter_query = nn.Linear(width, width)
        self.end = nn.Linear(width, 1)
        self.element_query = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, config.element_width)
        )
        self.element_bias = nn.Parameter(torch.zeros(len(config.elements)))

    def read(self, about: Tensor, there: Written) -> Tensor:
        """(n, S + 1, width) states before each site and after the last."""
        start = about + self.cell_in(there.cell_features)
        placed = self.kinds(there.group, there.wyckoffs, there.elements)
        x = self.drop(torch.cat([start[:, None], placed], dim=1) + self.told_in(there.told))
        for layer in self.layers:
            x = layer(x, causal=True)
        return self.norm(x)

    def log_letters(self, state: Tensor, group: Tensor, allowed: Tensor) -> Tensor:
        """(n, k, 28) log-probabilities of letters, and of the end as the last, for states (n, k, width)."""
        n, _, width = state.shape
        keys = self.sites(group, torch.arange(MAX_POSITIONS, device=state.device).expand(n, MAX_POSITIONS))
        logits = self.letter_query(state) @ keys.transpose(1, 2) / width**0.5
        logits = torch.cat([logits, self.end(state)], dim=2)
        return functional.log_softmax(widened(logits).masked_fill(~allowed, -torch.inf), dim=2)

    def log_elements(self, state: Tensor, letters: Tensor, group: Tensor, allowed: Tensor) -> Tensor:
        """(n, k, E) log-probabilities of elements on letters (n, k), for states (n, k, width)."""
        query = self.element_query(state + self.sites(group, letters))
        logits = widened(query @ self.elements().T + self.element_bias)
        return functional.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=2)

    def log_prob(self, batch: Sequences) -> dict[str, Tensor]:
        """(n,) logs of the density of cells in their box, of letters and of elements."""
        about = self.about(batch.group, batch.space)
        law = self.cell_law(about, batch.group)
        state = self.read(about, batch)
        following = functional.pad(batch.wyckoffs, (0, 1), value=MAX_POSITIONS)
        letters = self.log_letters(state, batch.group, batch.letters_allowed).gather(2, following[..., None])
        elements = self.log_elements(state[:, :-1], batch.wyckoffs, batch.group, batch.elements_allowed)
        return {
            "cell": self.boxes.log_density(law, batch.cell.to(law.centre), batch.acute, batch.group),
            "letters": letters[..., 0].sum(dim=1),
            "elements": elements.gather(2, batch.elements[..., None])[..., 0].sum(dim=1),
        }
