"""Where sites are, as the densities of coordinates read it: without a network, so that it is made with batches.

Sites without freedom have no density. The site on the origin of a polar group has one of its parameters that are not
along polar axes: a mixture of von Mises laws on their torus, summed over the images that leave the others 0. By these
images every such site is known once, so that the density integrates to one over them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch
from aristotype.models.blocks import choose, image_maps, log_von_mises, pinned_axes
from aristotype.models.wyckoff_augen.paper import _dirichlet
from aristotype.models.wyckoff_augen.paper._interior import CellMixture, von_mises_quantile
from aristotype.models.wyckoff_augen.paper._located import Located
from aristotype.models.wyckoff_augen.paper._polygons import polygon_maps
from aristotype.symmetry import GRID, asymmetric_unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Places(NamedTuple):
    """Sites with a density by kind, each with its place in n sequences of S sites one after another."""

    segment: Tensor  # (a,)
    along: Tensor  # (a,) share of the segment
    log_length: Tensor  # (a,) of the segment, in parameters
    polygon: Tensor  # (b,)
    in_triangle: _dirichlet.Placed  # (b, ...)
    interior: Tensor  # (c,)
    point: Tensor  # (c, 3)
    held: Tensor  # (d,) those on the origin that can move
    images: Tensor  # (d, m, 3)
    is_image: Tensor  # (d, m)
    axes: Tensor  # (d, 3) which parameters have a density


def places_of(genes: GeneBatch, at: Located, sequences: Ints) -> Places:
    """The places of the sites of sequences.

    Args:
        genes: m crystals of S sites, without padding.
        at: where they are.
        sequences: (n, S) a site, as row S + column of the crystals, at each place of a sequence.
    """
    number = np.repeat(genes.space_group.astype(np.int64), genes.wyckoffs.shape[1])
    letter, freedom = genes.wyckoffs.astype(np.int64).ravel(), genes.freedoms.ravel()
    shape, place = at.shape.ravel(), at.place.reshape(-1, 3)
    moves = [
        row for row in np.flatnonzero(shape < 0).tolist() if held_axes(int(number[row]), int(letter[row]))[2].any()
    ]
    rows = [np.flatnonzero((freedom == kind) & (shape >= 0)) for kind in (1, 2, 3)] + [np.array(moves, np.int64)]
    kept = [_chosen(some, sequences, len(number)) for some in rows]
    along, length = _on_segments(number, letter, shape, place, rows[0])
    polygons = _in_polygons(number, letter, shape, place, rows[1])
    images, is_image, axes = _images(number, letter, place, rows[3])
    (segment, a), (polygon, b), (interior, c), (held, d) = kept
    return Places(
        segment,
        along[a],
        length[a],
        polygon,
        _dirichlet.Placed(*(part[b] for part in polygons)),
        interior,
        torch.from_numpy(place[rows[2]])[c],
        held,
        images[d],
        is_image[d],
        axes[d],
    )


def _chosen(rows: Ints, sequences: Ints, count: int) -> tuple[Tensor, Tensor]:
    """Places in the sequences of some sites (k,), and which of the k each is."""
    lookup = np.full(count, -1)
    lookup[rows] = np.arange(len(rows))
    found = lookup[sequences.ravel()] if count else np.zeros(0, np.int64)
    there = np.flatnonzero(found >= 0)
    return torch.from_numpy(there), torch.from_numpy(found[there])


def segment_ends(number: int, letter: int, shape: int) -> tuple[float, float]:
    """Parameters of the ends of a segment."""
    vertices = asymmetric_unit(number).shapes[letter][shape].vertices[:, 0] / GRID
    return float(vertices.min()), float(vertices.max())


def _on_segments(number: Ints, letter: Ints, shape: Ints, place: Floats, rows: Ints) -> tuple[Tensor, Tensor]:
    names = zip(number[rows].tolist(), letter[rows].tolist(), shape[rows].tolist(), strict=True)
    ends = np.array([segment_ends(*name) for name in names]).reshape(-1, 2)
    length = ends[:, 1] - ends[:, 0]
    return torch.from_numpy((place[rows, 0] - ends[:, 0]) / length), torch.from_numpy(np.log(length))


def _in_polygons(number: Ints, letter: Ints, shape: Ints, place: Floats, rows: Ints) -> _dirichlet.Placed:
    maps = polygon_maps(*(torch.from_numpy(part[rows]) for part in (number, letter, shape)))
    if not len(rows):
        return _dirichlet.Placed(torch.zeros(0, 3).double(), torch.zeros(0).double(), torch.zeros(0, dtype=torch.bool))
    return _dirichlet.placed(maps, torch.from_numpy(place[rows, :2]))


@lru_cache(maxsize=4096)
def held_axes(number: int, letter: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Images of a site on the origin by maps of its parameters, linear (m, 3, 3), shift (m, 3), and its axes (3,)."""
    pinned = np.array(pinned_axes(number, letter), bool)
    free = np.flatnonzero(~pinned)
    maps = image_maps(number, letter, True)
    # Maps that differ along polar axes alone are the same map here.
    linear, shift = maps.linear[:, free][:, :, free], maps.shift[:, free]
    both = np.unique(np.concatenate([linear.reshape(len(linear), -1), shift], axis=1), axis=0)
    out, moved, axes = np.zeros((len(both), 3, 3)), np.zeros((len(both), 3)), np.zeros(3, bool)
    out[:, free[:, None], free] = both[:, : len(free) ** 2].reshape(len(both), len(free), len(free))
    moved[:, free] = both[:, len(free) ** 2 :] / GRID
    axes[free] = True
    return out, moved, axes


def _images(number: Ints, letter: Ints, place: Floats, rows: Ints) -> tuple[Tensor, Tensor, Tensor]:
    found = [held_axes(int(number[row]), int(letter[row])) for row in rows]
    most = max((len(linear) for linear, _, _ in found), default=1)
    images, there = np.zeros((len(rows), most, 3)), np.zeros((len(rows), most), bool)
    for each, (row, (linear, shift, _)) in enumerate(zip(rows, found, strict=True)):
        images[each, : len(linear)] = linear @ place[row] + shift
        there[each, : len(linear)] = True
    axes = np.array([axes for _, _, axes in found], bool).reshape(-1, 3)
    return torch.from_numpy(images), torch.from_numpy(there), torch.from_numpy(axes)


def log_density_held(law: CellMixture, images: Tensor, is_image: Tensor, axes: Tensor) -> Tensor:
    """(d,) log-density of sites on the origin, by the parameters along their axes (see `Places`)."""
    place = torch.remainder(images, 1.0).to(law.centre.dtype)[:, :, None]
    each = log_von_mises(place, law.centre[:, None], law.concentration[:, None])
    each = torch.where(axes[:, None, None], each, 0.0).sum(dim=-1)
    whole = torch.logsumexp(law.log_weight[:, None] + each, dim=-1)
    return torch.logsumexp(whole.masked_fill(~is_image, -torch.inf), dim=-1)


def draw_held(law: CellMixture, axes: Tensor, uniform: Tensor) -> Tensor:
    """Draws parameters (d, 3) in [0, 1) of sites on the origin, 0 along other axes, from uniform numbers (d, 4)."""
    component = choose(law.log_weight, uniform[:, 0])
    at = torch.arange(len(component), device=component.device)
    offset = von_mises_quantile(law.concentration[at, component], uniform[:, 1:4])
    return torch.where(axes, torch.remainder(law.centre[at, component].double() + offset, 1.0), 0.0)
