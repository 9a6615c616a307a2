"""Trains a WyckoffTransformer on tables: the loop of `aristotype.training`, this family's batches and validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aristotype.crystal import GeneBatch, gene_keys
from aristotype.datasets import GeneSource
from aristotype.errors import InputError
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig
from aristotype.models.wyckoff_transformer._memory import num_distinct
from aristotype.models.wyckoff_transformer._model import WyckoffTransformer
from aristotype.symmetry import mirror_image
from aristotype.training import TrainingConfig, TrainingResult, load_checkpoint, rank_and_world, train

TOKENS_A_ROW = 5.6
"""Tokens of an average gene of MP-20 with its end: turns a batch size in rows into one in tokens."""


def fit(
    model: WyckoffTransformer | WyckoffTransformerConfig,
    train_genes: GeneBatch,
    val_genes: GeneBatch,
    training: TrainingConfig,
    out: str | Path,
    *,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    max_validation: int = 3000,
) -> TrainingResult:
    """Trains a fresh model (from a configuration) or goes on with one (fine-tuning).

    Args:
        model: a configuration, or a model to go on with; its vocabulary and memory are kept.
        train_genes: genes to learn from.
        val_genes: genes to validate on by exact negative log-likelihood; at most `max_validation`, drawn with seed 0.
            Genes with elements outside the vocabulary are left out of it.
        training: the loop's settings; `batch_size` counts genes of average length.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation genes.

    Raises:
        InputError: training genes with more sites than the model writes, or elements outside its vocabulary.
    """
    if isinstance(model, WyckoffTransformerConfig):
        with torch.random.fork_rng(devices=[]):  # fresh weights are a function of the seed, and of nothing else
            torch.manual_seed(training.seed)
            fitted = WyckoffTransformer.for_training(model, train_genes)
    else:
        fitted = model
    longest = int(train_genes.num_sites.max(initial=0))
    if longest > fitted.config.max_sites:
        raise InputError(
            f"the training table holds a gene of {longest} sites, and this model writes at most "
            f"{fitted.config.max_sites}; leave out longer genes"
        )
    tokens = int(training.batch_size * TOKENS_A_ROW)
    source = GeneSource(
        train_genes,
        fitted.config.elements,
        tokens=tokens,
        seed=training.seed,
        substitution=fitted.config.substitution,
    )
    known = np.isin(val_genes.elements, (0, *fitted.config.elements)).all(axis=1)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(known))[:max_validation]
    judged = val_genes.take(np.sort(rows))

    def validate(module: nn.Module) -> dict[str, float]:
        parts = cast(WyckoffTransformer, module).log_prob_parts(judged)
        return {
            "nll": -float(parts["total"].mean()),
            "nll_template": -float(parts["template"].mean()),
            "nll_distinct": -float(parts["distinct"].mean()),
            "nll_elements": -float(parts["elements"].mean()),
        }

    def on_save(module: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
        figures = "\n".join(f"- {name}: {value}" for name, value in record.items())
        cast(WyckoffTransformer, module).save(
            path, card=f"{card}\n\nFigures of the run at this step:\n\n{figures}\n", half=True
        )

    result = train(
        fitted,
        source,
        validate,
        training,
        out,
        on_save=on_save,
        resume=resume,
        settings={"model": fitted.settings(), **(settings or {})},
    )
    if result.stopped != "interrupted" and rank_and_world()[0] == 0:
        _calibrate(Path(out) / "best", train_genes, judged)
    return result


def _calibrate(folder: Path, train_genes: GeneBatch, held_out: GeneBatch) -> None:
    """Calibrates the checkpoint of a folder on held-out genes, and says so in its card."""
    model = WyckoffTransformer.from_checkpoint(*load_checkpoint(folder))
    best = calibrated(model, train_genes, held_out)
    card = (folder / "README.md").read_text(encoding="utf-8")
    lines = [
        f"- element temperature, calibrated on validation genes: {best.config.temperature}",
        f"- share of training genes among validation genes: {recurrence(best, held_out):.4f}; training genes that are "
        f"drawn again: {best.config.known_rejection:.3f}",
    ]
    best.save(folder, card=card + "\n".join(lines) + "\n")


TEMPERATURES = tuple(round(0.9 + 0.05 * step, 2) for step in range(9))


def calibrated(model: WyckoffTransformer, train_genes: GeneBatch, held_out: GeneBatch) -> WyckoffTransformer:
    """The model with its element temperature and its share of training genes set on held-out genes.

    A network that has seen its training genes many times is too sure of itself. The temperature is the one with the
    smallest mean negative log-likelihood; then training genes are given the share of probability with which they recur
    in the held-out genes (see `WyckoffTransformer.known_correction`). Both act on scores and samples alike.
    """
    model.memory.known[:] = 0.0
    plain = _with(model, temperature=1.0, known_rejection=0.0)
    cooled = min(
        (_with(plain, temperature=t) for t in TEMPERATURES), key=lambda m: -float(m.log_elements(held_out).mean())
    )
    cooled.memory.known[:] = known_mass(cooled, train_genes)
    return _with(cooled, known_rejection=_rejection(cooled, recurrence(cooled, held_out)))


def known_mass(model: WyckoffTransformer, train_genes: GeneBatch) -> NDArray[np.float64]:
    """(M, K) the network's probability of all training genes, given a remembered template and k different elements."""
    genes = both_hands(train_genes)
    found = model.memory.find(genes)
    genes, found = genes.take(np.flatnonzero(found >= 0)), found[found >= 0]
    out = np.zeros(model.memory.distinct.shape)
    np.add.at(out, (found, num_distinct(genes)), np.exp(model.log_elements(genes)))
    return np.minimum(out, 1.0)


