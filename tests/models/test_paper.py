"""The paper configuration as a model: sampling, conditions, checkpoints, training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, GeneBatch, canonical_genes, equivalents, gene_keys
from aristotype.datasets import GeneSource
from aristotype.errors import CheckpointError, ConfigError, InputError
from aristotype.models import GeneModel, load
from aristotype.models.wyckoff_transformer.paper import (
    PaperConfig,
    WyckoffTransformerPaper,
    calibrate,
    first_tokens_of,
    fit_paper,
    illegal_mass,
    order_bound,
)
from aristotype.models.wyckoff_transformer.paper._orders import log_num_orders
from aristotype.models.wyckoff_transformer.paper._teacher import spread_known
from aristotype.symmetry import NUM_GROUPS
from aristotype.training import TrainingConfig, load_checkpoint

SMALL = {"width": 16, "heads": 2, "feed_forward": 16, "layers": 2}


def tiny(groups: tuple[int, ...], **changes) -> WyckoffTransformerPaper:
    torch.manual_seed(0)
    model = WyckoffTransformerPaper(PaperConfig(**{"elements": (3, 8, 26), "max_sites": 6, **SMALL, **changes}))
    model.group_counts[list(groups)] = torch.arange(1, len(groups) + 1)
    return model.eval()


def rock_salts(n: int) -> GeneBatch:
    """Genes that obey a rule: two sites of group 225 or 216, the heavier element on letter a, sometimes a third."""
    generator = np.random.default_rng(0)
    groups, elements, letters = [], [], []
    for _ in range(n):
        third = generator.random() < 0.3
        groups.append(int(generator.choice([216, 225])))
        elements.append([26, 8, 3][: 2 + third])
        letters.append([0, 1, 2][: 2 + third])
    return canonical_genes(GeneBatch.from_lists(groups, elements, letters))


@pytest.mark.parametrize("site_order", ["any", "electronegativity"])
def test_sampled_frequencies_are_the_probabilities(site_order):
    model = tiny((16, 216), elements=(3, 8), max_sites=2, site_order=site_order)
    n = 8192
    genes = model.sample(n, seed=1, score=False).genes()
    _, first, counts = np.unique(gene_keys(genes).view("u8,u8"), return_index=True, return_counts=True)
    expected = n * np.exp(model.log_prob(genes.take(first)))
    often = expected >= 8
    assert often.sum() > 20
    # Pearson's statistic of what is drawn often, with the rest as one cell; its mean is the degrees of freedom.
    observed, wanted = (
        np.append(counts[often], n - counts[often].sum()),
        np.append(expected[often], n - expected[often].sum()),
    )
    chi2 = ((observed - wanted) ** 2 / wanted).sum()
    assert chi2 < often.sum() + 4 * math.sqrt(2 * often.sum())


def test_everything_is_legal_in_all_groups():
    model = tiny(())  # no counts: all 230 groups alike
    genes = model.sample(3 * NUM_GROUPS, seed=0, score=False).genes()
    assert genes.legal().all()
    genes.check()
    assert len(np.unique(genes.space_group)) > 200
    every = Conditions(space_groups=range(1, NUM_GROUPS + 1))
    assert (
        model.sample(3 * NUM_GROUPS, every, seed=0, score=False).genes().space_group.tolist()
        == genes.space_group.tolist()
    )
    assert np.isfinite(model.log_prob(genes.take(np.arange(20)))).all()


def test_a_longer_run_begins_with_the_shorter_one_to_the_bit():
    model = tiny((1, 62, 225))
    short, long = model.sample(10, seed=5), model.sample(1100, seed=5, score=False)
    assert short.genes().elements.tolist() == _narrow(long[:10].genes().elements, short.genes().elements)
    assert short.ids == long.ids[:10] == [f"5-{row}" for row in range(10)]
    again = model.sample(1100, seed=5, score=False)
    assert again == long
    assert model.sample(10, seed=6).genes().space_group.tolist() != short.genes().space_group.tolist()
    streamed = next(model.stream(seed=5))
    assert streamed[:10].genes().space_group.tolist() == short.genes().space_group.tolist()
    assert len(model.sample(0, seed=0)) == 0


def _narrow(array: np.ndarray, like: np.ndarray) -> list:
    return array[:, : like.shape[1]].tolist()


def test_scores_come_with_their_errors():
    model = tiny((1, 62, 225))
    table = model.sample(12, seed=0)
    np.testing.assert_array_equal(table.column("log_prob").to_numpy(), model.log_prob(table))
    exact = np.array(table.column("log_prob_exact").to_pylist())
    errors = table.column("log_prob_error").to_numpy()
    assert (errors[exact] == 0).all()
    assert model.sample(3, seed=0, score=False).column("log_prob").null_count == 3


def test_space_groups_are_kept_and_other_conditions_refused():
    model = tiny((1, 62, 225))
    assert set(model.sample(50, Conditions(space_groups=[62, 99]), seed=0, score=False).space_group.tolist()) <= {
        62,
        99,
    }
    gene = GeneBatch.from_lists([1], [[3]], [[0]])
    for conditions in (
        Conditions(allowed_elements=["Li"]),
        Conditions(formula="LiFeO2"),
        Conditions(num_sites=3, space_groups=1),
        Conditions(template=gene),
        Conditions(partial=gene),
    ):
        with pytest.raises(InputError, match="wyckoff-transformer-mp20"):
            model.sample(1, conditions, seed=0)
    with pytest.raises(InputError, match="-1 genes"):
        model.sample(-1, seed=0)


@pytest.mark.parametrize("site_order", ["any", "electronegativity"])
def test_generation_goes_on_from_first_tokens(site_order):
    model = tiny((1, 62, 225), site_order=site_order)
    tokens = GeneBatch.from_lists([225, 62, 1], [[3], [8], [26]], [[0], [2], [0]])
    genes = model.sample(300, seed=0, score=False, first_tokens=tokens).genes()
    assert genes.legal().all()
    for row in range(300):
        assert genes.space_group[row] == tokens.space_group[row % 3]
        assert tokens.elements[row % 3, 0] in genes.elements[row]
    with pytest.raises(InputError, match="first token 1 has 2 sites"):
        model.sample(1, seed=0, first_tokens=GeneBatch.from_lists([1, 1], [[3], [3, 8]], [[0], [0, 0]]))
    with pytest.raises(InputError, match="element 92"):
        model.sample(1, seed=0, first_tokens=GeneBatch.from_lists([1], [[92]], [[0]]))
    with pytest.raises(InputError, match="space groups"):
        model.sample(1, Conditions(space_groups=1), seed=0, first_tokens=tokens)
    with pytest.raises(InputError, match="no first tokens"):
        model.sample(1, seed=0, first_tokens=tokens.take([]))


def test_first_tokens_come_from_the_genes_and_first_in_a_fixed_order():
    genes = rock_salts(200)
    by_chance = first_tokens_of(tiny((1,)), genes, seed=1)
    assert (by_chance.elements == genes.elements).any(axis=1).all() and by_chance.legal().all()
    assert len(np.unique(by_chance.elements)) == 3
    in_order = first_tokens_of(tiny((1,), site_order="electronegativity"), genes)
    wanted = np.where((genes.elements == 3).any(axis=1), 3, 26)  # Li 0.98 comes before Fe 1.83 and O 3.44
    assert (in_order.elements[:, 0] == wanted).all()


def test_a_checkpoint_brings_the_model_back(tmp_path):
    genes = rock_salts(50)
    model = WyckoffTransformerPaper.for_training(PaperConfig(**SMALL), genes)
    calibrate(model, genes)
    model.save(tmp_path / "model", card="# A model", half=False)
    settings, tensors = load_checkpoint(tmp_path / "model")
    assert (settings["family"], settings["variant"]) == ("wyckoff-transformer", "paper")
    loaded = WyckoffTransformerPaper.from_checkpoint(settings, tensors)
    assert loaded.config == model.config and loaded.train_keys() == model.train_keys()
    assert set(gene_keys(genes, merge_enantiomorphs=True).tolist()) == model.train_keys()
    np.testing.assert_array_equal(loaded.log_prob(genes), model.log_prob(genes))
    named = load(tmp_path / "model")
    assert isinstance(named, GeneModel) and named.name == "model"
    with pytest.raises(CheckpointError, match="symmetry tables"):
        WyckoffTransformerPaper.from_checkpoint({**settings, "tables_sha256": "0" * 64}, tensors)


def test_wrong_settings_are_refused():
    for wrong in ({"heads": 3}, {"dropout": 1.0}, {"layers": 0}, {"prefix_share": 0.0}, {"group_smoothing": 0.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PaperConfig(**wrong)
    with pytest.raises(ConfigError, match="alphabetical"):
        PaperConfig(site_order="alphabetical")
    with pytest.raises(ConfigError, match="increasing"):
        PaperConfig(elements=(8, 3))


def test_the_published_size():
    model = WyckoffTransformerPaper(PaperConfig(elements=tuple(range(1, 90))))
    assert 130_000 < sum(p.numel() for p in model.parameters()) < 150_000


@pytest.mark.parametrize("site_order", ["any", "electronegativity"])
def test_the_loss_is_the_bound_that_validation_measures(site_order):
    """The mean of the loss over many draws of prefixes, orders and descriptions, against a walk over all of them."""
    genes = rock_salts(40)
    config = PaperConfig(**{**SMALL, "dropout": 0.0, "site_order": site_order})
    model = WyckoffTransformerPaper.for_training(config, genes)
    source = GeneSource(genes, model.config.elements, tokens=40, seed=0)
    torch.manual_seed(0)
    draws = []
    with torch.no_grad():
        for epoch in range(40):
            model.train()
            losses = [float(model.loss(batch)[0]) * batch.mean_rows for batch in source.batches(epoch, 0, 1)]
            draws.append(sum(losses) / len(genes))
    bound = np.mean([order_bound(model, genes, seed=seed).mean() for seed in range(10)])
    constant = np.mean(order_bound(model, genes)) - np.mean(_given_group_in_order(model, genes))
    assert np.mean(draws) == pytest.approx(bound - constant, abs=5 * np.std(draws) / math.sqrt(len(draws)))


def _given_group_in_order(model: WyckoffTransformerPaper, genes: GeneBatch) -> np.ndarray:
    """The bound without its constants: p(group) and the numbers of orders and descriptions."""
    _, owner = equivalents(genes)
    constant = -np.log(model.group_probabilities()[genes.space_group]) - np.log(np.bincount(owner))
    return order_bound(model, genes) - constant + log_num_orders(genes) * (not model.rules.ordered)


def test_known_sites_are_spread_evenly():
    known = spread_known(60, 5, 2, torch.device("cpu"))
    assert torch.bincount(known.flatten()).tolist() == [20] * 6
    assert (known[:, 0] != known[:, 1]).all()


def test_training_learns_the_rule_and_calibrates(tmp_path):
    genes = rock_salts(400)
    training = TrainingConfig(
        seed=0, epochs=25, batch_size=64, learning_rate=0.01, ema_decay=0.9, threads=1, prefetch=0, tensorboard=False
    )
    torch.manual_seed(0)
    config = PaperConfig(**{**SMALL, "dropout": 0.0})
    before = order_bound(WyckoffTransformerPaper.for_training(config, genes), genes).mean()
    result = fit_paper(config, genes, genes, training, tmp_path / "run", card="# Trained in a test")
    assert result.stopped == "finished"
    model = WyckoffTransformerPaper.from_checkpoint(*load_checkpoint(tmp_path / "run" / "best"))
    # The genes carry ln 2 for the group and 0.61 for the third site; what a random network needs is far above.
    assert -model.log_prob(genes).mean() < 2.0 < before - 2
    assert not torch.equal(model.temperatures, torch.ones_like(model.temperatures))
    assert "nll calibrated" in (tmp_path / "run" / "best" / "README.md").read_text()
    mass = illegal_mass(model, genes)
    assert 0 <= min(mass.element, mass.symmetry, mass.index) <= max(mass.element, mass.symmetry, mass.index) <= 1


def test_calibration_finds_the_temperature_that_was_hidden():
    genes = tiny((1, 62, 225)).sample(2000, seed=3, score=False).genes()
    model = tiny((1, 62, 225))
    for head in model.network.heads.values():  # logits three halves of what they should be
        head.weight.data *= 1.5
        head.bias.data *= 1.5
    calibrate(model, genes)
    assert model.temperatures[0, 1:4].numpy() == pytest.approx(1.5, abs=0.25)
