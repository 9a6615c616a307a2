"""Policy gradient: raises the expected reward of what a model draws, held near the model that it started from.

    maximise  E[r(x)] - kl_weight KL(p || p_base),  x drawn from p

whose gradient is E[(r(x) - kl_weight ln(p(x) / p_base(x)) - b) grad ln p(x)] for any b that does not depend on x: the
derivative of the logarithm itself has mean zero under p (Williams, Machine Learning 8, 229 (1992)). b is the mean over
the other rows of the batch, which keeps the estimator unbiased (Kool, van Hoof and Welling, 2019). The optimum is
p_base exp(r / kl_weight), normalised. Further updates on the same batch weigh rows by p / p_drawn, and stop where that
leaves a range (Schulman et al., arXiv:1707.06347).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aristotype.errors import ConfigError, TrainingError

from ._config import TrainingConfig
from ._optim import gradient_norm, make_optimizer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """What a policy gradient does; every field is checked on construction.

    Attributes:
        steps: Batches drawn.
        batch_size: Rows in a batch.
        learning_rate: Of Adam.
        kl_weight: What a nat of divergence from the base model costs, in units of the reward.
        updates: Updates made with each batch.
        clip_ratio: Further updates leave rows alone whose probability has changed by more than this share, in the
            direction that the update would go on; the first update does not need it.
        clip_norm: Largest global gradient norm; 0 leaves gradients as they are.
        repeat_penalty: Taken from the reward of a row that repeats an earlier one of the run, or a known one.
        patience: Batches in a row without a usable reward after which the run is given up.
        seed: Of the draws.

    Raises:
        ConfigError: A value outside its range; the message gives the field, the value and the limit.
    """

    steps: int = 40
    batch_size: int = 128
    learning_rate: float = 1e-4
    kl_weight: float = 0.02
    updates: int = 2
    clip_ratio: float = 0.2
    clip_norm: float = 1.0
    repeat_penalty: float = 0.1
    patience: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        for name, lowest, highest in (
            ("steps", 1, 10**9),
            ("batch_size", 2, 10**6),
            ("kl_weight", 0.0, 1e6),
            ("updates", 1, 1000),
            ("clip_ratio", 0.01, 1e6),
            ("clip_norm", 0.0, 1e6),
            ("repeat_penalty", 0.0, 1e6),
            ("patience", 1, 10**6),
            ("learning_rate", 1e-12, 10.0),
            ("seed", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and lowest <= value <= highest):
                raise ConfigError(f"{name} is {value}; it must be from {lowest:g} to {highest:g}")


def leave_one_out(returns: Tensor) -> Tensor:
    """Each return (n,) less the mean of the others; n is at least 2."""
    count = len(returns)
    return (returns - returns.mean()) * (count / (count - 1))


def surrogate(log_prob: Tensor, drawn_with: Tensor, advantage: Tensor, clip_ratio: float) -> Tensor:
    """The loss whose gradient is minus the policy gradient.

    Args:
        log_prob: (n,) log-probabilities of the policy, with gradients.
        drawn_with: (n,) those under which the rows were drawn, without.
        advantage: (n,) returns less a baseline.
        clip_ratio: how far the ratio of the two is followed.
    """
    ratio = torch.exp(log_prob - drawn_with)
    clipped = ratio.clamp(1.0 - clip_ratio, 1.0 + clip_ratio)
    return -torch.minimum(ratio * advantage, clipped * advantage).mean()


@dataclass(frozen=True, kw_only=True)
class PolicyStep:
    """What a batch did.

    Attributes:
        kl: Estimate of the divergence from the base model in nats, before the updates.
        gradient_norm: Of the first update.
    """

    kl: float
    gradient_norm: float


class PolicyGradient:
    """The optimiser of a policy.

    Attributes:
        policy: The module whose trainable weights move.
        optimizer: Adam over them.
    """

    def __init__(self, policy: nn.Module, config: PolicyConfig) -> None:
        self.policy, self.config = policy, config
        plain = TrainingConfig(
            max_steps=config.steps, learning_rate=config.learning_rate, weight_decay=0.0, schedule="constant"
        )
        self.optimizer = make_optimizer(policy, plain)

    def update(self, log_prob: Callable[[], Tensor], base: Tensor, reward: Tensor) -> PolicyStep:
        """Moves the policy by one batch.

        Args:
            log_prob: Gives the log-probabilities (n,) of the rows in nats, with gradients; called once an update.
            base: (n,) those under the base model.
            reward: (n,) finite rewards; n is at least 2.

        Raises:
            TrainingError: A log-probability, or the gradient, is not finite.
        """
        norms: list[float] = []
        drawn_with = advantage = torch.empty(0)
        for update in range(self.config.updates):
            found = log_prob()
            if update == 0:
                drawn_with = found.detach()
                advantage = leave_one_out(reward - self.config.kl_weight * (drawn_with - base))
            self.optimizer.zero_grad(set_to_none=True)
            surrogate(found, drawn_with, advantage, self.config.clip_ratio).backward()
            norms.append(float(gradient_norm(self.policy, self.config.clip_norm)))
            if not math.isfinite(norms[-1]):
                raise TrainingError(
                    f"the gradient norm of update {update} is {norms[-1]:g}, of {len(reward)} rows; it may not be "
                    "infinite or NaN: lower learning_rate, or look at the rewards"
                )
            self.optimizer.step()
        return PolicyStep(kl=float((drawn_with - base).mean()), gradient_norm=norms[0])
