"""Graphs of crystals (A.4): sites of the asymmetric unit, with edges to all atoms of the primitive cell.

An atom of an orbit has the vector of its site, so that a graph has one node a site. There is an edge from a node to the
nearest image of every other atom, or to all nearest images where several are equally near. The empty crystal is a graph
of a node of its own, without edges.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.wyckoff_augen._surroundings import Surroundings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SHIFTS = np.array(list(product((-1, 0, 1), repeat=3)), float)
_TIE = 1e-3
"""Angstrom by which distances may differ that count as equal."""
_SELF = 1e-3
"""Angstrom from a site within which an atom of its orbit is the site itself."""


class Edges(NamedTuple):
    """Edges of m crystals, one crystal after another."""

    start: Ints  # (m + 1,) where those of each begin
    target: Ints  # (E,) site of the node
    source: Ints  # (E,) site of the orbit that the atom is of
    step: Floats  # (E, 3) from the node to the atom, Angstrom


class Graph(NamedTuple):
    """Graphs of sequences as tensors: V nodes, P edges, of B edges that differ in more than their graph."""

    graphs: int
    node_graph: Tensor  # (V,)
    node_site: Tensor  # (V,) places in n sequences of S sites one after another; -1 for an empty crystal
    edge: Tensor  # (P,) row of `step`
    target: Tensor  # (P,) node
    source: Tensor  # (P,) node
    step: Tensor  # (B, 3) Angstrom
    step_site: Tensor  # (B,) a place of the site that an edge starts from, as `node_site`


def edges_of(around: Surroundings, letters: list[int], frees: list[Floats], points: Floats) -> Edges:
    """Edges of one crystal.

    Args:
        around: its cell.
        letters: of S sites.
        frees: parameters (freedom,) of each.
        points: (S, 3) fractional coordinates of the sites.
    """
    orbits = [around.atoms(letter, free) for letter, free in zip(letters, frees, strict=True)]
    if not orbits:
        return Edges(np.zeros(2, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))
    owner = np.repeat(np.arange(len(orbits)), [len(orbit) for orbit in orbits])
    step = np.concatenate(orbits)[None] - (points @ around.into)[:, None]
    step -= np.rint(step)
    images = (step[:, :, None] + _SHIFTS) @ around.cell
    length = np.sqrt(np.square(images).sum(axis=-1))
    nearest = length.min(axis=2)
    itself = (owner == np.arange(len(points))[:, None]) & (nearest < _SELF)
    to, atom, image = np.nonzero((length <= nearest[..., None] + _TIE) & ~itself[..., None])
    return Edges(np.array([0, len(to)]), to, owner[atom], images[to, atom, image])


def joined(parts: list[Edges]) -> Edges:
    """Edges of several crystals."""
    sizes = [0, *(len(part.target) for part in parts)]
    return Edges(np.cumsum(sizes), *(np.concatenate([part[column] for part in parts]) for column in (1, 2, 3)))


def graph_of(edges: Edges, crystal: Ints, place: Ints, *, prefixes: bool) -> Graph:
    """Graphs of n sequences.

    Args:
        edges: of m crystals.
        crystal: (n,) which crystal each is of.
        place: (n, S) of each site in the sequence.
        prefixes: of the first 0 to S sites of each sequence, n (S + 1) graphs, and not only of all S, n graphs.
    """
    n, length = place.shape
    first = 0 if prefixes else length
    sizes = np.arange(first, length + 1)
    nodes = np.concatenate([np.arange(size) if size else np.array([-1]) for size in sizes])
    graph = np.repeat(sizes - first, np.maximum(sizes, 1))
    offset = np.concatenate([[0], np.cumsum(np.maximum(sizes, 1))])  # of the nodes of each graph of a sequence
    sequence, row = _ranges(edges.start[crystal], edges.start[crystal + 1])
    to, source = place[sequence, edges.target[row]], place[sequence, edges.source[row]]
    least = np.maximum(np.maximum(to, source) + 1, first)
    each, size = _ranges(least, np.full(len(least), length + 1))
    base = sequence[each] * offset[-1] + offset[size - first]
    arrays = (
        (np.arange(n)[:, None] * len(sizes) + graph).ravel(),
        np.where(nodes >= 0, np.arange(n)[:, None] * length + nodes, -1).ravel(),
        each,
        base + to[each],
        base + source[each],
        edges.step[row],
        sequence * length + to,
    )
    return Graph(n * len(sizes), *(torch.from_numpy(array) for array in arrays))


def _ranges(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Which range (k,) each number of the ranges from `start` to `end` (m,) is in, and the numbers (k,)."""
    count = end - start
    which = np.repeat(np.arange(len(count)), count)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(count) - count - start, count)
