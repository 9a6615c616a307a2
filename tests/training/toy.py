"""The smallest model and source that use all of the loop, and a command line to run (and kill) them in a process."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from aristotype.training import TrainingConfig, TrainingResult, train

ROWS, STEPS_PER_EPOCH, FEATURES = 6, 5, 3


@dataclass(frozen=True)
class ToyBatch:
    features: torch.Tensor
    kinds: torch.Tensor
    first_row: int

    def to(self, device):
        return ToyBatch(self.features.to(device), self.kinds.to(device), self.first_row)

    def describe(self):
        return f"rows {self.first_row} to {self.first_row + len(self.features) - 1}"


class ToySource:
    """Every rank takes its share of the same rows, so that two ranks together see what one alone would."""

    def __init__(self, rows=ROWS, steps=STEPS_PER_EPOCH):
        self.rows, self.steps = rows, steps

    def steps_per_epoch(self, world):
        return self.steps

    def batches(self, epoch, rank, world):
        rng = np.random.default_rng((7, epoch))
        share = self.rows // world
        for index in range(self.steps):
            features = torch.from_numpy(rng.standard_normal((self.rows, FEATURES)))
            kinds = torch.from_numpy(rng.integers(0, 4, self.rows))
            mine = slice(rank * share, (rank + 1) * share)
            yield ToyBatch(features[mine], kinds[mine], index * self.rows + rank * share)


class ToyModel(nn.Module):
    """Linear regression on three features and an embedding, in float64; `at_step` runs a hook inside a given update."""

    def __init__(self, dropout=0.2, hooks=None):
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(4, FEATURES, dtype=torch.float64)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(FEATURES, 1, dtype=torch.float64)
        self.unused = nn.Linear(2, 2, dtype=torch.float64)
        self.hooks = hooks or {}
        self.calls = 0

    def loss(self, batch):
        if self.training and (hook := self.hooks.get(self.calls)):
            hook(self, batch)
        self.calls += self.training
        guess = self.linear(self.dropout(batch.features + self.embedding(batch.kinds)))
        target = batch.features.sum(1, keepdim=True) + batch.kinds[:, None]
        error = (guess - target).square().mean()
        return error, {"half": error / 2}


def validate(model):
    batch = next(iter(ToySource().batches(10**6, 0, 1)))
    return {"nll": float(model.loss(batch)[0])}


def make_config(**changes):
    values = {
        "max_steps": 17,
        "learning_rate": 0.05,
        "warmup_steps": 3,
        "ema_decay": 0.9,
        "save_every": 4,
        "log_every": 1,
        "batch_size": ROWS,
        "device": "cpu",
        "tensorboard": False,
    }
    return TrainingConfig(**(values | changes))


def run(out_dir, *, hooks=None, dropout=0.2, resume=False, model=None, source=None, **changes) -> TrainingResult:
    model = model or ToyModel(dropout, hooks)
    return train(model, source or ToySource(), validate, make_config(**changes), out_dir, resume=resume)


def send(number):
    """A hook that sends this process a signal."""
    return lambda model, batch: os.kill(os.getpid(), number)


def poison(model, batch):
    """A hook that makes the loss NaN."""
    batch.features.fill_(float("nan"))


def die_before_state(count):
    """Kill this process with a new state fully written beside the old one, at the rename number `count`."""
    from aristotype import _files

    replace, seen = os.replace, []

    def killing_replace(source, target):
        if Path(target).name == "state.safetensors":
            seen.append(target)
            if len(seen) == count:
                os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    _files.os.replace = killing_replace


def main(task, out_dir):
    torch.set_num_threads(1)
    if task == "kill-in-update":
        run(out_dir, hooks={10: send(signal.SIGKILL)})
    elif task == "kill-in-save":
        die_before_state(3)
        run(out_dir)
    elif task == "two-processes":
        two_processes(Path(out_dir), int(os.environ["RANK"]))
    else:
        raise ValueError(task)


def two_processes(out_dir, rank):
    """Under a launcher: a whole run, one that a signal to process 1 stops and that is resumed, one with NaN."""
    run(out_dir / "whole", dropout=0.0)
    hooks = {6: send(signal.SIGTERM)} if rank == 1 else {}
    stopped = run(out_dir / "resumed", dropout=0.0, hooks=hooks)
    assert (stopped.stopped, stopped.step) == ("interrupted", 7), stopped
    run(out_dir / "resumed", dropout=0.0, resume=True)
    try:
        run(out_dir / "nan", dropout=0.0, hooks={6: poison} if rank == 1 else {})
    except Exception as error:
        (out_dir / f"error-{rank}.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
