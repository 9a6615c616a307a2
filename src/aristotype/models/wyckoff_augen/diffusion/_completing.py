"""Candidates of crystals of which a part is known: genes and cells are weighed, coordinates drawn around what is known.

Genes are drawn so that the known sites are among theirs. Their weights hold what conditions left of each law, and the
density of a known cell; not the density of the known coordinates, which the model only bounds. A few candidates are
chosen by weight, and only these get coordinates: while the noise goes down the known sites are put where they are, with
as much noise as the others have (the imputation of Song et al., "Score-based generative modeling through stochastic
differential equations", section 5), so that the others come to fit to them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import uniforms
from aristotype.models.wyckoff_augen._candidates import Candidates, KnownSites
from aristotype.models.wyckoff_augen.diffusion._chain import Held
from aristotype.models.wyckoff_augen.diffusion._sampler import DiffusionDrawing

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_KNOWN, _PICKED = 1 << 19, 43
"""Purposes of random numbers: of a site, added to its place, and of the order of candidates."""
_SURE = 1e3  # nats
PICKED = 3
"""Candidates of a crystal that get coordinates, of `count`."""


class Completing(KnownSites, DiffusionDrawing):
    """A draw of candidates; those without coordinates are infinitely close."""

    count = 48

    def draw(self) -> None:
        """Draws genes and cells, and the coordinates of some."""
        self.weigh()
        first = self._by_weight()
        self.log_weight[:] = -np.inf
        for place, rows in enumerate(first):
            self.log_weight[rows] = -_SURE * place
        rows = np.concatenate(first[:PICKED])
        room = self.has_room(rows)
        self.closest[rows[~room]] = 0.0
        self.move(rows[room])

    def weigh(self) -> None:
        """Draws genes and cells, with their weights."""
        self.closest[:] = -np.inf
        self.write()
        for site in range(self.config.max_sites):
            rows = np.flatnonzero(self.letters[:, site] >= 0)
            picks = uniforms(self.seed, self.rows[rows], _KNOWN + site, 4)
            for row, (pick, *anywhere) in zip(rows.tolist(), picks.tolist(), strict=True):
                kind = int(self.letters[row, site]), int(self.elements[row, site])
                which = self.known[row].take(site, *kind, pick)
                known = np.zeros(0) if which is None else self.known[row].free(which)
                # What is not known is anywhere until it is drawn, so that no candidate seems to be symmetric.
                self.free[row, site] = np.where(self.freedom(row, site) > np.arange(3), anywhere, 0.0)
                self.free[row, site, : len(known)] = known
        self.log_weight = super().candidates().log_weight

    def candidates(self) -> Candidates:
        """Weighed by their order: the first that fits is chosen, which is by weight among those that fit."""
        return super().candidates()._replace(log_weight=self.log_weight)

    def _by_weight(self) -> list[Ints]:
        """The first candidate of every crystal, the second, and so on, by weight among those with room for their atoms.

        Where none has room they are all taken. The largest of log-weights with Gumbel noise is a draw by weight, and
        the next is one among those that are left.
        """
        room = self.has_room(np.arange(len(self.rows))).reshape(-1, self.count)
        room |= ~room.any(axis=1, keepdims=True)
        weight = np.where(room, self.log_weight.reshape(-1, self.count), -np.inf)
        random = uniforms(self.seed, self.rows[:: self.count], _PICKED, self.count)
        order = np.argsort(np.log(-np.log1p(-random)) - weight, axis=1, kind="stable")
        rows = order + np.arange(len(order))[:, None] * self.count
        here = np.isfinite(np.take_along_axis(weight, order, axis=1))
        return [rows[here[:, place], place] for place in range(self.count)]

    def held(self, rows: Ints, here: NDArray[np.bool_]) -> Held:
        """The known sites."""
        known = np.zeros((len(rows), here.shape[1]), bool)
        for place, row in enumerate(rows.tolist()):
            known[place, list(self.known[row].site_of)] = True
        return Held(known[here], self.free[rows, : here.shape[1]][here])

    def between(self, row: int, free: Floats) -> Floats:
        """Known sites in a known cell are not compared with each other, which are as they were given."""
        found = super().between(row, free)
        if self.partial.lattice is not None:
            known = list(self.known[row].site_of)
            found[np.ix_(known, known)] = np.inf
        return found
