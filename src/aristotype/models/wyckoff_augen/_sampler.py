"""Draws crystals: group and space of elements, cell, then site after site, every row from its own random stream.

A site that comes too close to what is already there is drawn again, a bounded number of times; what is closest to
fitting is kept. Scores are those of the model, which knows nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import MAX_CELL, CrystalTable, GeneBatch, covalent_radii, from_box
from aristotype.models._crystals import crystals_of
from aristotype.models.blocks import NUM_FEATURES, choose, is_polar, primitive_multiplicities, site_features, uniforms
from aristotype.models.wyckoff_augen._arrays import ball_volumes, cell_features, fixed_points, own_distances, told
from aristotype.models.wyckoff_augen._choices import by_rules, narrowed
from aristotype.models.wyckoff_augen._grids import divisions
from aristotype.models.wyckoff_augen._network import Placed
from aristotype.models.wyckoff_augen._points import A_TRY, Point, draw_points
from aristotype.models.wyckoff_augen._rules import STOP, Written, start
from aristotype.models.wyckoff_augen._sequences import in_shapes
from aristotype.models.wyckoff_augen._surroundings import FAR, Surroundings
from aristotype.models.wyckoff_augen._tries import closeness
from aristotype.symmetry import MAX_POSITIONS, space_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aristotype.models.blocks import CellLaw
    from aristotype.models.wyckoff_augen._base import AugenModel
    from aristotype.models.wyckoff_augen._limits import Limit
    from aristotype.models.wyckoff_augen._model import WyckoffAugen

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_CELL, _SITE = 41, 1024
"""Purposes of random numbers; a site's is `_SITE` and its place."""


