"""What the loop asks of batches and of the source that makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import torch

from aristotype.errors import TrainingError


@runtime_checkable
class BatchSource(Protocol):
    """Training data as batches, a pure function of (the source's own seed, epoch, rank, world).

    Nothing may depend on what was drawn before: a resumed run asks for the same epoch again and skips the batches
    it has already seen, and a background thread may run ahead of the model. Global random generators are therefore out
    of bounds here.

    A batch is any nest of mappings, tuples, lists and dataclasses of tensors, or an object with `.to(device)`. One that
    has `.describe() -> str` is named by it when its loss is not finite.
    """

    def batches(self, epoch: int, rank: int, world: int) -> Iterator[Any]:
        """The batches of one epoch (from 0) for process `rank` of `world`: at least `steps_per_epoch(world)` of them.

        All ranks of one step should hold equally many rows: gradients are averaged over processes with equal weight.
        """
        ...

    def steps_per_epoch(self, world: int) -> int:
        """Number of batches an epoch gives each of `world` processes; the same for all of them."""
        ...


def endless_batches(source: BatchSource, rank: int, world: int, *, epoch: int, position: int) -> Iterator[Any]:
    """Batches from number `position` of `epoch` on, epoch after epoch, `steps_per_epoch` of each.

    Raises:
        TrainingError: The source ends an epoch before it has given that many.
    """
    promised = source.steps_per_epoch(world)
    while True:
        given = position
        for batch in islice(source.batches(epoch, rank, world), position, promised):
            given += 1
            yield batch
        if given < promised:
            raise TrainingError(
                f"the source gave {given} batches in epoch {epoch}, but its steps_per_epoch promises {promised}: "
                "the two must agree"
            )
        epoch, position = epoch + 1, 0


def to_device(batch: Any, device: torch.device) -> Any:
    """The same nest with every tensor on `device`; anything that is not a tensor is kept as it is."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if callable(getattr(batch, "to", None)):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: to_device(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(part, device) for part in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(part, device) for part in batch)
    if is_dataclass(batch) and not isinstance(batch, type):
        parts = {f.name: to_device(getattr(batch, f.name), device) for f in fields(batch) if f.init}
        return replace(batch, **parts)
    return batch


def describe(batch: Any) -> str:
    """The batch's own description where it has one, else an empty string."""
    own = getattr(batch, "describe", None)
    return str(own()) if callable(own) else ""
