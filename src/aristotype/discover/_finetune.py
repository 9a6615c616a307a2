"""`finetune`: draw crystals, reward them, move the model towards what is rewarded; batch after batch, resumable.

A run is a function of the model, the reward and the settings: batch s is drawn with a seed made of the run's and s, and
the state (weights, moments of the optimiser, keys of the genes that were drawn) is written whole after every batch.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aristotype._files import output_lock, printable
from aristotype._pool import worker_pool
from aristotype.crystal import gene_keys, start_worker
from aristotype.discover._rewards import rewards_of
from aristotype.errors import InputError, OutputError, TrainingError
from aristotype.models.crystalformer import CrystalFormer, CrystalPolicy, Moved
from aristotype.training import (
    EMA,
    PolicyConfig,
    PolicyGradient,
    RunLog,
    load_state,
    read_log,
    save_state,
    stop_on_signals,
    write_bytes,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray
    from torch import Tensor

    from aristotype.crystal import CrystalTable
    from aristotype.discover._rewards import Reward

    Floats = NDArray[np.float64]

CHECKPOINT = "last"
"""Folder of the model inside that of a run."""
_STATE = "state.safetensors"


@dataclass(kw_only=True)
class _Progress:
    """Where a run stands; all of it JSON."""

    step: int = 0  # batches used
    failed: int = 0  # batches in a row without a usable reward
    seen: list[str] = field(default_factory=list)  # keys of the genes drawn, hexadecimal
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """How a run ended.

    Attributes:
        stopped: `finished`, or `interrupted` (Ctrl-C or SIGTERM).
        steps: Batches used.
        rejected: Rows of this start without a usable reward.
        checkpoint: Folder of the model.
        message: One line for the user.
    """

    stopped: str
    steps: int
    rejected: int
    checkpoint: Path
    message: str


def finetune(
    model: CrystalFormer,
    reward: Reward,
    config: PolicyConfig,
    out: str | Path,
    *,
    moved: Moved = "genes",
    processes: int = 1,
    executor: Executor | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    progress: Callable[[int, Mapping[str, Any]], None] | None = None,
) -> FinetuneResult:
    """Raises the expected reward of what a model draws, at a price for every nat that it moves from where it was.

    Written to `out`: `run.json` (settings), `log.jsonl` (a line a batch), `state.safetensors` (to go on from) and, when
    the run ends or is interrupted, the checkpoint `last`.

    Args:
        model: where to start; it stays as it is.
        reward: a number a crystal, the larger the better. Rows for which it raises or gives no finite number are
            counted with their reasons and leave the gradient.
        config: what the policy gradient does.
        out: folder of the run.
        moved: which weights learn (see `CrystalPolicy`).
        processes: worker processes for the reward; more than one needs a reward that can be pickled.
        executor: judges rewards instead of processes of our own.
        resume: go on with the run of that folder.
        settings: what else identifies the run, as JSON values, above all the reward.
        card: text of the model card, to which the figures of the run are added.
        progress: called after each batch with the batches used and its figures.

    Raises:
        InputError: the model cannot be moved in this way, or the reward answers in another shape.
        OutputError: there is a run in the folder and `resume` is false, or another process works there.
        ConfigError: a resumed run with other settings.
        TrainingError: no usable reward in `config.patience` batches in a row, or a gradient that is not finite.
        AristotypeError: a worker process died.
    """
    if not isinstance(model, CrystalFormer):
        raise InputError(
            f"{getattr(model, 'name', model)} is a {type(model).__name__}; only a model of crystals, "
            "family crystalformer in its default configuration, can be fine-tuned by a reward"
        )
    out = Path(out)
    if (out / _STATE).exists() and not resume:
        raise OutputError(f"there is a run in {printable(out)}: resume it, or choose another folder")
    own = 1 if executor is not None else processes
    with output_lock(out), stop_on_signals() as stop, worker_pool(own, start=start_worker) as pool:
        run = _Run(model, reward, config, out, moved, processes, executor or pool)
        run.begin({"moved": moved, **(settings or {})})
        log = RunLog(out, run.progress.step, tensorboard=False)
        try:
            while run.progress.step < config.steps and not stop.signal_name:
                figures = run.step()
                log.write("policy", run.progress.step, figures)
                run.save()
                run.refuse_without_rewards(figures)
                if progress is not None:
                    progress(run.progress.step, figures)
        finally:
            log.close()
        return run.result(stop.signal_name, card)


class _Run:
    """One start of a run."""

    def __init__(
        self,
        model: CrystalFormer,
        reward: Reward,
        config: PolicyConfig,
        out: Path,
        moved: Moved,
        processes: int,
        executor: Executor | None,
    ) -> None:
        self.reward, self.config, self.out = reward, config, out
        self.processes, self.executor = processes, executor
        self.policy, self.base = CrystalPolicy(model, moved), CrystalPolicy(model, moved)
        self.learning = self.policy.learning()
        self.gradient = PolicyGradient(self.learning, config)
        self.ema = EMA(self.learning, 0.0)  # none: a policy draws with the weights that it has
        self.known = {key.hex() for key in model.train_keys()}
        self.progress = _Progress()
        self.rejected = 0
        self.latest: Mapping[str, Any] = {}

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Says what the run is, or goes on with the saved state."""
        plain = {name: value for name, value in asdict(self.config).items() if name != "steps"}
        self.identity = {"policy": plain, "base": _digest(self.base), **identity}
        if (self.out / _STATE).exists():
            self.progress = load_state(
                self.out / _STATE, self.identity, self.learning, self.gradient.optimizer, self.ema, _Progress
            )
            lines = [line for line in read_log(self.out) if line["step"] == self.progress.step]
            self.latest = lines[0] if lines else {}
        else:
            write_bytes(self.out / "run.json", (json.dumps(self.identity, indent=1) + "\n").encode("utf-8"))
        self.seen = set(self.progress.seen)
        self.clock = time.monotonic() - self.progress.seconds

    def step(self) -> dict[str, Any]:
        """One batch: drawn, rewarded, learnt from; its figures."""
        config, at = self.config, self.progress
        table = self.policy.draw(config.batch_size, seed=config.seed << 31 | at.step)
        rewards, reasons = rewards_of(table, self.reward, processes=self.processes, executor=self.executor)
        keys = [key.hex() for key in gene_keys(table.genes(), merge_enantiomorphs=True).tolist()]
        repeated, known = self._drawn_before(keys), np.array([key in self.known for key in keys])
        with torch.no_grad():
            drawn, base = self.policy.log_prob(table), self.base.log_prob(table)
        sure = torch.isfinite(drawn).numpy() & torch.isfinite(base).numpy()
        usable = np.isfinite(rewards) & sure
        reasons = [why or ("" if ok else "its probability is not finite") for why, ok in zip(reasons, sure)]
        figures = _figures(table, rewards[usable], repeated, known)
        rows = np.flatnonzero(usable)
        if len(rows) > 1:
            kept = table.take(rows)
            returns = torch.from_numpy(rewards - config.repeat_penalty * (repeated | known))[rows]
            done = self.gradient.update(lambda: self.policy.log_prob(kept), base[rows], returns)
            figures |= {"return": float(returns.mean()), **asdict(done)}
        at.failed = 0 if len(rows) > 1 else at.failed + 1
        at.step += 1
        at.seen += [key for key in dict.fromkeys(keys) if key not in self.seen]
        self.seen.update(keys)
        at.seconds = time.monotonic() - self.clock
        self.rejected += len(table) - len(rows)
        rejected = dict(Counter(why for why in reasons if why).most_common(5))
        self.latest = {**figures, "rejected": len(table) - len(rows), "reasons": rejected, "seconds": at.seconds}
        return dict(self.latest)

    def _drawn_before(self, keys: list[str]) -> NDArray[np.bool_]:
        """(n,) whether each gene was drawn before in this run, earlier in the batch too."""
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        return np.array([key in self.seen or first[key] < row for row, key in enumerate(keys)])

    def refuse_without_rewards(self, figures: Mapping[str, Any]) -> None:
        """Gives up where batch after batch has no usable reward.

        Raises:
            TrainingError: naming the commonest reason.
        """
        if self.progress.failed >= self.config.patience:
            why = next(iter(figures["reasons"]), "no reason given")
            raise TrainingError(
                f"{self.progress.failed} batches in a row had fewer than two usable rewards, as many as are borne. The "
                f"commonest reason: {why}. Correct the reward, and start again with --force or in another folder"
            )

    def save(self) -> None:
        """Writes the state, whole."""
        save_state(self.out / _STATE, self.progress, self.identity, self.learning, self.gradient.optimizer, self.ema)

    def result(self, signal_name: str, card: str) -> FinetuneResult:
        """Writes the checkpoint and says how the run ended."""
        at, folder = self.progress, self.out / CHECKPOINT
        figures = "\n".join(f"- {name}: {value}" for name, value in {**self.latest, "step": at.step}.items())
        self.policy.trained().save(folder, card=f"{card}\n\nFigures of the last batch:\n\n{figures}\n")
        over = at.step >= self.config.steps
        message = (
            f"finished after {at.step} steps"
            if over
            else f"{signal_name} stopped the run after {at.step} of {self.config.steps} steps; its state is in "
            f"{printable(self.out)}: give the same command with --resume to go on"
        )
        return FinetuneResult(
            stopped="finished" if over else "interrupted",
            steps=at.step,
            rejected=self.rejected,
            checkpoint=folder,
            message=message,
        )


def _figures(
    table: CrystalTable, rewards: Floats, repeated: NDArray[np.bool_], known: NDArray[np.bool_]
) -> dict[str, Any]:
    """What a batch is like: rewards, repetition, and the entropies (nats) of its space groups and elements."""
    numbers = table.genes().elements
    return {
        "reward": float(rewards.mean()) if len(rewards) else None,
        "reward_spread": float(rewards.std()) if len(rewards) else None,
        "rows": len(rewards),
        "distinct": 1.0 - float(repeated.mean()),
        "novel": 1.0 - float(known.mean()),
        "group_entropy": _entropy(table.space_group),
        "element_entropy": _entropy(numbers[numbers > 0]),
    }


def _entropy(values: NDArray[Any]) -> float:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(shares * np.log(shares)).sum())


def _digest(policy: CrystalPolicy) -> str:
    """Hash of the weights that a run starts from."""
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = policy.state_dict()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
