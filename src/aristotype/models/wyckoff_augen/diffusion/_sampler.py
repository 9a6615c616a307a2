"""Draws crystals: group and space of elements, letters and elements, the cell, then all coordinates together.

Every row is drawn from its own random stream. Coordinates of a crystal with atoms that come too close are drawn again,
a bounded number of times; what is furthest apart is kept. Scores are those of the model, which knows nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.blocks import choose, is_polar, pinned_axes, primitive_multiplicities, uniforms
from aristotype.models.wyckoff_augen._atoms import ball_volumes
from aristotype.models.wyckoff_augen._balance import END, balances
from aristotype.models.wyckoff_augen._drawing import SITE, Asked, Drawing
from aristotype.models.wyckoff_augen._rules import STOP, Written, start
from aristotype.models.wyckoff_augen._sequences import in_cell, in_shapes, smallest
from aristotype.models.wyckoff_augen._surroundings import Surroundings
from aristotype.models.wyckoff_augen._weighing import CANDIDATES, streams, weighed
from aristotype.models.wyckoff_augen.diffusion import _sequence_network as sequence
from aristotype.models.wyckoff_augen.diffusion._chain import Held, draw_free
from aristotype.models.wyckoff_augen.diffusion._frames import frame_of, joined
from aristotype.models.wyckoff_augen.diffusion._graph import graph_of
from aristotype.symmetry import space_group
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch
    from aristotype.models.wyckoff_augen.diffusion._model import WyckoffAugen

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_CHOSEN, _CHAIN = 45, 1 << 20
"""Purposes of random numbers: which candidate is taken; of a chain, a step's is that and its place in all draws."""
_WRITTEN = ("group", "space", "letters", "elements", "atoms", "told", "log_weight")
_STRIDE = 1 << 43  # candidates of a row draw from streams this far apart


