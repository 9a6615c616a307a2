"""The bound on the density of coordinates.

Noise of a variance that grows from the smallest to the largest (VE, Song et al., "Score-based generative modeling
through stochastic differential equations") ends in the even law. With the score s of the model, its law of coordinates
at the smallest noise, blurred once more by it, has at x (Song et al., "Maximum likelihood training of score-based
diffusion models", theorem 1, with the noise itself as the decoder)

    - log p(x) <= log volume + integral over log sigma of E |sigma s|^2 - 2 (sigma s) . (sigma grad log q)

where q is the law of noisy coordinates given x and the expectation is over it. This is the relative entropy of paths,
1/2 integral g^2 E |s - grad log q|^2, plus that of the decoder: the integral of E |grad log q|^2 is a difference of
entropies of q, of which the one at the largest noise cancels against the even law and the other against the decoder, so
that both need not be estimated. The volume is that of the positions' shapes, 1 over the number of images of parameters.
Where the origin floats the law on all parameters is even along the polar axes, and the same number is the density of
the others with a site on the origin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.wyckoff_augen.diffusion._frames import Frames

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_OFTEN = (0.02, 1.0)
"""Angstrom between which most is learnt: half of the noises of training are drawn from there."""


class Noises(NamedTuple):
    """Noises (n,) in Angstrom, and one over their density (n,) by the logarithm of the noise."""

    noise: Floats
    weight: Floats


def spans(frames: Frames, smallest: float) -> Floats:
    """(n,) natural logarithm of the largest noise over the smallest; 0 where nothing moves."""
    with np.errstate(divide="ignore"):
        out: Floats = np.maximum(np.log(frames.largest / smallest), 0.0)
    return out


def even_noises(frames: Frames, smallest: float, uniform: Floats) -> Noises:
    """Noises evenly spread over their logarithm, from uniform numbers (n,)."""
    span = spans(frames, smallest)
    return Noises(smallest * np.exp(span * uniform), span)


def learnt_noises(frames: Frames, smallest: float, rng: np.random.Generator) -> Noises:
    """Noises to learn from: half evenly spread, half where most is learnt; evenly over the crystals of a batch."""
    count = len(frames.each)
    span = spans(frames, smallest)
    low = np.log(max(_OFTEN[0], smallest) / smallest)
    width = np.maximum(np.minimum(np.log(_OFTEN[1] / smallest), span) - low, 1e-3)
    uniform = (rng.permutation(count) + rng.random(count)) / count
    often = rng.random(count) < 0.5
    place = np.where(often, low + width * uniform, span * uniform)
    inside = (place >= low) & (place <= low + width)
    density = 0.5 / np.maximum(span, 1e-3) + 0.5 * inside / width
    return Noises(smallest * np.exp(place), 1.0 / density)


def cost(scores: Tensor, target: Tensor, crystal: Tensor, crystals: int) -> Tensor:
    """(crystals,) samples of what is integrated, |sigma s|^2 - 2 (sigma s) . (sigma grad log q), over sites (N, 3)."""
    each = (scores * (scores - 2.0 * target)).sum(dim=1)
    return each.new_zeros(crystals).index_add(0, crystal, each)


def strata(levels: int, rng: np.random.Generator) -> Floats:
    """(levels,) uniform numbers, one in each of so many equal parts of [0, 1)."""
    out: Floats = (np.arange(levels) + rng.random(levels)) / levels
    return out
