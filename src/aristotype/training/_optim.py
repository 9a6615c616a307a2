"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import TYPE_CHECKING

import torch
from torch import nn

from aristotype.errors import ConfigError

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
    """AdamW over the trainable parameters, with weight decay on `decayed_parameters` only.

    Each group has a `factor`, by which the rate of its part is that of the schedule.

    Raises:
        ConfigError: a part of `config.part_rates` has no parameter.
    """
    decayed = decayed_parameters(model)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = part_rate(name, config)
            groups.setdefault((rate, name in decayed), []).append(parameter)
    for part in config.part_rates:
        if not any(_belongs(name, part) for name, _ in model.named_parameters()):
            names = sorted({name.rpartition(".")[0] for name, _ in model.named_parameters()})
            close = get_close_matches(part, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"training setting part_rates names {part!r}, and no parameter begins so{hint}")
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": config.weight_decay if decays else 0.0,
                "factor": rate / config.learning_rate,
            }
            for (rate, decays), parameters in groups.items()
        ],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        fused=True,
    )


def part_rate(name: str, config: TrainingConfig) -> float:
    """Peak learning rate of the parameter of a name."""
    fits = [part for part in config.part_rates if _belongs(name, part)]
    return config.part_rates[max(fits, key=len)] if fits else config.learning_rate


def _belongs(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


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
