"""The cheap energy: a potential of distances, fitted so that known crystals lie at the bottom of round valleys.

Every atom has a few densities, sums over its neighbours of smooth functions of the distance that depend on the two
elements, and an energy that a small network of its element makes of them: the form of an embedded-atom potential (Daw
and Baskes, Phys. Rev. B 29, 6443, 1984), with fitted functions. It is fitted by `tools/fit_potential.py` such that its
gradient at a displaced crystal points back to the crystal. Its unit is arbitrary: 25 of it for one square Angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import silu

from aristotype.realize._cells import combined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aristotype.realize._neighbours import Neighbours

FIRST_KNOT = 1.0  # Angstrom
KNOT_STEP = 0.4  # Angstrom
KNOTS = 13  # coefficients of each function; it ends after them
REACH = FIRST_KNOT + KNOTS * KNOT_STEP
"""Distance in Angstrom at which all functions end, with their first two derivatives."""
STIFFNESS = 25.0
"""Energy over half a square Angstrom by which known crystals were fitted."""
_NUMBERS = 97
_WALL = 0.7  # of the sum of the radii: distance below which atoms repel each other whatever was fitted
_WALL_HEIGHT = 80.0
_CLOSEST = 1e-3  # Angstrom


@dataclass(frozen=True, kw_only=True)
class PairPotential:
    """The functions as tables. M functions a pair of elements, the first an energy, the others densities."""

    kind: Tensor  # (97, 97) place in `pieces` for two atomic numbers
    pieces: Tensor  # (pairs, KNOTS + 1, 4, M) cubic polynomials between the knots, lowest power first
    into: Tensor  # (97, M - 1, A) from densities to hidden units, by atomic number
    bias: Tensor  # (97, A)
    out: Tensor  # (97, A)
    radii: Tensor  # (97,) Angstrom

    def to(self, dtype: torch.dtype) -> PairPotential:
        """The same in another precision."""
        parts = {name: getattr(self, name).to(dtype) for name in ("pieces", "into", "bias", "out", "radii")}
        return PairPotential(kind=self.kind, **parts)


def tabulated(weights: Mapping[str, Tensor], elements: Tensor | None = None) -> PairPotential:
    """The tables of a fitted network, in the precision of its weights.

    Args:
        weights: `embedding` (97, D), `radii` (97,), and the layers `pair.0`, `pair.1`, `pair.2`, `site`, `into`, `bias`
            and `out` with `.weight` and `.bias` each.
        elements: atomic numbers, sorted, between which pairs are tabulated; by default all.
    """
    elements = torch.arange(_NUMBERS) if elements is None else elements

    def layer(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    embedding, radii = weights["embedding"], weights["radii"]
    low, high = elements[torch.triu_indices(len(elements), len(elements))]
    one, two = embedding[low], embedding[high]
    hidden = silu(layer("pair.0", torch.cat([one + two, one * two, (radii[low] + radii[high])[:, None]], dim=1)))
    hidden = hidden + silu(layer("pair.1", hidden))
    knots = layer("pair.2", hidden).reshape(len(low), KNOTS, -1)
    kind = torch.zeros(_NUMBERS, _NUMBERS, dtype=torch.int64)
    kind[low, high] = kind[high, low] = torch.arange(len(low))
    site = silu(layer("site", embedding))
    bias = layer("bias", site)
    return PairPotential(
        kind=kind,
        pieces=_polynomials(knots),
        into=layer("into", site).reshape(_NUMBERS, -1, bias.shape[1]),
        bias=bias,
        out=layer("out", site),
        radii=radii,
    )


def _polynomials(knots: Tensor) -> Tensor:
    """Cubic polynomials (p, KNOTS + 1, 4, M) between the knots of uniform B-splines with coefficients (p, KNOTS, M)."""
    padded = torch.nn.functional.pad(knots, (0, 0, 0, 4))
    a, b, c, d = (padded[:, k : KNOTS + 1 + k] for k in range(4))
    powers = (a + 4 * b + c, 3 * (c - a), 3 * (a - 2 * b + c), d - a + 3 * (b - c))
    return torch.stack(powers, dim=2) / 6.0


@cache
def pair_potential(dtype: torch.dtype) -> PairPotential:
    """The shipped potential, read at the first call."""
    import safetensors.torch

    content = (files("aristotype.realize") / "potential.safetensors").read_bytes()
    weights = {name: tensor.double() for name, tensor in safetensors.torch.load(content).items()}
    return tabulated(weights).to(dtype)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the potential says of some crystals."""

    energy: Tensor  # (n,) of the primitive cell
    on_site: Tensor  # (s, 3) derivative by the place of one atom of each site, 1/Angstrom
    on_cell: Tensor  # (n, 3, 3) derivative by the vectors of the primitive cells
    distance: Tensor  # (q,) Angstrom


