"""log p of genes: over all orders and equivalent descriptions, exact where that is cheap, else a stated estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, canonical_genes, equivalents, gene_keys
from aristotype.errors import ConfigError
from aristotype.models.wyckoff_transformer.paper._orders import (
    log_num_orders,
    log_prob_any_order,
    log_prob_one_order,
    num_subsets,
)
from aristotype.models.wyckoff_transformer.paper._teacher import ordered_sites

if TYPE_CHECKING:
    from aristotype.models.wyckoff_transformer.paper._model import WyckoffTransformerPaper

_MOST_SITES_A_PASS = 20_000
_FEWEST_DESCRIPTIONS = 16


@dataclass(frozen=True, kw_only=True)
class ScoringLimits:
    """How much work one gene may be."""

    subsets: int = 1024  # sub-multisets over all descriptions, up to which the sum is exact
    orders: int = 256  # random (description, order) pairs of a gene that is beyond it

    def __post_init__(self) -> None:
        if self.subsets < 1 or self.orders < 2:
            raise ConfigError(
                f"subsets is {self.subsets} and orders is {self.orders}; they must be at least 1 and at least 2"
            )


@dataclass(frozen=True, kw_only=True)
class PaperScores:
    """Log-probabilities and how well they are known."""

    log_prob: NDArray[np.float64]  # (n,) nats
    exact: NDArray[np.bool_]  # (n,) whether everything was summed
    standard_error: NDArray[np.float64]  # (n,) of log_prob, from the spread of the draws; 0 where exact


def score_genes(model: WyckoffTransformerPaper, genes: GeneBatch, limits: ScoringLimits) -> PaperScores:
    """Scores genes; see `WyckoffTransformerPaper.score`."""
    log_prob, exact, error = np.full(len(genes), -np.inf), np.ones(len(genes), dtype=bool), np.zeros(len(genes))
    legal = np.flatnonzero(genes.legal() & (genes.num_sites <= model.config.max_sites))
    if len(legal):
        kept = canonical_genes(genes.take(legal))  # so that equivalent genes draw the same descriptions and orders
        groups = np.log(model.group_probabilities()[kept.space_group])
        value, exact[legal], error[legal] = _given_group(model, kept, limits)
        log_prob[legal] = groups + value
    return PaperScores(log_prob=log_prob, exact=exact, standard_error=error)


def _given_group(
    model: WyckoffTransformerPaper, genes: GeneBatch, limits: ScoringLimits
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    described, owner = equivalents(genes)
    descriptions = np.bincount(owner, minlength=len(genes))
    first = np.searchsorted(owner, np.arange(len(genes)))
    subsets = np.ones(len(genes)) if model.rules.ordered else num_subsets(genes)
    exact = subsets * descriptions <= limits.subsets * (1 + 1e-9)
    by_order = ~exact & (subsets * _FEWEST_DESCRIPTIONS > limits.subsets) & (not model.rules.ordered)
    generators = {row: _generator(key) for row, key in enumerate(gene_keys(genes).tolist()) if not exact[row]}

    summed = np.flatnonzero(exact[owner])
    for row in np.flatnonzero(~exact & ~by_order).tolist():
        some = generators[row].permutation(descriptions[row])[
            : max(_FEWEST_DESCRIPTIONS, int(limits.subsets // subsets[row]))
        ]
        summed = np.append(summed, first[row] + some)
    values = _any_order(model, described.take(summed))
    log_prob, error = np.empty(len(genes)), np.zeros(len(genes))
    log_orders = log_num_orders(genes)
    places = np.argsort(owner[summed], kind="stable")
    for row, own in zip(*_split(owner[summed][places], values[places]), strict=True):
        if exact[row]:
            log_prob[row] = np.logaddexp.reduce(own)
        else:
            log_prob[row], error[row] = _log_mean(own, population=int(descriptions[row]))
            log_prob[row] += np.log(descriptions[row])
    for row in np.flatnonzero(by_order).tolist():
        drawn = first[row] + generators[row].integers(descriptions[row], size=limits.orders)
        own = _random_orders(model, described.take(drawn), generators[row])
        log_prob[row], error[row] = _log_mean(own)
        log_prob[row] += np.log(descriptions[row]) + log_orders[row]
    return log_prob, exact, error


def _generator(key: bytes) -> np.random.Generator:
    return np.random.default_rng(list(np.frombuffer(key, np.uint32).tolist()))


def _split(owner: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[list[int], list[NDArray[np.float64]]]:
    """Values of each owner; owners sorted."""
    rows, starts = np.unique(owner, return_index=True)
    return rows.tolist(), np.split(values, starts[1:]) if len(rows) else []


def _log_mean(values: NDArray[np.float64], population: int | None = None) -> tuple[float, float]:
    """Log of the mean of exp(values) and its standard error; draws without replacement from a population, if given."""
    largest = values.max()
    scaled = np.exp(values - largest)
    mean = scaled.mean()
    spread = scaled.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    if population is not None:
        spread *= np.sqrt(1 - len(values) / population)
    return float(largest + np.log(mean)), float(spread / mean)


def _any_order(model: WyckoffTransformerPaper, genes: GeneBatch) -> NDArray[np.float64]:
    """(n,) of descriptions, over all orders that the model can write."""
    if not model.rules.ordered:
        return log_prob_any_order(model.conditional, model.rules, genes, model.vocabulary_index)
    out = np.empty(len(genes))
    for length in np.unique(genes.num_sites).tolist():
        rows = np.flatnonzero(genes.num_sites == length)
        for piece in np.array_split(rows, max(1, len(rows) * length // _MOST_SITES_A_PASS)):
            group, elements, letters = model.tensors_of(genes.take(piece), length)
            elements, letters = ordered_sites(model.rules, elements, letters)
            out[piece] = log_prob_one_order(model.conditional, model.rules, group, elements, letters)
    return out


def _random_orders(
    model: WyckoffTransformerPaper, genes: GeneBatch, generator: np.random.Generator
) -> NDArray[np.float64]:
    """(n,) of descriptions of one gene, each in a random order."""
    length = int(genes.num_sites[0])
    group, elements, letters = model.tensors_of(genes, length)
    order = torch.from_numpy(generator.random((len(genes), length)).argsort(axis=1)).to(group.device)
    return log_prob_one_order(
        model.conditional, model.rules, group, elements.gather(1, order), letters.gather(1, order)
    )