def _rejection(model: WyckoffTransformer, share: float) -> float:
    """The rejection with which training genes have a share of the model's probability, by bisection."""
    memory = model.memory
    rows, kinds = np.indices(memory.known.shape)
    templates = memory.templates
    groups = memory.group_probabilities(model.config.group_smoothing)[templates.space_group]
    given = np.exp(memory.log_prob(templates, np.arange(len(memory)), model.log_writer(templates)))
    counts = memory.distinct_probabilities(np.arange(len(memory)), templates.num_sites, len(model.config.elements))
    width = min(counts.shape[1], memory.known.shape[1])
    weight = np.zeros(memory.known.shape)
    weight[:, :width] = (groups * given)[:, None] * counts[:, :width]

    def recurring(rejection: float) -> float:
        trial = _with(model, known_rejection=rejection)
        rejected, mass = trial.rejection(rows.ravel(), kinds.ravel())
        return float((weight.ravel() * mass * (1 - rejected) / (1 - rejected * mass)).sum())

    low, high = 0.0, 0.999
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if recurring(middle) > share else (low, middle)
    return low


def recurrence(model: WyckoffTransformer, genes: GeneBatch) -> float:
    """Share of genes that are training genes of the model."""
    return float(model.is_known(genes).mean())


def both_hands(genes: GeneBatch) -> GeneBatch:
    """Each different gene once, and its mirror image where that is in another group (11 enantiomorphic pairs)."""
    wyckoffs, group = genes.wyckoffs.copy(), genes.space_group.copy()
    for number in np.unique(group).tolist():
        partner, letters = mirror_image(number)
        rows = genes.space_group == number
        group[rows] = partner
        wyckoffs[rows] = np.append(letters, np.int8(-1))[genes.wyckoffs[rows]]
    mirrored = GeneBatch(space_group=group, elements=genes.elements, wyckoffs=wyckoffs)
    both = GeneBatch.concatenate([genes, mirrored])
    _, first = np.unique(np.array([key.hex() for key in gene_keys(both).tolist()]), return_index=True)
    return both.take(np.sort(first))


def _with(model: WyckoffTransformer, **changes: float) -> WyckoffTransformer:
    """The same weights under another configuration."""
    settings = model.settings()
    settings["model"].update(changes)
    return WyckoffTransformer.from_checkpoint(settings, model.tensors())
