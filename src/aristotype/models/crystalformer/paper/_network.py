"""The published network: one causal transformer over five tokens a site, W A X Y Z, and a last W that stops.

The output at W says what A is, that at A says X, and so on to the next W; that at the stop says the cell. The first W
comes from the space group alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import Layer, widened
from aristotype.models.crystalformer._cells import CELL_OUTPUTS, CellBoxes, CellLaw
from aristotype.models.crystalformer.paper._config import PaperConfig
from aristotype.models.crystalformer.paper._von_mises import log_inside, mixture
from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, tables

STOP = MAX_POSITIONS
"""Letter of the token that ends a crystal."""
ROLES = 5
W, A, X = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """n crystals of S sites each, as tensors."""

    group: Tensor  # (n,)
    wyckoffs: Tensor  # (n, S)
    elements: Tensor  # (n, S) indices in the vocabulary
    points: Tensor  # (n, S, 3) coordinates of the point that stands for each site
    free: Tensor  # (n, S, 3) free parameters, in [-1/48, 47/48)
    written: Tensor  # (n, S, 3) bool, whether a parameter exists and is written
    axes: Tensor  # (n, S, 3) the coordinate in which each parameter comes first
    allowed: Tensor  # (n, S, 3, BINS) bool
    least: Tensor  # (n, S, 3) smallest parameter that may be written
    cell: Tensor  # (n, 6) points of the box
    acute: Tensor  # (n,) bool
    rows: Tensor  # (n,) rows of the training table
    mean_rows: float = 1.0  # crystals of an average batch

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        more = " ..." if len(self.rows) > 8 else ""
        return f"rows {shown}{more} ({len(self.rows)} crystals of {self.wyckoffs.shape[1]} sites)"


class Parts(NamedTuple):
    """(n,) log-probability of letters, elements, coordinates and of the cell in its box, given the group."""

    letters: Tensor
    elements: Tensor
    coordinates: Tensor
    cell: Tensor


class PaperNetwork(nn.Module):
    """p(letters, elements, coordinates, cell | space group)."""

    multiplicity: Tensor
    freedom: Tensor

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.groups = nn.Embedding(NUM_GROUPS + 1, width)
        self.letters = nn.Embedding(STOP + 1, width)
        self.multiplicity_in = nn.Linear(1, width)
        self.elements = nn.Embedding(max(1, len(config.elements)), width)
        self.coordinates = nn.ModuleList(nn.Linear(2 * config.waves, width) for _ in range(3))
        self.group_in = nn.ModuleList(nn.Linear(width, width) for _ in range(ROLES))
        self.first = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, STOP + 1))
        layers = (
            Layer(width, config.heads, config.dropout, config.expansion, config.head_width)
            for _ in range(config.layers)
        )
        self.layers = cast("Sequence[Layer]", nn.ModuleList(layers))
        self.norm = nn.LayerNorm(width)
        self.letter_out = nn.Linear(width, STOP + 1)
        self.element_out = nn.Linear(width, max(1, len(config.elements)))
        self.coordinate_out = nn.ModuleList(nn.Linear(width, 3 * config.coordinate_components) for _ in range(3))
        self.cell_out = nn.Linear(width, config.cell_components * CELL_OUTPUTS)
        self.boxes = CellBoxes()
        data = tables()
        self.register_buffer("multiplicity", torch.from_numpy(data.padded("multiplicity", fill=0)).float(), False)
        self.register_buffer("freedom", torch.from_numpy(data.padded("freedom", fill=-1)).long(), False)
        for head in self.coordinate_out:
            spread_centres(cast(nn.Linear, head), config.coordinate_components)

    # What goes in

    def letter_token(self, group: Tensor, letter: Tensor, site: int | Tensor) -> Tensor:
        """(..., width) tokens W of sites; `group` and `letter` are of one shape (...)."""
        here = letter.clamp(max=MAX_POSITIONS - 1)
        atoms = torch.where(letter < STOP, self.multiplicity[group, here], 1.0)
        told = self.letters(letter) + self.multiplicity_in(torch.log(atoms)[..., None] / 3.0)
        return self._token(W, told, group, site)

    def element_token(self, group: Tensor, element: Tensor, site: int | Tensor) -> Tensor:
        """(..., width) tokens A."""
        return self._token(A, self.elements(element), group, site)

    def coordinate_token(self, axis: int, group: Tensor, x: Tensor, site: int | Tensor) -> Tensor:
        """(..., width) tokens X, Y or Z of coordinates x (...)."""
        waves = 2.0 * math.pi * torch.arange(1, self.config.waves + 1, device=x.device).to(x) * x[..., None]
        told = self.coordinates[axis](torch.cat([torch.sin(waves), torch.cos(waves)], dim=-1))
        return self._token(X + axis, told, group, site)

    def _token(self, role: int, told: Tensor, group: Tensor, site: int | Tensor) -> Tensor:
        return told + self.group_in[role](self.groups(group)) + self._place(site, told)

    def _place(self, site: int | Tensor, like: Tensor) -> Tensor:
        """(..., width) waves of the number of a site, so that no number is too large."""
        number = torch.as_tensor(site, device=like.device).to(like)
        half = like.shape[-1] // 2
        scale = torch.exp(torch.arange(half, device=like.device).to(like) * (-math.log(1000.0) / half))
        waves = number[..., None] * scale
        out = torch.cat([torch.sin(waves), torch.cos(waves)], dim=-1)
        return functional.pad(out, (0, like.shape[-1] - 2 * half))

    # What comes out

    def first_letters(self, group: Tensor) -> Tensor:
        """(n, 28) log-probabilities of the first letter."""
        nothing = torch.full_like(group, -1)
        return self._letters(self.first(self.groups(group)), group, nothing, torch.zeros_like(group))

    def next_letters(self, state: Tensor, group: Tensor, last: Tensor, known: Tensor) -> Tensor:
        """(..., 28) log-probabilities of the letter, or the stop, after `last` when `known` sites are there."""
        return self._letters(self.letter_out(state), group, last, known)

    def _letters(self, logits: Tensor, group: Tensor, last: Tensor, known: Tensor) -> Tensor:
        logits = widened(logits).masked_fill(~self.allowed_letters(group, last, known), -torch.inf)
        return functional.log_softmax(logits, dim=-1)

    def allowed_letters(self, group: Tensor, last: Tensor, known: Tensor) -> Tensor:
        """(..., 28): letters do not decrease, increase after a position without freedom, and end at `max_sites`."""
        freedom = self.freedom[group]
        of_last = freedom.gather(-1, last.clamp(min=0)[..., None])[..., 0]
        lowest = torch.where((last >= 0) & (of_last == 0), last + 1, last)
        letters = torch.arange(MAX_POSITIONS, device=group.device)
        room = (known < self.config.max_sites)[..., None]
        some = (freedom >= 0) & (letters >= lowest[..., None]) & room
        return torch.cat([some, (last >= 0)[..., None]], dim=-1)

    def next_elements(self, state: Tensor, least: Tensor, banned: Tensor | None = None) -> Tensor:
        """(..., vocabulary) log-probabilities of an element; none before number `least` (...), none that is banned."""
        logits = widened(self.element_out(state))
        index = torch.arange(logits.shape[-1], device=logits.device)
        mask = index < least[..., None]
        return functional.log_softmax(logits.masked_fill(mask if banned is None else mask | banned, -torch.inf), dim=-1)

    def cell_law(self, state: Tensor, group: Tensor) -> CellLaw:
        """The mixture over cells, from the state at the stop (n, width)."""
        return self.boxes.law(widened(self.cell_out(state)), group)

    # Scores

    def log_prob(self, tokens: Tokens) -> Parts:
        """Log-probabilities of crystals given their groups."""
        n, sites = tokens.wyckoffs.shape
        state = self._states(tokens)
        at_sites, at_stop = state[:, :-1].view(n, sites, ROLES, -1), state[:, -1]
        law = self.cell_law(at_stop, tokens.group)
        return Parts(
            letters=self._log_letters(at_sites[:, :, -1], tokens),
            elements=self._log_elements(at_sites[:, :, W], tokens),
            coordinates=self._log_coordinates(at_sites, tokens),
            cell=self.boxes.log_density(law, tokens.cell.to(law.centre), tokens.acute, tokens.group),
        )

    def _states(self, tokens: Tokens) -> Tensor:
        """(n, 5 S + 1, width) outputs of the transformer."""
        n, sites = tokens.wyckoffs.shape
        group = tokens.group[:, None].expand(n, sites)
        number = torch.arange(sites, device=group.device)
        points = tokens.points.to(self.letter_out.weight)
        each = [
            self.letter_token(group, tokens.wyckoffs, number),
            self.element_token(group, tokens.elements, number),
            *(self.coordinate_token(axis, group, points[..., axis], number) for axis in range(3)),
        ]
        x = torch.stack(each, dim=2).view(n, ROLES * sites, -1)
        stop = self.letter_token(tokens.group, torch.full_like(tokens.group, STOP), sites)
        x = torch.cat([x, stop[:, None]], dim=1)
        for layer in self.layers:
            x = layer(x, causal=True)
        return self.norm(x)

    def _log_letters(self, state: Tensor, tokens: Tokens) -> Tensor:
        n, sites = tokens.wyckoffs.shape
        group = tokens.group[:, None].expand(n, sites)
        known = torch.arange(1, sites + 1, device=group.device).expand(n, sites)
        following = functional.pad(tokens.wyckoffs[:, 1:], (0, 1), value=STOP)
        later = self.next_letters(state, group, tokens.wyckoffs, known).gather(2, following[..., None])
        first = self.first_letters(tokens.group).gather(1, tokens.wyckoffs[:, :1])
        return first[:, 0] + later.sum(dim=(1, 2))

    def _log_elements(self, state: Tensor, tokens: Tokens) -> Tensor:
        same = tokens.wyckoffs[:, 1:] == tokens.wyckoffs[:, :-1]
        least = functional.pad(torch.where(same, tokens.elements[:, :-1], 0), (1, 0))
        found = self.next_elements(state, least).gather(2, tokens.elements[..., None])
        return found.sum(dim=(1, 2))

    def _log_coordinates(self, state: Tensor, tokens: Tokens) -> Tensor:
        row, site, parameter = tokens.written.nonzero(as_tuple=True)
        total = widened(state.new_zeros(len(state)))
        axis = tokens.axes[row, site, parameter]
        for each in range(3):
            here = axis == each
            if not here.any():
                continue
            at = row[here], site[here], parameter[here]
            law = mixture(widened(self.coordinate_out[each](state[at[0], at[1], A + each])))
            found = log_inside(law, tokens.free[at].to(law.centre), tokens.allowed[at], tokens.least[at].to(law.centre))
            total = total.index_add(0, at[0], found)
        return total


def spread_centres(head: nn.Linear, components: int) -> None:
    """Lets the centres of a fresh mixture stand evenly round the circle, with moderate concentrations."""
    with torch.no_grad():
        head.weight.mul_(0.1)
        head.bias.zero_()
        head.bias[components : 2 * components] = torch.arange(components) / components
