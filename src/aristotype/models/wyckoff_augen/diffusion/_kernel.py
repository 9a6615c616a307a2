"""Noise on orbits: normal laws in the subspace of a site, wrapped over its periods and summed over its images.

    q(v | u) = sum over images h, sum over whole shifts n of N(v; h u + n, sigma^2 (B B^T)^-1)

with the rows of B the Cartesian steps of the parameters: noise has the same width in every direction of the subspace in
Angstrom. Images are isometries of the crystal, so q is the same at every image of v and of u, is symmetric in both, and
integrates to one over the orbits of the position.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.models.wyckoff_augen.diffusion._frames import Frames
from aristotype.models.wyckoff_augen.diffusion._ragged import spread, starts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_TAIL = 26.0
"""Squares of the noise by which terms that are left out are further away than the nearest one can be: e^-13 of it."""


class Pull(NamedTuple):
    """The law at N sites."""

    log_density: Floats  # (N,) by parameters; 0 for sites without freedom
    score: Floats  # (N, 3) its gradient along Cartesian axes times the noise, no unit


def shaken(frames: Frames, free: Floats, noise: Floats, normals: Floats) -> Floats:
    """Parameters (N, 3) in [0, 1) after noise.

    Args:
        frames: of the crystals.
        free: (N, 3) parameters.
        noise: (n,) Angstrom.
        normals: (N, 3) standard normal numbers, along Cartesian axes.
    """
    step = noise[frames.crystal][:, None] * normals
    out: Floats = (free + np.einsum("ni,nij->nj", step, frames.dual)) % 1.0
    return out


def pull(frames: Frames, free: Floats, moved: Floats, noise: Floats) -> Pull:
    """The law of `moved` (N, 3) given `free` (N, 3), for noise (N,) in Angstrom at each site.

    A site with noise 0 is left out: 0 everywhere.
    """
    wanted = (frames.freedom > 0) & (noise > 0)
    rows = np.flatnonzero(wanted[frames.image_site])
    owner = frames.image_site[rows]
    from_image = moved[owner] - np.einsum("qij,qj->qi", frames.images[rows], free[owner]) - frames.shifts[rows]
    from_image -= np.rint(from_image)
    step = np.einsum("qi,qij->qj", from_image, frames.steps[owner])
    log_density, score = np.zeros(len(free)), np.zeros((len(free), 3))
    if not len(rows):
        return Pull(log_density, score)
    wraps, shift = _wraps(frames, noise, wanted)
    term, place = spread(np.where(wanted, wraps, 0)[owner])
    at = owner[term]
    steps = step[term] + shift[starts(wraps)[at] + place]
    terms = np.bincount(at, minlength=len(free))
    sites = np.flatnonzero(terms)
    first = starts(terms)[sites]
    width = noise[at]
    exponent = -0.5 * np.square(steps).sum(axis=1) / np.square(width)
    largest = np.maximum.reduceat(exponent, first)
    weight = np.exp(exponent - np.repeat(largest, terms[sites]))
    total = np.add.reduceat(weight, first)
    score[sites] = -np.add.reduceat(weight[:, None] * steps, first) / (total * noise[sites])[:, None]
    freedom = frames.freedom[sites]
    log_density[sites] = np.log(total) + largest + frames.log_volume[sites]
    log_density[sites] -= freedom * (np.log(noise[sites]) + 0.5 * np.log(2.0 * np.pi))
    return Pull(log_density, score)


def _wraps(frames: Frames, noise: Floats, wanted: NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """How many whole shifts matter for each site (N,), and their Cartesian steps, site after site."""
    inverse = np.sqrt(np.square(frames.dual).sum(axis=1))  # (N, 3) parameters a Cartesian step can change by, at most
    corner = 0.25 * np.square(frames.steps).sum(axis=(1, 2))  # squared distance that no nearest image is beyond
    reach = np.sqrt(corner + _TAIL * np.square(noise))
    most = np.where(wanted[:, None], np.ceil(reach[:, None] * inverse - 0.5), 0).astype(np.int64).clip(0)
    sides = 2 * most + 1
    counts = sides.prod(axis=1)
    site, place = spread(counts)
    whole = np.empty((len(site), 3))
    for axis in range(3):
        place, rest = np.divmod(place, sides[site, axis])
        whole[:, axis] = rest - most[site, axis]
    return counts, np.einsum("ti,tij->tj", whole, frames.steps[site])
