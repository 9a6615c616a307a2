"""The published factorisation as a model among others: conditions, streams, checkpoints, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, CrystalTable, GeneBatch, parse_formula
from aristotype.discover import generate
from aristotype.errors import CheckpointError, ConfigError, InfeasibleConditionsError, InputError, TableError
from aristotype.models import load
from aristotype.models.crystalformer._sequences import first_of_each, sequences_of
from aristotype.models.crystalformer.paper import CrystalFormerPaper, PaperConfig
from aristotype.models.crystalformer.paper._tokens import arrays_of, tokens_of
from tests.crystal.builders import random_crystal
from tests.models.crystalformer.paper.small import SIZES, paper_model

ELEMENTS = (3, 8, 26)


@pytest.fixture(scope="module")
def model() -> CrystalFormerPaper:
    return paper_model(elements=ELEMENTS, max_sites=3)


@pytest.fixture(scope="module")
def drawn(model) -> CrystalTable:
    return model.sample(160, seed=3)  # of two blocks


def test_samples_are_legal_crystals_of_many_groups(drawn):
    genes = drawn.genes()
    assert genes.legal().all()
    assert not drawn.is_gene.any()
    assert (genes.num_sites <= 3).all()
    assert len(set(drawn.space_group.tolist())) > 50
    assert np.isfinite(drawn.column("log_prob").to_numpy()).all()
    assert (drawn.column("closest").to_numpy() > 0.0).all()


def test_what_is_drawn_is_a_sequence_of_its_crystal(model, drawn):
    """A finite score says that bins, order and cell are those in which a crystal is written; this says that of one."""
    sequences = sequences_of(drawn[:40], any_letters=True)
    genes = drawn[:40].genes()
    for row in range(40):
        mine = sequences.genes.take(np.flatnonzero(sequences.owner == row))
        sites = genes.num_sites[row]
        same = (mine.wyckoffs[:, :sites] == genes.wyckoffs[row, :sites]) & (
            mine.elements[:, :sites] == genes.elements[row, :sites]
        )
        assert same.all(axis=1).any()


def test_a_longer_sample_begins_with_the_shorter_one(model, drawn):
    short = model.sample(20, seed=3, score=False)
    assert short == drawn[:20].with_columns({"log_prob": short.column("log_prob")})
    assert model.sample(20, seed=4, score=False) != short


def test_conditions_hold(model):
    asked = Conditions(space_groups=[62, 225], excluded_elements=[3])
    found = model.sample(40, asked, seed=0, score=False)
    assert set(found.space_group.tolist()) == {62, 225}
    assert 3 not in found.genes().elements
    only = model.sample(10, Conditions(allowed_elements=[26]), seed=0, score=False)
    assert set(only.genes().elements.ravel().tolist()) == {0, 26}


@pytest.mark.parametrize(
    ("conditions", "error", "says"),
    [
        (Conditions(formula=parse_formula("Li2O")), InputError, "takes space groups, allowed and excluded elements"),
        (Conditions(num_sites=2), InputError, "crystalformer-mp20"),
        (Conditions(allowed_elements=[11]), InfeasibleConditionsError, "was trained on Li, O, Fe"),
    ],
)
def test_conditions_that_it_does_not_know_are_refused(model, conditions, error, says):
    with pytest.raises(error, match=says):
        model.sample(1, conditions, seed=0)


def test_it_generates_like_any_model_of_crystals(model):
    found = generate(model, 5, seed=0, keep_forced=True)
    assert len(found.table) == 5
    assert (found.table.column("closest").to_numpy() >= 0.7).all()


def test_parts_add_up(model, drawn):
    parts = model.log_prob_parts(drawn)
    assert parts["total"] == pytest.approx(sum(values for name, values in parts.items() if name != "total"))
    assert parts["total"] == pytest.approx(drawn.column("log_prob").to_numpy())


def test_a_checkpoint_gives_the_model_back(model, drawn, tmp_path):
    learnt = CrystalFormerPaper.for_training(PaperConfig(**SIZES), drawn.genes())
    learnt.save(tmp_path / "kept", half=False)
    again = load(tmp_path / "kept")
    assert again.train_keys() == learnt.train_keys()
    assert again.config == learnt.config
    assert again.log_prob(drawn[:9]) == pytest.approx(learnt.log_prob(drawn[:9]), abs=1e-12)
    assert again.sample(5, seed=1, score=False).lattice == pytest.approx(learnt.sample(5, seed=1, score=False).lattice)


def test_a_checkpoint_of_other_tables_is_refused(model):
    settings = {**model.settings(), "tables_sha256": "0" * 64}
    with pytest.raises(CheckpointError, match="symmetry tables"):
        CrystalFormerPaper.from_checkpoint(settings, model.tensors())


def test_genes_and_unknown_elements_are_refused(model):
    gene = GeneBatch.from_lists([225], [[3, 8]], [[0, 1]])
    with pytest.raises(TableError):
        model.log_prob(CrystalTable.from_genes(gene))
    crystal = random_crystal(225, np.random.default_rng(0))
    unknown = CrystalTable.from_crystals([crystal])
    assert 26 not in crystal.elements or 92 not in crystal.elements
    with pytest.raises(InputError, match="not among the 1 elements"):
        paper_model(elements=(118,)).log_prob(unknown)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"dropout": 1.0}, {"elements": (8, 3)}, {"group_smoothing": 0.5}])
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(ConfigError):
        PaperConfig(**wrong)


def test_the_published_size():
    """4,833,575 parameters are published; ours reads 88 elements, and knows letters by one table."""
    made = CrystalFormerPaper(PaperConfig(elements=tuple(range(1, 89))))
    count = sum(weights.numel() for weights in made.parameters())
    assert count == pytest.approx(4_833_575, rel=0.005)


def test_training_on_one_batch_raises_its_likelihood(drawn):
    """Gradients reach every part of the network."""
    made = paper_model(elements=ELEMENTS, scale=0.05)
    sequences = first_of_each(sequences_of(drawn))
    rows = np.flatnonzero(sequences.genes.num_sites == 3)
    index = np.full(128, -1)
    index[list(ELEMENTS)] = range(3)
    batch = tokens_of(sequences, rows, index, torch.float32, arrays_of(sequences))
    made.train()
    optimiser = torch.optim.Adam(made.parameters(), 0.02)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        parts = made.network.log_prob(batch)
        loss = -torch.stack([part.mean() for part in parts]).sum()
        loss.backward()
        assert all(weights.grad is not None for weights in made.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 2.0
