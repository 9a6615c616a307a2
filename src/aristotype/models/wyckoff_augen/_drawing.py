"""What draws of crystals have in common: what is written of each, what may be written next, and the cells of groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import MAX_CELL, CrystalTable, GeneBatch, from_box
from aristotype.models._crystals import crystals_of
from aristotype.models.blocks import uniforms
from aristotype.models.wyckoff_augen._atoms import radii
from aristotype.models.wyckoff_augen._choices import by_rules, narrowed
from aristotype.models.wyckoff_augen._rules import Written
from aristotype.symmetry import space_group

if TYPE_CHECKING:
    from aristotype.models.blocks import CellBoxes, CellLaw
    from aristotype.models.wyckoff_augen._base import AugenModel
    from aristotype.models.wyckoff_augen._limits import Limit

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CELL, SITE = 41, 1024
"""Purposes of random numbers; a site's is `SITE` and its place."""


class Asked(NamedTuple):
    """n crystals that are to be drawn; group and space become those of another candidate where that is taken."""

    group: Ints  # (n,)
    space: Flags  # (n, E) elements that have to come
    seed: int
    rows: Ints  # (n,) numbers of random streams
    limits: Mapping[int, Limit]  # what is asked for besides, by space group
    gives_up: bool = False  # whether a crystal may end where it is known that its atoms are too close
    # Draws groups and spaces of further candidates for rows (m,), where limits are kept by weight; None: the same ones.
    others: Callable[[Ints], tuple[Ints, Flags]] | None = None
    genes: GeneBatch | None = None  # letters and elements, where these are given

    def take(self, rows: Ints) -> Asked:
        """Those in some places (m,)."""
        genes = None if self.genes is None else self.genes.take(rows)
        return self._replace(group=self.group[rows], space=self.space[rows], rows=self.rows[rows], genes=genes)


class Drawing(ABC):
    """Crystals of given groups and spaces of elements."""

    boxes: CellBoxes

    def __init__(self, model: AugenModel, asked: Asked) -> None:
        self.model, self.others = model, asked.others
        self.gives_up, self.limits, self.tries = asked.gives_up, asked.limits, model.tries
        self.group, self.space, self.seed, self.rows = asked.group, asked.space, asked.seed, asked.rows
        self.config: Any = model.config
        self.name = model.name
        self.device = model.group_counts.device
        n, most = len(asked.group), model.config.max_sites
        self.vocabulary = np.array(model.config.elements)
        self.radius = radii()[self.vocabulary]
        self.letters = np.full((n, most), -1, np.int64)
        self.elements = np.zeros((n, most), np.int64)
        self.free = np.zeros((n, most, 3))
        self.cell, self.lattice = np.zeros((n, MAX_CELL)), np.zeros((n, MAX_CELL))
        self.closest, self.again = np.full(n, np.inf), np.zeros(n, np.int64)
        # Log of the density of what is written under the model over that under which conditions had it drawn.
        self.log_weight = np.zeros(n)

    @torch.no_grad()
    def run(self) -> CrystalTable:
        """Draws all of them."""
        self.draw()
        columns = {"closest": pa.array(self.closest), "site_draws": pa.array(self.again)}
        return self.table(self.rows).with_columns(columns)

    @abstractmethod
    def draw(self) -> None:
        """Draws letters, elements, cells and coordinates."""

    # What is asked for

    def limits_of(self, rows: Ints) -> list[Limit | None]:
        """The limit on the crystal of each of some rows."""
        return [self.limits.get(number) for number in self.group[rows].tolist()]

    def choices(self, at: Written, rows: Ints, site: int) -> tuple[tuple[Flags, Flags], tuple[Flags, Flags]]:
        """What the rules alone leave, and what is left of that by what is asked for (see `_choices`)."""
        ruled = by_rules(at)
        written = self.letters[rows, :site], self.elements[rows, :site]
        return ruled, narrowed(*ruled, at, *written, self.limits_of(rows))

    def left_of(self, law: Tensor, mask: Flags, rows: Ints) -> Tensor:
        """Log-probabilities (m, k) of what is left of laws (m, k) of some rows; the share of it goes to their weights.

        Args:
            law: log-probabilities by the rules.
            mask: (m, k) what is left.
            rows: (m,).
        """
        left = law.masked_fill(~torch.from_numpy(mask).to(law.device), -torch.inf)
        self.log_weight[rows] += torch.logsumexp(left.double(), dim=1).cpu().numpy()
        return torch.log_softmax(left, dim=1)

    # Cells

    def put_cells(self, rows: Ints, law: CellLaw) -> None:
        """Draws the cells of some rows from mixtures over their boxes."""
        random = uniforms(self.seed, self.rows[rows], CELL, 2 + MAX_CELL)
        group = torch.from_numpy(self.group[rows]).to(self.device)
        self.cell[rows], acute = self.boxes.draw(law, group, random)
        for number in np.unique(self.group[rows]).tolist():
            here = np.flatnonzero(self.group[rows] == number)
            points = np.full(len(here), space_group(number).centring_order)
            self.lattice[rows[here]] = from_box(number, self.cell[rows[here]], acute[here], points)

    # Sites

    def letters_of(self, row: int) -> list[int]:
        """Letters of the sites that are written of a row."""
        return [letter for letter in self.letters[row].tolist() if letter >= 0]

    # The result

    def written(self) -> GeneBatch:
        """Letters and elements."""
        return GeneBatch(
            space_group=self.group.astype(np.int16),
            elements=np.where(self.letters >= 0, self.vocabulary[self.elements], 0).astype(np.int8),
            wyckoffs=self.letters.astype(np.int8),
        )

    def table(self, rows: Ints) -> CrystalTable:
        """What is written, by names of random streams (n,)."""
        return table_of(
            self.group,
            self.letters,
            np.where(self.letters >= 0, self.vocabulary[self.elements], 0),
            self.free,
            self.lattice,
            [f"{self.name}-{row}" for row in rows.tolist()],
        )


def table_of(
    group: Ints, letters: Ints, elements: Ints, free: Floats, lattice: Floats, names: list[str]
) -> CrystalTable:
    """Crystals that were written site by site.

    Args:
        group: (n,).
        letters: (n, S), -1 where there is no site.
        elements: (n, S) atomic numbers, 0 where there is no site.
        free: (n, S, 3).
        lattice: (n, 6) Angstrom and degrees.
        names: n of them.
    """
    width = max(1, int((letters >= 0).sum(axis=1).max(initial=1)))
    genes = GeneBatch(
        space_group=group.astype(np.int16),
        elements=elements[:, :width].astype(np.int8),
        wyckoffs=letters[:, :width].astype(np.int8),
    )
    return crystals_of(genes, free[:, :width], lattice, names)
