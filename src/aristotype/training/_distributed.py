"""Several processes as one run: `torchrun` or any launcher that sets RANK and WORLD_SIZE."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from aristotype.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._config import DeviceChoice


@dataclass(frozen=True, kw_only=True)
class World:
    """The place of this process among those of the run.

    Attributes:
        rank: Number of this process; 0 is the one that writes.
        size: Number of processes.
        device: Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean over processes, elementwise, in float64."""
        values = values.to(torch.float64)
        if self.size > 1:
            dist.all_reduce(values)
        return values / self.size

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in rank order (any small picklable object; for messages)."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def mean_metrics(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Mean of each metric over processes, weighted by the metric `weight` where it is given."""
        weight = float(metrics.get("weight", 1.0))
        names = [name for name in metrics if name != "weight"]
        if self.size == 1:
            return {name: float(metrics[name]) for name in names}
        sums = [weight, *(weight * float(metrics[name]) for name in names)]
        total, *means = self.mean(torch.tensor(sums, dtype=torch.float64, device=self.device)).tolist()
        return {name: value / total for name, value in zip(names, means, strict=True)}

    def average_gradients(self, model: nn.Module) -> None:
        """Replace every gradient by its mean over processes, in one reduction of one flat buffer.

        Models here have a few million parameters: one call after the backward pass costs less than the bookkeeping that
        would overlap it. A parameter without gradient on all processes keeps none.
        """
        if self.size == 1:
            return
        parameters = [p for p in model.parameters() if p.requires_grad]
        used = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        dist.all_reduce(used)
        dist.all_reduce(flat)
        flat /= self.size
        pieces = flat.split([p.numel() for p in parameters])
        for parameter, piece, users in zip(parameters, pieces, used.tolist(), strict=True):
            if users > 0:
                parameter.grad = piece.view_as(parameter).to(parameter.dtype)

    @torch.no_grad()
    def share_weights(self, model: nn.Module) -> None:
        """Give every process the weights and buffers of rank 0."""
        if self.size > 1:
            for tensor in (*model.parameters(), *model.buffers()):
                dist.broadcast(tensor.data, src=0)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier(device_ids=[self.device.index] if self.device.type == "cuda" else None)


def rank_and_world() -> tuple[int, int]:
    """(rank, number of processes) from the launcher's environment; (0, 1) without a launcher."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def resolve_device(choice: DeviceChoice) -> torch.device:
    """The device this process computes on; on a node with several GPUs each local process takes its own.

    Raises:
        ConfigError: A GPU was asked for and there is none.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training setting device is 'cuda', but torch sees no GPU: set it to 'auto' or 'cpu'")
    if choice == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def join_world(choice: DeviceChoice) -> World:
    """Join the processes of the run: gloo on a CPU, nccl on GPUs.

    The group lasts until the process ends: a launcher's rendezvous serves once, and a second run in the same process
    would wait for it for ever.
    """
    device = resolve_device(choice)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    rank, size = rank_and_world()
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
        atexit.register(_leave_world)
    return World(rank=rank, size=size, device=device)


def _leave_world() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
