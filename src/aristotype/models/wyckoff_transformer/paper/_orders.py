"""Probabilities of one description of a gene: summed over all orders of its sites, or for one order.

The probability of the next site depends on the set of known sites and not on their order, so that the sum over orders
is a recursion over sub-multisets A of the sites,

    P(A) = sum over the distinct sites x of A of P(A - x) p(x | A - x),    P(empty) = 1,

with the product of (multiplicity + 1) sub-multisets where the number of orders is a multinomial coefficient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch
from aristotype.models.wyckoff_transformer.paper._rules import Field, FieldRules, Prefix
from aristotype.models.wyckoff_transformer.paper._teacher import Conditional

_SUBSETS_A_PASS = 4096


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """All sub-multisets of distinct sites with given multiplicities."""

    after: NDArray[np.int64]  # (N, d) number of the sub-multiset with one more of site j, -1 where none is left
    by_size: tuple[NDArray[np.int64], ...]  # for each number of sites: the sub-multisets (M,) of that size
    members: tuple[NDArray[np.int64], ...]  # for each number of sites k: which distinct sites they hold, (M, k)


@cache
def lattice(multiplicities: tuple[int, ...]) -> Lattice:
    """The sub-multisets of distinct sites with these multiplicities: the empty one first, the full one last."""
    counts = np.array(list(product(*(range(m + 1) for m in multiplicities))), dtype=np.int64)
    strides = np.cumprod([1, *(m + 1 for m in multiplicities[:0:-1])])[::-1]
    after = np.where(counts < np.array(multiplicities), np.arange(len(counts))[:, None] + strides, -1)
    size = counts.sum(axis=1)
    by_size = tuple(np.flatnonzero(size == k) for k in range(sum(multiplicities) + 1))
    sites = np.arange(len(multiplicities))
    members = tuple(
        np.array([np.repeat(sites, row) for row in counts[rows]], dtype=np.int64).reshape(len(rows), k)
        for k, rows in enumerate(by_size)
    )
    return Lattice(after=after, by_size=by_size, members=members)


def num_subsets(genes: GeneBatch) -> NDArray[np.float64]:
    """(n,) sub-multisets of the sites of each gene; sites sorted."""
    return np.exp(sum(np.where(last, np.log1p(run), 0.0) for run, last in _runs(genes)))


def log_num_orders(genes: GeneBatch) -> NDArray[np.float64]:
    """(n,) log of the number of distinct orders of the sites of each gene; sites sorted."""
    log_factorial = np.cumsum(np.log(np.maximum(1, np.arange(genes.wyckoffs.shape[1] + 2))))
    return log_factorial[genes.num_sites] - sum(np.where(last, log_factorial[run], 0.0) for run, last in _runs(genes))


def _runs(genes: GeneBatch) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Column by column: length of the run of equal sites that ends there, and whether a site ends its run there."""
    same = _same_as_before(genes)
    run = np.zeros(len(genes), dtype=np.int64)
    for site in range(genes.wyckoffs.shape[1]):
        run = np.where(same[:, site], run + 1, 1)
        ends = ~same[:, site + 1] if site + 1 < same.shape[1] else np.ones(len(genes), dtype=bool)
        yield run, ends & (genes.wyckoffs[:, site] >= 0)


def _same_as_before(genes: GeneBatch) -> NDArray[np.bool_]:
    same = np.zeros(genes.wyckoffs.shape, dtype=bool)
    same[:, 1:] = (genes.wyckoffs[:, 1:] == genes.wyckoffs[:, :-1]) & (genes.elements[:, 1:] == genes.elements[:, :-1])
    return same & (genes.wyckoffs >= 0)


