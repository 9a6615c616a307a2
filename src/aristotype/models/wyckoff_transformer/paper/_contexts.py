"""Equal contexts are computed once: many rows know the same few sites, in whatever order."""

from __future__ import annotations

import torch
from torch import Tensor

from aristotype.models.wyckoff_transformer.paper._rules import Prefix

_MOST_SITES = 3  # 8 + 7 + 7 bits for the group and the next site, 12 for each known one: 58 of the 63 at hand


def distinct_contexts(
    prefix: Prefix, element: Tensor | None, symbol: Tensor | None, *, ordered: bool
) -> tuple[Tensor | None, Tensor | None]:
    """A row of every distinct context, and for each row the number of its context; None where nothing is gained.

    Exact: contexts are compared by all that they hold, packed into one integer. Prefixes of more than three sites,
    which are hardly ever alike, are not compared. With `ordered`, the last site stays the last.
    """
    places = prefix.letters.shape[1]
    if places > _MOST_SITES or len(prefix) < 2:
        return None, None
    code = prefix.group
    for field in (element, symbol):
        code = code * 128 + (0 if field is None else field)
    sites = prefix.elements * 32 + prefix.letters
    if places > 1:
        free = places - ordered
        sites = torch.cat([sites[:, :free].sort(dim=1).values, sites[:, free:]], dim=1)
    for site in sites.unbind(dim=1):
        code = code * 4096 + site
    distinct, inverse = torch.unique(code, return_inverse=True)
    if len(distinct) == len(code):
        return None, None
    first = torch.full_like(distinct, len(code))
    first.scatter_reduce_(0, inverse, torch.arange(len(code), device=code.device), reduce="amin")
    return first, inverse
