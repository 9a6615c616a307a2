"""The settings of one training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from aristotype.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

Schedule = Literal["cosine", "constant", "linear"]
DeviceChoice = Literal["auto", "cpu", "cuda"]

# Fields that say where and how visibly a run works, not what it computes: they may change when a run is resumed.
FREE_ON_RESUME = frozenset({"save_every", "log_every", "prefetch", "device", "threads", "tensorboard"})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What the loop does, whatever the model; every field is checked on construction.

    Attributes:
        seed: Seed of everything random inside a step (dropout, sampled orders); step s of rank r depends on
            (seed, r, s) alone.
        epochs: Passes over the data; at least one of `epochs` and `max_steps` is given, and the first reached ends the
            run.
        max_steps: Optimiser updates.
        batch_size: Rows in one batch of one process.
        learning_rate: Peak learning rate, reached at the end of the warm-up.
        part_rates: Peak learning rates of parts that have their own, by the beginning of their parameters' names
            (`network.lattice` is that of `network.lattice.first.weight`); of several that fit the longest counts. They
            rise and fall as `learning_rate` does.
        min_learning_rate: Where the schedule ends; ignored by the constant one.
        warmup_steps: Steps over which the rate rises linearly from zero.
        schedule: Shape after the warm-up: `cosine`, `linear` (both down to `min_learning_rate`) or `constant`.
        weight_decay: Decoupled decay (AdamW), on matrices only: biases, gains and embeddings have none.
        betas: Decay rates of AdamW's first and second moments.
        epsilon: What AdamW adds to the root of the second moment.
        clip_norm: Largest global gradient norm; 0 leaves gradients as they are.
        ema_decay: Decay of the moving average of the weights that is validated and saved; 0 turns it off.
        patience: Validations without a better `nll` after which the run stops; 0 never stops early.
        validate_every: Steps between validations; 0 validates at the end of every epoch.
        save_every: Steps between saved states (what a resumed run continues from); 0 saves after every validation.
        log_every: Steps averaged into one line of the log.
        bf16: Compute the loss under bfloat16 autocast on a GPU; no effect on a CPU.
        device: `auto` takes a GPU where there is one.
        threads: Threads of torch on the CPU; 0 leaves torch's own choice.
        prefetch: Batches prepared ahead in a background thread; 0 prepares each when it is needed.
        tensorboard: Also write TensorBoard events, where tensorboard is installed.

    Raises:
        ConfigError: A value outside its range; the message gives the field, the value and the limit.
    """

    seed: int = 0
    epochs: int | None = None
    max_steps: int | None = None
    batch_size: int = 256
    learning_rate: float = 1e-3
    part_rates: dict[str, float] = field(default_factory=dict)
    min_learning_rate: float = 0.0
    warmup_steps: int = 0
    schedule: Schedule = "cosine"
    weight_decay: float = 0.01
    betas: tuple[float, float] = field(default=(0.9, 0.99))
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    ema_decay: float = 0.0
    patience: int = 0
    validate_every: int = 0
    save_every: int = 0
    log_every: int = 20
    bf16: bool = True
    device: DeviceChoice = "auto"
    threads: int = 0
    prefetch: int = 2
    tensorboard: bool = True

    def __post_init__(self) -> None:
        """Check every field."""
        if self.epochs is None and self.max_steps is None:
            raise ConfigError("neither epochs nor max_steps is set: give at least one, or the run has no end")
        for name in ("epochs", "max_steps"):
            if getattr(self, name) is not None:
                self._check(name, lambda v: v >= 1, "at least 1")
        for name in ("batch_size", "log_every"):
            self._check(name, lambda v: v >= 1, "at least 1")
        for name in ("seed", "warmup_steps", "patience", "validate_every", "save_every", "threads", "prefetch"):
            self._check(name, lambda v: v >= 0, "at least 0")
        self._check("learning_rate", lambda v: 0 < v < math.inf, "positive and finite")
        self._check("part_rates", lambda v: all(0 < r < math.inf for r in v.values()), "positive and finite rates")
        self._check("epsilon", lambda v: 0 < v < 1, "above 0 and below 1")
        self._check("min_learning_rate", lambda v: 0 <= v <= self.learning_rate, "between 0 and learning_rate")
        self._check("weight_decay", lambda v: 0 <= v < math.inf, "at least 0 and finite")
        self._check("clip_norm", lambda v: 0 <= v < math.inf, "at least 0 and finite")
        self._check("ema_decay", lambda v: 0 <= v < 1, "at least 0 and below 1")
        self._check("betas", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v), "two numbers in [0, 1)")
        self._check("schedule", lambda v: v in ("cosine", "constant", "linear"), "cosine, constant or linear")
        self._check("device", lambda v: v in ("auto", "cpu", "cuda"), "auto, cpu or cuda")

    def _check(self, name: str, accept: Callable[[Any], bool], rule: str) -> None:
        value = getattr(self, name)
        if not accept(value):
            raise ConfigError(f"training setting {name} is {value!r}; it must be {rule}")

    def total_steps(self, steps_per_epoch: int) -> int:
        """Number of updates of a whole run over epochs of `steps_per_epoch` updates."""
        ends = [] if self.max_steps is None else [self.max_steps]
        if self.epochs is not None:
            ends.append(self.epochs * steps_per_epoch)
        return min(ends)
