"""Draws crystals token by token over cached keys and values, every row from its own random stream.

Rows are drawn in blocks of fixed size. A row that has stopped gets its cell and leaves its block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import MAX_CELL, GeneBatch
from aristotype.models.blocks import KeyValueCache, choose, uniforms
from aristotype.models.crystalformer._arrays import allowed_bins, lattices
from aristotype.models.crystalformer._order import written_axes
from aristotype.models.crystalformer._overlap import Placed
from aristotype.models.crystalformer._support import bins_of
from aristotype.models.crystalformer.paper._network import ROLES, STOP, A, PaperNetwork
from aristotype.models.crystalformer.paper._tokens import first_axes, from_first_bin, least_parameters, points_of
from aristotype.models.crystalformer.paper._von_mises import Mixture, draw, mixture

BLOCK = 128
_GROUP, _CELL, _SITE = 0, 1, 8
"""Purposes of random numbers; a site's is `_SITE` and its place."""
_ROOM = 8
"""Sites that a cache has room for at first, and by which it grows."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DrawnCrystals:
    """n crystals of up to S sites, sites in the order in which they were written."""

    genes: GeneBatch
    free: Floats  # (n, S, 3) 0 beyond the freedom of a site
    lattice: Floats  # (n, 6) Angstrom and degrees
    closest: Floats  # (n,) smallest distance of two atoms over the sum of their covalent radii


def draw_blocks(
    network: PaperNetwork, group_probabilities: Floats, banned: NDArray[np.bool_], seed: int
) -> Iterator[DrawnCrystals]:
    """Endless blocks of crystals in row order.

    Args:
        network: in evaluation mode.
        group_probabilities: (231,) weights of space groups.
        banned: (vocabulary,) elements that must not occur; not all of them.
        seed: of the run.
    """
    cumulative = np.cumsum(group_probabilities)
    last = np.flatnonzero(group_probabilities)[-1]
    first = 0
    while True:
        rows = np.arange(first, first + BLOCK)
        place = uniforms(seed, rows, _GROUP, 1)[:, 0] * cumulative[-1]
        group = np.minimum(np.searchsorted(cumulative, place, side="right"), last)
        with torch.no_grad():
            yield _Writing(network, group.astype(np.int64), banned, seed, rows).run()
        first += BLOCK


class _Writing:
    """A block of crystals while they are written; `alive` are those that have not stopped."""

    def __init__(self, network: PaperNetwork, group: Ints, banned: NDArray[np.bool_], seed: int, rows: Ints) -> None:
        self.network, self.numbers, self.seed, self.rows = network, group, seed, rows
        self.device = network.letter_out.weight.device
        self.banned = torch.from_numpy(banned).to(self.device)
        n, most = len(rows), network.config.max_sites
        self.letters = np.full((n, most), -1, np.int64)
        self.elements = np.zeros((n, most), np.int64)
        self.free = np.zeros((n, most, 3))
        self.cell, self.acute = np.zeros((n, MAX_CELL)), np.zeros(n, bool)
        self.alive = np.arange(n)
        self.group = torch.from_numpy(group).to(self.device)
        config = network.config
        self.caches = [
            KeyValueCache(n, config.heads, ROLES * _ROOM + 1, config.head_width, network.letter_out.weight)
            for _ in range(config.layers)
        ]

    def run(self) -> DrawnCrystals:
        """Writes until every crystal has stopped."""
        letter = self._letter(self.network.first_letters(self.group), 0)
        site = 0
        while True:
            letter = self._stop(letter, site)
            if not len(self.alive):
                break
            letter = self._letter(self._write_site(letter, site), site + 1)
            site += 1
        return self._drawn()

    def _letter(self, log_probs: Tensor, site: int) -> Tensor:
        return choose(log_probs, self._uniforms(_SITE + site, 1)[:, 0])

    def _uniforms(self, purpose: int, draws: int) -> Tensor:
        return torch.from_numpy(uniforms(self.seed, self.rows[self.alive], purpose, draws)).to(self.device)

    def _stop(self, letter: Tensor, site: int) -> Tensor:
        """Gives rows that stop their cell, and lets go of them; the letters of the others."""
        stops = letter == STOP
        if stops.any():
            token = self.network.letter_token(self.group, letter, site)
            state = self._step(token, ROLES * site)[stops]
            law = self.network.cell_law(state, self.group[stops])
            done = self.alive[stops.cpu().numpy()]
            random = uniforms(self.seed, self.rows[done], _CELL, 2 + MAX_CELL)
            self.cell[done], self.acute[done] = self.network.boxes.draw(law, self.group[stops], random)
            kept = ~stops
            self.alive, self.group, letter = self.alive[kept.cpu().numpy()], self.group[kept], letter[kept]
            for cache in self.caches:
                cache.keep(kept)
        return letter

    def _step(self, token: Tensor, index: int) -> Tensor:
        """The state (k, width) after a token (k, width) at a place of the sequence."""
        x = token[:, None]
        for layer, cache in zip(self.network.layers, self.caches, strict=True):
            x = layer.step(x, cache.with_room(ROLES * (index // ROLES // _ROOM + 1) * _ROOM + 1), index)
        return self.network.norm(x[:, 0])

    def _write_site(self, letter: Tensor, site: int) -> Tensor:
        """Writes element and coordinates; log-probabilities (k, 28) of the next letter."""
        network, group, alive = self.network, self.group, self.alive
        random = self._uniforms(_SITE + site, 12)
        self.letters[alive, site] = letter.cpu().numpy()
        state = self._step(network.letter_token(group, letter, site), ROLES * site)
        element = choose(network.next_elements(state, self._least_elements(site), self.banned), random[:, 1])
        self.elements[alive, site] = element.cpu().numpy()
        state = self._step(network.element_token(group, element, site), ROLES * site + A)
        # Where a site may be is decided by the first one, which holds the origin of a polar group, and the one before.
        near = np.unique([0, max(0, site - 1), site])
        genes, free = self._genes(alive, near), self.free[alive][:, near]
        written, axes = written_axes(genes)[:, -1], first_axes()[self.numbers[alive], self.letters[alive, site]]
        for axis in range(3):
            for parameter in range(3):
                here = np.flatnonzero(written[:, parameter] & (axes[:, parameter] == axis))
                if len(here):
                    law = mixture(network.coordinate_out[axis](state[here]).double())
                    uniform = random[here, 2 + 3 * parameter : 5 + 3 * parameter]
                    free[here, -1, parameter] = self._parameter(law, genes.take(here), free[here], parameter, uniform)
            x = torch.from_numpy(points_of(genes, free)[:, -1, axis]).to(state)
            state = self._step(network.coordinate_token(axis, group, x, site), ROLES * site + A + 1 + axis)
        self.free[alive, site] = free[:, -1]
        known = torch.full_like(group, site + 1)
        return network.next_letters(state, group, letter, known)

    def _parameter(self, law: Mixture, genes: GeneBatch, free: Floats, parameter: int, uniform: Tensor) -> Floats:
        """(q,) a parameter of the last sites of genes, where it may be beside what `free` (q, S, 3) has already."""
        bins = bins_of(free)
        where = allowed_bins(genes, bins), least_parameters(genes, bins, from_first_bin(free))
        allowed, least = (torch.from_numpy(part[:, -1, parameter]).to(self.device) for part in where)
        return np.asarray(draw(law, allowed, least, uniform).cpu().numpy() % 1.0)

    def _least_elements(self, site: int) -> Tensor:
        """(k,) smallest element: that of the site before, where the letter is the same."""
        alive = self.alive
        if site == 0:
            return torch.zeros(len(alive), dtype=torch.long, device=self.device)
        same = self.letters[alive, site] == self.letters[alive, site - 1]
        return torch.from_numpy(np.where(same, self.elements[alive, site - 1], 0)).to(self.device)

    def _genes(self, rows: Ints, sites: Ints) -> GeneBatch:
        """Some sites of some crystals."""
        letters, elements = self.letters[rows][:, sites], self.elements[rows][:, sites]
        vocabulary = np.array(self.network.config.elements)
        return GeneBatch(
            space_group=self.numbers[rows].astype(np.int16),
            elements=np.where(letters >= 0, vocabulary[elements], 0).astype(np.int8),
            wyckoffs=letters.astype(np.int8),
        )

    def _drawn(self) -> DrawnCrystals:
        occupied = self.letters >= 0
        most = int(occupied.sum(axis=1).max())
        genes, free = self._genes(np.arange(len(self.rows)), np.arange(most)), self.free[:, :most]
        lattice = lattices(genes, self.cell, self.acute)
        placed, closest = Placed(genes, lattice), np.full(len(genes), np.inf)
        for site in range(most):
            rows = np.flatnonzero(occupied[:, site])
            closest[rows] = np.minimum(closest[rows], placed.closeness(rows, site, free[rows, site]))
            placed.put(rows, site, free[rows, site])
        return DrawnCrystals(genes=genes, free=free, lattice=lattice, closest=closest)
