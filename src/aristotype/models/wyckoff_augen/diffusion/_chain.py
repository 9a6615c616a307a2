"""Draws coordinates by the reverse of the diffusion, from even laws to the smallest noise.

Each step takes noise off exactly as if the score did not change meanwhile (the ancestral chain of Song et al.,
"Score-based generative modeling through stochastic differential equations", appendix F): from noise a to noise b

    x <- x + (a^2 - b^2) score + b sqrt(1 - b^2 / a^2) z

with noises in a geometric sequence, and the last step to where the score points, without noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from aristotype.models.wyckoff_augen.diffusion._frames import Frames

Floats = NDArray[np.float64]
Scores = Callable[[Floats, Floats], Floats]
"""From parameters (N, 3) and noises (n,) in Angstrom to scores times noise (N, 3), along Cartesian axes."""


class Held(NamedTuple):
    """Sites that stay where they are: at every noise they are there with as much of it, and at the end without any."""

    sites: NDArray[np.bool_]  # (N,)
    free: Floats  # (N, 3) parameters


def draw_free(
    frames: Frames,
    scores: Scores,
    uniforms: Callable[[int], Floats],
    steps: int,
    smallest: float,
    held: Held | None = None,
) -> Floats:
    """Parameters (N, 3) in [0, 1) of n crystals.

    Args:
        frames: of the crystals.
        scores: of the model.
        uniforms: uniform numbers (N, 3) in [0, 1) of a step, from 0 to `steps`.
        steps: of the chain.
        smallest: noise at its end, in Angstrom.
        held: sites that stay where they are; None where none does.
    """
    here = frames.freedom[:, None] > np.arange(3)
    free = np.where(here, uniforms(0), 0.0)
    span = np.log(np.maximum(frames.largest, smallest) / smallest)
    for step in range(steps):
        noise, below = (smallest * np.exp(span * (1.0 - at / steps)) for at in (step, step + 1))
        ratio = np.square(below / noise)[frames.crystal][:, None]
        moved = (1.0 - ratio) * noise[frames.crystal][:, None] * scores(free, noise)
        normals = ndtri(np.clip(uniforms(step + 1), 1e-15, 1.0 - 1e-15))
        moved += below[frames.crystal][:, None] * np.sqrt(1.0 - ratio) * normals
        free = (free + np.einsum("ni,nij->nj", moved, frames.dual)) % 1.0
        if held is not None:
            around = np.einsum("ni,nij->nj", below[frames.crystal][:, None] * normals, frames.dual)
            free = np.where(held.sites[:, None], (held.free + around) % 1.0, free)
    last = np.full(len(frames.each), smallest)
    free = free + np.einsum("ni,nij->nj", smallest * scores(free, last), frames.dual)
    if held is not None:
        free = np.where(held.sites[:, None], held.free, free)
    return np.asarray(free % 1.0)
