"""Laws of letters, elements, shapes and coordinates, from the state of a crystal (2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aristotype.models.blocks import widened
from aristotype.models.wyckoff_augen.paper import _beta, _dirichlet, _interior
from aristotype.models.wyckoff_augen.paper._config import PaperConfig
from aristotype.models.wyckoff_augen.paper._layers import Joint, mlp
from aristotype.symmetry import MAX_POSITIONS


class Heads(nn.Module):
    """Perceptrons of the state and of what has come of a site."""

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width = config.width
        self.letter = Joint((width, width), width, 1)
        self.end = mlp(width, width, 2)
        self.element = Joint((width, width, width), width, 1)
        self.shape = Joint((width,) * 4, width, 1)
        self.on_segment = Joint((width,) * 4, width, 3 * config.segment_components)
        self.on_polygon = Joint((width,) * 4, width, 4 * config.polygon_components)
        self.in_interior = Joint((width,) * 4, width, 7 * config.interior_components)

    def letters(self, state: Tensor, positions: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (n, k, 28) of letters and of the end, and (n, k) squared logarithms of normalisers.

        First whether the sequence ends, where it may and may go on; then the letter.

        Args:
            state: (n, k, width).
            positions: (n, 27, width).
            allowed: (n, k, 28).
        """
        may = allowed[..., :MAX_POSITIONS]
        on = may.any(dim=2, keepdim=True)
        raw = widened(self.letter(state[:, :, None], positions[:, None])[..., 0])
        letters, one = _masked(raw, may | ~on)
        both = torch.cat([on, allowed[..., MAX_POSITIONS:]], dim=2)
        ends, other = _masked(widened(self.end(state)), both)
        law = torch.cat([letters + ends[..., :1], ends[..., 1:]], dim=2)
        return law, torch.where(on[..., 0], one, 0.0) + torch.where(both.all(dim=2), other, 0.0)

    def elements(
        self, state: Tensor, position: Tensor, elements: Tensor, space: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities (n, k, E) of elements on positions, and (n, k) squared logarithms of normalisers.

        Args:
            state: (n, k, width).
            position: (n, k, width).
            elements: (E, width).
            space: (n, E) bool; the logits of others are not computed.
            allowed: (n, k, E) some of the space.
        """
        most = int(space.sum(dim=1).max()) if len(space) else 0
        index = space.to(torch.int8).topk(most, dim=1).indices
        raw = self.element(state[:, :, None], position[:, :, None], elements[index][:, None])[..., 0]
        raw = widened(raw)
        every = raw.new_full(allowed.shape, -torch.inf)
        every = every.scatter(2, index[:, None].expand(-1, allowed.shape[1], -1), raw)
        return _masked(every, allowed)

    def shapes(self, site: list[Tensor], shapes: Tensor, there: Tensor) -> Tensor:
        """(m, 4) log-probabilities of shapes (m, 4, width), of which some are there (m, 4).

        `site` are the state, position and element (m, width) of each site.
        """
        raw = self.shape(*(part[:, None] for part in site), shapes)[..., 0]
        return _masked(widened(raw), there)[0]

    def segment(self, site: list[Tensor], shape: Tensor) -> _beta.BetaMixture:
        """Laws on segments; `site` as in `shapes`, and the vectors (m, width) of their shapes."""
        return _beta.mixture(widened(self.on_segment(*site, shape)))

    def polygon(self, site: list[Tensor], shape: Tensor) -> _dirichlet.DirichletMixture:
        """Laws on polygons."""
        return _dirichlet.mixture(widened(self.on_polygon(*site, shape)))

    def interior(self, site: list[Tensor], shape: Tensor) -> _interior.CellMixture:
        """Laws in the cell, for interiors and for sites on the origin."""
        return _interior.mixture(widened(self.in_interior(*site, shape)))


def _masked(logits: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities (..., m) of what is allowed, and (...) squared logarithms of normalisers."""
    masked = logits.masked_fill(~allowed, -torch.inf)
    log_sum = torch.logsumexp(masked, dim=-1)
    return masked - log_sum[..., None], torch.square(log_sum)
