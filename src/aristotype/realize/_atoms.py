"""Genes as flat arrays: sites and the atoms of the primitive cell as affine functions of the free parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import primitive_images, primitive_vectors
from aristotype.symmetry import GRID, space_group

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PositionMaps:
    """Atoms of a Wyckoff position in the primitive cell: coordinates = linear @ free + origin, in its own basis."""

    linear: Floats  # (m, 3, 3) zero beyond the freedom
    origin: Floats  # (m, 3)
    freedom: int


@cache
def position_maps(number: int, letter: int) -> PositionMaps:
    """The atoms of a position, one a lattice point."""
    position = space_group(number).positions[letter]
    kept = primitive_images(number, letter)
    to_primitive = np.linalg.inv(primitive_vectors(number)).T
    linear = np.zeros((len(kept), 3, 3))
    linear[:, :, : position.freedom] = to_primitive @ position.orbit_linear[kept]
    origin = position.orbit_origin[kept] / GRID @ to_primitive.T
    return PositionMaps(linear=linear, origin=origin % 1.0, freedom=position.freedom)


class SitePairs(NamedTuple):
    """Each site's representative with each atom of its primitive cell, itself too: p pairs, by crystal and site."""

    first: Ints  # (p,) atom that stands for the site
    second: Ints  # (p,) atom
    site: Ints  # (p,)
    row: Ints  # (p,)


@dataclass(frozen=True, kw_only=True)
class Atoms:
    """Sites and atoms of n genes, flat, in the order of rows and sites.

    Free parameters are (sites, 3), those beyond the freedom of a site being zero.
    """

    group: Ints  # (n,)
    site_row: Ints  # (s,) gene of each site
    site_element: Ints  # (s,)
    site_freedom: Ints  # (s,)
    site_atom: Ints  # (s,) first atom of each site, which stands for it
    site_weight: Ints  # (s,) atoms of each site in the primitive cell
    atom_site: Ints  # (a,)
    linear: Floats  # (a, 3, 3) primitive coordinates = linear @ free + origin
    origin: Floats  # (a, 3)

    def __len__(self) -> int:
        return len(self.group)

    @property
    def atom_row(self) -> Ints:
        """(a,) gene of each atom."""
        return self.site_row[self.atom_site]

    def sites_of(self, rows: Ints) -> Ints:
        """Indices of the sites of some genes, gene after gene."""
        return ranges(np.searchsorted(self.site_row, rows), np.bincount(self.site_row, minlength=len(self))[rows])

    def take(self, rows: Ints) -> Atoms:
        """The genes of some rows, which may come more than once."""
        sites = self.sites_of(rows)
        sites_a_row = np.bincount(self.site_row, minlength=len(self))[rows]
        weight = self.site_weight[sites]
        atoms = ranges(self.site_atom[sites], weight)
        return Atoms(
            group=self.group[rows],
            site_row=np.repeat(np.arange(len(rows)), sites_a_row),
            site_element=self.site_element[sites],
            site_freedom=self.site_freedom[sites],
            site_atom=np.cumsum(weight) - weight,
            site_weight=weight,
            atom_site=np.repeat(np.arange(len(sites)), weight),
            linear=self.linear[atoms],
            origin=self.origin[atoms],
        )

    def site_pairs(self) -> SitePairs:
        """Pairs of atoms that stand for all of a crystal: the others are images of them."""
        per_gene = np.bincount(self.atom_row, minlength=len(self))
        begin = np.cumsum(per_gene) - per_gene
        count = per_gene[self.site_row]
        site = np.repeat(np.arange(len(self.site_row)), count)
        return SitePairs(self.site_atom[site], ranges(begin[self.site_row], count), site, self.site_row[site])

    def positions(self, free: Floats) -> Floats:
        """Primitive coordinates (a, 3) for free parameters (s, 3)."""
        return (self.linear * free[self.atom_site][:, None, :]).sum(axis=2) + self.origin


def flatten(genes: GeneBatch) -> Atoms:
    """Flat arrays of a batch of genes."""
    row, place = np.nonzero(genes.wyckoffs >= 0)
    group = genes.space_group.astype(np.int64)
    letters = genes.wyckoffs[row, place].tolist()
    maps = [position_maps(number, letter) for number, letter in zip(group[row].tolist(), letters, strict=True)]
    weight = np.array([len(m.origin) for m in maps], np.int64)
    return Atoms(
        group=group,
        site_row=row.astype(np.int64),
        site_element=genes.elements[row, place].astype(np.int64),
        site_freedom=np.array([m.freedom for m in maps], np.int64),
        site_atom=np.cumsum(weight) - weight,
        site_weight=weight,
        atom_site=np.repeat(np.arange(len(maps)), weight),
        linear=np.concatenate([m.linear for m in maps]) if maps else np.zeros((0, 3, 3)),
        origin=np.concatenate([m.origin for m in maps]) if maps else np.zeros((0, 3)),
    )


def ranges(starts: Ints, counts: Ints) -> Ints:
    """Indices starts[0], ..., starts[0] + counts[0] - 1, starts[1], ... in one array."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - counts - starts, counts)
