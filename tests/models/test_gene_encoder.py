"""The gene encoder: invariance, padding, checkpoints, learning, calibration, exact resume."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest
import torch

from aristotype.crystal import GeneBatch, equivalents
from aristotype.errors import CheckpointError, ConfigError, InputError
from aristotype.models import load, load_encoder
from aristotype.models.gene_encoder import (
    GeneEncoder,
    GeneEncoderConfig,
    Labelled,
    calibrated,
    fit,
    spread_descriptions,
)
from aristotype.training import TrainingConfig, read_log
from tests.models.worlds import VOCABULARY, model_of_all_groups
from tests.random_genes import GROUPS, random_genes, shuffled

SMALL = GeneEncoderConfig(width=16, heads=2, layers=2, target="made_up", unit="eV", elements=VOCABULARY)
ROUNDING = 1e-5
"""float32 sums of a few dozen numbers of size one in another order."""


@cache
def all_groups() -> GeneBatch:
    return random_genes(np.random.default_rng(5), GROUPS, elements=VOCABULARY, max_sites=5)


def encoder(seed: int = 0, **settings) -> GeneEncoder:
    """Random weights far from symmetric: without the average, equivalent descriptions differ by more than rounding."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GeneEncoder(GeneEncoderConfig(**{**vars(SMALL), **settings}))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def made_up(genes: GeneBatch) -> np.ndarray:
    """A property that genes decide: the share of atoms that are oxygen, and the group's place among all."""
    atoms = genes.multiplicities
    oxygen = (atoms * (genes.elements == 8)).sum(axis=1) / atoms.sum(axis=1)
    return 3 * oxygen + genes.space_group / 230


def test_equivalent_descriptions_in_any_order_of_sites_say_the_same_in_every_group():
    genes = all_groups()
    described, owner = equivalents(genes)
    rows = np.random.default_rng(0).permutation(len(described))[:1500]
    mixed = shuffled(described.take(rows), np.random.default_rng(1))
    model = encoder()
    values, deviations = model.predict(genes)
    found, widths = model.predict(mixed)
    assert np.abs(model.embed(mixed) - model.embed(genes)[owner[rows]]).max() < ROUNDING
    assert np.abs(found - values[owner[rows]]).max() < ROUNDING
    assert np.abs(widths - deviations[owner[rows]]).max() < ROUNDING


def test_one_description_alone_would_not_do():
    """The average is needed: otherwise the test above would say nothing of it."""
    genes = all_groups()
    single = encoder(descriptions=1)
    one, owner = equivalents(genes)
    vectors = torch.from_numpy(one.elements.astype(np.int64))
    with torch.no_grad():
        raw = single.network.embed(
            torch.from_numpy(one.space_group.astype(np.int64)),
            torch.from_numpy(np.maximum(one.wyckoffs, 0).astype(np.int64)),
            vectors,
        ).numpy()
    spread = [np.ptp(raw[owner == row], axis=0).max() for row in range(len(genes)) if (owner == row).sum() > 1]
    assert min(spread) > 100 * ROUNDING


@pytest.mark.parametrize("most", [1, 3, 8])
def test_descriptions_are_capped_evenly_and_whichever_is_given(most):
    genes = all_groups()
    described, owner = spread_descriptions(genes, most)
    everything, whole = equivalents(genes)
    counts, all_counts = (np.bincount(o, minlength=len(genes)) for o in (owner, whole))
    assert (counts == np.minimum(all_counts, most)).all()
    rows = np.array([np.flatnonzero(whole == row)[-1] for row in range(len(genes))])  # the last description of each
    again, owner_again = spread_descriptions(everything.take(rows), most)
    assert (owner_again == owner).all()
    assert (again.wyckoffs == described.wyckoffs).all()
    assert (again.elements == described.elements).all()


def test_neighbours_in_a_batch_do_not_matter():
    """Long genes beside short ones pad these; what is padding must not be seen."""
    genes, model = all_groups(), encoder()
    together = model.embed(genes)
    for row in (0, 76, 229):
        assert np.abs(model.embed(genes.take([row])) - together[row]).max() < ROUNDING


def test_attention_counts_atoms():
    """Halite's two sites of equal multiplicity weigh alike; in fluorite's, one element has twice the other's weight."""
    model = encoder(layers=1)
    halite = GeneBatch.from_lists([225], [[3, 8]], [[0, 1]])
    assert model.embed(halite).shape == (1, 16)
    atoms = model.network.multiplicity[torch.tensor([225]), torch.tensor([2])]
    assert float(atoms) == 8  # of 8c, against 4 of 4a
    fluorite = GeneBatch.from_lists([225], [[3, 8]], [[0, 2]])
    outputs = []
    hook = model.network.norm.register_forward_hook(lambda *call: outputs.append(call[2]))
    embedding = model.embed(fluorite)[0]
    hook.remove()
    (sites,) = outputs  # one description: its sites are sorted by letter
    sites = sites.numpy()
    described, _ = spread_descriptions(fluorite, 8)
    assert len(described) == len(sites)
    expected = ((sites * np.array([1 / 3, 2 / 3])[:, None]).sum(axis=1)).mean(axis=0)
    assert np.abs(embedding - expected).max() < ROUNDING


def test_what_it_cannot_know_is_nan():
    genes = GeneBatch.from_lists([225, 225, 221], [[3, 8], [3, 79], [8, 8]], [[0, 1], [0, 1], [0, 0]])
    values, deviations = encoder().predict(genes)
    assert np.isfinite(values).tolist() == [True, False, False]  # gold is not known; 1a cannot be occupied twice
    assert np.isfinite(deviations).tolist() == [True, False, False]
    nothing = genes.take([])
    assert encoder().embed(nothing).shape == (0, 16)


