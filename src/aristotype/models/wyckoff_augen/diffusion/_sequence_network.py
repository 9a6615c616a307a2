"""Letters and elements, given a group and a space of elements, and the cell, given all of them.

A transformer reads the letters and elements that are written, and is told which elements are still to come, and which
letters and elements would leave a formula whose charges balance, at once or with one more site: what that is worth it
has to learn. Another one reads whole genes, and says which cells they have: how large one is follows from what is in
it. The two share nothing, since letters and elements are learnt by heart long before cells are learnt. Coordinates come
after all of this, so that what is said of a sequence is exact whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import CellLaw, Layer, widened
from aristotype.models.wyckoff_augen._atoms import ball_volumes
from aristotype.models.wyckoff_augen._balance import DEPTH
from aristotype.models.wyckoff_augen._cell_network import CellHead, KindsNetwork
from aristotype.models.wyckoff_augen.diffusion._config import WyckoffAugenConfig
from aristotype.symmetry import MAX_POSITIONS

TOLD = 4
_ROOM, _ORDINARY = 2.2, 18.0
"""Volume of an atom over that of its ball, to begin with, and of an ordinary atom in cubic Angstrom."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is written of n crystals, S sites each."""

    group: Tensor  # (n,)
    space: Tensor  # (n, E) bool
    wyckoffs: Tensor  # (n, S)
    elements: Tensor  # (n, S) indices in the vocabulary
    told: Tensor  # (n, S + 1, TOLD)
    atoms: Tensor  # (n, S) of the primitive cell


@dataclass(frozen=True, kw_only=True)
class Sequences(Written):
    """n sequences of S sites each."""

    cell: Tensor  # (n, 6) points of the box
    acute: Tensor  # (n,) bool
    letters_allowed: Tensor  # (n, S + 1, 28) bool
    elements_allowed: Tensor  # (n, S, E) bool
    letters_balance: (
        Tensor  # (n, S + 1, 28, DEPTH) 1 where a letter, with some element, or the end balances (`_balance`)
    )
    elements_balance: Tensor  # (n, S, E, DEPTH) 1 where an element does, on the letter that is written


class Reader(KindsNetwork):
    """Reads what is written."""

    def __init__(self, config: WyckoffAugenConfig, dropout: float) -> None:
        super().__init__(config)
        width = config.width
        self.told_in = nn.Sequential(nn.Linear(TOLD, width), nn.GELU(), nn.Linear(width, width))
        self.waiting_in = nn.Sequential(nn.Linear(config.element_width, width), nn.GELU(), nn.Linear(width, width))
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(width, config.heads, dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)

    def read(self, there: Written) -> Tensor:
        """(n, S + 1, width) states before each site and after the last."""
        about = self.about(there.group, there.space)
        placed = self.kinds(there.group, there.wyckoffs, there.elements)
        x = torch.cat([about[:, None], placed], dim=1) + self.told_in(there.told)
        x = self.drop(x + self.waiting_in(self.waiting(there.space, there.elements)))
        for layer in self.layers:
            x = layer(x, causal=True)
        state: Tensor = self.norm(x)
        return state


class SequenceNetwork(Reader):
    """Laws of letters and elements."""

    def __init__(self, config: WyckoffAugenConfig) -> None:
        super().__init__(config, config.dropout)
        width = config.width
        self.letter_temperature, self.element_temperature = config.letter_temperature, config.element_temperature
        self.letter_query = nn.Linear(width, width)
        self.end = nn.Linear(width, 1)
        self.element_query = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, config.element_width)
        )
        self.letter_balance = nn.Linear(width, DEPTH + 1)  # of letters, and of the end
        self.element_balance = nn.Linear(width, DEPTH)
        self.element_bias = nn.Parameter(torch.zeros(len(config.elements)))

    def log_letters(self, state: Tensor, group: Tensor, allowed: Tensor, balance: Tensor) -> Tensor:
        """(n, k, 28) log-probabilities of letters, and of the end as the last.

        Args:
            state: (n, k, width).
            group: (n,).
            allowed: (n, k, 28) bool.
            balance: (n, k, 28, DEPTH) as in `Sequences`.
        """
        n, _, width = state.shape
        keys = self.sites(group, torch.arange(MAX_POSITIONS, device=state.device).expand(n, MAX_POSITIONS))
        worth = self.letter_balance(state)
        hint = (balance[:, :, :-1] @ worth[..., :DEPTH, None])[..., 0]
        letters = self.letter_query(state) @ keys.transpose(1, 2) / width**0.5 + hint
        end = self.end(state) + worth[..., DEPTH:] * balance[:, :, -1, :1]
        logits = widened(torch.cat([letters, end], dim=2)) / self.letter_temperature
        return functional.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=2)

    def log_elements(self, state: Tensor, letters: Tensor, group: Tensor, allowed: Tensor, balance: Tensor) -> Tensor:
        """(n, k, E) log-probabilities of elements.

        Args:
            state: (n, k, width).
            letters: (n, k) that they are on.
            group: (n,).
            allowed: (n, k, E) bool.
            balance: (n, k, E, DEPTH) as in `Sequences`.
        """
        state = state + self.sites(group, letters)
        logits = self.element_query(state) @ self.elements().T + self.element_bias
        hint = (balance @ self.element_balance(state)[..., None])[..., 0]
        logits = widened(logits + hint) / self.element_temperature
        return functional.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=2)

    def log_prob(self, batch: Sequences) -> dict[str, Tensor]:
        """(n,) logs of the probabilities of letters and of elements."""
        state = self.read(batch)
        following = functional.pad(batch.wyckoffs, (0, 1), value=MAX_POSITIONS)
        letters = self.log_letters(state, batch.group, batch.letters_allowed, batch.letters_balance)
        letters = letters.gather(2, following[..., None])
        told = batch.elements_allowed, batch.elements_balance
        elements = self.log_elements(state[:, :-1], batch.wyckoffs, batch.group, *told)
        return {
            "letters": letters[..., 0].sum(dim=1),
            "elements": elements.gather(2, batch.elements[..., None])[..., 0].sum(dim=1),
        }


class CellNetwork(Reader):
    """The law of the cells of genes."""

    def __init__(self, config: WyckoffAugenConfig) -> None:
        super().__init__(config, config.cell_dropout)
        self.head = CellHead(config.width, config.cell_components, config.cell_dropout, config.cell_spread)
        # how much room atoms take
        balls = torch.from_numpy(ball_volumes()[list(config.elements)] * _ROOM / _ORDINARY)
        self.log_volumes = nn.Parameter(balls.log().float())

    def law(self, there: Written) -> CellLaw:
        """The law of cells."""
        volume = (there.atoms * torch.exp(self.log_volumes)[there.elements]).sum(dim=1)
        law: CellLaw = self.head(self.read(there)[:, -1], there.group, torch.log(volume))
        return law

    def log_prob(self, batch: Sequences) -> Tensor:
        """(n,) logs of the density of cells in their box."""
        return self.head.log_density(self.law(batch), batch.cell, batch.acute, batch.group)


def told(sites: Tensor, atoms: Tensor, unused: Tensor, balanced: Tensor) -> Tensor:
    """(..., TOLD) what is told: sites and atoms of the primitive cell so far, elements to come, whether it balances."""
    parts = sites / 10.0, torch.log1p(atoms) / 3.0, unused / 4.0, balanced
    return torch.stack([part.float() for part in parts], dim=-1)
