"""Vectors of groups, positions, elements, spaces, shapes, cells and densities of atoms (2.1, 2.3 and A.4)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from aristotype.models.blocks import ElementEmbedding
from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._features import (
    GROUP_FEATURES,
    POSITION_FEATURES,
    group_features,
    position_features,
    shape_corners,
    shape_rows,
)
from aristotype.models.wyckoff_augen.paper._lattice import ANGLES, LENGTHS
from aristotype.models.wyckoff_augen.paper._layers import fourier, frequencies, mlp, waves

_WAVES, _SCALE, _SEED = 32, 1.0, 37
_CELL_WAVES, _CELL_SCALES, _CELL_SEED = 16, (20.0, 20.0, 20.0, 1.0, 1.0, 1.0), 41


class Embeddings(nn.Module):
    """What the parts of a crystal are known by, all of one width."""

    group_table: Tensor
    position_table: Tensor
    rows: Tensor
    corners: Tensor
    share: Tensor
    wave: Tensor
    cell_wave: Tensor
    range_low: Tensor
    range_size: Tensor

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width = config.width
        ranges = torch.tensor([LENGTHS] * 3 + [ANGLES] * 3)
        tables = {
            "group_table": torch.from_numpy(group_features()),
            "position_table": torch.from_numpy(position_features()),
            "rows": torch.from_numpy(shape_rows()),
            "corners": torch.from_numpy(shape_corners()[0]),
            "share": torch.from_numpy(shape_corners()[1]),
            "range_low": ranges[:, 0].clone(),
            "range_size": ranges[:, 1] - ranges[:, 0],
        }
        for name, values in tables.items():
            self.register_buffer(name, values, persistent=False)
        self.register_buffer("wave", frequencies(3, _WAVES, _SCALE, _SEED))
        scales = torch.tensor(_CELL_SCALES)[:, None]
        self.register_buffer("cell_wave", scales * frequencies(6, _CELL_WAVES, 1.0, _CELL_SEED))
        self.from_group = mlp(GROUP_FEATURES, width, width)
        self.from_position = mlp(POSITION_FEATURES, width, width)
        self.elements = ElementEmbedding(config.elements, config.element_width)
        self.from_element = nn.Linear(config.element_width, width)
        self.to_space = mlp(config.element_width, width, width)
        self.space_out = mlp(width, width, width)
        self.from_corner = mlp(2 * _WAVES, width, width)
        self.shape_out = mlp(width, width, width)
        self.origin = nn.Parameter(torch.randn(width))
        self.from_cell = mlp(6 * (1 + 2 * _CELL_WAVES), width, width)
        self.from_density = mlp(2, width, width)

    def group(self, group: Tensor) -> Tensor:
        """(n, width) groups by number (n,)."""
        return cast(Tensor, self.from_group(self.group_table[group]))

    def positions(self, group: Tensor) -> Tensor:
        """(n, 27, width) positions of groups (n,)."""
        return cast(Tensor, self.from_position(self.position_table[group]))

    def all_elements(self) -> Tensor:
        """(E, width) the vocabulary."""
        return cast(Tensor, self.from_element(self.elements()))

    def space(self, space: Tensor) -> Tensor:
        """(n, width) spaces of elements (n, E), by DeepSets."""
        vectors = self.to_space(self.elements())
        members = space.to(vectors.dtype)
        count = members.sum(dim=1, keepdim=True).clamp(min=1.0)
        return cast(Tensor, self.space_out(members @ vectors / count.sqrt()))

    def shapes(self, group: Tensor, letter: Tensor) -> tuple[Tensor, Tensor]:
        """(k, 4, width) the shapes of positions (k,), by DeepSets on their vertices, and (k, 4) which there are."""
        rows = self.rows[group, letter]
        different, which = torch.unique(rows, return_inverse=True)
        at = different.clamp(min=0)
        vertex = self.from_corner(waves(self.corners[at], self.wave))
        vectors = self.shape_out((self.share[at][..., None] * vertex).sum(dim=1))
        return vectors[which], rows >= 0

    def cell(self, lattice: Tensor) -> Tensor:
        """(n, width) cells (n, 6) in Angstrom and degrees."""
        share = (lattice.to(self.range_low) - self.range_low) / self.range_size
        waves = fourier(share[..., None] * self.cell_wave).flatten(1)
        return cast(Tensor, self.from_cell(torch.cat([share, waves], dim=1)))

    def density(self, atoms: Tensor, volume: Tensor) -> Tensor:
        """(..., width) numbers of atoms (...) in volumes (...) of cubic Angstrom."""
        return cast(Tensor, self.from_density(torch.stack([atoms / 10.0, 15.0 * atoms / volume], dim=-1)))