class DiffusionDrawing(Drawing):
    """Crystals of given groups and spaces of elements."""

    model: WyckoffAugen

    def __init__(self, model: WyckoffAugen, asked: Asked) -> None:
        """See `Drawing`; with `gives_up` a crystal whose cell has no room for its atoms has no coordinates."""
        super().__init__(model, asked)
        self.network, self.boxes = model.network, model.network.cell.head.boxes
        self.ball = ball_volumes()[self.vocabulary]
        self.given = asked.genes
        n, most = self.letters.shape
        self.atoms = np.zeros((n, most), np.float32)  # of the primitive cell, by site
        self.told = np.zeros((n, most + 1, sequence.TOLD), np.float32)

    def draw(self) -> None:
        """Draws letters, elements and cells, then coordinates."""
        self.closest[:] = -np.inf
        self.write()
        self.move(np.arange(len(self.group)))

    def write(self) -> None:
        """Draws letters and elements, those that limits leave in the proportions of the model, and cells."""
        if self.given is not None:
            self._put(self.given)
        else:
            self.write_sites()
            if self.limits:
                self._weigh()
        sites = (self.letters >= 0).sum(axis=1)
        for length in np.unique(sites).tolist():
            rows = np.flatnonzero(sites == length)
            self.put_cells(rows, self.network.cell.law(self._there(rows, length)))

    def write_sites(self) -> None:
        """Draws letters and elements."""
        rows = np.arange(len(self.group))
        at = start(self.group, self.space, self.config.max_sites)
        self._tell(0, rows, at)
        site = 0
        while len(rows):
            at, rows = self._site(site, at, rows)
            site += 1

    def _put(self, genes: GeneBatch) -> None:
        """Takes letters and elements that are given."""
        wide = int(genes.num_sites.max(initial=0))
        letters, elements = genes.wyckoffs[:, :wide], genes.elements[:, :wide]
        self.letters[:, :wide] = letters
        self.elements[:, :wide] = np.where(letters >= 0, self.model.vocabulary_index[elements], 0)
        rows = np.arange(len(genes))
        at = start(self.group, self.space, self.config.max_sites)
        self._tell(0, rows, at)
        for site in range(wide):
            more = self.letters[rows, site] >= 0
            at, rows = at.take(more), rows[more]
            at = at.after(self.letters[rows, site], self.elements[rows, site])
            self._tell(site + 1, rows, at)

    def _weigh(self) -> None:
        """Puts one of several candidates in place of what is written of each row (see `_weighing`)."""
        random = uniforms(self.seed, self.rows, _CHOSEN, CANDIDATES + 1)

        def more(left: Ints, places: Ints) -> list[NDArray[Any]]:
            numbers = streams(self.rows[left], places, _STRIDE)
            if self.others is None:
                again = np.repeat(left, len(places))
                group, space = self.group[again], self.space[again]
            else:
                group, space = self.others(numbers)
            drawing = DiffusionDrawing(self.model, Asked(group, space, self.seed, numbers, self.limits))
            drawing.write_sites()
            return [getattr(drawing, name) for name in _WRITTEN]

        for name, chosen in zip(_WRITTEN, weighed(random, [getattr(self, n) for n in _WRITTEN], more), strict=True):
            getattr(self, name)[:] = chosen

    def _site(self, site: int, at: Written, rows: Ints) -> tuple[Written, Ints]:
        """Draws letter and element of one site of the rows that go on.

        Returns:
            where those that go on stand, and which they are.
        """
        network = self.network.sequence
        uniform = torch.from_numpy(uniforms(self.seed, self.rows[rows], SITE + site, 2)).to(self.device)
        state = network.read(self._there(rows, site))[:, -1:]
        ruled, narrow = self.choices(at, rows, site)
        group = torch.from_numpy(self.group[rows]).to(self.device)
        balance = self.balance
        hint = torch.from_numpy(balance.any(axis=2).astype(np.float32)).to(self.device)[:, None]
        law = network.log_letters(state, group, self._mask(ruled[0]), hint)[:, 0]
        letters = choose(self.left_of(law, narrow[0], rows), uniform[:, 0])
        keep = letters != STOP
        more = keep.cpu().numpy()
        at, rows = at.take(more), rows[more]
        if not len(rows):
            return at, rows
        letters, chosen = letters[keep], letters[keep].cpu().numpy()
        possible, left = (part[more][np.arange(len(rows)), chosen] for part in (ruled[1], narrow[1]))
        hint = torch.from_numpy(balance[more][np.arange(len(rows)), chosen].astype(np.float32)).to(self.device)[:, None]
        law = network.log_elements(state[keep], letters[:, None], group[keep], self._mask(possible), hint)[:, 0]
        self.letters[rows, site] = chosen
        self.elements[rows, site] = choose(self.left_of(law, left, rows), uniform[keep, 1]).cpu().numpy()
        at = at.after(self.letters[rows, site], self.elements[rows, site])
        self._tell(site + 1, rows, at)
        return at, rows

    def _mask(self, allowed: NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(allowed).to(self.device)[:, None]

    def _there(self, rows: Ints, site: int) -> sequence.Written:
        arrays = {
            "group": self.group[rows],
            "space": self.space[rows],
            "wyckoffs": self.letters[rows, :site],
            "elements": self.elements[rows, :site],
            "told": self.told[rows, : site + 1],
            "atoms": self.atoms[rows, :site],
        }
        there = sequence.Written(**{name: torch.from_numpy(array) for name, array in arrays.items()})
        found: sequence.Written = to_device(there, self.device)
        return found

    def _tell(self, site: int, rows: Ints, at: Written) -> None:
        """Notes what is told after so many sites, and what would balance next, of rows that go on."""
        if site:
            pairs = zip(self.group[rows].tolist(), self.letters[rows, site - 1].tolist(), strict=True)
            self.atoms[rows, site - 1] = [primitive_multiplicities(number)[letter] for number, letter in pairs]
        there = self._atoms_by_element(rows)
        self.balance = balances(self.group[rows], self.space[rows], there, self.config.elements)
        balanced = self.balance[:, END, 0, 0]
        counts = np.full(len(rows), float(site)), there.sum(axis=1), at.unused.sum(axis=1), balanced
        self.told[rows, site] = sequence.told(*(torch.from_numpy(each) for each in counts)).numpy()

    def _atoms_by_element(self, rows: Ints) -> Ints:
        out = np.zeros((len(rows), self.space.shape[1]), np.int64)
        for site in range(self.letters.shape[1]):
            out[np.arange(len(rows)), self.elements[rows, site]] += self.atoms[rows, site].astype(np.int64)
        return out

    # Coordinates

    def move(self, rows: Ints) -> None:
        """Draws the coordinates of those of some rows that have any, and again of those whose atoms are too close."""
        moving = np.array([bool(self._freedoms(row).any()) for row in rows.tolist()], bool)
        for row in rows[~moving].tolist():
            self.closest[row] = self.how_close(row, self.free[row])
        rows = rows[moving]
        if self.gives_up:
            room = self.has_room(rows)
            self.closest[rows[~room]], rows = 0.0, rows[room]
        for attempt in range(self.tries.sites):
            if not len(rows):
                break
            self.again[rows] += attempt > 0
            for row, free in zip(rows.tolist(), self._chain(rows, attempt), strict=True):
                closest = self.how_close(row, free)
                if closest > self.closest[row]:
                    self.closest[row], self.free[row, : len(free)] = closest, free
            rows = rows[(self.closest[rows] < self.tries.closest) & self.has_room(rows)]

    def has_room(self, rows: Ints) -> NDArray[np.bool_]:
        """Whether balls that must not overlap are together no larger than the cell: if not, no draw will do."""
        filled = (self.atoms[rows] * self.ball[self.elements[rows]]).sum(axis=1) / np.exp(self.cell[rows, 0])
        return np.asarray(filled * self.tries.closest**3 <= 1.0)

    def freedom(self, row: int, site: int) -> int:
        """Free parameters of a site."""
        return int(space_group(int(self.group[row])).positions[self.letters[row, site]].freedom)

    def _freedoms(self, row: int) -> Ints:
        return np.array([self.freedom(row, site) for site in range(len(self.letters_of(row)))])

    def _chain(self, rows: Ints, attempt: int) -> list[Floats]:
        """Parameters (sites, 3) in the unit of each of some rows."""
        config = self.config
        letters = [self.letters_of(row) for row in rows.tolist()]
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

        held = self.held(rows, here)
        free = draw_free(frames, scores, random, config.steps, config.smallest_noise, held)
        split = np.split(free, np.cumsum(list(map(len, letters)))[:-1])
        numbers = self.group[rows].tolist()
        floats = held is None
        return [in_unit(number, some, one, floats) for number, some, one in zip(numbers, letters, split, strict=True)]

    def held(self, rows: Ints, here: NDArray[np.bool_]) -> Held | None:
        """Sites that stay where they are; None where none does.

        Args:
            rows: (m,).
            here: (m, S) which sites there are, in the order of those that are drawn.
        """
        return None

    def how_close(self, row: int, free: Floats) -> float:
        """Smallest distance over the sum of two radii."""
        between = self.between(row, free)
        radius = self.radius[self.elements[row, : len(between)]]
        return float((between / (radius[:, None] + radius)).min(initial=np.inf))

    def between(self, row: int, free: Floats) -> Floats:
        """(sites, sites) nearest distances in Angstrom."""
        around = Surroundings(int(self.group[row]), self.lattice[row])
        letters, freedoms = self.letters_of(row), self._freedoms(row).tolist()
        for site, (letter, freedom) in enumerate(zip(letters, freedoms, strict=True)):
            around.put(letter, free[site, :freedom])
        return around.between()


def in_unit(number: int, letters: list[int], free: Floats, floats: bool) -> Floats:
    """Parameters (sites, 3) of the points in the asymmetric unit.

    Where the origin of a polar group `floats`, it is put on the first site.
    """
    out = free.copy()
    polar = floats and bool(is_polar(np.array([number], np.int16))[0])
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
