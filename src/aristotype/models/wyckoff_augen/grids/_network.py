"""The network of WyckoffAUGen: the cell from group and elements, then site after site, knowing all distances.

A transformer reads the sites that are placed; how much one looks at another depends on their nearest distance. Each
state says which letter comes next or that nothing does, which element is on it, and how much each node of the letter's
grid is wanted: by where it is (structure factors), and by how far it is from each site that is placed, so that the
density of a coordinate knows distances before it is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import NUM_FEATURES, CellLaw, Layer, widened
from aristotype.models.wyckoff_augen._cell_network import CellHead, KindsNetwork
from aristotype.models.wyckoff_augen.grids._arrays import CELL_FEATURES, TOLD
from aristotype.models.wyckoff_augen.grids._config import GridsConfig
from aristotype.symmetry import MAX_POSITIONS


class Shells(NamedTuple):
    """Distances in Angstrom around which distances are told apart, and how wide each of them is."""

    middles: tuple[float, ...]
    widths: tuple[float, ...]


_MIDDLES = (0.6, 1.0, 1.3, 1.6, 1.9, 2.2, 2.5, 2.8, 3.1, 3.5, 4.0, 4.6, 5.4, 6.5)
WIDE = Shells(_MIDDLES, tuple(0.12 + 0.08 * middle for middle in _MIDDLES))
NARROW = Shells(tuple(0.7 + 0.15 * step for step in range(24)), (0.15,) * 24)
"""For points a tenth of an Angstrom apart."""
_LATTICE_POINT = 1.6
"""ln of an ordinary number of atoms a lattice point."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What is there of n crystals, S sites each."""

    group: Tensor  # (n,)
    space: Tensor  # (n, E) bool
    wyckoffs: Tensor  # (n, S)
    elements: Tensor  # (n, S) indices in the vocabulary
    cell_features: Tensor  # (n, 12)
    factors: Tensor  # (n, S, 136)
    pairs: Tensor  # (n, S, S)
    told: Tensor  # (n, S + 1, TOLD)


@dataclass(frozen=True, kw_only=True)
class Batch(Placed):
    """n sequences of S sites each, as tensors; T of their sites have freedom, with N nodes together.

    M of the nodes have the point of their site around them, with P fine points together.
    """

    cell: Tensor  # (n, 6) points of the box
    acute: Tensor  # (n,) bool
    letters_allowed: Tensor  # (n, S + 1, 28) bool
    elements_allowed: Tensor  # (n, S, E) bool
    fixed: Tensor  # (n, S + 1, 27)
    fixed_own: Tensor  # (n, 27)
    row: Tensor  # (T,)
    place: Tensor  # (T,)
    site: Tensor  # (N,) which of the T sites a node is of
    features: Tensor  # (N, 136)
    distances: Tensor  # (N, S)
    own: Tensor  # (N,)
    log_count: Tensor  # (N,)
    near: Tensor  # (M,) of the N nodes
    fine_site: Tensor  # (P,)
    fine_owner: Tensor  # (P,) of the M
    fine_features: Tensor  # (P, 136)
    fine_distances: Tensor  # (P, S)
    fine_own: Tensor  # (P,)
    coefficient: Tensor  # (P,)
    rows: Tensor  # (n,) of the training table
    mean_rows: float = 1.0  # sequences of an average batch

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        more = " ..." if len(self.rows) > 8 else ""
        return f"rows {shown}{more} ({len(self.rows)} crystals of {self.wyckoffs.shape[1]} sites)"