class Drawing:
    """Crystals of given groups and spaces of elements."""

    def __init__(
        self,
        model: WyckoffAugen,
        group: Ints,
        space: NDArray[np.bool_],
        seed: int,
        rows: Ints,
        limits: Mapping[int, Limit],
        *,
        gives_up: bool = False,
    ) -> None:
        """Space groups (n,), spaces (n, E), the numbers (n,) of random streams, and limits by space group.

        With `gives_up` a crystal ends with its first site that is too close to something.
        """
        self.gives_up = gives_up
        self.limits = limits
        self.model, self.network, self.tries = model, model.network, model.tries
        self.group, self.space, self.seed, self.rows = group, space, seed, rows
        n, most = len(group), model.config.max_sites
        vocabulary = np.array(model.config.elements)
        self.radius = np.nan_to_num(covalent_radii(), nan=1.5)[vocabulary]
        self.ball = ball_volumes()[vocabulary]
        self.letters = np.full((n, most), -1, np.int64)
        self.elements = np.zeros((n, most), np.int64)
        self.free = np.zeros((n, most, 3))
        self.factors = np.zeros((n, most, NUM_FEATURES), np.float32)
        self.pairs = np.full((n, most, most), FAR, np.float32)
        self.told = np.zeros((n, most + 1, 4), np.float32)
        self.fixed = np.full((n, most + 1, MAX_POSITIONS), FAR, np.float32)
        self.fixed_own = np.full((n, MAX_POSITIONS), FAR, np.float32)
        self.atoms = np.zeros((n, len(vocabulary)), np.int64)  # of the primitive cell, by element
        self.closest, self.again = np.full(n, np.inf), np.zeros(n, np.int64)

        # Log of the density of a sequence under the model over that under which conditions had it drawn.
        self.log_weight = np.zeros(n)

    def run(self) -> CrystalTable:
        """Draws all of them."""
        self.draw()
        return table_of(
            self.model, self.group, self.letters, self.elements, self.free, self.lattice, self.rows
        ).with_columns({"closest": pa.array(self.closest), "site_draws": pa.array(self.again)})

    @torch.no_grad()
    def draw(self) -> None:
        """Draws cells, then site after site."""
        device = self.network.element_bias.device
        group = torch.from_numpy(self.group).to(device)
        about = self.network.about(group, torch.from_numpy(self.space).to(device))
        self.cell, self.lattice = self.cells(self.network.cell_law(about, group), group)
        self.around = [Surroundings(int(g), lattice) for g, lattice in zip(self.group, self.lattice, strict=True)]
        for row, number in enumerate(self.group.tolist()):
            places = fixed_points(number)[1]
            self.fixed_own[row, places] = own_distances(self.around[row], places)
        nothing = np.zeros(len(group))
        self.told[:, 0] = told(nothing.astype(np.int64), nothing, nothing, self.space.sum(axis=1))
        at, rows = start(self.group, self.space, self.model.config.max_sites), np.arange(len(group))
        site = 0
        while len(rows):
            at, rows = self._site(site, at, rows, about)
            site += 1
            if self.gives_up:
                fits = self.closest[rows] >= self.tries.closest
                at, rows = at.take(fits), rows[fits]

    # What a subclass does in another way

    def cells(self, law: CellLaw, group: Tensor) -> tuple[Floats, Floats]:
        """Points (n, 6) of the box, and the cells (n, 6) that they are."""
        random = uniforms(self.seed, self.rows, _CELL, 2 + MAX_CELL)
        cell, acute = self.network.boxes.draw(law, group, random)
        return cell, self._lattices(cell, acute)

    def limits_of(self, rows: Ints) -> list[Limit | None]:
        """The limit on the crystal of each of some rows."""
        return [self.limits.get(number) for number in self.group[rows].tolist()]

    def compare(self, row: int, site: int, near: Floats, own: float) -> None:
        """Takes note of how close a site comes to what is there (sites,) and to its own images, in Angstrom."""
        radius = self.radius[self.elements[row, : site + 1]]
        self.closest[row] = min(self.closest[row], closeness(near, own, radius[:-1], radius[-1]))

    # Site after site

    def _lattices(self, cell: Floats, acute: NDArray[np.bool_]) -> Floats:
        out = np.zeros((len(cell), 6))
        for number in np.unique(self.group).tolist():
            here = self.group == number
            points = np.full(int(here.sum()), space_group(number).centring_order)
            out[here] = from_box(number, cell[here], acute[here], points)
        return out

    def _site(self, site: int, at: Written, rows: Ints, about: Tensor) -> tuple[Written, Ints]:
        """Draws one site of the rows that go on; returns where they stand and which go on after it."""
        device = about.device
        random = uniforms(self.seed, self.rows[rows], _SITE + site, 2 + A_TRY * self.tries.sites)
        uniform = torch.from_numpy(random).to(device)
        group = torch.from_numpy(self.group[rows]).to(device)
        state = self.network.read(about[rows], self._there(rows, site, device))[:, -1]
        written = self.letters[rows, :site], self.elements[rows, :site]
        ruled = by_rules(at)
        ends, possible = narrowed(*ruled, at, *written, self.limits_of(rows))
        allowed = torch.from_numpy(ruled[0]).to(device)
        fixed = torch.from_numpy(self.fixed[rows, site]).to(device)
        own = torch.from_numpy(self.fixed_own[rows]).to(device)
        law = self.network.letter_logits(state[:, None], group, fixed[:, None], own, allowed[:, None])[:, 0]
        law, mass = _left(law, torch.from_numpy(ends).to(device))
        self.log_weight[rows] += mass
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
        masks = [torch.from_numpy(part[more][np.arange(len(rows)), chosen]).to(device) for part in (ruled[1], possible)]
        law, mass = _left(torch.log_softmax(raw.masked_fill(~masks[0], -torch.inf), dim=1), masks[1])
        self.log_weight[rows] += mass
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


def _left(law: Tensor, mask: Tensor) -> tuple[Tensor, Floats]:
    """Log-probabilities (n, k) of what is left of laws (n, k), renormalised, and the log (n,) of its share of them."""
    left = law.masked_fill(~mask, -torch.inf)
    return torch.log_softmax(left, dim=1), torch.logsumexp(left.double(), dim=1).cpu().numpy()


def table_of(
    model: AugenModel, group: Ints, letters: Ints, elements: Ints, free: Floats, lattice: Floats, rows: Ints
) -> CrystalTable:
    """Crystals that were written site by site.

    Args:
        model: whose vocabulary elements are of.
        group: (n,).
        letters: (n, S), -1 where there is no site.
        elements: (n, S) indices in the vocabulary.
        free: (n, S, 3).
        lattice: (n, 6) Angstrom and degrees.
        rows: (n,) numbers of their random streams, which they are named by.
    """
    width = max(1, int((letters >= 0).sum(axis=1).max(initial=1)))
    here = letters[:, :width] >= 0
    genes = GeneBatch(
        space_group=group.astype(np.int16),
        elements=np.where(here, np.array(model.config.elements)[elements[:, :width]], 0).astype(np.int8),
        wyckoffs=letters[:, :width].astype(np.int8),
    )
    return crystals_of(genes, free[:, :width], lattice, [f"{model.name}-{row}" for row in rows.tolist()])
