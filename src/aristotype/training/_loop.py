"""The training loop: one pass from a source of batches to saved weights, for any model that can state its loss.

Notable:
- a run is a pure function of (initial weights, source, config, number of processes): steps are seeded, not continued;
- state is saved in one file by one rename, so a kill at any moment loses the steps since then and nothing else;
- on a GPU losses are read a few steps late, so that the host never waits for the device at every step.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from aristotype._files import output_lock, printable
from aristotype.errors import ConfigError, OutputError, TrainingError

from ._batch import BatchSource, describe, endless_batches, to_device
from ._distributed import World, join_world
from ._ema import EMA
from ._log import RunLog
from ._optim import gradient_norm, learning_rate, make_optimizer
from ._prefetch import Prefetcher
from ._progress import Display, make_display
from ._random import isolated_randomness, seed_step
from ._signals import StopRequest, stop_on_signals
from ._state import FILE_NAME as STATE_NAME
from ._state import Counters, load_state, save_state
from ._weights import save_weights, write_bytes

if TYPE_CHECKING:
    from ._config import TrainingConfig

Validate = Callable[[nn.Module], Mapping[str, float]]
OnSave = Callable[[nn.Module, Path, Mapping[str, Any]], None]

# Steps between readings of losses, by type of device.
READ_EVERY = {"cpu": 1, "cuda": 16}


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        stopped: `finished` (all steps done), `patience` (early stop) or `interrupted` (Ctrl-C or SIGTERM).
        step: Updates made.
        epoch: Whole passes over the data.
        best: Metrics of the best validation, with its `step`; empty if there was none.
        latest: Metrics of the latest validation, with its `step`.
        seconds: Wall time spent training, over all starts.
        message: One line for the user; after an interruption it says how to go on.
    """

    stopped: str
    step: int
    epoch: int
    best: Mapping[str, float]
    latest: Mapping[str, float]
    seconds: float
    message: str


