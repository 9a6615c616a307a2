"""Draws crystals: group and space of elements, cell, then site after site, every row from its own random stream.

A site that comes too close to what is already there is drawn again, a bounded number of times; what is closest to
fitting is kept. Scores are those of the model, which knows nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.blocks import NUM_FEATURES, choose, is_polar, primitive_multiplicities, site_features, uniforms
from aristotype.models.wyckoff_augen._atoms import ball_volumes
from aristotype.models.wyckoff_augen._drawing import SITE, Asked, Drawing
from aristotype.models.wyckoff_augen._rules import STOP, Written, start
from aristotype.models.wyckoff_augen._sequences import in_shapes
from aristotype.models.wyckoff_augen._surroundings import FAR, Surroundings
from aristotype.models.wyckoff_augen._tries import closeness
from aristotype.models.wyckoff_augen.grids._arrays import cell_features, fixed_points, own_distances, told
from aristotype.models.wyckoff_augen.grids._grids import divisions
from aristotype.models.wyckoff_augen.grids._network import Placed
from aristotype.models.wyckoff_augen.grids._points import A_TRY, Point, draw_points
from aristotype.symmetry import MAX_POSITIONS, space_group

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen.grids._model import WyckoffAugenGrids

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class GridsDrawing(Drawing):
    """Crystals of given groups and spaces of elements."""

    def __init__(self, model: WyckoffAugenGrids, asked: Asked) -> None:
        """See `Drawing`; with `gives_up` a crystal ends with its first site that is too close to something."""
        super().__init__(model, asked)
        self.network, self.boxes = model.network, model.network.cell.boxes
        n, most = self.letters.shape
        self.ball = ball_volumes()[self.vocabulary]
        self.factors = np.zeros((n, most, NUM_FEATURES), np.float32)
        self.pairs = np.full((n, most, most), FAR, np.float32)
        self.told = np.zeros((n, most + 1, 4), np.float32)
        self.fixed = np.full((n, most + 1, MAX_POSITIONS), FAR, np.float32)
        self.fixed_own = np.full((n, MAX_POSITIONS), FAR, np.float32)
        self.atoms = np.zeros((n, len(self.vocabulary)), np.int64)  # of the primitive cell, by element

    def draw(self) -> None:
        """Draws cells, then site after site."""
        group = torch.from_numpy(self.group).to(self.device)
        about = self.network.about(group, torch.from_numpy(self.space).to(self.device))
        self.put_cells(np.arange(len(self.group)), self.network.cells(about, group))
        self.around = [Surroundings(int(g), lattice) for g, lattice in zip(self.group, self.lattice, strict=True)]
        for row, number in enumerate(self.group.tolist()):
            places = fixed_points(number)[1]
            self.fixed_own[row, places] = own_distances(self.around[row], places)
        nothing = np.zeros(len(group))
        self.told[:, 0] = told(nothing.astype(np.int64), nothing, nothing, self.space.sum(axis=1))
        at, rows = start(self.group, self.space, self.config.max_sites), np.arange(len(group))
        site = 0
        while len(rows):
            at, rows = self._site(site, at, rows, about)
            site += 1
            if self.gives_up:
                fits = self.closest[rows] >= self.tries.closest
                at, rows = at.take(fits), rows[fits]

    def compare(self, row: int, site: int, near: Floats, own: float) -> None:
        """Takes note of how close a site comes to what is there (sites,) and to its own images, in Angstrom."""
        radius = self.radius[self.elements[row, : site + 1]]
        self.closest[row] = min(self.closest[row], closeness(near, own, radius[:-1], radius[-1]))

    # Site after site

    def _site(self, site: int, at: Written, rows: Ints, about: Tensor) -> tuple[Written, Ints]:
        """Draws one site of the rows that go on; returns where they stand and which go on after it."""
        device = about.device
        random = uniforms(self.seed, self.rows[rows], SITE + site, 2 + A_TRY * self.tries.sites)
        uniform = torch.from_numpy(random).to(device)
        group = torch.from_numpy(self.group[rows]).to(device)
        state = self.network.read(about[rows], self._there(rows, site, device))[:, -1]
        ruled, narrow = self.choices(at, rows, site)
        allowed = torch.from_numpy(ruled[0]).to(device)
        fixed = torch.from_numpy(self.fixed[rows, site]).to(device)
        own = torch.from_numpy(self.fixed_own[rows]).to(device)
        law = self.network.letter_logits(state[:, None], group, fixed[:, None], own, allowed[:, None])[:, 0]
        law = self.left_of(law, narrow[0], rows)
        letters = choose(law, uniform[:, 0])
        more = (letters != STOP).cpu().numpy()
        at, rows = at.take(more), rows[more]
        if not len(rows):
            return at, rows
        keep = torch.from_numpy(more).to(device)
        state, letters, group, uniform = state[keep], letters[keep], group[keep], uniform[keep]
        here = letters[:, None]
        raw = self.network.element_logits(
            state[:, None], here, group, fixed[keep].gather(1, here), own[keep].gather(1, here)
        )[:, 0]
        chosen = letters.cpu().numpy()
        by_letter = np.arange(len(rows)), chosen
        allowed = torch.from_numpy(ruled[1][more][by_letter]).to(device)
        law = torch.log_softmax(raw.masked_fill(~allowed, -torch.inf), dim=1)
        law = self.left_of(law, narrow[1][more][by_letter], rows)
        elements = choose(law, uniform[:, 1])
        self.letters[rows, site], self.elements[rows, site] = chosen, elements.cpu().numpy()
        self.atoms[rows, self.elements[rows, site]] += self._multiplicities(rows, chosen)
        self.coordinates(site, rows, state, random[more, 2:])
        at = at.after(self.letters[rows, site], self.elements[rows, site])
        self._tell(site, rows, at)
        return at, rows

    def _multiplicities(self, rows: Ints, letters: Ints) -> Ints:
        pairs = zip(self.group[rows].tolist(), letters.tolist(), strict=True)
        return np.array([primitive_multiplicities(number)[letter] for number, letter in pairs], np.int64)

    def _there(self, rows: Ints, site: int, device: torch.device) -> Placed:
        arrays = {
            "group": self.group[rows],
            "space": self.space[rows],
            "wyckoffs": self.letters[rows, :site],
            "elements": self.elements[rows, :site],
            "cell_features": cell_features(self.cell[rows], self.lattice[rows]),
            "factors": self.factors[rows, :site],
            "pairs": self.pairs[rows, :site, :site],
            "told": self.told[rows, : site + 1],
        }
        return Placed(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()})

    def coordinates(self, site: int, rows: Ints, state: Tensor, random: Floats) -> None:
        """Draws where a site of some rows is, and places it."""
        found = (self.point(row, site, part) for row, part in zip(rows.tolist(), random, strict=True))
        points = {place: point for place, point in enumerate(found) if point is not None}
        draw_points(self.network, list(points.values()), *self.told_of(site, rows, state, list(points)), self.tries)
        for place, row in enumerate(rows.tolist()):
            number, letter = int(self.group[row]), int(self.letters[row, site])
            free = np.zeros(space_group(number).positions[letter].freedom)
            if place in points:
                drawn = points[place]
                self.again[row] += drawn.again
                free = drawn.free if drawn.held else in_shapes(number, letter, drawn.free[None])[1][0]
            self.put(row, site, letter, free)

    def point(self, row: int, site: int, random: Floats) -> Point | None:
        """A site to draw, with its random numbers; None where nothing is written of it."""
        number, letter = int(self.group[row]), int(self.letters[row, site])
        held = site == 0 and bool(is_polar(self.group[row : row + 1].astype(np.int16))[0])
        sizes = divisions(number, letter, self.lattice[row], anchored=held)
        if not sizes:
            return None
        radius = self.radius[self.elements[row, : site + 1]]
        return Point(
            number=number,
            letter=letter,
            held=held,
            sizes=sizes,
            around=self.around[row],
            placed=radius[:-1],
            radius=float(radius[-1]),
            random=random.reshape(-1, A_TRY),
            free=np.zeros(space_group(number).positions[letter].freedom),
        )

    def told_of(self, site: int, rows: Ints, state: Tensor, places: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """States (T, width), kinds (T, width) and kinds of what is there (T, S, width), of some places among rows."""
        there = torch.tensor(places, dtype=torch.long, device=state.device)
        some = rows[places]
        group = torch.from_numpy(self.group[some]).to(state.device)
        letters = torch.from_numpy(self.letters[some, : site + 1]).to(state.device)
        elements = torch.from_numpy(self.elements[some, : site + 1]).to(state.device)
        kinds = self.network.kinds(group, letters, elements)
        return state[there], kinds[:, site], kinds[:, :site]

    def put(self, row: int, site: int, letter: int, free: Floats) -> None:
        """Places a site with parameters (freedom,)."""
        number, around = int(self.group[row]), self.around[row]
        near, own = around.distances(letter, free[None])
        self.compare(row, site, near[0], float(own[0]))
        self.pairs[row, site, :site], self.pairs[row, site, site] = near[0], own[0]
        self.pairs[row, :site, site] = near[0]
        around.put(letter, free)
        self.free[row, site, : len(free)] = free
        self.factors[row, site] = site_features(number, letter, free[None])[0]
        points, places = fixed_points(number)
        self.fixed[row, site + 1] = self.fixed[row, site]
        if len(places):
            last = around.from_points(points)[:, -1]
            self.fixed[row, site + 1, places] = np.minimum(self.fixed[row, site, places], last)

    def _tell(self, site: int, rows: Ints, at: Written) -> None:
        volume = np.exp(self.cell[rows, 0])[:, None]
        count = np.full(len(rows), site + 1)
        filled = (self.atoms[rows] * self.ball / volume).sum(axis=1)
        atoms = (self.atoms[rows] / volume).sum(axis=1)
        self.told[rows, site + 1] = told(count, atoms, filled, at.unused.sum(axis=1))
