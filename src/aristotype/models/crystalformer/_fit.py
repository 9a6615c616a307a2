"""Trains the geometry of a CrystalFormer: the loop of `aristotype.training`, this family's batches and validation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from aristotype.crystal import CrystalTable
from aristotype.models._crystal_source import CrystalSource
from aristotype.models._fitting import SITES_A_ROW, card_with_figures, fresh_weights, validation_rows
from aristotype.models._parts import elements_of, vocabulary_index
from aristotype.models._registry import load
from aristotype.models.crystalformer._arrays import arrays_of
from aristotype.models.crystalformer._calibrate import SETTINGS, calibrated
from aristotype.models.crystalformer._config import GeometryConfig
from aristotype.models.crystalformer._geometry import GeometryNetwork, Places
from aristotype.models.crystalformer._model import CrystalFormer
from aristotype.models.crystalformer._places import maker_of_places
from aristotype.models.crystalformer._score import by_crystal, log_sequences
from aristotype.models.crystalformer._sequences import Sequences, first_of_each, sequences_of
from aristotype.training import TrainingConfig, TrainingResult, load_checkpoint, rank_and_world, train


class _Trainable(nn.Module):
    """The network with the loss that the loop asks for."""

    def __init__(self, network: GeometryNetwork) -> None:
        super().__init__()
        self.network = network

    def loss(self, batch: Places) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood in nats of one sequence a crystal, and its two parts."""
        cell, sites = (-each.sum() / batch.mean_rows for each in self.network.log_prob(batch))
        return cell + sites, {"cell": cell.detach(), "sites": sites.detach()}


def fit(
    model: GeometryConfig | CrystalFormer,
    train_crystals: CrystalTable,
    val_crystals: CrystalTable,
    training: TrainingConfig,
    out: str | Path,
    *,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    max_validation: int = 2000,
    calibrate_best: bool = True,
) -> TrainingResult:
    """Trains a fresh network (from a configuration) or goes on with one (fine-tuning).

    Args:
        model: a configuration, or a model to go on with, whose vocabulary stays as it is.
        train_crystals: crystals to learn from.
        val_crystals: crystals to validate on by exact negative log-likelihood of the geometry given the gene; at most
            `max_validation`, drawn with seed 0. Those with elements outside the vocabulary are left out of it.
        training: the loop's settings; `batch_size` counts crystals of average length.
        out: folder of the run; the best checkpoint is `out/best`.
        resume: go on with the run of that folder.
        settings: further facts that identify the run.
        card: text of the model card, to which the figures of the run are added.
        max_validation: most validation crystals.
        calibrate_best: whether the best checkpoint is calibrated when the run ends, which takes a minute or two; a run
            that is resumed after its end does it again.

    Raises:
        InputError: a training crystal holds an element outside the vocabulary of a model to go on with; no
            validation crystal is left.
        TableError: a row is a gene.
        UnknownNameError: there is no gene model of that name.
    """
    if isinstance(model, GeometryConfig):
        config = replace(model, elements=elements_of(train_crystals.genes()))
        with fresh_weights(training.seed):
            network = GeometryNetwork(config)
        whole = CrystalFormer(load(config.genes), network)
    else:
        model.check_vocabulary(train_crystals.genes())
        whole, config = model, model.geometry.config
    rows = validation_rows(val_crystals.genes(), config.elements, max_validation)
    judged = _Judged(sequences_of(val_crystals.take(rows)), config.elements)
    learnt = sequences_of(train_crystals)
    learnt = first_of_each(learnt) if config.first_only else learnt
    make = maker_of_places(learnt, config.elements)
    source = CrystalSource(learnt, make, tokens=int(training.batch_size * SITES_A_ROW), seed=training.seed)

    def validate(module: nn.Module) -> dict[str, float]:
        return judged(cast(_Trainable, module).network)

    def on_save(module: nn.Module, path: Path, record: Mapping[str, Any]) -> None:
        kept = CrystalFormer(whole.genes, cast(_Trainable, module).network, whole.tries)
        kept.save(path, card=card_with_figures(card, record), half=True)

    result = train(
        _Trainable(whole.geometry),
        source,
        validate,
        training,
        out,
        on_save=on_save,
        resume=resume,
        settings={"model": whole.settings(), **(settings or {})},
    )
    if calibrate_best and result.stopped != "interrupted" and rank_and_world()[0] == 0:
        sys.stderr.write("calibrating the best checkpoint; if this is stopped, --resume does it again\n")
        _calibrate(Path(out) / "best", judged)
    return result


def _calibrate(folder: Path, judged: _Judged) -> None:
    """Calibrates the checkpoint of a folder on validation crystals, and says so in its card."""
    kept = CrystalFormer.from_checkpoint(*load_checkpoint(folder))
    plain = kept.with_config(**dict.fromkeys(SETTINGS, 1.0))
    best = calibrated(plain, lambda network: judged(network)["nll"])
    before, after = judged(plain.geometry)["nll"], judged(best.geometry)["nll"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    found = ", ".join(f"{name} {getattr(best.config, name):g}" for name in SETTINGS)
    line = f"- calibrated on validation crystals: {found}; nll {before:.3f} before, {after:.3f} after\n"
    best.save(folder, card=card + line)


class _Judged:
    """Validation crystals: exact negative log-likelihood of their geometry given their genes and settings."""

    def __init__(self, sequences: Sequences, vocabulary: tuple[int, ...]) -> None:
        self._sequences, self._arrays = sequences, arrays_of(sequences)
        self._index = vocabulary_index(vocabulary)

    def __call__(self, network: GeometryNetwork) -> dict[str, float]:
        owner = self._sequences.owner
        parts = log_sequences(network, self._sequences, self._index, self._arrays)
        lattice, coordinates = (-float(part.mean()) for part in by_crystal(*parts, owner, int(owner.max()) + 1))
        return {"nll": lattice + coordinates, "nll_lattice": lattice, "nll_coordinates": coordinates}
