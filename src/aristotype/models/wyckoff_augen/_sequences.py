"""Crystals as the sequences of sites in which the model writes them.

A description of a crystal (a setting, in polar groups an origin on one of the first sites) is written letter by letter
and element by element. Sites of one kind, that is of one position and element, can come in any order: each order is a
sequence of its own. A score sums over descriptions and orders.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product
from math import factorial, prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, centring_orders, settled_descriptions
from aristotype.models.blocks import boxed, distinct_descriptions, image_maps, is_polar, with_anchors
from aristotype.symmetry import GRID, asymmetric_unit, space_group

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable, Settled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SAME = 1e-6
"""Parameters closer than this are the same number in two descriptions."""


@dataclass(frozen=True, kw_only=True)
class Descriptions:
    """m descriptions of up to S sites: letters, elements, parameters in the asymmetric unit, and a cell.

    Sites of one kind are sorted by shape and parameters, behind the one that holds the origin of a polar group.
    """

    genes: GeneBatch  # (m,) sorted by letter and element
    free: Floats  # (m, S, 3) those of the point in the asymmetric unit; 0 beyond the freedom of a site
    lattice: Floats  # (m, 6) Angstrom and degrees, reduced
    cell: Floats  # (m, 6) the same as points of the box
    acute: NDArray[np.bool_]  # (m,)
    log_measure: Floats  # (m,) from a density over the box to one over cell parameters
    owner: Ints  # (m,) which crystal it describes

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, rows: Ints) -> Descriptions:
        """Some of them."""
        names = ("free", "lattice", "cell", "acute", "log_measure", "owner")
        return Descriptions(genes=self.genes.take(rows), **{name: getattr(self, name)[rows] for name in names})


class Orders(NamedTuple):
    """q sequences: descriptions with their sites in an order."""

    description: Ints  # (q,)
    order: Ints  # (q, S) which site of the description comes at each place
    log_weight: Floats  # (q,) of the sequence in a sum over those of its crystal; 0 if all are here


def descriptions_of(table: CrystalTable) -> Descriptions:
    """All descriptions of the crystals of a table, each with the sites of one kind by shape and parameters.

    Args:
        table: n crystals.

    Raises:
        TableError: a row is a gene.
        SymmetryError: a cell is so flat that its reduction does not end.
    """
    settled = settled_descriptions(table, any_letters=True)
    which, free = with_anchors(settled)
    genes, lattice, owner = settled.genes.take(which), settled.lattice[which], settled.owner[which]
    free = _in_unit(genes, free)
    cell, acute, measure = boxed(genes.space_group, lattice, centring_orders()[genes.space_group.astype(np.int64)])
    kept = distinct_descriptions(genes, free, lattice, owner)
    found = Descriptions(
        genes=genes,
        free=free,
        lattice=lattice,
        cell=cell,
        acute=acute,
        log_measure=measure,
        owner=owner,
    )
    return found.take(kept)


def repeats(settled: Settled) -> Ints:
    """(n,) how often each description of n crystals is among all that are given; once but for those of higher symmetry.

    Crystals are given by one description for each operation between them, up to those of the group.
    """
    which, free = with_anchors(settled)
    genes, lattice, owner = settled.genes.take(which), settled.lattice[which], settled.owner[which]
    kept = distinct_descriptions(genes, _in_unit(genes, free), lattice, owner)
    return np.rint(np.bincount(owner) / np.bincount(owner[kept])).astype(np.int64)


def first_of_each(found: Descriptions) -> Descriptions:
    """The first description of each crystal, the same whichever was given."""
    return found.take(np.unique(found.owner, return_index=True)[1])


def of_length(found: Descriptions, rows: Ints) -> Descriptions:
    """Some descriptions, all of one number of sites, without padding."""
    some = found.take(rows)
    length = int(some.genes.num_sites[0]) if len(some) else 0
    genes = GeneBatch(
        space_group=some.genes.space_group,
        elements=some.genes.elements[:, :length],
        wyckoffs=some.genes.wyckoffs[:, :length],
    )
    return replace(some, genes=genes, free=some.free[:, :length])


def runs_of(genes: GeneBatch) -> list[list[list[int]]]:
    """For each gene the places of sites that may change places: sets of one kind, without the site on the origin."""
    polar = is_polar(genes.space_group)
    kinds = genes.wyckoffs.astype(np.int64) * 128 + genes.elements
    out = []
    for row, count in enumerate(genes.num_sites.tolist()):
        runs: list[list[int]] = []
        for site in range(int(polar[row]), count):
            if site > polar[row] and kinds[row, site] == kinds[row, site - 1]:
                runs[-1].append(site)
            else:
                runs.append([site])
        out.append([run for run in runs if len(run) > 1])
    return out


def some_order(found: Descriptions, rng: np.random.Generator) -> Orders:
    """Each description with sites of one kind in a random order."""
    order = np.tile(np.arange(found.free.shape[1]), (len(found), 1))
    for row, runs in enumerate(runs_of(found.genes)):
        for run in runs:
            order[row, run] = rng.permutation(run)
    return Orders(np.arange(len(found)), order, np.zeros(len(found)))


def all_orders(found: Descriptions, most: Ints, rngs: list[np.random.Generator]) -> Orders:
    """Every order of every description, or some random orders where that would be more than `most` (n,) of a crystal.

    Orders that are drawn stand for all: their weights make the sum over them an unbiased estimate of the whole sum.

    Args:
        found: all descriptions of n crystals.
        most: (n,) sequences of each crystal; there is at least one a description.
        rngs: n generators, one a crystal; descriptions come in an order that does not depend on which of them was
            given, so that neither does what is drawn.
    """
    descriptions = np.bincount(found.owner, minlength=len(rngs))
    rows, orders, weights = [], [], []
    for row, runs in enumerate(runs_of(found.genes)):
        crystal = int(found.owner[row])
        count = prod(factorial(len(run)) for run in runs)
        room = max(1, int(most[crystal] // descriptions[crystal]))
        choices = (
            list(product(*map(permutations, runs)))
            if count <= room
            else [[rngs[crystal].permutation(run) for run in runs] for _ in range(room)]
        )
        for choice in choices:
            order = np.arange(found.free.shape[1])
            for run, places in zip(runs, choice, strict=True):
                order[run] = np.array(places)
            orders.append(order)
        rows += [row] * len(choices)
        weights += [np.log(count / len(choices))] * len(choices)
    shape = (len(rows), found.free.shape[1])
    return Orders(np.array(rows, np.int64), np.array(orders, np.int64).reshape(shape), np.array(weights, float))


def _in_unit(genes: GeneBatch, free: Floats) -> Floats:
    """Parameters of the point of each site in the asymmetric unit, sites of one kind sorted by shape and parameters.

    The site that holds the origin of a polar group keeps 0 along polar axes, and has the smallest of its images.
    """
    out = free.copy()
    shape = np.zeros(free.shape[:2], np.int64)
    polar = is_polar(genes.space_group)
    rows, sites = np.nonzero(genes.freedoms > 0)
    held = polar[rows] & (sites == 0)
    code = genes.space_group[rows].astype(np.int64) * 64 + genes.wyckoffs[rows, sites] * 2 + held
    for each in np.unique(code).tolist():
        number, letter, anchored = each // 64, each // 2 % 32, bool(each % 2)
        here = code == each
        freedom = space_group(number).positions[letter].freedom
        given = free[rows[here], sites[here], :freedom]
        if anchored:
            found = smallest(number, letter, given)
        else:
            shape[rows[here], sites[here]], found = in_shapes(number, letter, given)
        out[rows[here], sites[here], :freedom] = found
    holds = polar[:, None] & (np.arange(free.shape[1]) == 0)  # and stays where it is
    kind = genes.wyckoffs.astype(np.int64) % 64 * 128 + genes.elements
    steps = np.rint(out / _SAME).astype(np.int64)
    order = np.lexsort((steps[..., 2], steps[..., 1], steps[..., 0], shape, ~holds, kind), axis=1)
    return np.take_along_axis(out, order[..., None], axis=1)


def in_shapes(number: int, letter: int, free: Floats) -> tuple[Ints, Floats]:
    """Shape (n,) and parameters (n, freedom) in [0, 1) of sites in the asymmetric unit, for parameters of any image."""
    shape, found, _ = unit_points(number, letter, free)
    return shape, in_cell(found)


def in_cell(free: Floats) -> Floats:
    """The same parameters in [0, 1)."""
    return np.rint(free / 1e-12) * 1e-12 % 1.0  # rounding leaves -1e-17 at the border


def unit_points(number: int, letter: int, free: Floats) -> tuple[Ints, Floats, Floats]:
    """Shape (n,), parameters (n, freedom) within it, and coordinates (n, 3) of sites in the asymmetric unit."""
    unit = asymmetric_unit(number)
    points = unit.wrap(space_group(number).positions[letter].representative(free)).points
    shape, found = unit.locate(letter, points)
    return shape.astype(np.int64), found, points


def smallest(number: int, letter: int, free: Floats) -> Floats:
    """(n, freedom) the smallest images of sites that hold the origin."""
    maps = image_maps(number, letter, True)
    images = (np.einsum("mij,nj->nmi", maps.linear, free) + maps.shift / GRID) % 1.0
    steps = np.rint(images / _SAME).astype(np.int64) % round(1.0 / _SAME)
    code = np.zeros(steps.shape[:2])
    for axis in range(steps.shape[2]):
        code = code * 2e6 + steps[..., axis]
    return np.asarray(images[np.arange(len(images)), code.argmin(axis=1)])