def train(
    model: nn.Module,
    source: BatchSource,
    validate: Validate,
    config: TrainingConfig,
    out_dir: str | Path,
    *,
    on_save: OnSave | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train `model` in place; it ends holding the averaged weights of the last step.

    Written to `out_dir`: `log.jsonl`, `run.json` (the resolved settings), `state.safetensors` (for resuming), `best`
    and `last` (by `on_save`), `tensorboard/`. Under `torchrun` every process calls this with the same arguments and
    only rank 0 writes.

    Args:
        model: Has a method `loss(batch) -> (mean loss, {name: scalar tensor})`; the named scalars, the same at
            every step, are logged.
        source: The training batches.
        validate: Called with the model holding averaged weights, in evaluation mode and without gradients; returns
            metrics with the key `nll`, which is minimised. With several processes each calls it and metrics are
            averaged, weighted by the metric `weight` where it is given (rows this process judged).
        config: What the loop does.
        out_dir: Folder of this run.
        on_save: Called on rank 0 with the model holding averaged weights, the path to write (`out_dir/best` or
            `out_dir/last`), and a record of `step`, `epoch`, `metrics` and `seconds`. By default the weights alone are
            written, as `best.safetensors` and `last.safetensors`.
        resume: Continue the run of this folder; one that was killed before its first saved state starts again.
        settings: What else defines the run (model configuration, data), as JSON values: saved, and compared on resume.

    Raises:
        ConfigError: A resumed run with other settings (they are named); a GPU asked for where there is none.
        OutputError: A run is in `out_dir` and `resume` is false; another process trains there; or a file cannot be
            written.
        CheckpointError: The saved state is damaged.
        TrainingError: A loss, gradient norm or validation that is not finite; a source that ends early.
    """
    out_dir = Path(out_dir)
    if not callable(getattr(model, "loss", None)):
        raise ConfigError(f"{type(model).__name__} has no method loss(batch): the loop cannot train it")
    if (out_dir / STATE_NAME).exists() and not resume:
        raise OutputError(f"there is a run in {printable(out_dir)}: resume it, or choose another folder")
    if config.threads:
        torch.set_num_threads(config.threads)
    world = join_world(config.device)
    with (
        output_lock(out_dir) if world.writes else nullcontext(),
        isolated_randomness(world.device),
        stop_on_signals() as stop,
    ):
        trainer = _Trainer(model.to(world.device), source, validate, config, out_dir, on_save, world, stop)
        return trainer.run({"training": asdict(config), "processes": world.size, **(settings or {})})


@dataclass(frozen=True)
class _Pending:
    """An update whose scalars have not been read from the device yet."""

    step: int
    epoch: int
    position: int
    batch: Any
    names: tuple[str, ...]
    scalars: torch.Tensor


class _Trainer:
    """One run of the loop; `run` is its only entry."""

    def __init__(
        self,
        model: nn.Module,
        source: BatchSource,
        validate: Validate,
        config: TrainingConfig,
        out_dir: Path,
        on_save: OnSave | None,
        world: World,
        stop: StopRequest,
    ) -> None:
        self.model, self.source, self.validate, self.config = model, source, validate, config
        self.out_dir, self.on_save, self.world, self.stop = out_dir, on_save or _save_plain, world, stop
        self.loss = cast("Callable[[Any], tuple[torch.Tensor, Mapping[str, torch.Tensor]]]", model.loss)
        self.steps_per_epoch = source.steps_per_epoch(world.size)
        if self.steps_per_epoch < 1:
            raise TrainingError("the source has no batch in an epoch: give it more rows, or a smaller batch_size")
        self.total_steps = config.total_steps(self.steps_per_epoch)
        self.read_every = READ_EVERY[world.device.type]
        self.pending: list[_Pending] = []
        self.interrupted = False
        self.counters = Counters()

    def run(self, identity: Mapping[str, Any]) -> TrainingResult:
        """Start or resume, train to the end, save."""
        self.identity = identity
        self.world.share_weights(self.model)
        self.optimizer = make_optimizer(self.model, self.config)
        self.ema = EMA(self.model, self.config.ema_decay)
        state = self.out_dir / STATE_NAME
        if state.exists():
            self.counters = load_state(state, identity, self.model, self.optimizer, self.ema, Counters)
        elif self.world.writes:
            write_bytes(self.out_dir / "run.json", (json.dumps(identity, indent=1) + "\n").encode("utf-8"))
        self.world.barrier()
        with ExitStack() as stack:
            self._open_outputs(stack)
            self.clock = time.monotonic() - self.counters.seconds
            if not self._over():
                self._steps()
            self.display.message(self._message())
        self.ema.copy_to_module()
        return self._result()

    def _open_outputs(self, stack: ExitStack) -> None:
        """The log (rank 0) and the display, closed when the run ends."""
        writes, config = self.world.writes, self.config
        self.log: RunLog | None = None
        if writes:
            self.log = RunLog(self.out_dir, self.counters.step, tensorboard=config.tensorboard)
            stack.callback(self.log.close)
        rows = config.batch_size * self.world.size
        self.display: Display = make_display(self.counters.step, self.total_steps, rows_per_step=rows, visible=writes)
        stack.callback(self.display.close)

    def _over(self) -> bool:
        return self.interrupted or bool(self.counters.stopped)

    def _steps(self) -> None:
        """Update after update, until the run is over."""
        c, world = self.counters, self.world
        stream = endless_batches(self.source, world.rank, world.size, epoch=c.epoch, position=c.position)
        with Prefetcher(stream, self.config.prefetch) as batches:
            for batch in batches:
                self._update(batch)
                if len(self.pending) >= self.read_every or self._is_boundary():
                    self._read_pending()
                if self._is_boundary() or self.interrupted:
                    self._boundary()
                if self._over():
                    return

    def _update(self, batch: Any) -> None:
        """One optimiser step; its scalars are queued, not read."""
        c, config = self.counters, self.config
        seed_step(config.seed, self.world.rank, c.step, "update")
        rate = learning_rate(c.step, config, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.model.train()
        device = self.world.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bf16 and device.type == "cuda"):
            loss, parts = self.loss(to_device(batch, device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.world.average_gradients(self.model)
        norm = gradient_norm(self.model, config.clip_norm)
        self.optimizer.step()
        self.ema.update()
        scalars = torch.stack([t.detach().double().reshape(()) for t in (loss, norm, *parts.values())])
        self.pending.append(_Pending(c.step, c.epoch, c.position, batch, tuple(parts), scalars))
        c.step += 1
        c.position += 1
        if c.position == self.steps_per_epoch:
            c.epoch, c.position = c.epoch + 1, 0

    def _read_pending(self) -> None:
        """Read queued scalars in one transfer, refuse those that are not finite, log them."""
        if not self.pending:
            return
        pending, self.pending = self.pending, []
        asked = torch.full_like(pending[0].scalars[:1], float(bool(self.stop.signal_name)))
        values = self.world.mean(torch.cat([*(p.scalars for p in pending), asked])).tolist()
        # Agreed by all processes, because the mean is; a process alone must never leave a collective call.
        self.interrupted = values.pop() > 0
        for update in pending:
            row, values = values[: len(update.names) + 2], values[len(update.names) + 2 :]
            if not (math.isfinite(row[0]) and math.isfinite(row[1])):
                self._refuse(update, row[0], row[1])
            self._log_step(update.step + 1, dict(zip(("loss", "gradient_norm", *update.names), row, strict=True)))

    def _refuse(self, update: _Pending, loss: float, norm: float) -> None:
        """Stop the run at an update whose loss or gradient is not finite, naming the batch of the process at fault."""
        own = math.isfinite(float(update.scalars[0]))
        everyone = self.world.gather((own, describe(update.batch)))
        rank, (_, text) = next(((r, e) for r, e in enumerate(everyone) if not e[0]), (0, everyone[0]))
        process = f" of process {rank}" if self.world.size > 1 else ""
        state = self.out_dir / STATE_NAME
        kept = f"the last good state is in {printable(state)}" if state.exists() else "no state had been saved yet"
        raise TrainingError(
            f"loss {loss:g}, gradient norm {norm:g} at epoch {update.epoch}, step {update.step}, "
            f"batch {update.position}{process}{f' ({text})' if text else ''}: neither may be infinite or NaN; {kept}. "
            "Look at that batch, or lower learning_rate or clip_norm"
        )

    def _log_step(self, step: int, values: Mapping[str, float]) -> None:
        """Add one update to the line in progress; write the line when it is full."""
        window = self.counters.window
        for name, value in {**values, "count": 1.0}.items():
            window[name] = window.get(name, 0.0) + value
        self.display.update(step, {"loss": values["loss"], **_best_of(self.counters)})
        if step % self.config.log_every and step != self.total_steps:
            return
        count = window.pop("count")
        means = {name: total / count for name, total in window.items()}
        window.clear()
        if self.log is not None:
            rate = learning_rate(step - 1, self.config, self.total_steps)
            epoch = (step - 1) // self.steps_per_epoch
            seconds = time.monotonic() - self.clock
            self.log.write("train", step, {"epoch": epoch, **means, "learning_rate": rate, "seconds": seconds})

    def _is_boundary(self) -> bool:
        return self._validation_due() or self._save_due() or self.counters.step >= self.total_steps

    def _validation_due(self) -> bool:
        c, every = self.counters, self.config.validate_every
        return c.step >= self.total_steps or (c.step % every == 0 if every else c.position == 0)

    def _save_due(self) -> bool:
        every = self.config.save_every
        return self.counters.step % every == 0 if every else self._validation_due()

    def _boundary(self) -> None:
        """Validate and save where they are due; decide whether the run is over."""
        c = self.counters
        if self._validation_due():
            self._validate()
            if c.step >= self.total_steps:
                c.stopped = "finished"
            elif self.config.patience and c.stale >= self.config.patience:
                c.stopped = "patience"
        if self._over() or self._save_due():
            self._save()

    def _validate(self) -> None:
        """Judge the averaged weights; keep them as `best` if no earlier ones were better."""
        c = self.counters
        seed_step(self.config.seed, self.world.rank, c.step, "validation")
        with self.ema.swapped(), torch.no_grad(), _evaluating(self.model):
            metrics = self.world.mean_metrics(self.validate(self.model))
        if not math.isfinite(metrics.get("nll", math.nan)):
            raise TrainingError(
                f"validation after step {c.step} gave nll {metrics.get('nll')}; it must give a finite number: "
                "look at validate, or lower learning_rate"
            )
        c.latest = {**metrics, "step": float(c.step)}
        better = not c.best or metrics["nll"] < c.best["nll"]
        c.stale = 0 if better else c.stale + 1
        if better:
            c.best = c.latest
            self._save_weights("best")
        if self.log is not None:
            line = {"epoch": c.step / self.steps_per_epoch, **metrics, "seconds": time.monotonic() - self.clock}
            self.log.write("validation", c.step, line)
        self.display.message(f"step {c.step}  validation nll {metrics['nll']:.5g}{' (best so far)' if better else ''}")

    def _save(self) -> None:
        """Save weights, then the state: a kill between the two repeats steps, to the same weights."""
        self.counters.seconds = time.monotonic() - self.clock
        self._save_weights("last")
        if self.world.writes:
            path = self.out_dir / STATE_NAME
            save_state(path, self.counters, self.identity, self.model, self.optimizer, self.ema)
        self.world.barrier()

    def _save_weights(self, name: str) -> None:
        if self.world.writes:
            c = self.counters
            seconds = time.monotonic() - self.clock
            record = {"step": c.step, "epoch": c.step / self.steps_per_epoch, "metrics": c.latest, "seconds": seconds}
            with self.ema.swapped(), torch.no_grad(), _evaluating(self.model):
                self.on_save(self.model, self.out_dir / name, record)

    def _message(self) -> str:
        c = self.counters
        best = f"; best validation nll {c.best['nll']:.5g} at step {c.best['step']:.0f}" if c.best else ""
        if c.stopped == "finished":
            return f"finished after {c.step} steps{best}"
        if c.stopped == "patience":
            return f"stopped after {c.step} steps: {c.stale} validations without a better nll{best}"
        return (
            f"{self.stop.signal_name or 'another process'} stopped the run after {c.step} of {self.total_steps} steps; "
            f"its state is in {printable(self.out_dir)}: give the same command with resume to go on"
        )

    def _result(self) -> TrainingResult:
        c = self.counters
        return TrainingResult(
            stopped=c.stopped or "interrupted",
            step=c.step,
            epoch=c.epoch,
            best=c.best,
            latest=c.latest,
            seconds=c.seconds,
            message=self._message(),
        )


def _save_plain(model: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
    """Weights alone, where the caller has no checkpoint format of its own."""
    save_weights(path.with_suffix(".safetensors"), model.state_dict(), half=False)


def _best_of(counters: Counters) -> dict[str, float]:
    return {"best nll": counters.best["nll"]} if counters.best else {}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, then back in the mode it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
