"""The published CrystalFormer, configuration `paper`: letters, elements and coordinates in turn, then the cell.

    p(crystal) = p(G) sum over sequences of the product over sites of p(W) p(A) p(X) p(Y) p(Z), times p(stop) p(cell)

Source: Cao, Luo, Lv and Wang, arXiv:2403.15734. Notable, against the published implementation:
- only free parameters are scored, in the part of the circle where an orbit is written once, so that densities are
  proper; every coordinate is still read;
- one mixture over whole cells, for scores and samples; its coordinates are those of the box of reduced cells;
- letters, elements and sites have one order, and a score sums over all descriptions that are left, so that it is the
  same for every description of a crystal, and the probability of all crystals is one;
- cached keys and values, no compilation, no limit of 20 sites.
The cell comes last, so that distances are not known while sites are written: nothing that overlaps is drawn again.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable, element_symbol
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models._counted import CountedModel
from aristotype.models._crystals import crystals_of
from aristotype.models._parts import first_rows, log_sum_by_row
from aristotype.models._targets import meets_targets
from aristotype.models.crystalformer._sequences import MOST, Sequences, sequences_of
from aristotype.models.crystalformer.paper._config import PaperConfig
from aristotype.models.crystalformer.paper._network import PaperNetwork
from aristotype.models.crystalformer.paper._sampler import DrawnCrystals, draw_blocks
from aristotype.models.crystalformer.paper._tokens import Arrays, arrays_of, tokens_of
from aristotype.training import to_device

PARTS = ("letters", "elements", "coordinates", "lattice")
_ROWS_A_PART = 256
_TOKENS_A_PASS = 12_000


class CrystalFormerPaper(CountedModel):
    """The model of crystals of family CrystalFormer, configuration `paper`."""

    family = "crystalformer"
    config_type = PaperConfig
    config: PaperConfig

    draws_geometry = True

    def __init__(self, config: PaperConfig, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__(config, train_keys)
        self.network = PaperNetwork(config)

    # Sampling

    @meets_targets
    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables of crystals in row order; row i depends on (seed, i) alone.

        The column `closest` is the smallest distance of two atoms over the sum of their covalent radii.

        Args:
            conditions: space groups, allowed and excluded elements; this configuration knows no other condition.
            seed: from 0 to 2^63 - 1.
            score: also compute `log_prob`, which is null otherwise.

        Raises:
            InfeasibleConditionsError: no element is left.
            InputError: a condition that needs the default model.
        """
        self.eval()
        conditions = conditions or Conditions()
        weights, banned = self._start(conditions)
        first = 0
        for drawn in draw_blocks(self.network, weights, banned, seed):
            table = self._table(drawn, seed, first)
            yield self.scored(table) if score else table
            first += len(table)

    def scored(self, table: CrystalTable) -> CrystalTable:
        """The table with `log_prob` filled in."""
        return table.with_columns({"log_prob": pa.array(self.log_prob(table), pa.float64())})

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = True) -> CrystalTable:
        """The first n crystals of `stream`: independent draws.

        Raises:
            InputError: n is negative, or see `stream`.
        """
        return first_rows(self.stream(conditions, seed=seed, score=score), n, "crystals")

    def _start(self, conditions: Conditions) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Weights of groups (231,), and elements of the vocabulary that must not occur."""
        known = Conditions(
            space_groups=conditions.space_groups,
            allowed_elements=conditions.allowed_elements,
            excluded_elements=conditions.excluded_elements,
        )
        if conditions != known or conditions.template is not None or conditions.partial is not None:
            raise InputError(
                "the paper configuration takes space groups, allowed and excluded elements as conditions and nothing "
                "else; for required elements, formulas, numbers of sites or atoms, templates and partial crystals use "
                "the default configuration of crystalformer (model crystalformer-mp20)"
            )
        weights = self.group_probabilities()
        if conditions.space_groups is not None:
            weights = np.where(np.isin(np.arange(len(weights)), conditions.space_groups), weights, 0.0)
        vocabulary = np.array(self.config.elements)
        banned = np.isin(vocabulary, list(conditions.excluded_elements))
        if conditions.allowed_elements is not None:
            banned |= ~np.isin(vocabulary, list(conditions.allowed_elements))
        if banned.all():
            names = ", ".join(element_symbol(number) for number in self.config.elements)
            raise InfeasibleConditionsError(f"no element is left; this model was trained on {names}")
        return weights, banned

    def _table(self, drawn: DrawnCrystals, seed: int, first: int) -> CrystalTable:
        n = len(drawn.genes)
        made = crystals_of(drawn.genes, drawn.free, drawn.lattice, [f"{seed}-{row}" for row in range(first, first + n)])
        return made.with_columns(
            {
                "model": pa.array([self.name] * n),
                "seed": pa.array([seed] * n, pa.int64()),
                "log_prob": pa.nulls(n, pa.float64()),
                "closest": pa.array(drawn.closest),
            }
        )

    # Scoring

    def log_prob(self, table: CrystalTable) -> NDArray[np.float64]:
        """Exact log-probability density (n,) in nats of crystals, the same for every equivalent description.

        The measure is that of the default configuration (see `CrystalFormer.log_prob`).

        Raises:
            TableError: a row is a gene.
            InputError: an element outside the vocabulary.
        """
        return self.log_prob_parts(table)["total"]

    def log_prob_parts(self, table: CrystalTable) -> dict[str, NDArray[np.float64]]:
        """`log_prob` as `total`, with its parts.

        They are `letters` (space group and letters), `elements`, `lattice` and `coordinates`. Where a crystal has
        several sequences, the last three are their means, weighted by what each contributes, and `letters` the rest of
        the total.
        """
        table.check_geometry()
        self.eval()
        self.check_vocabulary(table.genes())
        network = copy.deepcopy(self.network).double()  # the descriptions of a crystal differ in the last bits
        found = {name: np.zeros(len(table)) for name in ("total", *PARTS)}
        cut = 0
        for start in range(0, len(table), _ROWS_A_PART):
            part = table[start : start + _ROWS_A_PART]
            sequences = sequences_of(part, any_letters=True)
            cut += len(np.unique(sequences.owner[sequences.cut]))
            for name, values in _by_crystal(self.log_sequences(sequences, network), sequences.owner, len(part)).items():
                found[name][start : start + len(part)] = values
        if cut:
            warnings.warn(
                f"{cut} crystals have more than {MOST} sequences: their scores are lower bounds; leave them out where "
                "a figure must be exact",
                stacklevel=2,
            )
        with np.errstate(divide="ignore"):
            group = np.log(self.group_probabilities())[table.space_group.astype(np.int64)]
        found["total"] += group
        found["letters"] += group
        return found

    @torch.no_grad()
    def log_sequences(
        self, sequences: Sequences, network: PaperNetwork | None = None, arrays: Arrays | None = None
    ) -> NDArray[np.float64]:
        """(4, m) log-probabilities of `PARTS` of sequences, given their groups; those of cells by cell parameters.

        Args:
            sequences: m of them.
            network: the model's own, in another precision.
            arrays: those of the sequences, where they are at hand.
        """
        network = self.network if network is None else network
        arrays = arrays_of(sequences) if arrays is None else arrays
        weight = network.letter_out.weight
        parts = np.empty((len(PARTS), len(sequences)))
        lengths = sequences.genes.num_sites
        for length in np.unique(lengths).tolist():
            rows = np.flatnonzero(lengths == length)
            for piece in np.array_split(rows, max(1, len(rows) * 5 * length // _TOKENS_A_PASS)):
                tokens = tokens_of(sequences, piece, self.vocabulary_index, weight.dtype, arrays)
                parts[:, piece] = torch.stack(network.log_prob(to_device(tokens, weight.device))).double().cpu().numpy()
        parts[PARTS.index("lattice")] += sequences.log_measure
        return parts


def _by_crystal(parts: NDArray[np.float64], owner: NDArray[np.int64], crystals: int) -> dict[str, NDArray[np.float64]]:
    """Sums over the sequences of each crystal: the total, and its parts as `log_prob_parts` gives them."""
    whole = parts.sum(axis=0)
    total = log_sum_by_row(whole, owner, crystals)
    share = np.exp(whole - total[owner])
    found = {"total": total}
    for name, values in zip(PARTS, parts, strict=True):
        found[name] = np.zeros(crystals)
        np.add.at(found[name], owner, share * np.where(share > 0, values, 0.0))
    found["letters"] += total - sum(found[name] for name in PARTS)
    return found
