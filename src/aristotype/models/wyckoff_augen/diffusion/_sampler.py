"""Draws crystals: group and space of elements, cell, letters and elements, then all coordinates together.

Every row is drawn from its own random stream. Coordinates of a crystal with atoms that come too close are drawn again,
a bounded number of times; what is furthest apart is kept. Scores are those of the model, which knows nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import MAX_CELL, CrystalTable, covalent_radii, from_box
from aristotype.models.blocks import choose, is_polar, pinned_axes, primitive_multiplicities, uniforms
from aristotype.models.wyckoff_augen._arrays import ball_volumes, cell_features, told
from aristotype.models.wyckoff_augen._choices import choices
from aristotype.models.wyckoff_augen._rules import STOP, Written, start
from aristotype.models.wyckoff_augen._sampler import table_of
from aristotype.models.wyckoff_augen._sequences import in_cell, in_shapes, smallest
from aristotype.models.wyckoff_augen._surroundings import Surroundings
from aristotype.models.wyckoff_augen.diffusion import _sequence_network as sequence
from aristotype.models.wyckoff_augen.diffusion._chain import draw_free
from aristotype.models.wyckoff_augen.diffusion._frames import frame_of, joined
from aristotype.models.wyckoff_augen.diffusion._graph import graph_of
from aristotype.symmetry import space_group
from aristotype.training import to_device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aristotype.models.wyckoff_augen._limits import Limit
    from aristotype.models.wyckoff_augen.diffusion._model import WyckoffAugenDiffusion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_CELL, _SITE, _CHAIN = 41, 1024, 1 << 20
"""Purposes of random numbers; a site's is `_SITE` and its place, a step's `_CHAIN` and its place in all draws."""


class Drawing:
    """Crystals of given groups and spaces of elements."""

    def __init__(
        self,
        model: WyckoffAugenDiffusion,
        group: Ints,
        space: NDArray[np.bool_],
        seed: int,
        rows: Ints,
        limits: Mapping[int, Limit],
        *,
        gives_up: bool = False,
    ) -> None:
        """Space groups (n,), spaces (n, E), the numbers (n,) of random streams, and limits by space group.

        With `gives_up` a crystal whose cell has no room for its atoms has no coordinates.
        """
        self.gives_up = gives_up
        self.limits = limits
        self.model, self.network, self.tries, self.config = model, model.network, model.tries, model.config
        self.device = self.network.sequence.element_bias.device
        self.group, self.space, self.seed, self.rows = group, space, seed, rows
        n, most = len(group), model.config.max_sites
        vocabulary = np.array(model.config.elements)
        self.radius = np.nan_to_num(covalent_radii(), nan=1.5)[vocabulary]
        self.ball = ball_volumes()[vocabulary]
        self.letters = np.full((n, most), -1, np.int64)
        self.elements = np.zeros((n, most), np.int64)
        self.free = np.zeros((n, most, 3))
        self.told = np.zeros((n, most + 1, 4), np.float32)
        self.atoms = np.zeros((n, len(vocabulary)), np.int64)  # of the primitive cell, by element
        self.closest, self.again = np.full(n, -np.inf), np.zeros(n, np.int64)

    @torch.no_grad()
    def run(self) -> CrystalTable:
        """Draws all of them."""
        group = torch.from_numpy(self.group).to(self.device)
        about = self.network.sequence.about(group, torch.from_numpy(self.space).to(self.device))
        self._cells(about, group)
        nothing = np.zeros(len(group))
        self.told[:, 0] = told(nothing.astype(np.int64), nothing, nothing, self.space.sum(axis=1))
        at, rows = start(self.group, self.space, self.config.max_sites), np.arange(len(group))
        site = 0
        while len(rows):
            at, rows = self._site(site, at, rows, about)
            site += 1
        self._coordinates()
        table = table_of(self.model, self.group, self.letters, self.elements, self.free, self.lattice, self.rows)
        return table.with_columns(
            {
                "closest": pa.array(self.closest),
                "site_draws": pa.array(self.again),
                "log_prob_error": pa.nulls(len(table), pa.float64()),
                "log_prob_kind": pa.nulls(len(table), pa.string()),
            }
        )

    def _cells(self, about: Tensor, group: Tensor) -> None:
        network = self.network.sequence
        random = uniforms(self.seed, self.rows, _CELL, 2 + MAX_CELL)
        self.cell, acute = network.boxes.draw(network.cell_law(about, group), group, random)
        self.lattice = np.zeros((len(self.group), 6))
        for number in np.unique(self.group).tolist():
            here = self.group == number
            points = np.full(int(here.sum()), space_group(number).centring_order)
            self.lattice[here] = from_box(number, self.cell[here], acute[here], points)

    def _site(self, site: int, at: Written, rows: Ints, about: Tensor) -> tuple[Written, Ints]:
        """Draws letter and element of one site of the rows that go on; returns where they stand and which go on."""
        network = self.network.sequence
        uniform = torch.from_numpy(uniforms(self.seed, self.rows[rows], _SITE + site, 2)).to(self.device)
        state = network.read(about[rows], self._there(rows, site))[:, -1:]
        ends, possible = choices(at, self.letters[rows, :site], self.elements[rows, :site], self.limits)
        group = torch.from_numpy(self.group[rows]).to(self.device)
        allowed = torch.from_numpy(ends).to(self.device)[:, None]
        letters = choose(network.log_letters(state, group, allowed)[:, 0], uniform[:, 0])
        keep = letters != STOP
        more = keep.cpu().numpy()
        at, rows = at.take(more), rows[more]
        if not len(rows):
            return at, rows
        letters, chosen = letters[keep], letters[keep].cpu().numpy()
        allowed = torch.from_numpy(possible[more][np.arange(len(rows)), chosen]).to(self.device)[:, None]
        law = network.log_elements(state[keep], letters[:, None], group[keep], allowed)[:, 0]
        self.letters[rows, site] = chosen
        self.elements[rows, site] = choose(law, uniform[keep, 1]).cpu().numpy()
        at = at.after(self.letters[rows, site], self.elements[rows, site])
        self._tell(site, rows, at)
        return at, rows

    def _there(self, rows: Ints, site: int) -> sequence.Written:
        arrays = {
            "group": self.group[rows],
            "wyckoffs": self.letters[rows, :site],
            "elements": self.elements[rows, :site],
            "cell_features": cell_features(self.cell[rows], self.lattice[rows]),
            "told": self.told[rows, : site + 1],
        }
        there = sequence.Written(**{name: torch.from_numpy(array) for name, array in arrays.items()})
        found: sequence.Written = to_device(there, self.device)
        return found

    def _tell(self, site: int, rows: Ints, at: Written) -> None:
        pairs = zip(self.group[rows].tolist(), self.letters[rows, site].tolist(), strict=True)
        atoms = np.array([primitive_multiplicities(number)[letter] for number, letter in pairs], np.int64)
        self.atoms[rows, self.elements[rows, site]] += atoms
        volume = np.exp(self.cell[rows, 0])[:, None]
        filled = (self.atoms[rows] * self.ball / volume).sum(axis=1)
        density = (self.atoms[rows] / volume).sum(axis=1)
        self.told[rows, site + 1] = told(np.full(len(rows), site + 1), density, filled, at.unused.sum(axis=1))

    # Coordinates

    def _coordinates(self) -> None:
        """Draws the coordinates of all rows that have any, and again of those whose atoms are too close."""
        moving = np.array([bool(self._freedoms(row).any()) for row in range(len(self.group))])
        for row in np.flatnonzero(~moving).tolist():
            self.closest[row] = self._closest(row, self.free[row])
        rows = np.flatnonzero(moving)
        if self.gives_up:
            room = self._has_room(rows)
            self.closest[rows[~room]], rows = 0.0, rows[room]
        for attempt in range(self.tries.sites):
            if not len(rows):
                break
            self.again[rows] += attempt > 0
            for row, free in zip(rows.tolist(), self._chain(rows, attempt), strict=True):
                closest = self._closest(row, free)
                if closest > self.closest[row]:
                    self.closest[row], self.free[row, : len(free)] = closest, free
            rows = rows[(self.closest[rows] < self.tries.closest) & self._has_room(rows)]

    def _has_room(self, rows: Ints) -> NDArray[np.bool_]:
        """Whether balls that must not overlap are together no larger than the cell: if not, no draw will do."""
        filled = (self.atoms[rows] * self.ball).sum(axis=1) / np.exp(self.cell[rows, 0])
        return np.asarray(filled * self.tries.closest**3 <= 1.0)

    def _letters(self, row: int) -> list[int]:
        return [letter for letter in self.letters[row].tolist() if letter >= 0]

    def _freedoms(self, row: int) -> Ints:
        positions = space_group(int(self.group[row])).positions
        return np.array([positions[letter].freedom for letter in self._letters(row)])

    def _chain(self, rows: Ints, attempt: int) -> list[Floats]:
        """Parameters (sites, 3) in the unit of each of some rows."""
        config = self.config
        letters = [self._letters(row) for row in rows.tolist()]
        frames = joined(
            [
                frame_of(int(self.group[row]), some, self.lattice[row])
                for row, some in zip(rows.tolist(), letters, strict=True)
            ]
        )
        most = max(map(len, letters))
        here = np.arange(most) < np.array(list(map(len, letters)))[:, None]
        elements = self.elements[rows, :most][here]

        def random(step: int) -> Floats:
            purpose = _CHAIN + attempt * (config.steps + 1) + step
            # As many as the longest crystal of a model has: what a row gets does not depend on the others.
            every = uniforms(self.seed, self.rows[rows], purpose, 3 * config.max_sites)
            return every.reshape(len(rows), -1, 3)[:, :most][here]

        def scores(free: Floats, noise: Floats) -> Floats:
            graph = graph_of(frames, elements, free, noise, config.cutoff, config.neighbours)
            found: Floats = self.network.scores(to_device(graph, self.device)).double().cpu().numpy()
            return found

        free = draw_free(frames, scores, random, config.steps, config.smallest_noise)
        split = np.split(free, np.cumsum(list(map(len, letters)))[:-1])
        numbers = self.group[rows].tolist()
        return [_in_unit(number, some, one) for number, some, one in zip(numbers, letters, split, strict=True)]

    def _closest(self, row: int, free: Floats) -> float:
        """Smallest distance over the sum of two radii."""
        around = Surroundings(int(self.group[row]), self.lattice[row])
        letters, freedoms = self._letters(row), self._freedoms(row).tolist()
        for site, (letter, freedom) in enumerate(zip(letters, freedoms, strict=True)):
            around.put(letter, free[site, :freedom])
        radius = self.radius[self.elements[row, : len(letters)]]
        return float((around.between() / (radius[:, None] + radius)).min())


def _in_unit(number: int, letters: list[int], free: Floats) -> Floats:
    """Parameters (sites, 3) of the points in the asymmetric unit, the origin of a polar group on the first site."""
    out = free.copy()
    polar = bool(is_polar(np.array([number], np.int16))[0])
    pinned = [np.flatnonzero(pinned_axes(number, letter)) for letter in letters]
    if polar:
        shift = free[0, pinned[0]].copy()
        for site, axes in enumerate(pinned):
            out[site, axes] = (out[site, axes] - shift) % 1.0
    for site, letter in enumerate(letters):
        freedom = space_group(number).positions[letter].freedom
        if not freedom:
            continue
        given = out[site : site + 1, :freedom]
        found = smallest(number, letter, given) if polar and site == 0 else in_shapes(number, letter, given)[1]
        out[site, :freedom] = in_cell(found[0])
    return out
