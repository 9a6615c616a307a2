"""Sequences of equal numbers of sites as the tensors that the network reads, with noise on what is told in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoff_augen._rules import allowed_of
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders, of_length, some_order
from aristotype.models.wyckoff_augen._surroundings import Surroundings
from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._graph import Edges, edges_of, graph_of, joined
from aristotype.models.wyckoff_augen.paper._lattice import ANGLES
from aristotype.models.wyckoff_augen.paper._located import Located, located, shaken, shaken_cells
from aristotype.models.wyckoff_augen.paper._network import Batch
from aristotype.models.wyckoff_augen.paper._places import places_of
from aristotype.symmetry import cell_matrix, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ROUNDED = 1e-5
"""Degrees by which a cell may be beyond the range of angles: those of reduced cells begin at just 60."""


class Told(NamedTuple):
    """What is told of m crystals of S sites."""

    at: Located
    lattice: Floats  # (m, 6)
    edges: Edges


def told_of(genes: GeneBatch, at: Located, lattice: Floats) -> Told:
    """The graphs of crystals without padding."""
    parts = []
    for row, number in enumerate(genes.space_group.tolist()):
        letters = genes.wyckoffs[row].tolist()
        frees = [at.place[row, site, :freedom] for site, freedom in enumerate(genes.freedoms[row].tolist())]
        parts.append(edges_of(Surroundings(number, lattice[row]), letters, frees, at.point[row]))
    return Told(at, lattice, joined(parts))


def noisy(found: Descriptions, config: PaperConfig, rng: np.random.Generator) -> Told:
    """What noisy teacher forcing tells (A.4.1): sites and cells with noise, carried back into the unit."""
    genes = found.genes
    free = shaken(genes, found.free, found.lattice, config.position_noise, rng)
    lattice = shaken_cells(genes.space_group, found.lattice, config.length_noise, config.angle_noise, rng)
    return told_of(genes, located(genes, free), lattice)


def batch_of(
    found: Descriptions,
    orders: Orders,
    index: Ints,
    max_sites: int,
    *,
    told: Told | None = None,
    at: Located | None = None,
    mean_rows: float = 1.0,
) -> Batch:
    """A batch of sequences of one number of sites.

    Args:
        found: descriptions without padding.
        orders: n sequences of them.
        index: (128,) place of each element in the vocabulary.
        max_sites: most sites of a crystal.
        told: what is told of the descriptions, if that is not what they are.
        at: where their sites are, if that is known.
        mean_rows: sequences of an average batch.
    """
    at = located(found.genes, found.free) if at is None else at
    told = told_of(found.genes, at, found.lattice) if told is None else told
    which, order = orders.description, orders.order
    group = found.genes.space_group[which].astype(np.int64)
    rows = which[:, None]
    # Sites that change places are of one kind, so that letters and elements are those of the description.
    letters = found.genes.wyckoffs[which].astype(np.int64)
    elements = index[found.genes.elements[which]]
    allowed = allowed_of(group, letters, elements, int(index.max()) + 1, max_sites)
    length = letters.shape[1]
    tensors = {
        "group": group,
        "wyckoffs": letters,
        "elements": elements,
        "cell": told.lattice[which],
        "volume": volumes(group, told.lattice[which]),
        "point": told.at.point[rows, order],
        "space": allowed.space,
        "lattice": in_range(found.lattice[which]),
        "shape": at.shape[rows, order],
        "letters_allowed": allowed.letters,
        "elements_allowed": allowed.elements,
        "rows": found.owner[which],
    }
    return Batch(
        **{name: torch.from_numpy(array) for name, array in tensors.items()},
        graph=graph_of(told.edges, which, np.argsort(order, axis=1), prefixes=True),
        places=places_of(found.genes, at, rows * length + order),
        mean_rows=mean_rows,
    )


def volumes(group: Ints, lattice: Floats) -> Floats:
    """(n,) cubic Angstrom a lattice point."""
    points = np.array([space_group(number).centring_order for number in group.tolist()])
    return np.asarray(np.abs(np.linalg.det(cell_matrix(lattice))) / points)


def in_range(lattice: Floats) -> Floats:
    """Cells (n, 6) whose angles are not beyond the range that cells have for rounding alone."""
    angles = lattice[:, 3:]
    close = np.abs(angles - ANGLES[0]) < _ROUNDED
    return np.concatenate([lattice[:, :3], np.where(close, np.maximum(angles, ANGLES[0]), angles)], axis=1)


def maker_of_batches(
    found: Descriptions, index: Ints, config: PaperConfig, seed: int
) -> Callable[[Ints, float], Batch]:
    """What makes training batches, from rows of one length (see `CrystalSource`).

    Sites of one kind come in a random order, and what is told has noise, both by a generator of the rows.
    """
    every = located(found.genes, found.free)

    def make(rows: Ints, mean_rows: float) -> Batch:
        rng = np.random.default_rng([seed, len(rows), *rows[:8].tolist()])
        some = of_length(found, rows)
        length = some.genes.wyckoffs.shape[1]
        at = every.take(rows, length)
        told = noisy(some, config, rng)
        orders = some_order(some, rng)
        return batch_of(some, orders, index, config.max_sites, told=told, at=at, mean_rows=mean_rows)

    return make
