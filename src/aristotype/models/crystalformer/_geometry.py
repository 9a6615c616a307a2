"""p(cell, free parameters | gene): one transformer reads the gene, another places site after site.

The cell comes first, from a mixture over the box of reduced cells, so that sites are placed knowing lengths. A site's
parameters are written axis by axis: one of 24 bins, among those of its support, and an offset inside the bin. Sites of
one kind are written in the order of their bins. Everything that is drawn is therefore legal, and written in one way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aristotype.models.blocks import ElementEmbedding, Layer, SiteEmbedding, widened
from aristotype.models.crystalformer._cells import CELL_OUTPUTS, CellBoxes, CellLaw
from aristotype.models.crystalformer._config import GeometryConfig
from aristotype.models.crystalformer._features import NUM_FEATURES, average_table
from aristotype.models.crystalformer._laws import centres, log_normal_inside, widths
from aristotype.models.crystalformer._support import BINS
from aristotype.symmetry import tables

SMALLEST_OFFSET = 0.01
"""Smallest width in the mixture inside a bin, in bins: .0004 of an axis."""
ROOM = (0.3, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.05, 1.2, 1.4, 1.7, 2.1)
"""Distances over the sum of two radii around which the network is told apart how close a site would come."""
_ROOM_WIDTH = 0.1
_CELL_FEATURES = 12


@dataclass(frozen=True, kw_only=True)
class Places:
    """n sequences of S sites each, as tensors."""

    group: Tensor  # (n,)
    wyckoffs: Tensor  # (n, S)
    elements: Tensor  # (n, S) indices in the vocabulary
    cell: Tensor  # (n, 6) points of the box
    acute: Tensor  # (n,) bool
    cell_features: Tensor  # (n, 12)
    bins: Tensor  # (n, S, 3)
    offsets: Tensor  # (n, S, 3) -1/2 to 1/2
    written: Tensor  # (n, S, 3) bool, whether a parameter exists and is written
    allowed: Tensor  # (n, S, 3, BINS) bool
    least: Tensor  # (n, S, 3) smallest offset that may be written, -1/2 but for sites whose bins are those before
    placed: Tensor  # (n, S, 136) structure factors of the sites
    room: Tensor  # (n, S, BINS) closeness to what is there, by the bin of the last parameter
    rows: Tensor  # (n,) rows of the training table
    mean_rows: float = 1.0  # sequences of an average batch

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        more = " ..." if len(self.rows) > 8 else ""
        return f"rows {shown}{more} ({len(self.rows)} crystals of {self.wyckoffs.shape[1]} sites)"


class GeometryNetwork(nn.Module):
    """Cell and free parameters of crystals whose gene is given."""

    average: Tensor
    multiplicity: Tensor

    def __init__(self, config: GeometryConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self._register_tables()
        self.sites = SiteEmbedding(width)
        self.elements = ElementEmbedding(config.elements, config.element_width)
        self.element_in = nn.Linear(config.element_width, width)
        self.where = nn.Linear(NUM_FEATURES, width)
        self.share = nn.Linear(2, width, bias=False)

        def layers(count: int) -> Sequence[Layer]:
            made = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(count))
            return cast("Sequence[Layer]", made)

        self.encoder = layers(config.encoder_layers)
        self.decoder = layers(config.decoder_layers)
        self.norm_encoder, self.norm_decoder = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cell_hidden = nn.Linear(width, 2 * width)
        self.cell_out = nn.Linear(2 * width, config.cell_components * CELL_OUTPUTS)
        self.boxes = CellBoxes()
        self.current = nn.Linear(width, width)
        self.previous = nn.Linear(width, width)
        self.placed = nn.Linear(NUM_FEATURES, width)
        self.cell_in = nn.Sequential(nn.Linear(_CELL_FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.axis = nn.Embedding(3, width)
        self.bin_in = nn.Parameter(0.02 * torch.randn(3, BINS, width))
        self.offset_in = nn.Parameter(0.02 * torch.randn(3, width))
        self.norm_head = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.GELU())
        self.bin_out = nn.Linear(width, BINS)
        self.room_in = nn.Linear(width, len(ROOM))  # how much each range of closeness is wanted
        nn.init.zeros_(self.room_in.weight)
        nn.init.zeros_(self.room_in.bias)
        self.bin_here = nn.Parameter(0.02 * torch.randn(3, BINS, width))
        self.offset_out = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, 3 * config.offset_components)
        )
        self.drop = nn.Dropout(config.dropout)

    def _register_tables(self) -> None:
        for name, values in (
            ("average", average_table()),
            ("multiplicity", tables().padded("multiplicity", fill=0).astype(np.float32)),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    # The gene

    def encode(self, group: Tensor, wyckoffs: Tensor, elements: Tensor) -> Tensor:
        """(n, S, width) what the network makes of each site of a gene."""
        atoms = self.multiplicity[group[:, None], wyckoffs]
        share = torch.stack([atoms / atoms.sum(dim=1, keepdim=True), torch.log(atoms) / 3.0], dim=2)
        x = self.sites(group, wyckoffs) + self.where(self.average[group[:, None], wyckoffs]) + self.share(share)
        x = self.drop(x + self.element_in(self.elements()[elements]))
        for layer in self.encoder:
            x = layer(x, causal=False)
        return self.norm_encoder(x)

    # The cell

    def cell_law(self, context: Tensor, group: Tensor, wyckoffs: Tensor) -> CellLaw:
        """The mixture over cells of genes that were read."""
        atoms = self.multiplicity[group[:, None], wyckoffs]
        pooled = (context * (atoms / atoms.sum(dim=1, keepdim=True))[..., None]).sum(dim=1)
        hidden = functional.gelu(self.cell_hidden(pooled + context.mean(dim=1)))
        return self.boxes.law(widened(self.cell_out(hidden)), group, self.config.cell_spread)

    # The sites

    def place(self, context: Tensor, places: Places) -> Tensor:
        """(n, S, width) the state in which each site is placed, given those before it."""
        x = self.current(context) + self.cell_in(places.cell_features.to(context))[:, None]
        before = self.previous(context[:, :-1]) + self.placed(places.placed[:, :-1].to(context))
        x = self.drop(x + functional.pad(before, (0, 0, 1, 0)))
        for layer in self.decoder:
            x = layer(x, causal=True)
        return self.norm_decoder(x)

    def log_sites(self, state: Tensor, places: Places) -> Tensor:
        """(n,) log-density of the free parameters, by parameters in [0, 1)."""
        total = state.new_zeros(state.shape[:2], dtype=torch.float32 if state.dtype == torch.bfloat16 else state.dtype)
        seen = state
        for axis in range(3):
            bins, offsets = places.bins[..., axis], places.offsets[..., axis]
            hidden, logits = self.bin_logits(seen, axis)
            last = places.written[..., axis] & ~places.written[..., axis + 1 :].any(dim=2)
            logits = logits + torch.where(last[..., None], self.room_logits(hidden, places.room), 0.0)
            logits = logits.masked_fill(~places.allowed[:, :, axis], -torch.inf)
            found = functional.log_softmax(logits, dim=-1).gather(2, bins[..., None])[..., 0]
            least = places.least[..., axis].to(found)
            found = found + self.log_offset(hidden, axis, bins, offsets.to(found), least) + np.log(BINS)
            total = total + torch.where(places.written[..., axis], found, 0.0)
            seen = self.after(seen, axis, bins, offsets)
        return total.sum(dim=1)

    def bin_logits(self, seen: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The hidden state of an axis, and (..., BINS) logits."""
        hidden = self.head(self.norm_head(seen + self.axis.weight[axis]))
        logits = self.bin_out(hidden) / self.config.bin_temperature
        return hidden, widened(logits)

    def room_logits(self, hidden: Tensor, room: Tensor) -> Tensor:
        """(..., BINS) what the closeness (..., BINS) at each bin adds to the logits of the last parameter."""
        middle = torch.tensor(ROOM, dtype=room.dtype, device=room.device)
        ranges = torch.exp(
            -0.5 * torch.square((room.clamp(max=2.5)[..., None] - middle) / (_ROOM_WIDTH * (0.5 + middle)))
        )
        wanted = self.room_in(hidden).to(ranges) / self.config.bin_temperature
        return (ranges @ wanted[..., None])[..., 0]

    def offset_law(self, hidden: Tensor, axis: int, bins: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Log-weights, centres and widths (..., K) of the mixture inside a bin, and its borders."""
        raw = widened(self.offset_out(hidden + self.bin_here[axis][bins]))
        weight, centre, width = raw.chunk(3, dim=-1)
        high = torch.full((), 0.5, dtype=raw.dtype, device=raw.device)
        return (
            functional.log_softmax(weight, dim=-1),
            centres(centre, -high, high),
            self.config.offset_spread * widths(width, SMALLEST_OFFSET),
            -high,
            high,
        )

    def log_offset(self, hidden: Tensor, axis: int, bins: Tensor, offsets: Tensor, least: Tensor) -> Tensor:
        """Log-density of offsets inside what is left of their bins, from `least` to 1/2: the law of a bin, shrunk."""
        weight, centre, width, low, high = self.offset_law(hidden, axis, bins)
        room = (0.5 - least).clamp(min=1e-9)
        inside = (offsets - least) / room - 0.5
        law = weight + log_normal_inside(inside[..., None], centre, width, low, high)
        found = torch.logsumexp(law, dim=-1) - torch.log(room)
        return torch.where(offsets < least, -torch.inf, found)

    def after(self, seen: Tensor, axis: int, bins: Tensor, offsets: Tensor) -> Tensor:
        """The state once an axis is written."""
        return seen + self.bin_in[axis][bins] + offsets[..., None].to(seen) * self.offset_in[axis]

    def log_prob(self, places: Places) -> tuple[Tensor, Tensor]:
        """(n,) log-density of the cell in its box, and of the free parameters."""
        context = self.encode(places.group, places.wyckoffs, places.elements)
        law = self.cell_law(context, places.group, places.wyckoffs)
        cell = self.boxes.log_density(law, places.cell.to(law.centre), places.acute, places.group)
        return cell, self.log_sites(self.place(context, places), places)
