"""Draws the coordinates of one site of each of n crystals, several times: its shape once, then places on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.blocks import choose
from aristotype.models.wyckoff_augen.paper import _beta, _dirichlet, _interior
from aristotype.models.wyckoff_augen.paper._places import draw_held, held_axes, segment_ends
from aristotype.models.wyckoff_augen.paper._polygons import polygon_maps
from aristotype.symmetry import tables

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen.paper._network import PaperNetwork

Floats = NDArray[np.float64]
A_TRY = 4
"""Random numbers of a draw of coordinates."""
Law = TypeVar("Law", bound=NamedTuple)


def draw_places(
    network: PaperNetwork,
    site: list[Tensor],
    group: Tensor,
    letter: Tensor,
    held: NDArray[np.bool_],
    uniform: Tensor,
    tries: Tensor,
) -> Floats:
    """Parameters (n, k, 3) of k draws of a site, 0 beyond its freedom.

    Args:
        network: whose laws they follow.
        site: state, position and element (n, width) of each.
        group: (n,).
        letter: (n,).
        held: (n,) which hold the origin of a polar group.
        uniform: (n,) random numbers, for shapes.
        tries: (n, k, 4) random numbers, for places.
    """
    n, count = tries.shape[:2]
    out = torch.zeros(n, count, 3, dtype=torch.float64, device=group.device)
    freedom = torch.from_numpy(tables().padded("freedom", fill=-1).astype(np.int64)).to(group.device)[group, letter]
    origin = torch.from_numpy(held).to(group.device)
    vectors, there = network.embeddings.shapes(group, letter)
    shape = choose(network.heads.shapes(site, vectors, there), uniform)
    vector = vectors[torch.arange(n, device=group.device), shape]
    kinds = [((freedom == kind) & ~origin, draw) for kind, draw in enumerate(_DRAWS, start=1)]
    for chosen, draw in [*kinds, (origin, _on_origins)]:
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            parts = (part[rows] for part in (vector, group, letter, shape, tries))
            found = draw(network, _Sites([part[rows] for part in site], *parts)).view(len(rows), count, -1)
            out[rows, :, : found.shape[2]] = found
    return out.cpu().numpy()


class _Sites(NamedTuple):
    """Some of the sites."""

    site: list[Tensor]
    vector: Tensor  # of the shape
    group: Tensor
    letter: Tensor
    shape: Tensor
    tries: Tensor


def _on_segments(network: PaperNetwork, at: _Sites) -> Tensor:
    law = _repeated(network.heads.segment(at.site, at.vector), at.tries.shape[1])
    along = _beta.draw(law, at.tries.flatten(0, 1)[:, :3]).view(len(at.group), -1)
    names = zip(at.group.tolist(), at.letter.tolist(), at.shape.tolist(), strict=True)
    ends = torch.tensor([segment_ends(*name) for name in names], dtype=torch.float64, device=along.device)
    return ends[:, :1] + along * (ends[:, 1:] - ends[:, :1])


def _in_polygons(network: PaperNetwork, at: _Sites) -> Tensor:
    count = at.tries.shape[1]
    law = _repeated(network.heads.polygon(at.site, at.vector), count)
    maps = polygon_maps(*(part.repeat_interleave(count) for part in (at.group, at.letter, at.shape)))
    return _dirichlet.draw(law, maps, at.tries.flatten(0, 1))


def _in_interiors(network: PaperNetwork, at: _Sites) -> Tensor:
    count = at.tries.shape[1]
    law = _repeated(network.heads.interior(at.site, at.vector), count)
    return _interior.draw(law, at.group.repeat_interleave(count), at.tries.flatten(0, 1))


def _on_origins(network: PaperNetwork, at: _Sites) -> Tensor:
    count = at.tries.shape[1]
    origin = network.embeddings.origin.expand(len(at.group), -1)
    law = _repeated(network.heads.interior(at.site, origin), count)
    pairs = zip(at.group.tolist(), at.letter.tolist(), strict=True)
    axes = torch.from_numpy(np.stack([held_axes(*pair)[2] for pair in pairs])).to(origin.device)
    return draw_held(law, axes.repeat_interleave(count, dim=0), at.tries.flatten(0, 1))


def _repeated(law: Law, count: int) -> Law:
    """Each mixture several times in a row."""
    return type(law)(*(part.repeat_interleave(count, dim=0) for part in law))


_DRAWS = (_on_segments, _in_polygons, _in_interiors)
"""By dimension, from 1."""
