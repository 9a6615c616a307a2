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
from aristotype.models.blocks import KeyValueCache, uniforms
from aristotype.models.crystalformer._arrays import lattices, not_before
from aristotype.models.crystalformer._cells import choose
from aristotype.models.crystalformer._order import is_polar
from aristotype.models.crystalformer._overlap import Placed
from aristotype.models.crystalformer._support import BINS, bins_of, pinned_axes, support
from aristotype.models.crystalformer.paper._network import ROLES, STOP, A, PaperNetwork
from aristotype.models.crystalformer.paper._tokens import BEFORE, first_axes, from_first_bin
from aristotype.models.crystalformer.paper._von_mises import draw, mixture
from aristotype.symmetry import space_group, tables

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
        self.polar = is_polar(group.astype(np.int16))

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
        axes = first_axes()[self.numbers[alive], self.letters[alive, site]]
        free, written = np.zeros((len(alive), 3)), self._written(site)
        for axis in range(3):
            for parameter in range(3):
                here = np.flatnonzero(written[:, parameter] & (axes[:, parameter] == axis))
                if len(here):
                    law = mixture(network.coordinate_out[axis](state[here]).double())
                    allowed, least = self._where(site, here, parameter, free)
                    drawn = draw(
                        law,
                        torch.from_numpy(allowed).to(self.device),
                        torch.from_numpy(least).to(self.device),
                        random[here, 2 + 3 * parameter : 5 + 3 * parameter],
                    )
                    free[here, parameter] = drawn.cpu().numpy() % 1.0
            x = torch.from_numpy(self._coordinates(site, free)[:, axis]).to(state)
            state = self._step(network.coordinate_token(axis, group, x, site), ROLES * site + A + 1 + axis)
        self.free[alive, site] = free
        known = torch.full_like(group, site + 1)
        return network.next_letters(state, group, letter, known)

    def _least_elements(self, site: int) -> Tensor:
        """(k,) smallest element: that of the site before, where the letter is the same."""
        alive = self.alive
        if site == 0:
            return torch.zeros(len(alive), dtype=torch.long, device=self.device)
        same = self.letters[alive, site] == self.letters[alive, site - 1]
        return torch.from_numpy(np.where(same, self.elements[alive, site - 1], 0)).to(self.device)

    def _written(self, site: int) -> NDArray[np.bool_]:
        """(k, 3) which parameters of a site are written."""
        numbers, letters = self.numbers[self.alive], self.letters[self.alive, site]
        freedom = tables().padded("freedom", fill=0)[numbers, letters]
        out = np.asarray(np.arange(3) < freedom[:, None])
        if site == 0:
            for row in np.flatnonzero(self.polar[self.alive]).tolist():
                pinned = pinned_axes(int(numbers[row]), int(letters[row]))
                out[row, : len(pinned)] &= ~np.array(pinned, bool)
        return out

    def _where(self, site: int, here: Ints, parameter: int, free: Floats) -> tuple[NDArray[np.bool_], Floats]:
        """Bins (q, BINS) in which a parameter may be written, and the smallest it may be (q,)."""
        rows = self.alive[here]
        letters = self.letters[rows, site]
        bins = bins_of(free[here])
        allowed = np.zeros((len(here), BINS), bool)
        code = self.numbers[rows] * 32 + letters
        for kind in np.unique(code).tolist():
            mine = np.flatnonzero(code == kind)
            number, letter = kind // 32, kind % 32
            held = support(number, letter, bool(self.polar[rows[mine[0]]]) and site == 0)[parameter]
            allowed[mine] = held[tuple(bins[mine, :parameter].T)]
        least = np.full(len(here), BEFORE)
        if site:
            same = (letters == self.letters[rows, site - 1]) & (
                self.elements[rows, site] == self.elements[rows, site - 1]
            )
            same &= ~(self.polar[rows] & (site == 1))
            before = self.free[rows, site - 1]
            allowed &= ~same[:, None] | not_before(bins, bins_of(before))[:, parameter]
            freedom = tables().padded("freedom", fill=0)[self.numbers[rows], letters]
            tied = same & (freedom == parameter + 1)
            tied &= (bins[:, :parameter] == bins_of(before)[:, :parameter]).all(axis=1)
            least[tied] = from_first_bin(before[tied, parameter])
        return allowed, least

    def _coordinates(self, site: int, free: Floats) -> Floats:
        """(k, 3) coordinates of a site, right in those axes whose parameters are written."""
        numbers, letters = self.numbers[self.alive], self.letters[self.alive, site]
        out = np.zeros((len(numbers), 3))
        code = numbers * 32 + letters
        for kind in np.unique(code).tolist():
            mine = code == kind
            position = space_group(kind // 32).positions[kind % 32]
            out[mine] = position.representative(free[mine, : position.freedom]) % 1.0
        return out

    def _drawn(self) -> DrawnCrystals:
        vocabulary = np.array(self.network.config.elements, np.int8)
        occupied = self.letters >= 0
        most = int(occupied.sum(axis=1).max())
        genes = GeneBatch(
            space_group=self.numbers.astype(np.int16),
            elements=np.where(occupied, vocabulary[self.elements], 0).astype(np.int8)[:, :most],
            wyckoffs=self.letters.astype(np.int8)[:, :most],
        )
        free = self.free[:, :most]
        lattice = lattices(genes, self.cell, self.acute)
        placed, closest = Placed(genes, lattice), np.full(len(genes), np.inf)
        for site in range(most):
            rows = np.flatnonzero(occupied[:, site])
            closest[rows] = np.minimum(closest[rows], placed.closeness(rows, site, free[rows, site]))
            placed.put(rows, site, free[rows, site])
        return DrawnCrystals(genes=genes, free=free, lattice=lattice, closest=closest)
