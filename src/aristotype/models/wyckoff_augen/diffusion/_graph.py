"""Which atoms each site sees: the nearest periodic images within a radius that goes on continuously as sites move.

A site looks from the atom that stands for it at all atoms of all sites. The radius is that of the first neighbour too
many, or the cutoff; what is seen fades to nothing at it. So neighbours at one distance are in or out together, and the
stabiliser of the site permutes what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.wyckoff_augen.diffusion._frames import Frames
from aristotype.models.wyckoff_augen.diffusion._ragged import spread, starts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SAME = 1e-8  # squared Angstrom below which an atom is the point itself


@dataclass(frozen=True, kw_only=True)
class Graph:
    """n crystals with N sites, M atoms and K edges from sites to atoms."""

    group: Tensor  # (n,)
    noise: Tensor  # (n,) Angstrom
    crystal: Tensor  # (N,)
    elements: Tensor  # (N,) indices in the vocabulary
    told: Tensor  # (N, SITE_TOLD)
    share: Tensor  # (N,) of the atoms of the crystal
    moving: Tensor  # (N,) bool: whether there is anything to know of the site at this noise
    within: Tensor  # (N, 3, 3) onto the subspace of the site
    polar: Tensor  # (n, 3, 3) onto the directions in which the origin floats
    atom_site: Tensor  # (M,)
    rotation: Tensor  # (M, 3, 3)
    site: Tensor  # (K,) from which an edge goes
    atom: Tensor  # (K,)
    step: Tensor  # (K, 3) Angstrom
    distance: Tensor  # (K,)
    radius: Tensor  # (K,) of what the site sees

    def double(self) -> Graph:
        """In double precision."""
        parts = {name: part.double() if part.is_floating_point() else part for name, part in vars(self).items()}
        return Graph(**parts)


def graph_of(frames: Frames, elements: Ints, free: Floats, noise: Floats, cutoff: float, neighbours: int) -> Graph:
    """What the network reads.

    Args:
        frames: of n crystals with N sites.
        elements: (N,) indices in the vocabulary.
        free: (N, 3) parameters.
        noise: (n,) Angstrom.
        cutoff: Angstrom.
        neighbours: most atoms that a site sees.
    """
    site, atom, step, distance, radius = edges_of(frames, free, cutoff, neighbours)
    atoms = np.bincount(frames.atom_site, minlength=len(free))
    total = np.bincount(frames.crystal, atoms)
    real = np.float32
    arrays = {
        "group": np.array([one.number for one in frames.each]),
        "noise": noise.astype(real),
        "crystal": frames.crystal,
        "elements": elements,
        "told": np.concatenate([one.told for one in frames.each]),
        "share": (atoms / total[frames.crystal]).astype(real),
        "moving": (frames.freedom > 0) & (noise[frames.crystal] < frames.flat),
        "within": np.einsum("nij,njk->nik", frames.dual, frames.steps).astype(real),
        "polar": np.stack([one.polar for one in frames.each]).astype(real),
        "atom_site": frames.atom_site,
        "rotation": np.concatenate([one.rotations for one in frames.each]),
        "site": site,
        "atom": atom,
        "step": step.astype(real),
        "distance": distance.astype(real),
        "radius": radius.astype(real),
    }
    return Graph(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def edges_of(frames: Frames, free: Floats, cutoff: float, neighbours: int) -> tuple[Ints, Ints, Floats, Floats, Floats]:
    """Sites (K,), atoms (K,), steps (K, 3), distances (K,) and the site's radius (K,), site after site by distance."""
    points = np.einsum("mij,mj->mi", frames.atoms, free[frames.atom_site]) + frames.origins
    between = points[frames.pair_atom] - points[frames.first_atom[frames.pair_site]]
    reach = np.minimum(cutoff, _far_enough(frames, neighbours))
    pair, whole = _within(between, (reach[:, None] * frames.thickness)[frames.crystal[frames.pair_site]])
    site = frames.pair_site[pair]
    reach = reach[frames.crystal]
    step = np.einsum("ti,tij->tj", between[pair] + whole, frames.cell[frames.crystal[site]])
    squared = np.einsum("ti,ti->t", step, step)
    kept = np.flatnonzero((squared < np.square(reach)[site]) & (squared > _SAME))
    site, pair, step, squared = site[kept], pair[kept], step[kept], squared[kept]
    order = np.lexsort((squared, site))
    site, pair, step, distance = site[order], pair[order], step[order], np.sqrt(squared[order])
    count = np.bincount(site, minlength=len(free))
    first = starts(count)
    radius = reach
    many = np.flatnonzero(count > neighbours)
    radius[many] = distance[first[many] + neighbours]
    kept = np.flatnonzero(distance < radius[site])
    site = site[kept]
    return site, frames.pair_atom[pair[kept]], step[kept], distance[kept], radius[site]


def _far_enough(frames: Frames, neighbours: int) -> Floats:
    """(n,) Angstrom, twice the radius of the ball that so many atoms fill: more is not looked for in dense crystals."""
    atoms = np.bincount(frames.crystal[frames.atom_site], minlength=len(frames.each))
    volume = np.abs(np.linalg.det(frames.cell)) / atoms
    out: Floats = 2.0 * np.cbrt(0.75 * neighbours * volume / np.pi)
    return out


def _within(between: Floats, reach: Floats) -> tuple[Ints, Floats]:
    """Whole shifts (T, 3) that bring steps (P, 3) between planes at a reach (P, 3), and of which step each one is."""
    low = np.ceil(-reach - between)
    sides = np.maximum(np.floor(reach - between) - low + 1.0, 0.0).astype(np.int64)
    pair, place = spread(sides.prod(axis=1))
    whole = np.empty((len(pair), 3))
    for axis in range(3):
        place, rest = np.divmod(place, sides[pair, axis])
        whole[:, axis] = rest + low[pair, axis]
    return pair, whole