def test_a_loaded_encoder_says_what_the_saved_one_said(tmp_path):
    model, genes = encoder(spread=1.7), all_groups()
    model.save(tmp_path / "full", card="# Full\n", half=False)
    model.save(tmp_path / "half", card="# Half\n")
    exact, rounded = load_encoder(tmp_path / "full"), load_encoder(tmp_path / "half")
    for wanted, got in zip(model.predict(genes), exact.predict(genes), strict=True):
        assert (wanted == got).all()
    # 16-bit weights carry a relative error of 2^-11 each, over a few layers.
    assert np.abs(rounded.embed(genes) - model.embed(genes)).max() < 0.05
    assert exact.config == model.config
    # Whoever compares embeddings has to know whose they are: the file's hash, until the weights change.
    content = (tmp_path / "half" / "model.safetensors").read_bytes()
    assert rounded.sha256 == hashlib.sha256(content).hexdigest()
    assert rounded.train().sha256 == model.sha256 == ""


def test_generative_models_and_encoders_are_not_taken_for_each_other(tmp_path):
    encoder().save(tmp_path / "encoder")
    model_of_all_groups().save(tmp_path / "generative")
    with pytest.raises(CheckpointError, match="predict"):
        load(tmp_path / "encoder")
    with pytest.raises(CheckpointError, match="encoder"):
        load_encoder(tmp_path / "generative")


def test_settings_out_of_range_are_refused():
    for wrong in ({"heads": 3}, {"width": 0}, {"dropout": 1.0}, {"spread": 0.0}, {"elements": (8, 3)}):
        with pytest.raises(ConfigError):
            GeneEncoderConfig(**{**vars(SMALL), **wrong})
    with pytest.raises(ConfigError, match="vocabulary"):
        GeneEncoder(GeneEncoderConfig())


def rows(seed: int, count: int) -> Labelled:
    groups = np.random.default_rng(seed).integers(1, 231, count).tolist()
    genes = random_genes(np.random.default_rng(seed), groups, elements=VOCABULARY, max_sites=3)
    return Labelled(genes, made_up(genes))


def training(**settings) -> TrainingConfig:
    quick = {"max_steps": 60, "batch_size": 64, "learning_rate": 3e-3, "device": "cpu", "threads": 1}
    return TrainingConfig(**{**quick, "tensorboard": False, "prefetch": 0, "validate_every": 20, **settings})


def test_it_learns_what_genes_decide(tmp_path):
    train_rows, val_rows = rows(1, 600), rows(2, 200)
    result = fit(SMALL, train_rows, val_rows, training(), tmp_path / "run")
    blind = np.abs(val_rows.values - np.median(train_rows.values)).mean()
    assert result.best["mae"] < 0.4 * blind
    best = load_encoder(tmp_path / "run" / "best")
    found, deviations = best.predict(val_rows.genes)
    assert np.abs(found - val_rows.values).mean() < 0.4 * blind
    # Calibrated: errors in units of their predicted width are one on average.
    assert np.mean(np.abs(found - val_rows.values) * np.sqrt(2) / deviations) == pytest.approx(1, rel=0.02)
    assert "validation rows" in (tmp_path / "run" / "best" / "README.md").read_text()


def test_a_run_that_is_resumed_has_the_same_losses_to_the_bit(tmp_path):
    train_rows, val_rows = rows(1, 200), rows(2, 50)
    whole = training(max_steps=12, validate_every=4, log_every=1)
    fit(SMALL, train_rows, val_rows, whole, tmp_path / "whole")
    real, count = GeneEncoder.loss, 0

    def killed(self, batch):
        nonlocal count
        count += 1
        if count == 8:
            raise KeyboardInterrupt
        return real(self, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(GeneEncoder, "loss", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(SMALL, train_rows, val_rows, whole, tmp_path / "cut")
    fit(SMALL, train_rows, val_rows, whole, tmp_path / "cut", resume=True)
    losses = [
        {row["step"]: row["loss"] for row in read_log(tmp_path / name) if "loss" in row} for name in ("whole", "cut")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 12


def test_calibration_does_not_depend_on_the_width_before():
    held_out = rows(3, 100)
    first, second = (calibrated(encoder(spread=spread), held_out) for spread in (1.0, 25.0))
    assert first.config.spread == pytest.approx(second.config.spread, rel=1e-6)


def test_going_on_keeps_the_body_and_takes_a_fresh_head():
    model, more = encoder(), rows(4, 50)
    more = Labelled(
        GeneBatch.concatenate([more.genes, GeneBatch.from_lists([225], [[79]], [[0]])]), np.append(more.values, 9.0)
    )
    adapted = model.adapted(*more, target="other", unit="K").eval()
    assert adapted.vocabulary == {*VOCABULARY, 79}
    assert (adapted.config.target, adapted.config.unit) == ("other", "K")
    assert np.abs(adapted.embed(all_groups()) - model.embed(all_groups())).max() < ROUNDING
    assert np.abs(adapted.predict(all_groups())[0] - model.predict(all_groups())[0]).max() > 0.1


def test_rows_that_teach_nothing_are_refused(tmp_path):
    some = rows(1, 20)
    with pytest.raises(InputError, match="different"):
        fit(SMALL, Labelled(some.genes, np.ones(20)), some, training(), tmp_path / "a")
    foreign = Labelled(GeneBatch.from_lists([225], [[79]], [[0]]), np.array([1.0]))
    with pytest.raises(InputError, match="validation"):
        fit(SMALL, some, foreign, training(), tmp_path / "b")
