"""Crystals of which a part is known: the rest is drawn around it, by likelihood weighting.

Of every crystal several candidates are drawn. A candidate is a sequence as the model writes it: a setting of the gene,
a frame in which the known sites can stand there (see `frames_of`), places in the sequence and images for them, and in
polar groups the site that holds the origin. What is known is not drawn but weighed by its density, given all that is
before it; one candidate is chosen by weight (sampling-importance-resampling, Rubin 1988). With ever more candidates
this tends to p(geometry | gene, what is known), but for what is drawn again because atoms overlap: weights do not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import Frames, GeneBatch, PartialCrystal, frames_of, out_of_frames, settings_of, to_box
from aristotype.models.blocks import uniforms
from aristotype.models.crystalformer._geometry import GeometryNetwork
from aristotype.models.crystalformer._known import Way, slots_for
from aristotype.models.crystalformer._overlap import Placed
from aristotype.models.crystalformer._sampler import Drawing, Drawn, Tries
from aristotype.models.crystalformer._support import BINS, bins_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CANDIDATES = 16
"""Candidates that one crystal is chosen from."""
ATTEMPTS = 3
"""How often candidates are drawn for a crystal, at most, while atoms overlap in all of them."""
_CHOSEN, _PLACED, _KNOWN = 33, 34, 1 << 20
"""Purposes of random numbers; that of a known site is `_KNOWN` and its place."""
_NO_WEIGHT = -1e6
_CANDIDATE = 1 << 44  # candidates of a row draw from streams this far apart
_KINDS = 128  # more than there are elements


@torch.no_grad()
def complete(
    network: GeometryNetwork,
    genes: GeneBatch,
    partial: PartialCrystal,
    index: Ints,
    seed: int,
    rows: Ints,
    tries: Tries,
    candidates: int = CANDIDATES,
) -> tuple[GeneBatch, Drawn]:
    """Cells and free parameters of genes that hold the known sites, in the description in which these are given.

    Args:
        network: in evaluation mode.
        genes: (n,) in any description; each has one that holds the known sites.
        partial: what is known.
        index: (128,) place of each element in the vocabulary.
        seed: of the run.
        rows: (n,) numbers of the random streams.
        tries: how often what does not fit is drawn again.
        candidates: that each crystal is chosen from.

    Returns:
        the genes with the letters of the known sites, and their geometry; `crystal_draws` counts candidates.
    """
    frames = frames_of(partial)
    settings, owner = settings_of(genes)
    fits = [_fitting(settings, np.flatnonzero(owner == row), frames, partial) for row in range(len(genes))]
    out = _Chosen(genes)
    sites = genes.num_sites
    for attempt in range(max(1, min(ATTEMPTS, tries.crystals))):
        todo = np.flatnonzero(out.drawn.closest < tries.closest) if attempt else np.arange(len(genes))
        for length in np.unique(sites[todo]).tolist():
            part = todo[sites[todo] == length]
            many = np.repeat(part, candidates)
            number = attempt * candidates + np.tile(np.arange(candidates), len(part))
            streams = rows[many] + (number + 1) * _CANDIDATE
            random = uniforms(seed, streams, _CHOSEN, 1)[:, 0]
            picked = np.array([fits[row][int(u * len(fits[row]))] for row, u in zip(many.tolist(), random.tolist())])
            few = settings.take(picked[:, 0])
            few = replace(few, elements=few.elements[:, :length], wyckoffs=few.wyckoffs[:, :length])
            drawing = Completing(network, few, index, seed, streams, tries, partial, frames, picked[:, 1])
            own, drawn = drawing.in_own_description(drawing.run())
            pick = uniforms(seed, rows[part] + attempt * _CANDIDATE, _CHOSEN, 2)[:, 1]
            out.choose(part, own, drawn, drawing.log_weight, pick, tries.closest)
    return out.genes, out.drawn


def _fitting(settings: GeneBatch, places: Ints, frames: Frames, partial: PartialCrystal) -> list[tuple[int, int]]:
    """Settings of a gene, and frames in which the known sites are among theirs."""
    out = []
    for place in places.tolist():
        there = Counter(_codes(settings.wyckoffs[place], settings.elements[place]))
        for frame, letters in enumerate(frames.letters[:, list(partial.wyckoffs)]):
            if not Counter(_codes(letters, np.array(partial.elements))) - there:
                out.append((place, frame))
    assert out, "a gene model draws genes that hold the partial gene"
    return out


def _codes(letters: NDArray[np.integer], elements: NDArray[np.integer]) -> list[int]:
    return (letters.astype(np.int64) * _KINDS + elements).tolist()


class Completing(Drawing):
    """One draw of candidates with equal numbers of sites."""

    def __init__(
        self,
        network: GeometryNetwork,
        genes: GeneBatch,
        index: Ints,
        seed: int,
        rows: Ints,
        tries: Tries,
        partial: PartialCrystal,
        frames: Frames,
        which: Ints,
    ) -> None:
        super().__init__(network, genes, index, seed, rows, tries)
        self.partial, self.frames, self.which = partial, frames, which
        n, length = genes.wyckoffs.shape
        self.log_weight = np.zeros(n)
        count = len(partial.wyckoffs)
        random = uniforms(seed, rows, _PLACED, length + 4 * count + 4)
        self.ways = [self._way(row, iter(random[row].tolist())) for row in range(n)]
        self.known = np.zeros((n, length), bool)
        for row, way in enumerate(self.ways):
            for places, _ in way.slots:
                self.known[row, places] = True
        for way in self.ways:
            way.begin()
        self.given = np.stack([way.given for way in self.ways])
        self.next = np.full((n, length), -1)
        for site in reversed(range(length - 1)):
            after = np.where(self.known[:, site + 1], site + 1, self.next[:, site + 1])
            self.next[:, site] = np.where(self.run_on[:, site + 1], after, -1)

    def _way(self, row: int, random: Iterator[float]) -> Way:
        frame = int(self.which[row])
        letters = self.frames.letters[frame][list(self.partial.wyckoffs)]
        own = _codes(self.genes.wyckoffs[row], self.genes.elements[row])
        slots, choices = slots_for(own, _codes(letters, np.array(self.partial.elements)), random)
        return Way(
            number=self.partial.space_group,
            letters=letters.tolist(),
            points=self.frames.points[frame],
            slots=slots,
            random=random,
            length=len(own),
            log_choices=choices,
        )

    def begin(self, lattice: Floats) -> None:
        """Puts around what is known already."""
        self.around = Placed(self.genes, lattice)
        self.around.put_fixed(self.genes.freedoms)
        self._put_known(np.flatnonzero([way.floats is None for way in self.ways]))

    def cell(self, context: Tensor) -> tuple[Floats, NDArray[np.bool_]]:
        """The known cell, weighed; or drawn ones."""
        if self.frames.lattice is None:
            return super().cell(context)
        atoms = self.genes.multiplicities.sum(axis=1)
        boxed = to_box(self.partial.space_group, self.frames.lattice[self.which], atoms)
        law = self.network.cell_law(context, self.group, self.wyckoffs)
        cell, acute = (torch.from_numpy(array).to(context.device) for array in (boxed.coordinates, boxed.acute))
        density = self.network.boxes.log_density(law, cell.to(law.centre), acute, self.group)
        self.log_weight += density.double().cpu().numpy() + boxed.log_density
        return boxed.coordinates, boxed.acute

    def site(self, state: Tensor, site: int, placed: Placed) -> None:
        """Draws a site where it is not known, and weighs it where it is."""
        drawn, known = (np.flatnonzero(rows) for rows in (~self.known[:, site], self.known[:, site]))
        if len(drawn):
            self.log_weight[drawn] += self.draw_site(state, site, placed, self.around, drawn)
        if not len(known):
            return
        random = uniforms(self.seed, self.rows[known], _KNOWN + site, 9).reshape(-1, 3, 3)
        bins, free, weight = self.axes(state[known], site, known, random, self.given[known, site], placed)
        self.bins[known, site], self.free[known, site] = bins, free
        self.log_weight[known] += weight
        placed.put(known, site, free)
        floating = known[[self.ways[row].floats == site for row in known.tolist()]]
        for row in floating.tolist():
            self.ways[row].drawn(self.free[row, site])
            self.given[row] = self.ways[row].given
        self._put_known(floating)

    def within(self, rows: Ints, site: int, axis: int, bins: Ints) -> NDArray[np.bool_] | None:
        """A site that is drawn may not come after the next known one of its kind."""
        after = np.where(self.known[rows, site], -1, self.next[rows, site])
        if (after < 0).all():
            return None
        limit = np.nan_to_num(self.given[rows, np.maximum(after, 0)], nan=2.0)  # of a place that is not known yet
        last = np.where(limit < 2.0, bins_of(limit), BINS)
        tied = (bins[:, :axis] == last[:, :axis]).all(axis=1) & (after >= 0)
        return ~tied[:, None] | (np.arange(BINS) <= last[:, axis, None])

    def in_own_description(self, drawn: Drawn) -> tuple[GeneBatch, Drawn]:
        """Candidates as the known sites are described, these exactly as they were given."""
        self._measure(drawn)
        shift = np.array([way.shift for way in self.ways])
        genes, free, lattice = out_of_frames(self.frames, self.which, self.genes, drawn.free, drawn.lattice, shift)
        for row, way in enumerate(self.ways):
            for place, site in way.site_of.items():
                own = self.partial.site_free[site]
                free[row, place, : len(own)] = own
            self.log_weight[row] += way.log_choices
        if self.partial.lattice is not None:
            lattice[:] = self.partial.lattice
        return genes, replace(drawn, free=free, lattice=lattice)

    def _put_known(self, rows: Ints) -> None:
        for site in range(self.known.shape[1]):
            here = rows[self.known[rows, site]]
            self.around.put(here, site, self.given[here, site])

    def _measure(self, drawn: Drawn) -> None:
        """How close atoms come; of known sites in a known cell not to each other, which is as it was given."""
        n, length = self.known.shape
        own = self.partial.lattice is not None and not self.known.all()
        drawn.closest = np.full(n, np.inf)
        for site in range(length):
            rows = np.flatnonzero(~self.known[:, site]) if own else np.arange(n)
            found = self.around.closeness(rows, site, self.free[rows, site])
            drawn.closest[rows] = np.minimum(drawn.closest[rows], found)


class _Chosen:
    """The chosen candidate of each gene so far."""

    def __init__(self, genes: GeneBatch) -> None:
        n, width = genes.wyckoffs.shape
        self.genes = replace(genes, wyckoffs=genes.wyckoffs.copy(), elements=genes.elements.copy())
        self.drawn = Drawn(
            free=np.zeros((n, width, 3)),
            lattice=np.zeros((n, 6)),
            closest=np.full(n, -1.0),
            site_draws=np.zeros(n, np.int64),
            crystal_draws=np.zeros(n, np.int64),
        )

    def choose(
        self, rows: Ints, genes: GeneBatch, drawn: Drawn, log_weight: Floats, random: Floats, closest: float
    ) -> None:
        """One of the candidates of each of some rows: by weight among those that fit, else the one closest to it."""
        candidates = len(genes) // len(rows)
        shape = (len(rows), candidates)
        near = drawn.closest.reshape(shape)
        weight = np.where(near >= closest, log_weight.reshape(shape), -np.inf)
        # What stands in another order than the model writes has no weight, and is taken where there is nothing else.
        weight = np.where(np.isfinite(weight), weight, np.where(near >= closest, _NO_WEIGHT, -np.inf))
        fits = np.isfinite(weight).any(axis=1)
        share = np.exp(weight - np.where(fits, weight.max(axis=1), 0.0)[:, None])
        total = share.cumsum(axis=1)
        chosen = np.where(fits, (random[:, None] * total[:, -1:] >= total).sum(axis=1), near.argmax(axis=1))
        place = np.arange(len(rows)) * candidates + np.minimum(chosen, candidates - 1)
        self.drawn.site_draws[rows] += drawn.site_draws.reshape(shape).sum(axis=1)
        self.drawn.crystal_draws[rows] += candidates
        better = drawn.closest[place] > self.drawn.closest[rows]
        rows, place = rows[better], place[better]
        length = genes.wyckoffs.shape[1]
        self.genes.wyckoffs[rows, :length], self.genes.elements[rows, :length] = (
            genes.wyckoffs[place],
            genes.elements[place],
        )
        self.drawn.free[rows, :length], self.drawn.lattice[rows] = drawn.free[place], drawn.lattice[place]
        self.drawn.closest[rows] = drawn.closest[place]
