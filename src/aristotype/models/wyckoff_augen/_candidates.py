"""Candidates of crystals of which a part is known: what draws of them have in common."""

from __future__ import annotations

from collections import Counter
from math import comb, log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import centring_orders, into_frames, out_of_frames
from aristotype.models.blocks import boxed
from aristotype.models.wyckoff_augen._drawing import Asked, Drawing
from aristotype.models.wyckoff_augen._known import Known
from aristotype.models.wyckoff_augen._sequences import repeats

if TYPE_CHECKING:
    from aristotype.models.blocks import CellLaw
    from aristotype.models.wyckoff_augen._complete import Completion
    from aristotype.models.wyckoff_augen._limits import Limit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Candidates(NamedTuple):
    """m candidates in the description of the partial crystal, up to S sites each."""

    letters: Ints  # (m, S) -1 where there is no site
    elements: Ints  # (m, S) indices in the vocabulary
    free: Floats  # (m, S, 3)
    lattice: Floats  # (m, 6)
    closest: Floats  # (m,)
    site_draws: Ints  # (m,)
    log_weight: Floats  # (m,)


class KnownSites(Drawing):
    """A draw of candidates; `log_weight` becomes their weight."""

    count = 16
    """Candidates that one crystal is chosen from."""

    def __init__(
        self, completion: Completion, group: Ints, space: NDArray[np.bool_], seed: int, rows: Ints, which: Ints
    ) -> None:
        """Groups (m,) that are all the known one, spaces (m, E), random streams (m,) and frames (m,) of candidates."""
        super().__init__(completion.model, Asked(group, space, seed, rows, {}))
        self.partial, self.frames, self.which = completion.partial, completion.frames, which
        self.each_limit = [completion.limits[frame] for frame in which.tolist()]
        elements = completion.model.vocabulary_index[list(self.partial.elements)]
        letters = self.frames.letters[:, list(self.partial.wyckoffs)]
        self.known = [
            Known(
                number=self.partial.space_group,
                letters=letters[frame].tolist(),
                elements=elements.tolist(),
                points=self.frames.points[frame],
            )
            for frame in which.tolist()
        ]

    def limits_of(self, rows: Ints) -> list[Limit | None]:
        """That of the frame of each candidate."""
        return [self.each_limit[row] for row in rows.tolist()]

    def put_cells(self, rows: Ints, law: CellLaw) -> None:
        """The known cell in each frame, weighed; or drawn ones."""
        if self.frames.lattice is None:
            super().put_cells(rows, law)
            return
        self.lattice[rows] = self.frames.lattice[self.which[rows]]
        cell, acute, measure = boxed(self.group[rows], self.lattice[rows], centring_orders()[self.group[rows]])
        self.cell[rows] = cell
        there = torch.from_numpy(cell).to(law.centre), torch.from_numpy(acute).to(law.centre.device)
        density = self.boxes.log_density(law, *there, torch.from_numpy(self.group[rows]).to(self.device))
        self.log_weight[rows] += density.double().cpu().numpy() + measure

    def candidates(self) -> Candidates:
        """What was drawn as the known sites are described, these exactly as they were given."""
        genes = self.written()
        shift = np.array([known.shift for known in self.known])
        described, free, lattice = out_of_frames(self.frames, self.which, genes, self.free, self.lattice, shift)
        for row, known in enumerate(self.known):
            for place, site in known.site_of.items():
                own = self.partial.site_free[site]
                free[row, place, : len(own)] = own
        if self.partial.lattice is not None:
            lattice[:] = self.partial.lattice
        # A crystal of higher symmetry is the same sequence in several frames, and is drawn in each of them.
        times = repeats(into_frames(self.frames, described, free, lattice))
        ways = np.array([self._log_ways(row) for row in range(len(self.known))])
        return Candidates(
            letters=described.wyckoffs.astype(np.int64),
            elements=self.elements,
            free=free,
            lattice=lattice,
            closest=self.closest,
            site_draws=self.again,
            log_weight=self.log_weight + ways - np.log(times),
        )

    def _log_ways(self, row: int) -> float:
        """Log of the even choices that were made, and of the places of known sites among those of their kind."""
        known = self.known[row]
        every = Counter(zip(self.letters[row].tolist(), self.elements[row].tolist(), strict=True))
        own = Counter(zip(known.letters, known.elements, strict=True))
        return known.log_choices + sum(log(comb(every[kind], count)) for kind, count in own.items())
