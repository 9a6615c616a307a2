"""Distances of atoms in many crystals at once, and the energy by which atoms that are too close repel each other.

Every crystal's atoms are pairs of a site's representative with all atoms of the primitive cell and their images. By
symmetry that is enough: the forces on the other atoms of a site are images of that on its representative.

Arrays are flat and sorted by crystal, and sums run over segments: nothing that a crystal gives depends on which others
are in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aristotype.crystal import reduce_cells
from aristotype.realize._cells import combined, product_of

if TYPE_CHECKING:
    from aristotype.realize._atoms import Atoms, Floats

_SHIFTS = np.array(list(product((-1, 0, 1), repeat=3)))
_HERE = 13
"""Place in `_SHIFTS` of no shift."""


@dataclass(frozen=True, kw_only=True)
class AllPairs:
    """Each site's representative with each atom of its primitive cell: p pairs, sorted by crystal and site."""

    first: Tensor  # (p,) atom that stands for the site
    second: Tensor  # (p,) the other atom
    site: Tensor  # (p,)
    row: Tensor  # (p,)
    per_row: Tensor  # (n,) pairs of each crystal
    itself: Tensor  # (p,) the atom with itself
    weight: Tensor  # (p,) half of the atoms of the site, so that each pair of atoms counts once
    radius: Tensor  # (p,) Angstrom, sum of the radii of the two atoms

    @staticmethod
    def of(atoms: Atoms, radii: Floats, dtype: torch.dtype) -> AllPairs:
        """The pairs of some genes; `radii` by atomic number."""
        first, second, site, row = atoms.site_pairs()
        radius = radii[atoms.site_element]
        return AllPairs(
            first=torch.from_numpy(first),
            second=torch.from_numpy(second),
            site=torch.from_numpy(site),
            row=torch.from_numpy(row),
            per_row=torch.from_numpy(np.bincount(row, minlength=len(atoms))),
            itself=torch.from_numpy(first == second),
            weight=torch.from_numpy(atoms.site_weight[site] / 2.0).to(dtype),
            radius=torch.from_numpy(radius[site] + radius[atoms.atom_site[second]]).to(dtype),
        )


class _Images(NamedTuple):
    """Squared distances (p, 27) of the pairs' nearest images, and what leads to them."""

    squared: Tensor
    wrapped: Tensor  # (p, 3) whole vectors of the reduced cell taken off the difference
    change: Tensor  # (n, 3, 3) from the primitive to the reduced cell


def _images(pairs: AllPairs, points: Tensor, atom_row: Tensor, cells: Tensor) -> _Images:
    change = reduce_cells(cells.double().numpy())
    inverse = torch.from_numpy(np.rint(np.linalg.inv(change))).to(cells)
    whole = torch.from_numpy(change).to(cells)
    reduced = product_of(whole, cells)
    inside = combined(points[:, :, None], inverse[atom_row])
    step = inside[pairs.first] - inside[pairs.second]
    wrapped = torch.round(step)
    near = combined((step - wrapped)[:, :, None], reduced[pairs.row])
    shifts = torch.from_numpy(_SHIFTS).to(cells)
    moved = [combined(shifts.T[None, :, :].expand(len(cells), 3, 27), reduced[:, :, k, None]) for k in range(3)]
    squared = torch.zeros((), dtype=cells.dtype)
    for k in range(3):
        squared = squared + torch.square(near[:, k, None] + moved[k][pairs.row])
    squared[pairs.itself, _HERE] = torch.inf
    return _Images(squared, wrapped, whole)


def measure(pairs: AllPairs, points: Tensor, atom_row: Tensor, cells: Tensor, target: float) -> tuple[Tensor, Tensor]:
    """How close the atoms of each crystal are.

    Args:
        pairs: of n crystals.
        points: (atoms, 3) coordinates in the basis of the primitive cell.
        atom_row: (atoms,) crystal of each atom.
        cells: (n, 3, 3) row vectors of the primitive cells, Angstrom.
        target: distance below which atoms repel each other, as a fraction of the sum of their radii.

    Returns:
        smallest distance (n,) of two atoms as a fraction of the sum of their radii, and energy (n,).
    """
    ratio = torch.sqrt(_images(pairs, points, atom_row, cells).squared) / pairs.radius[:, None]
    closest = torch.segment_reduce(ratio.amin(dim=1), "min", lengths=pairs.per_row)
    overlap = torch.square(torch.clamp(1.0 - ratio / target, min=0.0))
    energy = torch.segment_reduce(pairs.weight * overlap.sum(dim=1), "sum", lengths=pairs.per_row)
    return closest, energy


@dataclass(frozen=True, kw_only=True)
class NearPairs:
    """Pairs of atoms near enough to repel each other soon: q of them, sorted by crystal and site."""

    first: Tensor  # (q,)
    second: Tensor  # (q,)
    shift: Tensor  # (q, 3) added to first - second, in the basis of the primitive cell
    row: Tensor  # (q,)
    per_site: Tensor  # (s,)
    per_row: Tensor  # (n,)
    weight: Tensor  # (q,)
    reach: Tensor  # (q,) Angstrom, distance below which the two atoms repel each other

    @staticmethod
    def among(
        pairs: AllPairs, points: Tensor, atom_row: Tensor, cells: Tensor, target: float, skin: float
    ) -> NearPairs:
        """The pairs and images closer than `skin` Angstrom beyond where they repel each other."""
        images = _images(pairs, points, atom_row, cells)
        reach = target * pairs.radius
        which, image = torch.nonzero(images.squared < torch.square(reach + skin)[:, None], as_tuple=True)
        row = pairs.row[which]
        offset = torch.from_numpy(_SHIFTS).to(cells)[image] - images.wrapped[which]
        return NearPairs(
            first=pairs.first[which],
            second=pairs.second[which],
            shift=combined(offset[:, :, None], images.change[row]),
            row=row,
            per_site=torch.bincount(pairs.site[which], minlength=int(pairs.site[-1]) + 1),
            per_row=torch.bincount(row, minlength=len(cells)),
            weight=pairs.weight[which],
            reach=reach[which],
        )

    def gradients(self, points: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the energy, sum of (1 - distance / reach)^2 over the pairs of atoms of a crystal.

        Returns:
            slope (s, 3) of the energy of one crystal by the place of one atom of each site, in 1/Angstrom, and the
            derivative (n, 3, 3) by the vectors of the primitive cells.
        """
        step = points[self.first] - points[self.second] + self.shift
        vector = combined(step[:, :, None], cells[self.row])
        distance = torch.sqrt(combined(vector[:, :, None], vector[:, :, None])[:, 0])
        # Atoms on top of each other have no direction to leave in; they keep a tiny distance here.
        distance = torch.clamp(distance, min=1e-3)
        slope = -2.0 * torch.clamp(1.0 - distance / self.reach, min=0.0) / (self.reach * distance)
        force = slope[:, None] * vector
        weighted = self.weight[:, None] * force
        by_cell = (step[:, :, None] * weighted[:, None, :]).reshape(-1, 9)
        on_site = torch.segment_reduce(force, "sum", lengths=self.per_site, axis=0)
        on_cell = torch.segment_reduce(by_cell, "sum", lengths=self.per_row, axis=0)
        return on_site, on_cell.reshape(-1, 3, 3)
