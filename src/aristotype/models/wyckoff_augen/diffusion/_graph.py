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
from aristotype.models.wyckoff_augen.diffusion._ragged import starts

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
        cutoff: Angstrom, at most that of the frames.
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
    between -= np.rint(between)
    cell = frames.cell[frames.crystal[frames.pair_site]]
    step = np.einsum("pi,pij->pj", between, cell)[frames.candidate] + frames.moves[frames.move]
    squared = np.einsum("ti,ti->t", step, step)
    kept = np.flatnonzero((squared < cutoff**2) & (squared > _SAME))
    pair, step, squared = frames.candidate[kept], step[kept], squared[kept]
    site = frames.pair_site[pair]
    order = np.lexsort((squared, site))
    site, pair, step, distance = site[order], pair[order], step[order], np.sqrt(squared[order])
    count = np.bincount(site, minlength=len(free))
    first = starts(count)
    radius = np.full(len(free), cutoff)
    many = np.flatnonzero(count > neighbours)
    radius[many] = distance[first[many] + neighbours]
    kept = np.flatnonzero(distance < radius[site])
    site = site[kept]
    return site, frames.pair_atom[pair[kept]], step[kept], distance[kept], radius[site]
