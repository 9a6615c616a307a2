"""What is measured along random orders of given genes: temperatures, a bound of the likelihood, the illegal mass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aristotype.crystal import GeneBatch, equivalents
from aristotype.models.wyckoff_transformer.paper._config import KNOWN_SITES
from aristotype.models.wyckoff_transformer.paper._orders import log_num_orders
from aristotype.models.wyckoff_transformer.paper._rules import FIELDS, Field, Prefix
from aristotype.models.wyckoff_transformer.paper._teacher import Conditional, Term, field_terms, ordered_sites

if TYPE_CHECKING:
    from aristotype.models.wyckoff_transformer.paper._model import WyckoffTransformerPaper

_ROWS_A_PASS = 4096
_FEWEST_TERMS = 300
"""Buckets with fewer targets take the temperature of the bucket before them: theirs would be noise."""
_MOST_LOG_TEMPERATURE = 0.5


@dataclass(frozen=True, kw_only=True)
class IllegalMass:
    """Probability on illegal values before masking, mean over all fields of the genes looked at."""

    element: float  # STOP before the first site; none but that is illegal in any order of sites
    symmetry: float
    index: float


def _walk(
    model: WyckoffTransformerPaper, genes: GeneBatch, seed: int, conditional: Conditional
) -> Iterator[tuple[NDArray[np.int64], Term]]:
    """All fields of a random order of a random description of each gene, with the gene that each row belongs to."""
    generator = np.random.default_rng(seed)
    described, owner = equivalents(genes)
    count = np.bincount(owner, minlength=len(genes))
    first = np.searchsorted(owner, np.arange(len(genes)))
    chosen = described.take(first + (generator.random(len(genes)) * count).astype(np.int64))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for length in np.unique(chosen.num_sites).tolist():
            rows = np.flatnonzero(chosen.num_sites == length)
            for piece in np.array_split(rows, max(1, len(rows) // _ROWS_A_PASS)):
                group, elements, letters = model.tensors_of(chosen.take(piece), length)
                elements, letters = ordered_sites(model.rules, elements, letters)
                for known in range(length + 1):
                    places = torch.full_like(group, known)
                    for term in field_terms(conditional, model.rules, group, elements, letters, places):
                        yield piece[term.rows.cpu().numpy()], term


def order_bound(model: WyckoffTransformerPaper, genes: GeneBatch, *, seed: int = 0) -> NDArray[np.float64]:
    """(n,) cheap estimates, one random order and description a gene, of an upper bound of the negative log-likelihood.

    By Jensen's inequality -log p(gene) is at most the mean of -log p(order, description), less the log of their number.
    In nats, with p(space group). The bound would be tight if all orders were equally probable.

    Raises:
        InputError: an element outside the vocabulary.
    """
    model.check_vocabulary(genes)
    model.eval()
    _, owner = equivalents(genes)
    total = -np.log(model.group_probabilities()[genes.space_group])
    total -= log_num_orders(genes) * (not model.rules.ordered) + np.log(np.bincount(owner, minlength=len(genes)))
    for rows, term in _walk(model, genes, seed, model.conditional):
        total[rows] += term.losses().double().cpu().numpy()
    return total


def calibrate(model: WyckoffTransformerPaper, genes: GeneBatch, *, seed: int = 0) -> None:
    """Sets a temperature for each field and bucket of known sites: the one of least cross-entropy on given genes.

    Args:
        model: changed in place.
        genes: of the validation split.
        seed: of the orders and descriptions.

    Raises:
        InputError: an element outside the vocabulary.
    """
    model.check_vocabulary(genes)
    model.eval()
    model.temperatures.fill_(1.0)
    found: dict[tuple[Field, int], list[tuple[Tensor, Tensor]]] = {}
    starts = torch.tensor(KNOWN_SITES)
    for _, term in _walk(model, genes, seed, model.conditional):
        bucket = int(torch.bucketize(term.known[:1].cpu(), starts, right=True)) - 1
        undecided = (term.log_probs > -torch.inf).sum(dim=1) > 1
        pair = (term.log_probs[undecided].cpu(), term.target[undecided].cpu())
        found.setdefault((term.field, bucket), []).append(pair)
    for number, field in enumerate(FIELDS):
        best = 1.0
        for bucket in range(len(KNOWN_SITES)):
            pairs = found.get((field, bucket), [])
            if sum(len(log_probs) for log_probs, _ in pairs) >= _FEWEST_TERMS:
                best = _best_temperature(*(torch.cat(parts) for parts in zip(*pairs, strict=True)))
            model.temperatures[number, bucket] = best


def _best_temperature(log_probs: Tensor, target: Tensor) -> float:
    limit = _MOST_LOG_TEMPERATURE
    return math.exp(_minimum(lambda t: _cross_entropy(log_probs, target, math.exp(t)), -limit, limit))


def _cross_entropy(log_probs: Tensor, target: Tensor, temperature: float) -> float:
    scaled = functional.log_softmax(log_probs / temperature, dim=1)
    return float(-torch.where(target > 0, target * scaled, 0.0).sum())


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one minimum is least, by golden sections, to 0.01."""
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 0.01:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = function(right)
    return (low + high) / 2


def illegal_mass(model: WyckoffTransformerPaper, genes: GeneBatch, *, seed: int = 0) -> IllegalMass:
    """How much probability the masks take away along random orders of genes.

    The masks act in training too, so that nothing teaches the network to avoid illegal values by itself.

    Raises:
        InputError: an element outside the vocabulary.
    """
    model.check_vocabulary(genes)
    model.eval()
    mass: dict[Field, list[Tensor]] = {field: [] for field in FIELDS}

    def recorded(field: Field, prefix: Prefix, element: Tensor | None = None, symbol: Tensor | None = None) -> Tensor:
        allowed = model.rules.allowed(field, prefix, element, symbol)
        probabilities = model.network(field, prefix, element, symbol).float().softmax(dim=1)
        mass[field].append(probabilities.masked_fill(allowed, 0.0).sum(dim=1).cpu())
        return probabilities.masked_fill(~allowed, 0.0).log()

    for _ in _walk(model, genes, seed, recorded):
        pass
    return IllegalMass(**{field: float(torch.cat(parts).mean()) for field, parts in mass.items()})
