"""Which values the next field may take, and which are taken: what makes every output a legal gene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from aristotype.models.blocks import element_features
from aristotype.models.wyckoff_transformer.paper._config import PaperConfig
from aristotype.symmetry import MAX_POSITIONS, tables

Field = Literal["element", "symmetry", "index"]
FIELDS: tuple[Field, ...] = ("element", "symmetry", "index")
NO_LETTER = MAX_POSITIONS
"""Letter of a place of a prefix that holds no site."""


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """n sets of known sites, padded to the same number of places; the order of places carries no meaning.

    With `site_order` "electronegativity" the last site of each row is the one that was added last.
    """

    group: Tensor  # (n,) space-group numbers
    elements: Tensor  # (n, k) vocabulary indices, the size of the vocabulary where there is no site
    letters: Tensor  # (n, k) letter indices, NO_LETTER where there is no site
    padded: bool = False  # whether any place is empty

    def __len__(self) -> int:
        return len(self.group)

    def take(self, rows: Tensor) -> Prefix:
        """The sets of some rows."""
        return replace(self, group=self.group[rows], elements=self.elements[rows], letters=self.letters[rows])

    @property
    def present(self) -> Tensor:
        """(n, k) where there is a site."""
        return self.letters < NO_LETTER

    @property
    def known(self) -> Tensor:
        """(n,) sites of each set."""
        return self.present.sum(dim=1)


class FieldRules(nn.Module):
    """Masks for the fields. Legal are positions that exist, and those without freedom that are not occupied yet.

    The general position of a group is never exhausted, so that a next site always exists.
    """

    symbols: Tensor
    indices: Tensor
    letter_of: Tensor
    exists: Tensor
    fixed: Tensor
    rank: Tensor

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        data = tables()
        self.num_elements = len(config.elements)
        self.num_symbols = len(data.site_symmetries)
        self.num_indices = int(data.site_symmetry_index.max()) + 1
        self.max_sites = config.max_sites
        self.ordered = config.site_order == "electronegativity"
        freedom = np.asarray(data.padded("freedom", fill=-1), dtype=np.int64)
        symbols = np.where(freedom >= 0, data.padded("site_symmetry"), self.num_symbols).astype(np.int64)
        indices = np.where(freedom >= 0, data.padded("site_symmetry_index"), self.num_indices).astype(np.int64)
        letter_of = np.full((len(freedom), self.num_symbols + 1, self.num_indices + 1), NO_LETTER, dtype=np.int64)
        group, letter = np.nonzero(freedom >= 0)
        letter_of[group, symbols[group, letter], indices[group, letter]] = letter
        self._keep("symbols", np.pad(symbols, ((0, 0), (0, 1)), constant_values=self.num_symbols))
        self._keep("indices", np.pad(indices, ((0, 0), (0, 1)), constant_values=self.num_indices))
        self._keep("letter_of", letter_of)
        self._keep("exists", freedom >= 0)
        self._keep("fixed", freedom == 0)
        self._keep("rank", electronegativity_ranks(config.elements))

    def _keep(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)

    def sites(self, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """Symbols and indices (n, k) of the known sites, the numbers of symbols and indices where there is none."""
        group = prefix.group[:, None]
        return self.symbols[group, prefix.letters], self.indices[group, prefix.letters]

    def allowed(self, field: Field, prefix: Prefix, element: Tensor | None, symbol: Tensor | None) -> Tensor:
        """(n, values) which values the field of the next site may take, given its earlier fields (n,)."""
        if field == "element":
            return self.allowed_elements(prefix)
        assert element is not None, "the symmetry and the index are conditioned on the element"
        letters = self._open_letters(prefix, element)
        symbols = self.symbols[prefix.group, :NO_LETTER]
        if field == "symmetry":
            return _spread(symbols.masked_fill(~letters, self.num_symbols), self.num_symbols)
        assert symbol is not None, "the index is conditioned on the symmetry"
        letters = letters & (symbols == symbol[:, None])
        indices = self.indices[prefix.group, :NO_LETTER]
        return _spread(indices.masked_fill(~letters, self.num_indices), self.num_indices)

    def allowed_elements(self, prefix: Prefix) -> Tensor:
        """(n, vocabulary + 1) elements of the next site; the last value is STOP, possible from one site on."""
        known = prefix.known
        allowed = (known < self.max_sites)[:, None].repeat(1, self.num_elements)
        if self.ordered and prefix.letters.shape[1]:
            lowest = torch.where(known > 0, self.rank[self._last(prefix.elements, known)], 0)
            allowed &= self.rank[: self.num_elements] >= lowest[:, None]
        return torch.cat([allowed, (known > 0)[:, None]], dim=1)

    def taken(self, field: Field, prefix: Prefix, symbol: Tensor | None) -> Tensor:
        """(n, values) which values of the field known sites hold; of the index, those with the same symbol."""
        if field == "element":
            return _spread(prefix.elements, self.num_elements)
        symbols, indices = self.sites(prefix)
        if field == "symmetry":
            return _spread(symbols, self.num_symbols)
        assert symbol is not None, "the index is conditioned on the symmetry"
        return _spread(indices.masked_fill(symbols != symbol[:, None], self.num_indices), self.num_indices)

    def _open_letters(self, prefix: Prefix, element: Tensor) -> Tensor:
        """(n, 27) positions on which the next site may lie."""
        letters = self.exists[prefix.group]
        letters = letters & ~(_spread(prefix.letters, NO_LETTER) & self.fixed[prefix.group])
        if self.ordered and prefix.letters.shape[1]:
            known = prefix.known
            same = (known > 0) & (self._last(prefix.elements, known) == element)
            lowest = torch.where(same, self._last(prefix.letters, known), 0)
            letters = letters & (torch.arange(NO_LETTER, device=lowest.device) >= lowest[:, None])
        return letters

    @staticmethod
    def _last(values: Tensor, known: Tensor) -> Tensor:
        return values.gather(1, (known - 1).clamp(min=0)[:, None])[:, 0]


def electronegativity_ranks(elements: tuple[int, ...]) -> np.ndarray:
    """(vocabulary + 1,) place of each element in the order of electronegativity, then atomic number; last entry 0."""
    if not elements:
        return np.zeros(1, dtype=np.int64)
    numbers = np.array(elements)
    values = element_features()[numbers - 1, -5]
    order = np.lexsort([numbers, values])
    ranks = np.zeros(len(elements) + 1, dtype=np.int64)
    ranks[order] = np.arange(len(elements))
    return ranks


def _spread(values: Tensor, size: int) -> Tensor:
    """(n, size) True at the values (n, k) of each row; the value `size` is dropped."""
    out = torch.zeros(len(values), size + 1, dtype=torch.bool, device=values.device)
    return out.scatter_(1, values, True)[:, :size]