def evaluate(
    potential: PairPotential,
    near: Neighbours,
    points: Tensor,
    cells: Tensor,
    *,
    elements: Tensor,
    atom_site: Tensor,
    weight: Tensor,
    site_row_counts: Tensor,
) -> Reading:
    """Energies and their derivatives.

    Nothing that a crystal gives depends on which others there are: one operation a term, and sums over segments.

    Args:
        potential: of the precision of `points`.
        near: pairs of n crystals within `REACH` at least.
        points: (atoms, 3) coordinates in the basis of the primitive cells.
        cells: (n, 3, 3) primitive cells, Angstrom.
        elements: (s,) of the sites.
        atom_site: (atoms,) site of each atom.
        weight: (s,) atoms of each site.
        site_row_counts: (n,) sites of each crystal.
    """
    step = points.index_select(0, near.first) - points.index_select(0, near.second) + near.shift
    arrow = combined(step[:, :, None], cells.index_select(0, near.row))
    squared = arrow[:, 0] * arrow[:, 0] + arrow[:, 1] * arrow[:, 1] + arrow[:, 2] * arrow[:, 2]
    distance = torch.clamp(torch.sqrt(squared), min=_CLOSEST)
    other = atom_site.index_select(0, near.second)
    one, two = elements.index_select(0, near.site), elements.index_select(0, other)
    value, slope = pair_functions(potential, one, two, distance)
    density = torch.segment_reduce(value, "sum", lengths=near.per_site, axis=0)
    energy, response = site_energies(potential, density, elements)
    answer = (response.index_select(0, near.site) + response.index_select(0, other)) * slope
    pull = answer[:, 0]
    for m in range(1, answer.shape[1]):
        pull = pull + answer[:, m]
    force = (pull / distance)[:, None] * arrow
    half = (0.5 * weight).to(force).index_select(0, near.site)
    by_cell = (step[:, :, None] * (half[:, None] * force)[:, None, :]).reshape(-1, 9)
    on_cell = torch.segment_reduce(by_cell, "sum", lengths=near.per_row, axis=0)
    return Reading(
        energy=torch.segment_reduce(weight.to(energy) * energy, "sum", lengths=site_row_counts),
        on_site=torch.segment_reduce(force, "sum", lengths=near.per_site, axis=0),
        on_cell=on_cell.reshape(-1, 3, 3),
        distance=distance,
    )


def pair_functions(potential: PairPotential, one: Tensor, two: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
    """Values and derivatives (q, M) of the functions of pairs of elements at their distances."""
    place = torch.clamp((distance - FIRST_KNOT) / KNOT_STEP, min=0.0)
    piece = torch.clamp(place.long(), max=KNOTS)
    rest = torch.where(piece < KNOTS, place - piece, torch.zeros_like(place))[:, None]
    functions = potential.pieces.shape[3]
    at = potential.kind[one, two] * (KNOTS + 1) + piece
    powers = potential.pieces.reshape(-1, 4 * functions).index_select(0, at).reshape(-1, 4, functions)
    value = ((powers[:, 3] * rest + powers[:, 2]) * rest + powers[:, 1]) * rest + powers[:, 0]
    slope = (3.0 * powers[:, 3] * rest + 2.0 * powers[:, 2]) * rest + powers[:, 1]
    slope = slope * ((distance > FIRST_KNOT).to(slope)[:, None] / KNOT_STEP)
    wall = _WALL * (potential.radii[one] + potential.radii[two])
    overlap = torch.clamp(1.0 - distance / wall, min=0.0)
    value[:, 0] += _WALL_HEIGHT * overlap * overlap
    slope[:, 0] -= 2.0 * _WALL_HEIGHT * overlap / wall
    return value, slope


def site_energies(potential: PairPotential, density: Tensor, elements: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (s,) of atoms with given densities (s, M), and their derivatives (s, M) by the densities."""
    into, out = potential.into[elements], potential.out[elements]
    hidden = potential.bias[elements]
    for m in range(into.shape[1]):
        hidden = hidden + density[:, m + 1, None] * into[:, m]
    gate = 1.0 / (1.0 + torch.exp(-hidden))
    activated = out * hidden * gate
    bent = out * gate * (1.0 + hidden * (1.0 - gate))
    energy = 0.5 * density[:, 0]
    response = torch.zeros_like(density)
    response[:, 0] = 0.5
    for a in range(bent.shape[1]):
        energy = energy + activated[:, a]
        response[:, 1:] = response[:, 1:] + bent[:, a, None] * into[:, :, a]
    return energy, response