class GridsNetwork(KindsNetwork):
    """Cell, letters, elements and coordinates, given a group and a space of elements."""

    def __init__(self, config: GridsConfig) -> None:
        super().__init__(config)
        width, shells = config.width, len(WIDE.middles) + 1
        self.config = config
        self.cell = CellHead(width, config.cell_components, config.dropout, config.cell_spread)
        # what is there
        self.cell_in = nn.Sequential(nn.Linear(CELL_FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.factors_in = nn.Linear(NUM_FEATURES, width)
        self.told_in = nn.Sequential(nn.Linear(TOLD, width), nn.GELU(), nn.Linear(width, width))
        self.waiting_in = nn.Sequential(nn.Linear(config.element_width, width), nn.GELU(), nn.Linear(width, width))
        self.near = nn.Linear(shells, config.heads)
        self.layers = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        # letters
        self.letter_query = nn.Linear(width, width)
        self.letter_told = nn.Linear(2 * shells + 1, width)
        self.letter_near = nn.Linear(width, 2 * shells)
        self.end = nn.Linear(width, 1)
        # elements
        self.element_query = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, config.element_width)
        )
        self.element_bias = nn.Parameter(torch.zeros(len(config.elements)))
        # coordinates
        self.nodes = Wanted(width, WIDE, config.dropout, config.node_temperature)
        self.fine = Wanted(width, NARROW, config.dropout, config.fine_temperature)
        self.drop = nn.Dropout(config.dropout)

    def cells(self, about: Tensor, group: Tensor) -> CellLaw:
        """The law of cells of groups (n,), by what is known (n, width) of group and elements."""
        law: CellLaw = self.cell(about, group, _LATTICE_POINT)
        return law

    def read(self, about: Tensor, there: Placed) -> Tensor:
        """(n, S + 1, width) states before each site and after the last."""
        start = about + self.cell_in(there.cell_features)
        placed = self.kinds(there.group, there.wyckoffs, there.elements)
        x = torch.cat([start[:, None], placed + self.factors_in(there.factors)], dim=1)
        x = self.drop(x + self.told_in(there.told) + self.waiting_in(self.waiting(there.space, there.elements)))
        length = x.shape[1]
        bias = x.new_zeros(len(x), self.config.heads, length, length)
        bias[:, :, 1:, 1:] = self.near(shells(there.pairs)).permute(0, 3, 1, 2)
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        bias = bias.masked_fill(future, -torch.inf)
        for layer in self.layers:
            x = layer(x, causal=False, mask=bias)
        return self.norm(x)

    def letter_logits(self, state: Tensor, group: Tensor, fixed: Tensor, fixed_own: Tensor, allowed: Tensor) -> Tensor:
        """(n, k, 28) log-probabilities of letters, and of the end as the last.

        Args:
            state: (n, k, width).
            group: (n,).
            fixed: (n, k, 27) distances of points without freedom to what is there.
            fixed_own: (n, 27) and to themselves.
            allowed: (n, k, 28).
        """
        n, steps, width = state.shape
        every = torch.arange(MAX_POSITIONS, device=state.device).expand(n, MAX_POSITIONS)
        keys = self.sites(group, every)
        query = self.letter_query(state)
        logits = query @ keys.transpose(1, 2) / width**0.5
        near = shells(fixed)
        own = shells(fixed_own)[:, None].expand(-1, steps, -1, -1)
        wanted = self.letter_near(state)
        logits = logits + (torch.cat([near, own], dim=3) @ wanted[..., None])[..., 0]
        logits = torch.cat([logits, self.end(state)], dim=2)
        return functional.log_softmax(
            (widened(logits) / self.config.letter_temperature).masked_fill(~allowed, -torch.inf), dim=2
        )

    def element_logits(self, state: Tensor, letters: Tensor, group: Tensor, near: Tensor, own: Tensor) -> Tensor:
        """(n, k, E) logits of elements on letters (n, k), with the distances (n, k) of points without freedom."""
        told = torch.cat([shells(near), shells(own), torch.ones_like(near)[..., None]], dim=-1)
        x = state + self.sites(group, letters) + self.letter_told(told)
        raw = self.element_query(x) @ self.elements().T + self.element_bias
        return widened(raw) / self.config.element_temperature

    def log_prob(self, batch: Batch) -> dict[str, Tensor]:
        """(n,) logs of the density of cells in their box, of letters and elements, and of coordinates."""
        about = self.about(batch.group, batch.space)
        law = self.cells(about, batch.group)
        cell = self.cell.log_density(law, batch.cell, batch.acute, batch.group)
        state = self.read(about, batch)
        following = functional.pad(batch.wyckoffs, (0, 1), value=MAX_POSITIONS)
        law_of_letters = self.letter_logits(state, batch.group, batch.fixed, batch.fixed_own, batch.letters_allowed)
        letters = law_of_letters.gather(2, following[..., None])[..., 0].sum(dim=1)
        before = state[:, :-1]
        near = batch.fixed[:, :-1].gather(2, batch.wyckoffs[..., None])[..., 0]
        own = batch.fixed_own.gather(1, batch.wyckoffs)
        raw = self.element_logits(before, batch.wyckoffs, batch.group, near, own)
        chosen = functional.log_softmax(raw.masked_fill(~batch.elements_allowed, -torch.inf), dim=2)
        elements = chosen.gather(2, batch.elements[..., None])[..., 0].sum(dim=1)
        return {
            "cell": cell,
            "letters": letters,
            "elements": elements,
            "coordinates": self._log_coordinates(before, batch),
        }

    def _log_coordinates(self, before: Tensor, batch: Batch) -> Tensor:
        """(n,) log-density of the parameters that are written."""
        row, place = batch.row, batch.place
        kind = self.kinds(batch.group, batch.wyckoffs, batch.elements)
        there = before[row, place], kind[row, place], kind[row]
        logits = self.nodes(*there, batch.site, batch.features, batch.distances, batch.own)
        whole = log_sum_by(logits + batch.log_count, batch.site, len(row))
        fine = self.fine(*there, batch.fine_site, batch.fine_features, batch.fine_distances, batch.fine_own)
        share = fine - log_sum_by(fine, batch.fine_owner, len(batch.near))[batch.fine_owner]
        here = (batch.coefficient > 0).nonzero()[:, 0]
        close = log_sum_by(share[here] + batch.coefficient[here].log(), batch.fine_owner[here], len(batch.near))
        site = batch.site[batch.near]
        found = log_sum_by(logits[batch.near] + close, site, len(row)) - whole
        return found.new_zeros(len(before)).index_add(0, row, found)


