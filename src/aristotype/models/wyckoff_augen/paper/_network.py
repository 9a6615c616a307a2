"""The network of the published WyckoffAUGen: cells, and then letters, elements, shapes and coordinates site by site.

The state before each site is that of the graph of the sites before it (A.4). Letters, elements and shapes have
categorical laws over what may come; coordinates have densities on their shape (2.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.wyckoff_augen.paper import _beta, _dirichlet, _interior
from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._embeddings import Embeddings
from aristotype.models.wyckoff_augen.paper._graph import Graph
from aristotype.models.wyckoff_augen.paper._heads import Heads
from aristotype.models.wyckoff_augen.paper._lattice import TelescopedLattice
from aristotype.models.wyckoff_augen.paper._layers import Joint
from aristotype.models.wyckoff_augen.paper._messages import MessageNetwork
from aristotype.models.wyckoff_augen.paper._places import Places, log_density_held
from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, space_group, tables


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What is there of n crystals, S sites each."""

    group: Tensor  # (n,)
    wyckoffs: Tensor  # (n, S)
    elements: Tensor  # (n, S) indices in the vocabulary
    cell: Tensor  # (n, 6) Angstrom and degrees, as it is told
    volume: Tensor  # (n,) cubic Angstrom a lattice point
    point: Tensor  # (n, S, 3) fractional coordinates in the unit, as they are told
    graph: Graph  # of all prefixes, or of all sites


@dataclass(frozen=True, kw_only=True)
class Batch(Placed):
    """n sequences of S sites each, as tensors."""

    space: Tensor  # (n, E) bool
    lattice: Tensor  # (n, 6) what has a density
    shape: Tensor  # (n, S) -1 for the site on the origin of a polar group
    letters_allowed: Tensor  # (n, S + 1, 28) bool
    elements_allowed: Tensor  # (n, S, E) bool
    places: Places
    rows: Tensor  # (n,) of the training table
    mean_rows: float = 1.0  # sequences of an average batch

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        more = " ..." if len(self.rows) > 8 else ""
        return f"rows {shown}{more} ({len(self.rows)} crystals of {self.wyckoffs.shape[1]} sites)"


class About(NamedTuple):
    """Vectors of n groups and spaces of elements."""

    group: Tensor  # (n, width)
    space: Tensor  # (n, width)
    positions: Tensor  # (n, 27, width)
    elements: Tensor  # (E, width)

    def take(self, rows: Tensor) -> About:
        """Those of some rows."""
        return About(self.group[rows], self.space[rows], self.positions[rows], self.elements)


class Terms(NamedTuple):
    """Of n sequences: logs of the parts of their density, and what is added to the loss."""

    parts: dict[str, Tensor]  # (n,)
    normalisers: Tensor  # (n,) sums of squares of logarithms
    weights: Tensor  # (n,) sums of logarithms of the weights of mixtures


