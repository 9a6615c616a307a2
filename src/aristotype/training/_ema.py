"""Exponential moving average of a module's weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class EMA:
    """Moving average of the parameters: after update t, average <- d_t average + (1 - d_t) parameter.

    d_t = min(decay, (1 + t) / (10 + t)) with t counted from 1: early averages forget the initial weights quickly
    instead of carrying them for 1 / (1 - decay) steps. Buffers are not averaged.

    Attributes:
        decay: The limit of d_t; 0 turns the average off (it is then the parameter itself, and nothing is stored).
        updates: How many updates were made.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._parameters = dict(module.named_parameters()) if decay > 0 else {}
        self._average = {name: p.detach().clone() for name, p in self._parameters.items()}

    def rate(self, update: int) -> float:
        """d_t for update t = `update`, counted from 1."""
        return min(self.decay, (1 + update) / (10 + update))

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's present parameters into the average."""
        self.updates += 1
        if self._average:
            parameters = [p.detach() for p in self._parameters.values()]
            torch._foreach_lerp_(list(self._average.values()), parameters, 1.0 - self.rate(self.updates))

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within the context the module holds the average; after it, its own weights again, to the bit."""
        own = {name: p.detach().clone() for name, p in self._parameters.items()}
        self._fill(self._average)
        try:
            yield
        finally:
            self._fill(own)

    def copy_to_module(self) -> None:
        """Put the average into the module for good."""
        self._fill(self._average)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The averages by parameter name (empty when off); not copies."""
        return dict(self._average)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, torch.Tensor], updates: int) -> None:
        """Continue from averages saved with `tensors()` after `updates` updates."""
        for name, average in self._average.items():
            average.copy_(tensors[name])
        self.updates = updates

    @torch.no_grad()
    def _fill(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            self._parameters[name].copy_(tensor)
