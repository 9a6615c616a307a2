"""What a model is told about a group, a position and an element: features that transfer, plus a learnt part."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aristotype.crystal import element_rows
from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, tables


def position_rows() -> Tensor:
    """(231, 27) row of each position among all 1731, counted from 1; 0 where there is none."""
    exists = torch.from_numpy(tables().padded("freedom", fill=-1)) >= 0
    rows = torch.zeros(NUM_GROUPS + 1, MAX_POSITIONS, dtype=torch.long)
    rows[exists] = torch.arange(1, int(exists.sum()) + 1)
    return rows


def _group_features() -> NDArray[np.float32]:
    """(231, features) with a row of zeros for the number 0."""
    features = tables().group_features
    return np.concatenate([np.zeros((1, features.shape[1]), np.float32), features])


class GroupEmbedding(nn.Module):
    """Vectors for groups alone, made as in `SiteEmbedding`."""

    group_features: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        group = _group_features()
        self.register_buffer("group_features", torch.from_numpy(group), persistent=False)
        self.from_group_features = nn.Linear(group.shape[1], width)
        self.group_identity = _small_embedding(NUM_GROUPS + 1, width)

    def forward(self, group: Tensor) -> Tensor:
        """(n,) group numbers to (n, width)."""
        made: Tensor = self.from_group_features(self.group_features[group]) + self.group_identity(group)
        return made


class SiteEmbedding(nn.Module):
    """Vectors for groups and for Wyckoff positions.

    The tables' features (operations, centring, stabiliser, freedom, location) carry what groups share, so that a group
    absent from training still has a meaning; the learnt part of each group, symbol and position starts near zero.
    """

    group_features: Tensor
    position_features: Tensor
    position_rows: Tensor
    symbols: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        data = tables()
        group = _group_features()
        self.register_buffer("group_features", torch.from_numpy(group), persistent=False)
        features = np.array(data.padded("position_features"))
        self.register_buffer("position_features", torch.from_numpy(features), persistent=False)
        self.register_buffer("position_rows", position_rows(), persistent=False)
        symbols = data.padded("site_symmetry").astype(np.int64)
        self.register_buffer("symbols", torch.from_numpy(symbols), persistent=False)
        self.from_group_features = nn.Linear(group.shape[1], width)
        self.from_position_features = nn.Linear(features.shape[2], width)
        self.group_identity = _small_embedding(NUM_GROUPS + 1, width)
        self.position_identity = _small_embedding(len(data.freedom) + 1, width)
        self.symbol_identity = _small_embedding(len(data.site_symmetries), width)

    def group(self, group: Tensor) -> Tensor:
        """(n,) group numbers to (n, width)."""
        return self.from_group_features(self.group_features[group]) + self.group_identity(group)

    def forward(self, group: Tensor, wyckoffs: Tensor) -> Tensor:
        """(n,) group numbers and (n, S) letter indices (any valid index where there is no site) to (n, S, width)."""
        number = group[:, None]
        return (
            self.from_position_features(self.position_features[number, wyckoffs])
            + self.position_identity(self.position_rows[number, wyckoffs])
            + self.symbol_identity(self.symbols[number, wyckoffs])
            + self.group(group)[:, None]
        )


class ElementEmbedding(nn.Module):
    """Vectors for the elements of a vocabulary: a learnt part and a linear map of periodic-table features."""

    features: Tensor

    def __init__(self, elements: tuple[int, ...], width: int) -> None:
        super().__init__()
        features = torch.from_numpy(element_features()[[number - 1 for number in elements]])
        self.register_buffer("features", features, persistent=False)
        self.identity = nn.Embedding(len(elements), width)
        nn.init.normal_(self.identity.weight, std=0.1)
        self.from_features = nn.Linear(features.shape[1], width)

    def forward(self) -> Tensor:
        """All vectors, (elements, width)."""
        return self.identity.weight + self.from_features(self.features)


def _small_embedding(rows: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(rows, width)
    nn.init.normal_(embedding.weight, std=0.02)
    return embedding


@cache
def element_features() -> np.ndarray:
    """(103, 38) period and group and block one-hot, f-block families, electronegativity, radius, number."""
    out = []
    for row in element_rows():
        number = row["number"]
        numeric = [
            (row["electronegativity"] - 1.8) / 0.7,
            (row["radius"] - 1.5) / 0.4,
            number / 50 - 1,
            float(57 <= number <= 71),
            float(89 <= number <= 103),
        ]
        block = np.eye(4)["spdf".index(row["block"])]
        out.append(np.concatenate([np.eye(7)[row["period"] - 1], np.eye(18)[row["group"] - 1], block, numeric]))
    return np.array(out, dtype=np.float32)