class Wanted(nn.Module):
    """How much points are wanted for a site: by where they are, and by how far they are from each site and image."""

    def __init__(self, width: int, told: Shells, dropout: float, temperature: float) -> None:
        """Reads sites of a width, and tells distances apart by shells; logits are divided by a temperature."""
        super().__init__()
        self.told, self.temperature = told, temperature
        shells = len(told.middles) + 1
        self.query = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout))
        self.where = nn.Linear(2 * width, NUM_FEATURES)
        self.own = nn.Linear(2 * width, shells)
        self.pair_query = nn.Linear(2 * width, 64)
        self.pair_key = nn.Linear(width, 64)
        self.pair = nn.Sequential(nn.GELU(), nn.Linear(64, shells))

    def forward(
        self,
        state: Tensor,
        kind: Tensor,
        placed: Tensor,
        site: Tensor,
        features: Tensor,
        distances: Tensor,
        own: Tensor,
    ) -> Tensor:
        """(N,) logits.

        Args:
            state: (T, width) before each site.
            kind: (T, width) its letter and element.
            placed: (T, S, width) letter and element of every site; those to come are far away.
            site: (N,) which site a point is of.
            features: (N, 136) structure factors.
            distances: (N, S).
            own: (N,).
        """
        query = self.query(state + kind)
        logits = (features * self.where(query)[site]).sum(dim=1)
        logits = logits + (shells(own, self.told) * self.own(query)[site]).sum(dim=1)
        wanted = self.pair(self.pair_query(query)[:, None] + self.pair_key(placed))  # (T, S, shells)
        for column in range(distances.shape[1]):  # one site after another: all at once would be large
            there = (distances[:, column] < _NOWHERE).nonzero()[:, 0]
            part = (shells(distances[there, column], self.told) * wanted[site[there], column]).sum(dim=1)
            logits = logits.index_add(0, there, part)
        return widened(logits) / self.temperature


def log_sum_by(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """(count,) log of the sum of exp(values) (m,) over the entries of each owner."""
    largest = values.detach().new_full((count,), -torch.inf).scatter_reduce(0, owner, values.detach(), "amax")
    return largest + torch.log(values.new_zeros(count).index_add(0, owner, torch.exp(values - largest[owner])))


_NOWHERE = 11.9


def shells(distance: Tensor, told: Shells = WIDE) -> Tensor:
    """(..., k + 1) what is told of distances in Angstrom: how near each of k they are, and whether long."""
    middle, width = (torch.tensor(part, dtype=distance.dtype, device=distance.device) for part in told)
    near = torch.exp(-0.5 * torch.square((distance[..., None] - middle) / width))
    return torch.cat([near, torch.sigmoid(2.0 * (distance[..., None] - 7.0))], dim=-1)
