"""What the networks of WyckoffAUGen have in common: groups, spaces of elements and sites, and the law of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import CELL_OUTPUTS, CellBoxes, CellLaw, ElementEmbedding, SiteEmbedding, widened

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen.diffusion._config import WyckoffAugenConfig
    from aristotype.models.wyckoff_augen.grids._config import GridsConfig


class KindsNetwork(nn.Module):
    """Vectors of groups, spaces of elements and sites."""

    def __init__(self, config: GridsConfig | WyckoffAugenConfig) -> None:
        super().__init__()
        width = config.width
        self.sites = SiteEmbedding(width)
        self.elements = ElementEmbedding(config.elements, config.element_width)
        self.element_in = nn.Linear(config.element_width, width)
        self.space_in = nn.Sequential(nn.Linear(config.element_width, width), nn.GELU(), nn.Linear(width, width))

    def about(self, group: Tensor, space: Tensor) -> Tensor:
        """(n, width) a group and a space of elements (n, E)."""
        members = space.to(self.element_in.weight.dtype)
        count = members.sum(dim=1, keepdim=True).clamp(min=1.0)
        return self.sites.group(group) + members @ self.space_in(self.elements()) / count.sqrt()

    def kinds(self, group: Tensor, wyckoffs: Tensor, elements: Tensor) -> Tensor:
        """(n, S, width) letters and elements of sites."""
        return self.sites(group, wyckoffs) + self.element_in(self.elements()[elements])

    def waiting(self, space: Tensor, elements: Tensor) -> Tensor:
        """(n, S + 1, element_width) elements of spaces (n, E) still to come, before each site (n, S) and after all."""
        seen = functional.one_hot(elements, space.shape[1]).cumsum(dim=1) > 0
        left = space[:, None] & ~functional.pad(seen, (0, 0, 1, 0))
        return left.to(self.element_in.weight.dtype) @ self.elements()


class CellHead(nn.Module):
    """The mixture over cells."""

    def __init__(self, width: int, components: int, dropout: float, spread: float) -> None:
        """Fresh weights; `spread` is a factor on the widths of cells."""
        super().__init__()
        self.spread = spread
        drop = nn.Dropout(dropout)
        self.hidden = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), drop, nn.Linear(2 * width, 2 * width), nn.GELU(), drop
        )
        self.out = nn.Linear(2 * width, components * CELL_OUTPUTS)
        self.boxes = CellBoxes()

    def forward(self, known: Tensor, group: Tensor, log_size: Tensor | float) -> CellLaw:
        """The law of cells.

        Args:
            known: (n, width) what cells are drawn by.
            group: (n,).
            log_size: (n,) or one, ln of how much larger than an ordinary atom a lattice point is taken to be: the first
                coordinate of the box is that of a lattice point, not of an atom.
        """
        law = self.boxes.law(widened(self.out(self.hidden(known))), group, self.spread)
        centre = law.centre.clone()
        centre[..., 0] += log_size[:, None] if isinstance(log_size, Tensor) else log_size
        return law._replace(centre=centre)

    def log_density(self, law: CellLaw, cell: Tensor, acute: Tensor, group: Tensor) -> Tensor:
        """(n,) log-density of points of the box (n, 6) and kinds of cells (n,)."""
        return self.boxes.log_density(law, cell.to(law.centre), acute, group)
