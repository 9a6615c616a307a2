"""Training steps, through the same loop as a real run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome, Skipped
from benchmarks.data import model, split

STEPS = 40
TOKENS = 1_400  # a batch of 250 genes of average length
MP20_ROWS = 27_136


def training_steps(context: Context) -> Outcome:
    """Steps of the shipped model on the train part, fine-tuning it in a folder that is thrown away."""
    from aristotype.datasets import GeneSource
    from aristotype.training import TrainingConfig, train

    genes = split(context, "train").genes()
    model.cache_clear()  # training changes the weights in place: others get a fresh copy
    learner = model(context.model)
    model.cache_clear()
    if not callable(getattr(learner, "loss", None)):
        raise Skipped(f"the model {context.model} has no loss to train on")
    source = GeneSource(genes, learner.config.elements, tokens=TOKENS, seed=context.seed)
    config = TrainingConfig(
        seed=context.seed,
        max_steps=STEPS,
        validate_every=STEPS,
        threads=context.threads,
        device="cpu",
        tensorboard=False,
    )
    with tempfile.TemporaryDirectory() as folder, Clock() as clock:
        train(learner, source, lambda _: {"nll": 0.0}, config, Path(folder))
    epoch = source.steps_per_epoch(1)
    yield Measurement(
        work="training, CPU seconds a step",
        value=clock.cpu / STEPS,
        unit="CPU s",
        count=f"{STEPS} steps of {len(genes) / epoch:.0f} genes",
        cpu_seconds=clock.cpu,
        better="less",
        seed=context.seed,
        note=f"an epoch of {len(genes):,} genes: {clock.cpu / STEPS * epoch:.0f} CPU s; published: "
        f"{published.TRAINING_SECONDS_A_STEP:g} CPU s for a step over all {MP20_ROWS:,} genes, 10^6 steps",
    )
