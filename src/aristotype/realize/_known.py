"""Polymorph reuse: starts from the geometry of known crystals that have the template of a gene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from aristotype.crystal import (
    Crystal,
    CrystalTable,
    GeneBatch,
    crystal_equivalents,
    equivalents,
    gene_keys,
    sorted_genes,
    template_keys,
)
from aristotype.realize._geometry import geometry_of
from aristotype.realize._potential import pair_potential
from aristotype.realize._priors import priors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aristotype.realize._atoms import Atoms, Floats, Ints
    from aristotype.realize._solve import Geometry

_OTHER = 0.5
"""Unlikeness, in units of the mean over all elements, that every further pair of exchanged elements adds."""
_TRIED = 3
"""Known crystals looked at for each one that is wanted: some have no description with the right letters."""


class Found(NamedTuple):
    """Starts from known crystals: of the genes `rows`, in their order, the nearest known crystal of each first."""

    rows: Ints  # (k,)
    geometry: Geometry  # of `atoms.take(rows)`
    sources: list[str]  # ids of the known crystals


@cache
def unlikeness() -> Floats:
    """How much two elements differ (97, 97): mean difference of their fitted functions, over that of all elements."""
    potential = pair_potential(torch.float32)
    pieces = potential.pieces[:, :, 0]  # values at the knots
    functions = pieces.reshape(len(pieces), -1)[potential.kind[1:, 1:]]
    flat = functions.reshape(len(functions), -1)
    out = np.zeros((len(flat) + 1,) * 2)
    out[1:, 1:] = torch.cdist(flat, flat).double().numpy()
    return out / out[1:, 1:].mean()


@dataclass(frozen=True)
class KnownCrystals:
    """Known crystals by template."""

    table: CrystalTable
    rows: dict[bytes, Ints]
    keys: NDArray[np.void]  # of their genes

    @staticmethod
    def of(table: CrystalTable) -> KnownCrystals:
        """Sorts known crystals by template.

        Raises:
            TableError: a row is a gene, which has no geometry.
        """
        table.check_geometry()
        genes = table.genes()
        templates = template_keys(genes)
        order = np.argsort(templates, kind="stable")
        names, starts = np.unique(templates[order], return_index=True)
        parts = np.split(order, starts[1:]) if len(order) else []
        rows = {name.tobytes(): part for name, part in zip(names, parts, strict=True)}
        return KnownCrystals(table, rows, gene_keys(genes))

    def starts(self, genes: GeneBatch, most: int) -> Found | None:
        """Starts for the genes whose template is known, at most so many a gene.

        The nearest crystals are those whose elements are most alike (see `unlikeness`). The cell is scaled by the
        volumes of the exchanged elements.

        Returns:
            the starts, or None where there is none.
        """
        crystals: list[Crystal] = []
        rows: list[int] = []
        sources: list[str] = []
        ordered = sorted_genes(genes)
        for row, template in enumerate(template_keys(genes)):
            among = self.rows.get(template.tobytes())
            if among is None:
                continue
            transferred = (
                (known, self._transferred(ordered, row, known))
                for known in self._nearest(ordered.take([row]), among)[: _TRIED * most]
            )
            for known, crystal in islice(((k, c) for k, c in transferred if c is not None), most):
                crystals.append(replace(crystal, id=str(len(crystals))))
                rows.append(row)
                sources.append(self.table.arrow["id"][known].as_py())
        if not crystals:
            return None
        atoms, geometry = geometry_of(CrystalTable.from_crystals(crystals))
        return Found(np.array(rows, np.int64), _in_order_of(genes, rows, atoms, geometry), sources)

    def _nearest(self, gene: GeneBatch, among: Ints) -> list[int]:
        """Rows of known crystals with the template of a gene, most alike first; each gene once."""
        _, first = np.unique(self.keys[among], return_index=True)
        among = among[np.sort(first)]
        described, owner = equivalents(self.table.genes().take(among))
        count = int(gene.num_sites[0])
        same = (described.wyckoffs[:, :count] == gene.wyckoffs[:, :count]).all(axis=1)
        described, owner = described.take(same), owner[same]
        # Equal letters are sorted by atomic number in both; a better order is looked for in the chosen ones only.
        cost = unlikeness()[described.elements[:, :count], gene.elements[:, :count]]
        total = (cost * gene.multiplicities[:, :count]).sum(axis=1)
        order = np.argsort(total, kind="stable")
        _, best = np.unique(owner[order], return_index=True)
        return among[owner[order][np.sort(best)]].tolist()

    def _transferred(self, genes: GeneBatch, row: int, known: int) -> Crystal | None:
        """The known crystal with the elements of a gene, or None where no description has the letters of the gene."""
        count = int(genes.num_sites[row])
        letters = genes.wyckoffs[row, :count].astype(np.int64)
        elements = genes.elements[row, :count].astype(np.int64)
        weight = genes.multiplicities[row, :count]
        best, found = np.inf, None
        crystal = self.table[known]
        assert isinstance(crystal, Crystal)
        for description in crystal_equivalents(crystal):
            if description.wyckoffs != tuple(letters.tolist()):
                continue
            own = np.array(description.elements)
            order = _assigned(letters, elements, own)
            cost = float((unlikeness()[own, elements[order]] * weight).sum() / weight.sum())
            pairs = len(set(zip(own.tolist(), elements[order].tolist(), strict=True)))
            cost += _OTHER * (pairs - len(set(elements.tolist())))
            if cost < best - 1e-9:
                best, found = cost, _exchanged(description, elements[order], weight)
        return found


def _in_order_of(genes: GeneBatch, rows: list[int], atoms: Atoms, geometry: Geometry) -> Geometry:
    """Free parameters of canonically sorted sites in the order in which the sites of some genes stand."""
    free = geometry.free.copy()
    counts = np.bincount(atoms.site_row, minlength=len(rows))
    for row, begin, count in zip(rows, (np.cumsum(counts) - counts).tolist(), counts.tolist(), strict=True):
        order = np.lexsort((genes.elements[row, :count], genes.wyckoffs[row, :count]))
        free[begin + order] = geometry.free[begin : begin + count]
    return replace(geometry, free=free)


def _assigned(letters: Ints, elements: Ints, own: Ints) -> Ints:
    """For each site of a known crystal the site of the gene, of the same letter, whose element it takes."""
    from scipy.optimize import linear_sum_assignment

    order = np.empty(len(letters), np.int64)
    for letter in np.unique(letters):
        sites = np.flatnonzero(letters == letter)
        cost = unlikeness()[own[sites][:, None], elements[sites][None, :]]
        one, two = linear_sum_assignment(cost)
        order[sites[one]] = sites[two]
    return order


def _exchanged(crystal: Crystal, elements: Ints, weight: Ints) -> Crystal:
    """A crystal with other elements, its cell scaled by the volumes of the elements, sites in canonical order."""
    volumes = priors().volumes
    own = np.array(crystal.elements)
    scale = float(np.cbrt((volumes[elements] * weight).sum() / (volumes[own] * weight).sum()))
    order = np.lexsort((elements, np.array(crystal.wyckoffs)))
    free = crystal.site_free
    a, b, c, alpha, beta, gamma = crystal.lattice
    return Crystal(
        space_group=crystal.space_group,
        elements=tuple(elements[order].tolist()),
        wyckoffs=tuple(np.array(crystal.wyckoffs)[order].tolist()),
        free=tuple(value for site in order.tolist() for value in free[site]),
        lattice=(scale * a, scale * b, scale * c, alpha, beta, gamma),
        id=crystal.id,
    )
