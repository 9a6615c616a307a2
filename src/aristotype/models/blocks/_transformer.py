"""A pre-norm transformer layer that runs on whole sequences or one step at a time over cached keys and values."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class KeyValueCache:
    """Keys and values (rows, heads, steps, head width) of one layer while a batch is decoded."""

    def __init__(self, rows: int, heads: int, steps: int, width: int, like: Tensor) -> None:
        self.keys = like.new_empty(rows, heads, steps, width)
        self.values = like.new_empty(rows, heads, steps, width)

    def with_room(self, steps: int) -> KeyValueCache:
        """The cache itself, with room for at least so many steps."""
        short = steps - self.keys.shape[2]
        if short > 0:
            self.keys, self.values = (functional.pad(held, (0, 0, 0, short)) for held in (self.keys, self.values))
        return self

    def keep(self, rows: Tensor) -> None:
        """Lets go of all rows but some."""
        self.keys, self.values = self.keys[rows], self.values[rows]


class Layer(nn.Module):
    """Attention and feed-forward, each on the normalised input and added to it."""

    def __init__(
        self, width: int, heads: int, dropout: float, expansion: int = 4, head_width: int | None = None
    ) -> None:
        """A layer with fresh weights; a head is `width / heads` wide unless another width is given."""
        super().__init__()
        inner = width if head_width is None else heads * head_width
        self.heads = heads
        self.dropout = dropout
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * inner)
        self.mix = nn.Linear(inner, width)
        self.norm_forward = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, *, causal: bool, mask: Tensor | None = None) -> Tensor:
        """X (rows, steps, width); `mask` (rows, 1, 1, steps) is True where a step may be looked at."""
        q, k, v = self._split(x)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, dropout_p=dropout)
        return self._finish(x, mixed)

    def step(self, x: Tensor, cache: KeyValueCache, index: int) -> Tensor:
        """One step x (rows, 1, width) at position `index`; looks at the steps before it through the cache.

        Rows of the cache beyond those of x have ended (the longest sequences come first).
        """
        q, k, v = self._split(x)
        rows = len(x)
        cache.keys[:rows, :, index : index + 1] = k
        cache.values[:rows, :, index : index + 1] = v
        keys, values = cache.keys[:rows, :, : index + 1], cache.values[:rows, :, : index + 1]
        return self._finish(x, functional.scaled_dot_product_attention(q, keys, values))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, steps, _ = x.shape
        joined = self.query_key_value(self.norm_attention(x)).view(rows, steps, 3, self.heads, -1)
        q, k, v = joined.permute(2, 0, 3, 1, 4)
        return q, k, v

    def _finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.drop(self.mix(mixed.transpose(1, 2).flatten(2)))
        hidden = functional.gelu(self.expand(self.norm_forward(x)))
        return x + self.drop(self.contract(hidden))
