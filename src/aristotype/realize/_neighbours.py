"""Atoms within a given distance of each site, in many crystals at once, with as many images as that takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aristotype.crystal import reduce_cells
from aristotype.realize._atoms import ranges
from aristotype.realize._cells import combined, product_of

if TYPE_CHECKING:
    from aristotype.realize._atoms import Atoms, Floats, Ints


class Candidates(NamedTuple):
    """`SitePairs` as tensors."""

    first: Tensor  # (p,) atom that stands for the site
    second: Tensor  # (p,) the other atom
    site: Tensor  # (p,)
    row: Tensor  # (p,)

    @staticmethod
    def of(atoms: Atoms) -> Candidates:
        """The pairs of some genes."""
        return Candidates(*map(torch.from_numpy, atoms.site_pairs()))


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """q pairs of a site's representative and an atom near it, sorted by crystal and site."""

    first: Tensor  # (q,) atom that stands for the site
    second: Tensor  # (q,) atom
    site: Tensor  # (q,) of the first
    row: Tensor  # (q,)
    shift: Tensor  # (q, 3) added to first - second, in the basis of the primitive cell
    per_site: Tensor  # (s,)
    per_row: Tensor  # (n,)

    @staticmethod
    def within(reach: float, candidates: Candidates, points: Tensor, atom_row: Tensor, cells: Tensor) -> Neighbours:
        """All pairs closer than a distance.

        Args:
            reach: Angstrom.
            candidates: of n crystals.
            points: (atoms, 3) coordinates in the basis of the primitive cells.
            atom_row: (atoms,) crystal of each atom.
            cells: (n, 3, 3) row vectors of the primitive cells, Angstrom.
        """
        change = reduce_cells(cells.double().numpy())
        inverse = torch.from_numpy(np.rint(np.linalg.inv(change))).to(cells)
        whole = torch.from_numpy(change).to(cells)
        reduced = product_of(whole, cells)
        inside = combined(points[:, :, None], inverse[atom_row])
        step = inside[candidates.first] - inside[candidates.second]
        wrapped = torch.round(step)
        shifts, per_row = _shifts(reduced.double().numpy(), reach)
        moved = combined(
            shifts.to(cells)[:, :, None], reduced[torch.from_numpy(np.repeat(np.arange(len(cells)), per_row))]
        )
        nearest = combined((step - wrapped)[:, :, None], reduced[candidates.row])
        pair, image = _images_of(candidates.row.numpy(), per_row)
        squared = torch.zeros((), dtype=cells.dtype)
        for axis in range(3):
            squared = squared + torch.square(nearest[:, axis][pair] + moved[:, axis][image])
        kept = torch.nonzero(squared < reach * reach)[:, 0]
        pair, image = pair[kept], image[kept]
        others = (candidates.first != candidates.second)[pair] | (shifts != 0).any(dim=1)[image]
        pair, image = pair[others], image[others]
        row, site = candidates.row[pair], candidates.site[pair]
        offset = shifts[image].to(cells) - wrapped[pair]
        return Neighbours(
            first=candidates.first[pair],
            second=candidates.second[pair],
            site=site,
            row=row,
            shift=combined(offset[:, :, None], whole[row]),
            per_site=torch.bincount(site, minlength=int(candidates.site[-1]) + 1),
            per_row=torch.bincount(row, minlength=len(cells)),
        )


def _shifts(reduced: Floats, reach: float) -> tuple[Tensor, Ints]:
    """Translations (m, 3), cell after cell, that may bring an atom within reach, and how many (n,) a cell has."""
    volume = np.abs(np.linalg.det(reduced))
    faces = np.cross(reduced[:, [1, 2, 0]], reduced[:, [2, 0, 1]])
    heights = volume[:, None] / np.sqrt(np.square(faces).sum(axis=2))
    most = np.floor(reach / heights + 0.5).astype(np.int64)
    width = 2 * most + 1
    count = width.prod(axis=1)
    place = ranges(np.zeros(len(count), np.int64), count)
    row = np.repeat(np.arange(len(count)), count)
    out = np.empty((len(place), 3), np.int64)
    for axis in (2, 1, 0):
        out[:, axis] = place % width[row, axis] - most[row, axis]
        place = place // width[row, axis]
    return torch.from_numpy(out), count


def _images_of(row: Ints, per_row: Ints) -> tuple[Tensor, Tensor]:
    """For pairs (p,) of the crystals `row`: each pair with each translation of its crystal, both as places."""
    begin = np.cumsum(per_row) - per_row
    count = per_row[row]
    return torch.from_numpy(np.repeat(np.arange(len(row)), count)), torch.from_numpy(ranges(begin[row], count))
