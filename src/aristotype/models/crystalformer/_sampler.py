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
from aristotype.models.blocks import KeyValueCache, choose, uniforms
from aristotype.models.crystalformer._arrays import cell_features, lattices, not_before, placed_features
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
from aristotype.models.crystalformer._support import BINS, bins_of, offsets_of, support

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
            drawn = Drawing(network, few, index, seed, rows[part] + attempt * _ATTEMPT, tries).run()
            out.site_draws[part] += drawn.site_draws
            out.crystal_draws[part] += 1
            better = drawn.closest > out.closest[part]
            kept = part[better]
            out.free[kept, :length] = drawn.free[better]
            out.lattice[kept] = drawn.lattice[better]
            out.closest[kept] = drawn.closest[better]
    return out


class Drawing:
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
        self.closest, self.again = np.full(n, np.inf), np.zeros(n, np.int64)

    def run(self) -> Drawn:
        """Draws the cell, then site after site."""
        network, (n, length) = self.network, self.genes.wyckoffs.shape
        context = network.encode(self.group, self.wyckoffs, self.elements)
        cell, acute = self.cell(context)
        lattice = lattices(self.genes, cell, acute)
        placed = Placed(self.genes, lattice)
        placed.put_fixed(self.genes.freedoms)
        told = network.cell_in(torch.from_numpy(cell_features(self.genes, cell, acute)).to(context))
        heads = network.config.heads
        caches = [KeyValueCache(n, heads, length, network.config.width // heads, context) for _ in network.decoder]
        self.begin(lattice)
        for site in range(length):
            x = network.current(context[:, site]) + told
            if site:
                before = torch.from_numpy(self._features(site - 1)).to(context)
                x = x + network.previous(context[:, site - 1]) + network.placed(before)
            x = x[:, None]
            for layer, cache in zip(network.decoder, caches, strict=True):
                x = layer.step(x, cache, site)
            self.site(network.norm_decoder(x[:, 0]), site, placed)
        return Drawn(
            free=self.free,
            lattice=lattice,
            closest=self.closest,
            site_draws=self.again,
            crystal_draws=np.ones(n, np.int64),
        )

    def begin(self, lattice: Floats) -> None:
        """Called once the cells (n, 6) are there, before the first site."""

    def cell(self, context: Tensor) -> tuple[Floats, NDArray[np.bool_]]:
        """Points (n, 6) of the box, and kinds of cells."""
        law = self.network.cell_law(context, self.group, self.wyckoffs)
        return self.network.boxes.draw(law, self.group, uniforms(self.seed, self.rows, _CELL, 2 + MAX_CELL))

    def site(self, state: Tensor, site: int, placed: Placed) -> None:
        """Draws a site of all crystals from the state (n, width) in which it is placed."""
        self.draw_site(state, site, placed, placed, np.arange(len(state)))

    def draw_site(self, state: Tensor, site: int, placed: Placed, around: Placed, rows: Ints) -> Floats:
        """Draws the parameters of a site of some crystals, again while it overlaps with what is around.

        Args:
            state: (n, width) of all crystals.
            site: which.
            placed: what is before it, which the network is told about.
            around: what it may not come close to.
            rows: (k,) the crystals.

        Returns:
            (k,) log of the probability that a limit on its bins has taken away (see `within`).
        """
        tries = self.tries.sites
        random = uniforms(self.seed, self.rows[rows], _SITE + site, 9 * tries).reshape(len(rows), tries, 3, 3)
        nothing = np.full((len(rows), 3), np.nan)
        bins, free, weight = self.axes(state[rows], site, rows, random[:, 0], nothing, placed)
        self.bins[rows, site], self.free[rows, site] = bins, free
        closest = around.closeness(rows, site, free)
        todo = np.flatnonzero(self.written[rows, site].any(axis=1) & (closest < self.tries.closest))
        if len(todo) and tries > 1:
            # All further tries side by side: few rows need any, and some of those need many.
            many = np.repeat(rows[todo], tries - 1)
            given = np.full((len(many), 3), np.nan)
            bins, free, weights = self.axes(state[many], site, many, random[todo, 1:].reshape(-1, 3, 3), given, placed)
            found = around.closeness(many, site, free).reshape(len(todo), tries - 1)
            fits = found >= self.tries.closest
            chosen = np.where(fits.any(axis=1), fits.argmax(axis=1), found.argmax(axis=1))
            self.again[rows[todo]] += np.where(fits.any(axis=1), 1 + chosen, tries - 1)
            place = np.arange(len(todo)) * (tries - 1) + chosen
            better = found.reshape(-1)[place] > closest[todo]
            kept, place = todo[better], place[better]
            self.bins[rows[kept], site], self.free[rows[kept], site] = bins[place], free[place]
            closest[kept], weight[kept] = found.reshape(-1)[place], weights[place]
        self.closest[rows] = np.minimum(self.closest[rows], closest)
        for each in {id(one): one for one in (placed, around)}.values():
            each.put(rows, site, self.free[rows, site])
        return weight

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

    def axes(
        self, seen: Tensor, site: int, rows: Ints, random: Floats, given: Floats, placed: Placed
    ) -> tuple[Ints, Floats, Floats]:
        """Bins and parameters (k, 3) of a site in some rows, axis by axis, from uniform numbers (k, 3, 3).

        Args:
            seen: (k, width) the states in which it is placed.
            site: which.
            rows: (k,) the crystals.
            random: (k, 3, 3) uniform numbers.
            given: (k, 3) parameters that are known, NaN where they are drawn.
            placed: what is before it.

        Returns:
            bins, parameters, and the log of the density (k,) of what is given, and of what `within` leaves.
        """
        bins, free, weight = np.zeros((len(rows), 3), np.int64), np.zeros((len(rows), 3)), np.zeros(len(rows))
        written = self.written[rows, site]
        uniform = torch.from_numpy(random).to(seen.device)
        supports, kind = self._supports(site)
        for axis in range(3):
            if not written[:, axis].any():
                nothing = torch.zeros(len(rows), device=seen.device)
                seen = self.network.after(seen, axis, nothing.long(), nothing)
                continue
            allowed = supports[axis][(kind[rows], *bins.T[:axis])]
            hidden, law, lost = self._bin_law(seen, site, axis, rows, bins, free, allowed, placed)
            known = written[:, axis] & ~np.isnan(given[:, axis])
            value = np.where(known, given[:, axis], 0.0)
            here = torch.from_numpy(written[:, axis]).to(seen.device)
            fixed = torch.from_numpy(known).to(seen.device)
            own_bins = torch.from_numpy(bins_of(value)).to(seen.device)
            chosen = torch.where(fixed, own_bins, torch.where(here, choose(law, uniform[:, axis, 0]), 0))
            least = torch.from_numpy(self._least(rows, site, axis, chosen.cpu().numpy(), bins)).to(seen.device)
            own = torch.from_numpy(offsets_of(value)).to(seen.device)
            offset = torch.where(fixed, own, self._offset(hidden, axis, chosen, uniform[:, axis], least))
            offset = torch.where(here, offset, 0.0)
            weight += np.where(written[:, axis] & ~known, lost, 0.0)
            if known.any():
                density = law.gather(1, chosen[:, None])[:, 0] + np.log(BINS)
                density += self.network.log_offset(hidden, axis, chosen, *(t.to(hidden) for t in (offset, least)))
                weight[known] += density.double().cpu().numpy()[known]
            seen = self.network.after(seen, axis, chosen, offset.to(seen.dtype))
            bins[:, axis] = chosen.cpu().numpy()
            free[:, axis] = (bins[:, axis] + offset.cpu().numpy()) / BINS % 1.0
        return bins, free, weight

    def _bin_law(
        self,
        seen: Tensor,
        site: int,
        axis: int,
        rows: Ints,
        bins: Ints,
        free: Floats,
        allowed: NDArray[np.bool_],
        placed: Placed,
    ) -> tuple[Tensor, Tensor, Floats]:
        """The hidden state of an axis, log-probabilities (k, BINS), and the log of what `within` leaves (k,)."""
        run_on = self.run_on[rows, site]
        if run_on.any():
            later = not_before(bins[run_on], self.bins[rows[run_on], site - 1])
            allowed[run_on] &= later[:, axis]
        hidden, logits = self.network.bin_logits(seen, axis)
        last = np.flatnonzero(self.ends[rows, site] == axis)
        if len(last):
            room = placed.along(rows[last], site, free[last], np.full(len(last), axis))
            logits[last] += self.network.room_logits(hidden[last], torch.from_numpy(room).to(logits))
        logits = logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), -torch.inf)
        law = torch.log_softmax(logits.double(), dim=1)
        inside = self.within(rows, site, axis, bins)
        if inside is None:
            return hidden, law, np.zeros(len(rows))
        limited = law.masked_fill(~torch.from_numpy(inside).to(law.device), -torch.inf)
        left = torch.logsumexp(limited, dim=1, keepdim=True)
        some = torch.isfinite(left)
        return hidden, torch.where(some, limited - left, law), torch.where(some, left, 0.0)[:, 0].cpu().numpy()

    def within(self, rows: Ints, site: int, axis: int, bins: Ints) -> NDArray[np.bool_] | None:
        """(k, BINS) a limit on the bins of an axis that the model does not know, given those before; None without."""
        del rows, site, axis, bins
        return None

    def _offset(self, hidden: Tensor, axis: int, chosen: Tensor, uniform: Tensor, least: Tensor) -> Tensor:
        """(k,) offsets from `least` to 1/2, from uniform numbers (k, 3)."""
        weight, centre, width, low, high = self.network.offset_law(hidden, axis, chosen)
        component = choose(weight.double(), uniform[:, 1])[:, None]
        offset = draw_inside(
            uniform[:, 2],
            centre.gather(1, component)[:, 0].double(),
            width.gather(1, component)[:, 0].double(),
            low.double(),
            high.double(),
        )
        return least + (0.5 - least) * (offset + 0.5)

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