def log_prob_any_order(
    conditional: Conditional, rules: FieldRules, genes: GeneBatch, vocabulary_index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n,) log-probabilities of descriptions given their group, summed over all orders; sites sorted."""
    out = np.empty(len(genes))
    shape = np.where(genes.wyckoffs >= 0, _same_as_before(genes), 2).astype(np.int8)
    shapes, which = np.unique(shape, axis=0, return_inverse=True)
    for number, row in enumerate(shapes):
        starts = np.flatnonzero(row == 0)
        counts = np.diff(np.append(starts, (row < 2).sum()))
        starts, counts = starts[np.argsort(-counts, kind="stable")], np.sort(counts)[::-1]
        rows = np.flatnonzero(which == number)
        for piece in np.array_split(rows, max(1, len(rows) * int(np.prod(counts + 1)) // _SUBSETS_A_PASS)):
            group = torch.from_numpy(genes.space_group[piece].astype(np.int64))
            letters = torch.from_numpy(genes.wyckoffs[piece][:, starts].astype(np.int64))
            elements = torch.from_numpy(vocabulary_index[genes.elements[piece][:, starts]])
            device = rules.exists.device
            sites = (group.to(device), elements.to(device), letters.to(device))
            out[piece] = _recursion(conditional, rules, *sites, lattice(tuple(counts.tolist())))
    return out


def _recursion(
    conditional: Conditional, rules: FieldRules, group: Tensor, elements: Tensor, letters: Tensor, subsets: Lattice
) -> NDArray[np.float64]:
    """(n,) for genes of equal multiplicities, given by their distinct sites (n, d)."""
    n = len(group)
    reached = np.full((n, len(subsets.after)), -np.inf)
    reached[:, 0] = 0.0
    for rows, members in zip(subsets.by_size, subsets.members, strict=True):
        places = torch.from_numpy(members).to(group.device)
        prefix = Prefix(
            group=group.repeat_interleave(len(rows)),
            elements=elements[:, places].flatten(0, 1),
            letters=letters[:, places].flatten(0, 1),
        )
        after = subsets.after[rows]
        known, site = (torch.from_numpy(index).to(group.device) for index in np.nonzero(after >= 0))
        context = (torch.arange(n, device=group.device)[:, None] * len(rows) + known).flatten()
        element, letter = elements[:, site].flatten(), letters[:, site].flatten()
        stop, values = _next_site(conditional, rules, prefix, context, element, letter)
        if len(rows) == 1 and (after < 0).all():
            return reached[:, -1] + stop
        log_prob = np.full((n, *after.shape), -np.inf)
        log_prob[:, after >= 0] = values.reshape(n, -1)
        for column in range(after.shape[1]):
            has = after[:, column] >= 0
            target = after[has, column]  # distinct, so that plain indexing adds up
            paths = reached[:, rows[has]] + log_prob[:, has, column]
            reached[:, target] = np.logaddexp(reached[:, target], paths)
    raise AssertionError("the full multiset is the last sub-multiset")


def log_prob_one_order(
    conditional: Conditional, rules: FieldRules, group: Tensor, elements: Tensor, letters: Tensor
) -> NDArray[np.float64]:
    """(n,) log-probabilities of sequences (n, S) of sites given their group, with the end."""
    n, sites = elements.shape
    rows = torch.arange(n, device=group.device)
    total = np.zeros(n)
    for known in range(sites + 1):
        prefix = Prefix(group=group, elements=elements[:, :known], letters=letters[:, :known])
        context = rows if known < sites else rows[:0]
        place = min(known, sites - 1)
        stop, values = _next_site(
            conditional, rules, prefix, context, elements[context, place], letters[context, place]
        )
        total += values if known < sites else stop
    return total


def _next_site(
    conditional: Conditional, rules: FieldRules, prefix: Prefix, context: Tensor, element: Tensor, letter: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) log-probabilities of STOP after each prefix, and (m,) of next sites, each after prefix `context`."""
    group = prefix.group[context]
    symbol, index = rules.symbols[group, letter], rules.indices[group, letter]
    elements = conditional("element", prefix)
    total = elements[context, element].double()
    if len(context):
        total += _of_distinct(conditional, "symmetry", prefix, context, element, None, symbol)
        total += _of_distinct(conditional, "index", prefix, context, element, symbol, index)
    return elements[:, -1].double().cpu().numpy(), total.cpu().numpy()


def _of_distinct(
    conditional: Conditional,
    field: Field,
    prefix: Prefix,
    context: Tensor,
    element: Tensor,
    symbol: Tensor | None,
    value: Tensor,
) -> Tensor:
    """(m,) log-probabilities of values of a field; equal contexts are computed once."""
    code = (context * 128 + element) * 128 + (0 if symbol is None else symbol)
    distinct, inverse = torch.unique(code, return_inverse=True)
    rows = distinct // (128 * 128)
    given = None if symbol is None else distinct % 128
    log_probs = conditional(field, prefix.take(rows), distinct // 128 % 128, given)
    return log_probs[inverse, value].double()
