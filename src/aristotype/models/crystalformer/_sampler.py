"""Draws cells and free parameters for genes, every row from its own random stream.

A site that would come too close to what is already there is drawn again, a bounded number of times; so is a crystal
whose sites found no room, cell and all. What is closest to fitting is kept. Scores are those of the model, which knows
nothing of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import MAX_CELL, GeneBatch
from aristotype.models.blocks import KeyValueCache, uniforms
from aristotype.models.crystalformer._arrays import cell_features, lattices, not_before, placed_features
from aristotype.models.crystalformer._cells import choose
from aristotype.models.crystalformer._geometry import GeometryNetwork
from aristotype.models.crystalformer._laws import draw_inside
from aristotype.models.crystalformer._order import (
    in_run,
    is_polar,
    last_axes,
    last_written,
    written_axes,
)
from aristotype.models.crystalformer._overlap import Placed
from aristotype.models.crystalformer._support import BINS, offsets_of, support

_CELL, _SITE = 32, 64
"""Purposes of random numbers; a site's is `_SITE` and its place."""
_ATTEMPT = 1 << 48  # attempts of a row draw from streams this far apart
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Tries:
    """How often what does not fit is drawn again."""

    closest: float = 0.72  # smallest distance of two atoms that fits, over the sum of their covalent radii
    sites: int = 16  # draws of a site, at most
    crystals: int = 12  # draws of a crystal, at most

    @staticmethod
    def none() -> Tries:
        """Everything stays as it is drawn first."""
        return Tries(closest=0.0, sites=1, crystals=1)


@dataclass(kw_only=True)
class Drawn:
    """Geometries of n genes of up to S sites."""

    free: Floats  # (n, S, 3) 0 beyond the freedom of a site
    lattice: Floats  # (n, 6) Angstrom and degrees
    closest: Floats  # (n,) smallest distance over the sum of the covalent radii
    site_draws: Ints  # (n,) sites that were drawn again, in all draws of the crystal
    crystal_draws: Ints  # (n,) draws of the crystal

    @staticmethod
    def joined(parts: list[Drawn], shape: tuple[int, ...]) -> Drawn:
        """Several in one, of up to `shape[1]` sites."""
        return Drawn(
            free=np.concatenate([np.zeros((0, shape[1], 3)), *(part.free for part in parts)]),
            lattice=np.concatenate([np.zeros((0, 6)), *(part.lattice for part in parts)]),
            closest=np.concatenate([np.zeros(0), *(part.closest for part in parts)]),
            site_draws=np.concatenate([np.zeros(0, np.int64), *(part.site_draws for part in parts)]),
            crystal_draws=np.concatenate([np.zeros(0, np.int64), *(part.crystal_draws for part in parts)]),
        )


@torch.no_grad()
def draw_geometry(
    network: GeometryNetwork, genes: GeneBatch, index: Ints, seed: int, rows: Ints, tries: Tries
) -> Drawn:
    """Cells and free parameters.

    Args:
        network: in evaluation mode.
        genes: (n,) sorted settings (see `settings_of`).
        index: (128,) place of each element in the vocabulary.
        seed: of the run.
        rows: (n,) numbers of the random streams.
        tries: how often what does not fit is drawn again.
    """
    shape = genes.wyckoffs.shape
    out = Drawn(
        free=np.zeros((*shape, 3)),
        lattice=np.zeros((len(genes), 6)),
        closest=np.full(len(genes), -1.0),
        site_draws=np.zeros(len(genes), np.int64),
        crystal_draws=np.zeros(len(genes), np.int64),
    )
    sites = genes.num_sites
    for attempt in range(tries.crystals):
        todo = np.flatnonzero(out.closest < tries.closest) if attempt else np.arange(len(genes))
        for length in np.unique(sites[todo]).tolist():
            part = todo[sites[todo] == length]
            few = GeneBatch(
                space_group=genes.space_group[part],
                elements=genes.elements[part, :length],
                wyckoffs=genes.wyckoffs[part, :length],
            )
            drawn = _Drawing(network, few, index, seed, rows[part] + attempt * _ATTEMPT, tries).run()
            out.site_draws[part] += drawn.site_draws
            out.crystal_draws[part] += 1
            better = drawn.closest > out.closest[part]
            kept = part[better]
            out.free[kept, :length] = drawn.free[better]
            out.lattice[kept] = drawn.lattice[better]
            out.closest[kept] = drawn.closest[better]
    return out


