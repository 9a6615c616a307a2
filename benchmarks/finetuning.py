"""A run of `aristotype finetune`, by its log: a picture of reward and divergence, and the figures batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aristotype.training import read_log
from benchmarks.core import Context, Outcome, Section, Skipped
from benchmarks.figures import GENERATED, REAL, save

_WINDOW = 5
"""Batches that a point of the smooth line and a row of the table stand for."""


def finetuning(context: Context) -> Outcome:
    """Draws `finetune.png` from the log of a run, and prints its means."""
    if context.run is None:
        raise Skipped("the folder of a run of `aristotype finetune` is needed: --run DIR")
    log = [line for line in read_log(context.run) if line.get("kind") == "policy" and "kl" in line]
    if not log:
        raise Skipped(f"{context.run} holds no log of batches that were learnt from")
    path = draw(log, context.images)
    yield Section(title=f"{len(log)} batches of a policy gradient", text=table(log) + f"\n\n- {path}")


def table(log: list[dict[str, Any]]) -> str:
    """Means over every few batches as a Markdown table."""
    names = ("reward", "kl", "distinct", "novel", "group_entropy", "element_entropy")
    titles = ("reward", "KL, nats", "distinct", "novel", "entropy of groups", "entropy of elements")
    lines = ["| batches | " + " | ".join(titles) + " | without reward |", "|---" * (len(titles) + 2) + "|"]
    for start in range(0, len(log), _WINDOW):
        part = log[start : start + _WINDOW]
        means = [f"{np.mean([line[name] for line in part]):.3f}" for name in names]
        rejected = sum(line["rejected"] for line in part)
        lines.append(f"| {part[0]['step']} to {part[-1]['step']} | {' | '.join(means)} | {rejected} |")
    return "\n".join(lines)


def draw(log: list[dict[str, Any]], folder: Path) -> Path:
    """Writes `finetune.png`: rewards with their standard errors, and the divergence from the base model.

    Raises:
        OutputError: it cannot be written.
    """
    from matplotlib.figure import Figure

    steps, reward, kl = (np.array([line[name] for line in log]) for name in ("step", "reward", "kl"))
    error = np.array([line["reward_spread"] / np.sqrt(line["rows"]) for line in log])
    picture = Figure(figsize=(7.2, 3.0), layout="constrained")
    left, right = picture.subplots(1, 2)
    left.errorbar(steps, reward, error, fmt="o", markersize=3, linewidth=0.7, color=REAL, label="a batch")
    if len(log) >= _WINDOW:
        smooth = np.convolve(reward, np.full(_WINDOW, 1 / _WINDOW), "valid")
        left.plot(steps[_WINDOW - 1 :], smooth, color=GENERATED, label=f"mean of {_WINDOW}")
    left.set(xlabel="batch", ylabel="reward")
    left.legend(fontsize=8, frameon=False)
    right.plot(steps, kl, color=GENERATED)
    right.set(xlabel="batch", ylabel="divergence from the base model, nats")
    return save(picture, folder / "finetune.png")
