"""Crystals of which a part is known: the rest is drawn around it, by likelihood weighting.

Of every crystal several candidates are drawn, each in a frame of its own (see `frames_of`): a space of elements that
holds the known ones, letters and elements that can still be completed, a cell and coordinates. What is known is not
drawn but weighed, and what conditions leave of a law is weighed by its share of it; `_completing` of each configuration
says of what the weights are. One candidate is chosen by weight (sampling-importance-resampling, Rubin 1988) among those
without overlaps, of which weights know nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, frames_of
from aristotype.models.blocks import uniforms
from aristotype.models.wyckoff_augen._drawing import table_of
from aristotype.models.wyckoff_augen._limits import limit_of
from aristotype.models.wyckoff_augen._spaces import Spaces

if TYPE_CHECKING:
    from aristotype.crystal import Conditions
    from aristotype.models.wyckoff_augen._base import AugenModel
    from aristotype.models.wyckoff_augen._candidates import Candidates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ATTEMPTS = 3
"""How often candidates are drawn for a crystal, at most, while atoms overlap in all of them."""
_CHOSEN = 42
"""Purpose of the random numbers that choose frames and a candidate."""
_CANDIDATE = 1 << 44  # candidates of a row draw from streams this far apart


class Completion:
    """Draws crystals around one partial crystal."""

    def __init__(self, model: AugenModel, conditions: Conditions) -> None:
        """Checks what is asked for, of which a partial crystal is a part.

        Raises:
            InputError: an element that is asked for is not in the vocabulary, or a template is given too.
            InfeasibleConditionsError: the known sites contradict what is asked for besides.
            SymmetryError: the known cell is so flat that its reduction does not end.
        """
        assert conditions.partial_crystal is not None
        assert model.completing is not None
        self.model, self.partial, self.completing = model, conditions.partial_crystal, model.completing
        self.spaces = Spaces(model, conditions)
        self.frames = frames_of(self.partial)
        config, known = model.config, list(self.partial.wyckoffs)
        self.limits = [
            limit_of(conditions, self.partial.space_group, config.elements, config.max_sites, letters)
            for letters in self.frames.letters[:, known].tolist()
        ]

    def draw(self, seed: int, rows: Ints) -> CrystalTable:
        """Crystals from the random streams with these numbers (n,).

        Columns: `closest`, `site_draws` and `crystal_draws`, the number of candidates.
        """
        out = _Chosen(len(rows), self.model.config.max_sites)
        closest = self.model.tries.closest
        for attempt in range(ATTEMPTS):
            todo = np.flatnonzero(out.closest < closest) if attempt else np.arange(len(rows))
            if not len(todo):
                break
            random = uniforms(seed, rows[todo] + attempt * _CANDIDATE, _CHOSEN, 1 + len(self.limits))
            count = self.completing.count
            number = attempt * count + np.arange(count)
            streams = (rows[todo, None] + (number + 1) * _CANDIDATE).ravel()
            drawn = self.candidates(seed, streams, _evenly(random[:, 1:], count).ravel())
            out.choose(todo, drawn, random[:, 0], closest)
        group = np.full(len(rows), self.partial.space_group)
        names = [f"{self.model.name}-{row}" for row in rows.tolist()]
        elements = np.where(out.letters >= 0, np.array(self.model.config.elements)[out.elements], 0)
        table = table_of(group, out.letters, elements, out.free, out.lattice, names)
        return table.with_columns(
            {
                "closest": pa.array(out.closest),
                "site_draws": pa.array(out.site_draws),
                "crystal_draws": pa.array(out.crystal_draws),
            }
        )

    @torch.no_grad()
    def candidates(self, seed: int, streams: Ints, frames: Ints) -> Candidates:
        """Candidates in some frames (m,), from the random streams with these numbers (m,).

        `log_weight` is as the configuration says; with `grids` the mean of its exponential is the density of what is
        known.
        """
        space, log_drawn = self.spaces.of_group(seed, streams)
        group = np.full(len(streams), self.partial.space_group)
        drawing = self.completing(self, group, space, seed, streams, frames)
        drawing.log_weight += self.model.log_joint(group, space) - log_drawn + np.log(len(self.limits))
        drawing.draw()
        return drawing.candidates()


def _evenly(random: Floats, count: int) -> Ints:
    """(n, count) frames in a random order, one after another and again, from random numbers (n, frames)."""
    order = random.argsort(axis=1)
    return order[:, np.arange(count) % random.shape[1]]


class _Chosen:
    """The chosen candidate of each crystal so far."""

    def __init__(self, n: int, most: int) -> None:
        self.letters = np.full((n, most), -1, np.int64)
        self.elements = np.zeros((n, most), np.int64)
        self.free = np.zeros((n, most, 3))
        self.lattice = np.zeros((n, 6))
        self.closest = np.full(n, -1.0)
        self.site_draws, self.crystal_draws = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def choose(self, rows: Ints, drawn: Candidates, random: Floats, closest: float) -> None:
        """One of the candidates of each of some rows: by weight among those that fit, else the one closest to it."""
        shape = (len(rows), -1)
        near = drawn.closest.reshape(shape)
        weight = np.where(near >= closest, drawn.log_weight.reshape(shape), -np.inf)
        fits = np.isfinite(weight).any(axis=1)
        share = np.exp(weight - np.where(fits, weight.max(axis=1), 0.0)[:, None])
        total = share.cumsum(axis=1)
        by_weight = (random[:, None] * total[:, -1:] >= total).sum(axis=1)
        chosen = np.where(fits, np.minimum(by_weight, near.shape[1] - 1), near.argmax(axis=1))
        place = np.arange(len(rows)) * near.shape[1] + chosen
        self.site_draws[rows] += drawn.site_draws.reshape(shape).sum(axis=1)
        self.crystal_draws[rows] += near.shape[1]
        better = drawn.closest[place] > self.closest[rows]
        rows, place = rows[better], place[better]
        for name in ("letters", "elements", "free", "lattice", "closest"):
            getattr(self, name)[rows] = getattr(drawn, name)[place]
