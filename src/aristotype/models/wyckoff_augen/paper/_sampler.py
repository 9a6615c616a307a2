"""Draws crystals of the published model: a cell, then site after site, every row from its own random stream.

A site that comes too close to what is already there is drawn again, as in the default configuration; its shape stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import reduced_lattices
from aristotype.errors import SymmetryError
from aristotype.models.blocks import choose, is_polar, uniforms
from aristotype.models.wyckoff_augen._drawing import CELL, SITE, Asked, Drawing
from aristotype.models.wyckoff_augen._rules import STOP, Written, start
from aristotype.models.wyckoff_augen._sequences import in_cell
from aristotype.models.wyckoff_augen._surroundings import Surroundings
from aristotype.models.wyckoff_augen._tries import closeness
from aristotype.models.wyckoff_augen.paper._batches import volumes
from aristotype.models.wyckoff_augen.paper._draws import A_TRY, draw_places
from aristotype.models.wyckoff_augen.paper._graph import edges_of, graph_of, joined
from aristotype.models.wyckoff_augen.paper._lattice import UNIFORMS
from aristotype.models.wyckoff_augen.paper._located import located_alike
from aristotype.models.wyckoff_augen.paper._network import About, Placed, gathered
from aristotype.symmetry import space_group
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen.paper._model import WyckoffAugenPaper

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_CELLS = 8
"""Draws of a cell; one that is so flat that its reduction does not end is drawn again."""


class PaperDrawing(Drawing):
    """Crystals of given groups and spaces of elements."""

    def __init__(self, model: WyckoffAugenPaper, asked: Asked) -> None:
        """See `Drawing`; with `gives_up` a crystal ends with its first site that is too close to something."""
        super().__init__(model, asked)
        self.network = model.network
        self.polar = is_polar(self.group.astype(np.int16))
        self.point = np.zeros_like(self.free)

    def draw(self) -> None:
        """Draws cells, then site after site."""
        group, space = (torch.from_numpy(part).to(self.device) for part in (self.group, self.space))
        about = self.network.about(group, space)
        self.lattice = self._cells(self.network.cell_context(about), group)
        self.volume = volumes(self.group, self.lattice)
        self.around = [Surroundings(int(g), lattice) for g, lattice in zip(self.group, self.lattice, strict=True)]
        at, rows = start(self.group, self.space, self.config.max_sites), np.arange(len(group))
        site = 0
        while len(rows):
            at, rows = self._site(site, at, rows, about.take(torch.from_numpy(rows).to(self.device)))
            site += 1
            if self.gives_up:
                fits = self.closest[rows] >= self.tries.closest
                at, rows = at.take(fits), rows[fits]

    def _cells(self, context: Tensor, group: Tensor) -> Floats:
        """(n, 6) reduced cells."""
        random = uniforms(self.seed, self.rows, CELL, _CELLS * UNIFORMS).reshape(len(self.rows), _CELLS, UNIFORMS)
        uniform = torch.from_numpy(random).to(self.device)
        out, waiting = np.zeros((len(self.rows), 6)), list(range(len(self.rows)))
        for attempt in range(_CELLS):
            if not waiting:
                break
            drawn = self.network.lattice.draw(context[waiting], group[waiting], uniform[waiting, attempt])
            left = []
            for row, cell in zip(waiting, drawn.cpu().numpy(), strict=True):
                try:
                    out[row] = reduced_lattices(int(self.group[row]), cell[None])[0]
                except SymmetryError:
                    if attempt == _CELLS - 1:
                        raise
                    left.append(row)
            waiting = left
        return out

    def _site(self, site: int, at: Written, rows: Ints, about: About) -> tuple[Written, Ints]:
        """Draws one site of the rows that go on; returns where they stand and which go on after it."""
        random = uniforms(self.seed, self.rows[rows], SITE + site, 3 + A_TRY * self.tries.sites)
        uniform = torch.from_numpy(random).to(self.device)
        state = self.network.read(about, self._there(rows, site))
        ends, elements_by_letter = self.choices(at, rows, site)[1]
        allowed = torch.from_numpy(ends).to(self.device)
        law = self.network.heads.letters(state, about.positions, allowed[:, None])[0][:, 0]
        letters = choose(law, uniform[:, 0])
        keep = letters != STOP
        more = keep.cpu().numpy()
        at, rows = at.take(more), rows[more]
        if not len(rows):
            return at, rows
        state, letters, uniform, about = state[keep], letters[keep], uniform[keep], about.take(keep)
        chosen = elements_by_letter[more][np.arange(len(rows)), letters.cpu().numpy()]
        possible = torch.from_numpy(chosen).to(self.device)
        position = gathered(about.positions, letters[:, None])
        space = torch.from_numpy(self.space[rows]).to(self.device)
        law = self.network.heads.elements(state, position, about.elements, space, possible[:, None])[0][:, 0]
        elements = choose(law, uniform[:, 1])
        self.letters[rows, site], self.elements[rows, site] = letters.cpu().numpy(), elements.cpu().numpy()
        known = [state[:, 0], position[:, 0], about.elements[elements]]
        group = torch.from_numpy(self.group[rows]).to(self.device)
        held = self.polar[rows] & (site == 0)
        tries = uniform[:, 3:].view(len(rows), self.tries.sites, A_TRY)
        free = draw_places(self.network, known, group, letters, held, uniform[:, 2], tries)
        for place, row in enumerate(rows.tolist()):
            self._put(row, site, free[place], bool(held[place]))
        return at.after(self.letters[rows, site], self.elements[rows, site]), rows

    def _there(self, rows: Ints, site: int) -> Placed:
        edges = []
        for row in rows.tolist():
            letters = self.letters[row, :site].tolist()
            positions = space_group(int(self.group[row])).positions
            frees = [self.free[row, place, : positions[letter].freedom] for place, letter in enumerate(letters)]
            edges.append(edges_of(self.around[row], letters, frees, self.point[row, :site]))
        n = len(rows)
        arrays = {
            "group": self.group[rows],
            "wyckoffs": self.letters[rows, :site],
            "elements": self.elements[rows, :site],
            "cell": self.lattice[rows],
            "volume": self.volume[rows],
            "point": self.point[rows, :site],
        }
        graph = graph_of(joined(edges), np.arange(n), np.tile(np.arange(site), (n, 1)), prefixes=False)
        placed = Placed(**{name: torch.from_numpy(array) for name, array in arrays.items()}, graph=graph)
        found: Placed = to_device(placed, self.device)
        return found

    def _put(self, row: int, site: int, tried: Floats, held: bool) -> None:
        """Places the draw of a site that is kept, of several (k, 3)."""
        number, letter, around = int(self.group[row]), int(self.letters[row, site]), self.around[row]
        freedom = space_group(number).positions[letter].freedom
        radius = self.radius[self.elements[row, : site + 1]]
        tried = tried[:, :freedom] if freedom else tried[:1, :0]
        best, again = self.tries.first_that_fits(around, letter, tried, radius[:-1], radius[-1])
        self.again[row] += again
        at = located_alike(number, letter, np.pad(tried[best : best + 1], ((0, 0), (0, 3 - freedom))), on_origin=held)
        self.free[row, site], self.point[row, site] = in_cell(at.place[0]), at.point[0]
        near, own = around.distances(letter, self.free[row, site : site + 1, :freedom])
        self.closest[row] = min(self.closest[row], closeness(near[0], float(own[0]), radius[:-1], radius[-1]))
        around.put(letter, self.free[row, site, :freedom])
