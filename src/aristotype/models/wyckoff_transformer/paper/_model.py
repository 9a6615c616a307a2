"""The published WyckoffTransformer, configuration `paper`: sites written one by one, field by field, in any order.

    p(gene) = p(G) sum over descriptions and orders of the product over sites of p(element) p(symmetry) p(index)

Source: Kazeev et al., arXiv:2503.02407. Notable, against the published implementation:
- mini-batches and AdamW instead of 10^6 steps over all of the data;
- values that no legal gene can have are masked, in training too, so that every output is legal;
- `log_prob` sums over all orders by recursion over sub-multisets, and over all equivalent descriptions;
- the group enters through features of the tables alone, so that all 230 groups can be generated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aristotype.crystal import Conditions, CrystalTable, GeneBatch
from aristotype.datasets import TrainingBatch
from aristotype.errors import InputError
from aristotype.models._counted import CountedModel
from aristotype.models._targets import meets_targets
from aristotype.models.wyckoff_transformer.paper._config import KNOWN_SITES, PaperConfig
from aristotype.models.wyckoff_transformer.paper._contexts import distinct_contexts
from aristotype.models.wyckoff_transformer.paper._network import PaperNetwork
from aristotype.models.wyckoff_transformer.paper._rules import FIELDS, Field, FieldRules, Prefix
from aristotype.models.wyckoff_transformer.paper._score import PaperScores, ScoringLimits, score_genes
from aristotype.models.wyckoff_transformer.paper._teacher import field_terms, ordered_sites, spread_known

_CPU_ROWS = 192  # rows of a training pass on a CPU: fewer places are wasted on padding, and intermediates stay in cache
_PLACES_A_PASS = 12_000


class WyckoffTransformerPaper(CountedModel):
    """The gene model of family WyckoffTransformer, configuration `paper`."""

    family = "wyckoff-transformer"
    config_type = PaperConfig
    config: PaperConfig
    temperatures: Tensor
    _bucket_starts: Tensor

    def __init__(self, config: PaperConfig, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__(config, train_keys)
        self.rules = FieldRules(config)
        self.network = PaperNetwork(config, self.rules)
        self.register_buffer("temperatures", torch.ones(len(FIELDS), len(KNOWN_SITES)))
        self.register_buffer("_bucket_starts", torch.tensor(KNOWN_SITES), persistent=False)

    # One field of the next site

    def conditional(
        self, field: Field, prefix: Prefix, element: Tensor | None = None, symbol: Tensor | None = None
    ) -> Tensor:
        """Log-probabilities (n, values) in nats of a field of the next site; -inf where a value is illegal.

        Args:
            field: element (the last value is STOP), symmetry or index.
            prefix: n sets of known sites.
            element: (n,) element of the next site, for the later fields.
            symbol: (n,) its site symmetry, for the index.
        """
        if self.training:
            return self._distribution(field, prefix, element, symbol)
        first, inverse = distinct_contexts(prefix, element, symbol, ordered=self.rules.ordered)
        if first is not None:
            prefix, element, symbol = _rows_of(first, prefix, element, symbol)
        step = max(1, _PLACES_A_PASS // (2 + prefix.letters.shape[1]))
        pieces = [
            self._distribution(field, *_rows_of(rows, prefix, element, symbol))
            for rows in torch.arange(len(prefix), device=prefix.group.device).split(step)
        ]
        out = torch.cat(pieces) if len(pieces) != 1 else pieces[0]
        return out if inverse is None else out[inverse]

    def _distribution(self, field: Field, prefix: Prefix, element: Tensor | None, symbol: Tensor | None) -> Tensor:
        """`conditional` by one pass of the network, over the rows where more than one value is legal."""
        allowed = self.rules.allowed(field, prefix, element, symbol)
        rows = (allowed.sum(dim=1) > 1).nonzero()[:, 0]
        certain = torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, -torch.inf)
        if len(rows) == 0:
            return certain
        if len(rows) < len(prefix):
            prefix, element, symbol = _rows_of(rows, prefix, element, symbol)
            allowed = allowed[rows]
        logits = self.network(field, prefix, element, symbol).float() / self._temperature(field, prefix)[:, None]
        log_probs = functional.log_softmax(logits.masked_fill(~allowed, -torch.inf), dim=1)
        return log_probs if len(rows) == len(certain) else certain.index_copy(0, rows, log_probs)

    def _temperature(self, field: Field, prefix: Prefix) -> Tensor:
        """(n,) by which logits are divided."""
        bucket = torch.bucketize(prefix.known, self._bucket_starts, right=True) - 1
        return self.temperatures[FIELDS.index(field), bucket]

    # Training

    def loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood in nats, given the group, of a random order of a random description of each gene.

        Of the prefixes of an order a share is drawn (`prefix_share`); weights keep the sum unbiased.
        """
        rows, sites = batch.any_wyckoffs.shape
        device = batch.group.device
        draws = max(1, int(np.ceil(self.config.prefix_share * (sites + 1))))
        known = spread_known(rows, sites, draws, device).flatten()
        owner = torch.arange(rows, device=device).repeat_interleave(draws)
        elements, letters = ordered_sites(self.rules, batch.any_elements[owner], batch.any_wyckoffs[owner])
        by_known = known.argsort(stable=True)
        pieces = by_known.split(_CPU_ROWS) if device.type == "cpu" else (by_known,)
        sums: dict[str, Tensor] = {field: torch.zeros((), device=device) for field in FIELDS}
        for piece in pieces:
            for term in field_terms(
                self.conditional, self.rules, batch.group[owner[piece]], elements[piece], letters[piece], known[piece]
            ):
                sums[term.field] = sums[term.field] + term.losses().sum()
        weight = (sites + 1) / draws / batch.mean_rows
        parts = {field: weight * value for field, value in sums.items()}
        return torch.stack(list(parts.values())).sum(), {field: value.detach() for field, value in parts.items()}

    # Scoring

    def log_prob(self, genes: Any) -> NDArray[np.float64]:
        """Log-probability (n,) in nats of genes, the same for every equivalent description; see `score`.

        Args:
            genes: a GeneBatch, or a table with `.genes()`.

        Raises:
            InputError: an element outside the vocabulary.
        """
        return self.score(genes).log_prob

    @torch.no_grad()
    def score(self, genes: Any, limits: ScoringLimits | None = None) -> PaperScores:
        """`log_prob`, whether each value is exact, and the standard error of those that are estimates.

        The measure is counting over genes, equivalence under the affine normalizer divided out. Small genes are summed
        exactly over all orders and all equivalent descriptions. Of larger ones random orders or descriptions are drawn
        (by a generator keyed by the gene), and the mean of their probabilities is multiplied by their number. Genes
        that are not legal, or longer than the model can write, have probability zero (-inf, exact).

        Raises:
            InputError: an element outside the vocabulary.
        """
        batch = genes if isinstance(genes, GeneBatch) else genes.genes()
        self.check_vocabulary(batch)
        self.eval()
        return score_genes(self, batch, limits or ScoringLimits())

    def tensors_of(self, genes: GeneBatch, sites: int) -> tuple[Tensor, Tensor, Tensor]:
        """Groups (n,), vocabulary indices and letters (n, sites) of genes that all have `sites` sites."""
        device = self.temperatures.device
        return (
            torch.from_numpy(genes.space_group.astype(np.int64)).to(device),
            torch.from_numpy(self.vocabulary_index[genes.elements[:, :sites]]).to(device),
            torch.from_numpy(genes.wyckoffs[:, :sites].astype(np.int64)).to(device),
        )

    # Sampling

    @meets_targets
    def stream(
        self,
        conditions: Conditions | None = None,
        *,
        seed: int,
        score: bool = False,
        first_tokens: GeneBatch | None = None,
    ) -> Iterator[CrystalTable]:
        """Endless tables of genes in row order; row i depends on (seed, i) alone.

        Args:
            conditions: space groups; this configuration knows no other condition.
            seed: any non-negative integer.
            score: also compute `log_prob` (slower than the sampling itself), with `log_prob_exact` and
                `log_prob_error`; without it `log_prob` is null.
            first_tokens: genes of one site each; row i starts from number i modulo their number.

        Raises:
            InputError: a condition that needs the default model, or first tokens that are not legal genes of one site.
        """
        from aristotype.models.wyckoff_transformer.paper._sampler import Start, draw_blocks, to_tables

        start = Start.of(self, conditions or Conditions(), first_tokens)
        return to_tables(self, draw_blocks(self, start, seed), seed, score)

    def scored(self, table: CrystalTable) -> CrystalTable:
        """The table with log-probabilities, whether they are exact, and their standard errors."""
        scores = self.score(table)
        return table.with_columns(
            {
                "log_prob": pa.array(scores.log_prob, pa.float64()),
                "log_prob_exact": pa.array(scores.exact, pa.bool_()),
                "log_prob_error": pa.array(scores.standard_error, pa.float64()),
            }
        )

    def sample(
        self,
        n: int,
        conditions: Conditions | None = None,
        *,
        seed: int,
        score: bool = True,
        first_tokens: GeneBatch | None = None,
    ) -> CrystalTable:
        """The first n genes of `stream`: independent draws, so that a gene can come twice.

        Raises:
            InputError: n is negative, or see `stream`.
        """
        if n < 0:
            raise InputError(f"{n} genes were asked for; ask for a number of at least 0")
        parts, have = [], 0
        # Unscored blocks first: of the last one only the rows that are kept are worth a score.
        for table in self.stream(conditions, seed=seed, first_tokens=first_tokens):
            parts.append(table[: n - have])
            have += len(parts[-1])
            if have >= n:
                break
        out = CrystalTable.concatenate(parts)
        return self.scored(out) if score else out


def _rows_of(
    rows: Tensor, prefix: Prefix, element: Tensor | None, symbol: Tensor | None
) -> tuple[Prefix, Tensor | None, Tensor | None]:
    return prefix.take(rows), None if element is None else element[rows], None if symbol is None else symbol[rows]
