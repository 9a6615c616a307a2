"""Targets of training: what follows a set of known sites, for a gene and an order of its sites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from aristotype.models.wyckoff_transformer.paper._rules import NO_LETTER, Field, FieldRules, Prefix


class Conditional(Protocol):
    """What the targets are compared with; see `WyckoffTransformerPaper.conditional`."""

    def __call__(
        self, field: Field, prefix: Prefix, element: Tensor | None = None, symbol: Tensor | None = None
    ) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Term:
    """One field of the next site of some rows."""

    field: Field
    rows: Tensor  # (r,) rows that have this field: all for the element, those with a next site for the others
    known: Tensor  # (r,) sites known
    log_probs: Tensor  # (r, values), -inf where a value is illegal
    target: Tensor  # (r, values) a distribution over the values

    def losses(self) -> Tensor:
        """(r,) cross-entropies in nats."""
        return -torch.where(self.target > 0, self.target * self.log_probs, 0.0).sum(dim=1)


def ordered_sites(rules: FieldRules, elements: Tensor, letters: Tensor) -> tuple[Tensor, Tensor]:
    """Elements and letters (n, S) in a random order of sites, or in the fixed one where the model has one."""
    if rules.ordered:
        key = (rules.rank[elements] * (NO_LETTER + 1) + letters).to(torch.float32)
    else:
        key = torch.rand(elements.shape, device=elements.device)
    order = key.argsort(dim=1)
    return elements.gather(1, order), letters.gather(1, order)


def spread_known(rows: int, sites: int, draws: int, device: torch.device) -> Tensor:
    """(rows, draws) numbers of known sites, uniform over 0 to `sites`, distinct in a row, evenly spread over rows."""
    offset = torch.randperm(rows, device=device) + torch.randint(sites + 1, (1,), device=device)
    stride = (sites + 1) // draws
    return (offset[:, None] + stride * torch.arange(draws, device=device)) % (sites + 1)


def field_terms(
    conditional: Conditional, rules: FieldRules, group: Tensor, elements: Tensor, letters: Tensor, known: Tensor
) -> Iterator[Term]:
    """The three fields of the site after the first `known` (n,) sites of genes (n, S) that are written in some order.

    The element's target is the normalised multiset of the remaining elements (the next one in a fixed order), STOP
    where all are known; the symmetry's and the index's are those of the next site.
    """
    sites = elements.shape[1]
    place = torch.arange(sites, device=group.device)
    seen = place < known[:, None]
    longest = int(known.max())
    prefix = Prefix(
        group=group,
        elements=elements.masked_fill(~seen, rules.num_elements)[:, :longest],
        letters=letters.masked_fill(~seen, NO_LETTER)[:, :longest],
        padded=int(known.min()) < longest,
    )
    counted = (place == known[:, None]) if rules.ordered else ~seen
    target = torch.zeros(len(group), rules.num_elements + 1, device=group.device)
    target.scatter_add_(1, elements, counted.to(target.dtype))
    target[:, -1] = known == sites
    target = target / target.sum(dim=1, keepdim=True)
    everything = torch.arange(len(group), device=group.device)
    yield Term(field="element", rows=everything, known=known, log_probs=conditional("element", prefix), target=target)

    rows = (known < sites).nonzero()[:, 0]
    if len(rows) == 0:
        return
    prefix, known = prefix.take(rows), known[rows]
    element = elements[rows, known]
    letter = letters[rows, known]
    symbol, index = rules.symbols[prefix.group, letter], rules.indices[prefix.group, letter]
    later: tuple[tuple[Field, Tensor, Tensor | None], ...] = (("symmetry", symbol, None), ("index", index, symbol))
    for field, value, given in later:
        log_probs = conditional(field, prefix, element, given)
        target = torch.zeros_like(log_probs).scatter_(1, value[:, None], 1.0)
        yield Term(field=field, rows=rows, known=known, log_probs=log_probs, target=target)