class PaperNetwork(nn.Module):
    """Cell, letters, elements, shapes and coordinates, given a group and a space of elements."""

    multiplicity: Tensor

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width = config.width
        self.embeddings = Embeddings(config)
        self.cell_in = Joint((width, width), width, width)
        self.lattice = TelescopedLattice(width)
        self.messages = MessageNetwork(config)
        self.state = Joint((width,) * 5, width, width)
        self.heads = Heads(config)
        self.register_buffer("multiplicity", _multiplicities(), persistent=False)

    def about(self, group: Tensor, space: Tensor) -> About:
        """Vectors of groups (n,) and spaces (n, E)."""
        known = self.embeddings
        return About(known.group(group), known.space(space), known.positions(group), known.all_elements())

    def cell_context(self, about: About) -> Tensor:
        """(n, width) what the law of cells depends on."""
        found: Tensor = self.cell_in(about.group, about.space)
        return found

    def read(self, about: About, there: Placed) -> Tensor:
        """(n, k, width) states after each of the k prefixes whose graphs are there (equation 11)."""
        n, length = there.wyckoffs.shape
        atoms = self.multiplicity[there.group[:, None], there.wyckoffs]
        vectors = self.messages(
            gathered(about.positions, there.wyckoffs).flatten(0, 1),
            about.elements[there.elements].flatten(0, 1),
            there.point.to(about.group.dtype).flatten(0, 1),
            atoms.flatten(),
            there.graph,
        )
        steps = there.graph.graphs // max(1, n)
        counts = functional.pad(atoms.cumsum(dim=1), (1, 0))[:, length + 1 - steps :]
        density = self.embeddings.density(counts, there.volume.to(atoms)[:, None])
        told = about.group[:, None], about.space[:, None], density, self.embeddings.cell(there.cell)[:, None]
        found: Tensor = self.state(vectors.view(n, steps, -1), *told)
        return found

    def log_prob(self, batch: Batch) -> Terms:
        """Logs of the densities of sequences, by cell parameters and parameters of shapes."""
        about = self.about(batch.group, batch.space)
        cell = self.lattice.log_density(self.cell_context(about), batch.group, batch.lattice, batch.cell)
        state = self.read(about, batch)
        heads, following = self.heads, functional.pad(batch.wyckoffs, (0, 1), value=MAX_POSITIONS)
        law, normalisers = heads.letters(state, about.positions, batch.letters_allowed)
        letters = law.gather(2, following[..., None])[..., 0].sum(dim=1)
        before, position = state[:, :-1], gathered(about.positions, batch.wyckoffs)
        law, more = heads.elements(before, position, about.elements, batch.space, batch.elements_allowed)
        elements = law.gather(2, batch.elements[..., None])[..., 0].sum(dim=1)
        site = [part.flatten(0, 1) for part in (before, position, about.elements[batch.elements])]
        shapes, coordinates, weights = self._log_coordinates(site, batch)
        return Terms(
            {"cell": cell, "letters": letters, "elements": elements, "shapes": shapes, "coordinates": coordinates},
            normalisers.sum(dim=1) + more.sum(dim=1),
            weights,
        )

    def _log_coordinates(self, site: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(n,) logs of shapes and of coordinates, and of the weights of mixtures; `site` (n S, width) three vectors."""
        n, length = batch.wyckoffs.shape
        at, heads = batch.places, self.heads
        group = batch.group.repeat_interleave(length)
        shape = batch.shape.flatten()
        rows = torch.cat([at.segment, at.polygon, at.interior])
        vectors, there = self.embeddings.shapes(group[rows], batch.wyckoffs.flatten()[rows])
        chosen = shape[rows, None]
        law = heads.shapes([part[rows] for part in site], vectors, there)
        shapes = law.new_zeros(n).index_add(0, rows // length, law.gather(1, chosen)[:, 0])
        vector = vectors[torch.arange(len(rows), device=rows.device), chosen[:, 0]]
        parts = vector.split([len(at.segment), len(at.polygon), len(at.interior)])
        segment = heads.segment([part[at.segment] for part in site], parts[0])
        polygon = heads.polygon([part[at.polygon] for part in site], parts[1])
        interior = heads.interior([part[at.interior] for part in site], parts[2])
        origin = self.embeddings.origin.expand(len(at.held), -1)
        held = heads.interior([part[at.held] for part in site], origin)
        found = torch.cat(
            [
                _beta.log_density(segment, at.along) - at.log_length.to(law.dtype),
                _dirichlet.log_density(polygon, at.in_triangle),
                _interior.log_density(interior, group[at.interior], at.point),
                log_density_held(held, at.images, at.is_image, at.axes),
            ]
        )
        every = torch.cat([rows, at.held]) // length
        weights = torch.cat([mixture.log_weight.sum(dim=1) for mixture in (segment, polygon, interior, held)])
        total = found.new_zeros(n)
        return shapes, total.index_add(0, every, found), total.index_add(0, every, weights)


def gathered(vectors: Tensor, index: Tensor) -> Tensor:
    """(n, S, width) of the vectors (n, m, width) those with numbers (n, S)."""
    return vectors.gather(1, index[..., None].expand(-1, -1, vectors.shape[2]))


def _multiplicities() -> Tensor:
    """(231, 27) atoms of positions in the primitive cell, as real numbers; 0 where there is none."""
    out = np.maximum(tables().padded("multiplicity", fill=0), 0).astype(np.float32)
    out[1:] /= np.array([space_group(number).centring_order for number in range(1, NUM_GROUPS + 1)])[:, None]
    return torch.from_numpy(out)