class _Drawing:
    """One draw of crystals with equal numbers of sites."""

    def __init__(
        self, network: GeometryNetwork, genes: GeneBatch, index: Ints, seed: int, rows: Ints, tries: Tries
    ) -> None:
        self.network, self.genes, self.seed, self.rows, self.tries = network, genes, seed, rows, tries
        device = network.axis.weight.device
        self.group = torch.from_numpy(genes.space_group.astype(np.int64)).to(device)
        self.wyckoffs = torch.from_numpy(genes.wyckoffs.astype(np.int64)).to(device)
        self.elements = torch.from_numpy(index[genes.elements]).to(device)
        self.written, self.run_on = written_axes(genes), in_run(genes)
        self.ends = last_written(self.written)
        self.polar, self.last = is_polar(genes.space_group), last_axes(genes)
        n, length = genes.wyckoffs.shape
        self.bins = np.zeros((n, length, 3), np.int64)
        self.free = np.zeros((n, length, 3))

    def run(self) -> Drawn:
        """Draws the cell, then site after site."""
        network, (n, length) = self.network, self.genes.wyckoffs.shape
        context = network.encode(self.group, self.wyckoffs, self.elements)
        cell, acute = self._cell(context)
        lattice = lattices(self.genes, cell, acute)
        placed = Placed(self.genes, lattice)
        placed.put_fixed(self.genes.freedoms)
        told = network.cell_in(torch.from_numpy(cell_features(self.genes, cell, acute)).to(context))
        heads = network.config.heads
        caches = [KeyValueCache(n, heads, length, network.config.width // heads, context) for _ in network.decoder]
        closest, again = np.full(n, np.inf), np.zeros(n, np.int64)
        for site in range(length):
            x = network.current(context[:, site]) + told
            if site:
                before = torch.from_numpy(self._features(site - 1)).to(context)
                x = x + network.previous(context[:, site - 1]) + network.placed(before)
            x = x[:, None]
            for layer, cache in zip(network.decoder, caches, strict=True):
                x = layer.step(x, cache, site)
            found, draws = self._site(network.norm_decoder(x[:, 0]), site, placed)
            closest, again = np.minimum(closest, found), again + draws
        return Drawn(
            free=self.free, lattice=lattice, closest=closest, site_draws=again, crystal_draws=np.ones(n, np.int64)
        )

    def _cell(self, context: Tensor) -> tuple[Floats, NDArray[np.bool_]]:
        """Points (n, 6) of the box, and kinds of cells."""
        law = self.network.cell_law(context, self.group, self.wyckoffs)
        return self.network.boxes.draw(law, self.group, uniforms(self.seed, self.rows, _CELL, 2 + MAX_CELL))

    def _site(self, state: Tensor, site: int, placed: Placed) -> tuple[Floats, Ints]:
        """Draws the parameters of a site; returns how close it is (n,), and how often it was drawn again."""
        n, tries = len(state), self.tries.sites
        random = uniforms(self.seed, self.rows, _SITE + site, 9 * tries).reshape(n, tries, 3, 3)
        every = np.arange(n)
        supports, kind = self._supports(site)
        self.bins[:, site], self.free[:, site] = self._axes(state, site, every, random[:, 0], supports, kind, placed)
        closest, again = placed.closeness(every, site, self.free[:, site]), np.zeros(n, np.int64)
        todo = np.flatnonzero(self.written[:, site].any(axis=1) & (closest < self.tries.closest))
        if len(todo) and tries > 1:
            # All further tries side by side: few rows need any, and some of those need many.
            rows = np.repeat(todo, tries - 1)
            bins, free = self._axes(state[rows], site, rows, random[todo, 1:].reshape(-1, 3, 3), supports, kind, placed)
            found = placed.closeness(rows, site, free).reshape(len(todo), tries - 1)
            fits = found >= self.tries.closest
            chosen = np.where(fits.any(axis=1), fits.argmax(axis=1), found.argmax(axis=1))
            again[todo] = np.where(fits.any(axis=1), 1 + chosen, tries - 1)
            place = np.arange(len(todo)) * (tries - 1) + chosen
            better = found.reshape(-1)[place] > closest[todo]
            kept, place = todo[better], place[better]
            self.bins[kept, site], self.free[kept, site] = bins[place], free[place]
            closest[kept] = found.reshape(-1)[place]
        placed.put(every, site, self.free[:, site])
        return closest, again

    def _supports(self, site: int) -> tuple[tuple[NDArray[np.bool_], ...], Ints]:
        """Supports of the positions at a site, stacked, and which of them each row has."""
        letters = self.genes.wyckoffs[:, site].astype(np.int64)
        code = (self.genes.space_group.astype(np.int64) * 32 + letters) * 2 + (self.polar & (site == 0))
        kinds, kind = np.unique(code, return_inverse=True)
        each = [support(code // 64, code // 2 % 32, bool(code % 2)) for code in kinds.tolist()]
        stacked = (
            np.stack([s.first for s in each]),
            np.stack([s.second for s in each]),
            np.stack([s.third for s in each]),
        )
        return stacked, kind

    def _axes(
        self,
        seen: Tensor,
        site: int,
        rows: Ints,
        random: Floats,
        supports: tuple[NDArray[np.bool_], ...],
        kind: Ints,
        placed: Placed,
    ) -> tuple[Ints, Floats]:
        """Bins and parameters (k, 3) of a site in some rows, axis by axis, from uniform numbers (k, 3, 3)."""
        bins, free = np.zeros((len(rows), 3), np.int64), np.zeros((len(rows), 3))
        written, run_on = self.written[rows, site], self.run_on[rows, site]
        uniform = torch.from_numpy(random).to(seen.device)
        for axis in range(3):
            if not written[:, axis].any():
                nothing = torch.zeros(len(rows), device=seen.device)
                seen = self.network.after(seen, axis, nothing.long(), nothing)
                continue
            allowed = supports[axis][(kind[rows], *bins.T[:axis])]
            if run_on.any():
                later = not_before(bins[run_on], self.bins[rows[run_on], site - 1])
                allowed[run_on] &= later[:, axis]
            hidden, logits = self.network.bin_logits(seen, axis)
            last = np.flatnonzero(self.ends[rows, site] == axis)
            if len(last):
                room = placed.along(rows[last], site, free[last], np.full(len(last), axis))
                told = torch.from_numpy(room).to(logits)
                logits[last] += self.network.room_logits(hidden[last], told)
            logits = logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), -torch.inf)
            chosen = choose(torch.log_softmax(logits.double(), dim=1), uniform[:, axis, 0])
            here = torch.from_numpy(written[:, axis]).to(seen.device)
            chosen = torch.where(here, chosen, 0)
            weight, centre, width, low, high = self.network.offset_law(hidden, axis, chosen)
            component = choose(weight.double(), uniform[:, axis, 1])[:, None]
            offset = draw_inside(
                uniform[:, axis, 2],
                centre.gather(1, component)[:, 0].double(),
                width.gather(1, component)[:, 0].double(),
                low.double(),
                high.double(),
            )
            least = torch.from_numpy(self._least(rows, site, axis, chosen.cpu().numpy(), bins)).to(offset)
            offset = torch.where(here, least + (0.5 - least) * (offset + 0.5), 0.0)
            seen = self.network.after(seen, axis, chosen, offset.to(seen.dtype))
            bins[:, axis] = chosen.cpu().numpy()
            free[:, axis] = (bins[:, axis] + offset.cpu().numpy()) / BINS % 1.0
        return bins, free

    def _least(self, rows: Ints, site: int, axis: int, chosen: Ints, bins: Ints) -> Floats:
        """(k,) smallest offsets: at the last axis, that of the site before where all bins are the same."""
        out = np.full(len(rows), -0.5)
        tied = self.run_on[rows, site] & (self.last[rows, site] == axis)
        if tied.any():
            before = self.bins[rows, site - 1]
            tied &= (bins[:, :axis] == before[:, :axis]).all(axis=1) & (chosen == before[:, axis])
            out[tied] = offsets_of(self.free[rows[tied], site - 1, axis])
        return out

    def _features(self, site: int) -> NDArray[np.float32]:
        """Structure factors (n, 136) of a site that is placed."""
        here = slice(site, site + 1)
        alone = replace(self.genes, elements=self.genes.elements[:, here], wyckoffs=self.genes.wyckoffs[:, here])
        return placed_features(alone, self.free[:, here])[:, 0]
