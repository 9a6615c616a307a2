"""What the configurations of WyckoffAUGen have in common: spaces of elements, blocks of draws, scores of crystals."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import Conditions, CrystalTable, GeneBatch
from aristotype.errors import InputError
from aristotype.models._counted import CountedModel
from aristotype.models._parts import elements_of, first_rows
from aristotype.models._targets import meets_targets
from aristotype.models.wyckoff_augen._candidates import KnownSites
from aristotype.models.wyckoff_augen._complete import Completion
from aristotype.models.wyckoff_augen._drawing import Asked, Drawing
from aristotype.models.wyckoff_augen._score import by_crystal, sequences_of
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders
from aristotype.models.wyckoff_augen._space import SpaceNetwork
from aristotype.models.wyckoff_augen._spaces import Spaces
from aristotype.models.wyckoff_augen._tries import Tries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FAMILY = "wyckoff-augen"
_FIRST_BLOCK, _LARGEST_BLOCK = 4, 32
"""Rows that are drawn together: every block doubles how many there are, so that the first come soon.

A row depends on its number and the seed, but in the last bits of single precision on its block too, and a chain makes
more of these: other sizes are other crystals here and there.
"""
_ATTEMPT = 1 << 48  # attempts of a row draw from streams this far apart


class AugenModel(CountedModel, ABC):
    """A model of crystals: p(group, space of elements), and a density of sequences given both.

    A subclass gives the configuration, the network and `loss`, `log_sequences`, `batches` and `drawing`; `covers`, if
    its cells are limited, and `completing`, if it takes partial crystals.
    """

    family = FAMILY
    draws_geometry = True
    drawing: type[Drawing]
    """What draws crystals, made from the model and what is asked for."""
    completing: type[KnownSites] | None = None
    """What draws candidates of partial crystals; None where the model does not take these."""

    def __init__(self, config: Any, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__(config, train_keys)
        self.space = self.space_network(config)
        self.tries = Tries()

    @classmethod
    def for_training(cls, config: Any, genes: GeneBatch) -> Self:
        """A fresh model; vocabulary, most sites and group frequencies come from the training genes."""
        most = config.max_sites or max(1, int(genes.num_sites.max(initial=1)))
        model = cls(replace(config, elements=elements_of(genes), max_sites=most))
        model._learn_counts(genes)
        return model

    # What a configuration is

    def space_network(self, config: Any) -> SpaceNetwork:
        """A fresh network of spaces of elements."""
        sizes = config.elements, config.width, config.element_width, config.max_sites
        temperatures = config.space_temperature, config.group_temperature
        return SpaceNetwork(*sizes, dropout=config.space_dropout, temperatures=temperatures)

    @abstractmethod
    def log_sequences(self, found: Descriptions, orders: Orders, *, double: bool = False) -> dict[str, Floats]:
        """Logs (q,) of the parts of the density of sequences given group and space, that of the cell by its parameters.

        Args:
            found: descriptions.
            orders: q sequences of them.
            double: in double precision.
        """

    def covers(self, found: Descriptions) -> NDArray[np.bool_]:
        """(m,) whether the cells of descriptions are among those that the model can draw."""
        return np.ones(len(found), bool)

    @abstractmethod
    def batches(self, learnt: Descriptions, seed: int) -> Callable[[Ints, float], Any]:
        """What makes batches for `loss`, from rows of one length (see `CrystalSource`)."""

    def draw(self, asked: Asked) -> CrystalTable:
        """Crystals as they are asked for.

        With `gives_up` a crystal may end where it is known that its atoms are too close: it is no crystal then, and its
        `closest` says so.
        """
        return self.drawing(self, asked).run()

    def completion(self, conditions: Conditions) -> Completion:
        """What draws crystals around a partial crystal.

        Raises:
            InputError: the model does not take partial crystals, or as for `stream`.
            InfeasibleConditionsError: as for `stream`.
        """
        if self.completing is None:
            raise InputError(
                "a partial crystal with coordinates is given, which this model does not take; take one of "
                "configuration default or grids, or give its sites alone as a partial gene"
            )
        return Completion(self, conditions)

    def log_spaces(self, group: Tensor, space: Tensor) -> Tensor:
        """(n,) what is learnt of groups (n,) and spaces (n, E): the mean over both orders, without p(group)."""
        groups = self.space.log_groups(space).gather(1, group[:, None])[:, 0]
        given = self.space.log_space(group, space)
        return 0.5 * (given + self.space.log_space(torch.zeros_like(group), space) + groups)

    # Sampling

    @meets_targets
    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables of crystals in row order; row i depends on (seed, i) alone.

        Columns: `closest` (smallest distance of two atoms over the sum of their covalent radii), `site_draws` (how
        often sites, in the default all of them together, were drawn again because they overlapped) and `crystal_draws`
        (crystals drawn for one because others did). Where space groups are asked for they are drawn first, from
        p(group) restricted to them, and elements given them; where elements alone are asked for these come first.
        Without either both ways are taken alike.

        A partial crystal keeps its sites and, if it has one, its cell: crystals come in the description in which it was
        given. Each is one of several candidates, chosen by weight; how many and by what weight depends on the
        configuration (see `_completing` of each). `log_prob` is that of the whole crystal, the column
        `crystal_draws` counts candidates, and `closest` leaves out pairs of known sites where the cell is known.

        Args:
            conditions: hard constraints. Letters and elements are those that can still be completed, in the default
                configuration in the proportions of the model (see `_weighing`). A formula is met in any number of
                formula units of up to 40 atoms (one, if it is larger) where no limit is given. A template, and sites
                that are known without coordinates, are taken by the letters that they are given with.
            seed: from 0 to 2^63 - 1.
            score: also compute `log_prob`, which is null otherwise.

        Raises:
            InfeasibleConditionsError: no element is left, or no space group has sites for what is asked for.
            InputError: an element outside the vocabulary is required or allowed, the formula is too large, the seed is
                outside its range, or something is asked for that the model does not take.
        """
        self.eval()
        # What cannot be is refused before anything is drawn.
        if conditions is not None and conditions.partial_crystal is not None:
            completion = self.completion(conditions)
            return self._blocks(partial(completion.draw, seed), _FIRST_BLOCK, score)
        spaces = Spaces(self, conditions)

        def draw(rows: Ints) -> CrystalTable:
            return self._of_spaces(spaces, seed, rows)

        return self._blocks(draw, _LARGEST_BLOCK, score)

    def _blocks(self, draw: Callable[[Ints], CrystalTable], most: int, score: bool) -> Iterator[CrystalTable]:
        start, size = 0, _FIRST_BLOCK
        while True:
            table = draw(np.arange(start, start + size))
            start += size
            size = min(start, most)
            table = table.with_columns(
                {"model": pa.array([self.name] * len(table)), "log_prob": pa.array([None] * len(table), pa.float64())}
            )
            yield self.scored(table) if score else table

    def _of_spaces(self, spaces: Spaces, seed: int, rows: Ints) -> CrystalTable:
        """Crystals of some random streams."""
        group, space = spaces.draw(seed, rows)
        asked = Asked(group, space, seed, rows, spaces.limits, others=partial(spaces.draw, seed))
        return self.without_overlaps(asked).with_columns(id=[f"{self.name}-{row}" for row in rows.tolist()])

    def without_overlaps(self, asked: Asked) -> CrystalTable:
        """What is asked for, up to `tries.crystals` times where atoms overlap, as the column `crystal_draws` tells.

        Group and elements are those of the first draw.
        """
        rows = asked.rows
        parts, places, left = [], [], np.arange(len(rows))
        sites, draws = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        for attempt in range(self.tries.crystals):
            last = attempt + 1 == self.tries.crystals
            some = asked.take(left)._replace(
                rows=rows[left] + attempt * _ATTEMPT, gives_up=not last, others=None if attempt else asked.others
            )
            table = self.draw(some)
            asked.group[left], asked.space[left] = some.group, some.space
            sites[left] += table.column("site_draws").to_numpy()
            draws[left] += 1
            done = np.flatnonzero((table.column("closest").to_numpy() >= self.tries.closest) | last)
            parts.append(table.take(done))
            places.append(left[done])
            left = np.delete(left, done)
            if not len(left):
                break
        table = CrystalTable.concatenate(parts).take(np.argsort(np.concatenate(places)))
        return table.with_columns(site_draws=sites, crystal_draws=draws)

    def scored(self, table: CrystalTable) -> CrystalTable:
        """A table of crystals with their `log_prob`."""
        return table.with_columns({"log_prob": pa.array(self.log_prob(table), pa.float64())})

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = True) -> CrystalTable:
        """The first n crystals of `stream`: independent draws.

        Raises:
            InputError: n is negative, or see `stream`.
        """
        return first_rows(self.stream(conditions, seed=seed, score=score), n, "crystals")

    def without_redraws(self) -> Self:
        """The same model, which keeps what it draws first, overlaps included: its draws follow `log_prob`."""
        out = copy.copy(self)
        out.tries = Tries.none()
        return out

    # Scoring

    def log_prob(self, table: CrystalTable) -> NDArray[np.float64]:
        """Log-probability density (n,) in nats of crystals, the same for every equivalent description.

        The measure is that of CrystalFormer's score: it counts genes, and is Lebesgue's for free parameters in [0, 1)
        (in polar groups without those of the site on the origin) and for the free cell parameters of the reduced cell
        in Angstrom and degrees. Where `exact` in `log_prob_parts` is 0 it is an estimate: of the density of crystals
        with many sequences, or, in the default configuration, of a lower bound of it.

        Raises:
            TableError: a row is a gene.
            InputError: an element outside the vocabulary.
        """
        return self.log_prob_parts(table)["total"]

    @torch.no_grad()
    def log_prob_parts(self, table: CrystalTable) -> dict[str, NDArray[np.float64]]:
        """`log_prob` as `total` with its parts, and as `exact` whether (1) or not (0) all orders were summed."""
        table.check_geometry()
        self.eval()
        genes = table.genes()
        self.check_vocabulary(genes)
        found, orders = sequences_of(table)
        owner = found.owner[orders.description]
        logs = self.log_sequences(found, orders, double=True)  # descriptions differ in the last bits
        parts = by_crystal(logs, owner, orders.log_weight, len(table))
        exact = np.ones(len(table))
        exact[owner[orders.log_weight > 0]] = 0.0
        space = self.log_space(genes)
        parts["total"] = parts["total"] + space
        return {**parts, "space": space, "exact": exact}

    def log_space(self, genes: GeneBatch) -> NDArray[np.float64]:
        """(n,) log of 1/2 [p(G) p(C|G) + p(C) p(G|C)]."""
        return self.log_joint(genes.space_group.astype(np.int64), self.members(genes))

    @torch.no_grad()
    def log_joint(self, groups: Ints, spaces: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The same of groups (n,) and spaces of elements (n, E)."""
        members = torch.from_numpy(spaces).to(self.group_counts.device)
        group = torch.from_numpy(groups).to(members.device)
        first = np.log(self.group_probabilities()[groups])
        network = copy.deepcopy(self.space).double()
        given = network.log_space(group, members).cpu().numpy()
        free = network.log_space(torch.zeros_like(group), members)
        other = (free + network.log_groups(members).gather(1, group[:, None])[:, 0]).cpu().numpy()
        out: NDArray[np.float64] = np.logaddexp(first + given, other) - np.log(2.0)
        return out

    def writes(self, genes: GeneBatch) -> NDArray[np.bool_]:
        """(n,) whether genes have elements of the vocabulary alone and no more sites than are written."""
        there = np.isin(genes.elements, (0, *self.config.elements)).all(axis=1)
        return np.asarray(there & (genes.num_sites <= self.config.max_sites))

    def members(self, genes: GeneBatch) -> NDArray[np.bool_]:
        """(n, E) which elements of the vocabulary are in each gene."""
        out = np.zeros((len(genes), len(self.config.elements)), bool)
        rows, sites = np.nonzero(genes.elements > 0)
        out[rows, self.vocabulary_index[genes.elements[rows, sites]]] = True
        return out

    def with_config(self, **changes: Any) -> Self:
        """A copy with the same weights under another configuration of the same sizes.

        Raises:
            ConfigError: a setting out of range.
        """
        out = super().with_config(**changes)
        out.tries = self.tries
        return out
