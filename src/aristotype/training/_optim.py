"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._config import TrainingConfig


def learning_rate(step: int, config: TrainingConfig, total_steps: int) -> float:
    """Learning rate of update `step` (from 0) in a run of `total_steps` updates.

    Linear warm-up to the peak at the last warm-up step, then the schedule, which would reach `min_learning_rate` at
    `total_steps`, one step after the last.
    """
    peak, floor, warmup = config.learning_rate, config.min_learning_rate, config.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if config.schedule == "constant":
        return peak
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    remaining = 1.0 - progress if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return floor + (peak - floor) * remaining


def decayed_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters that weight decay acts on: tensors of two or more axes outside embeddings.

    Decay on biases and normalisation gains pulls towards a function that is not simpler, and decay on an embedding
    shrinks the rows of rare tokens (uncommon elements, site symmetries) that few gradients restore.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))}
    return {name for name, p in model.named_parameters() if p.ndim >= 2 and id(p) not in embeddings}


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, with weight decay on `decayed_parameters` only."""
    decayed = decayed_parameters(model)
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in trainable if name in decayed], "weight_decay": config.weight_decay},
        {"params": [p for name, p in trainable if name not in decayed], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, torch.Tensor]:
    """The optimiser's state as `<parameter name>/<slot>` tensors; parameters never updated have none."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{slot}": torch.as_tensor(value)
        for parameter, slots in optimizer.state.items()
        for slot, value in slots.items()
    }


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put back what `optimizer_tensors` gave; devices and types follow the parameters."""
    names = {id(p): name for name, p in model.named_parameters()}
    by_name: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        name, slot = key.rsplit("/", 1)
        by_name.setdefault(name, {})[slot] = tensor.clone()  # the optimiser updates in place
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {i: by_name[names[id(p)]] for i, p in enumerate(parameters) if names[id(p)] in by_name}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def gradient_norm(model: nn.Module, clip_norm: float) -> torch.Tensor:
    """Global gradient norm before clipping, as a tensor on the device; gradients are clipped when `clip_norm` > 0."""
    return nn.utils.clip_grad_norm_(model.parameters(), clip_norm if clip_norm > 0 else math.inf)
