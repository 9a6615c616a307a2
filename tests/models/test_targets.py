"""Property targets: what is kept follows Bayes' rule, for every family of models."""

from __future__ import annotations

from itertools import islice
from math import inf, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import laplace

from aristotype.crystal import Conditions, CrystalTable, PropertyTarget, gene_keys
from aristotype.discover import Guide, generate, guide
from aristotype.errors import InputError, UnknownNameError
from aristotype.models import _targets, load_encoder
from aristotype.models._targets import probability_in_range
from aristotype.models.crystalformer import CrystalFormer, Tries
from aristotype.models.gene_encoder import GeneEncoder, GeneEncoderConfig
from aristotype.predict import predict
from tests.discover.toy_crystals import ToyModel, length
from tests.models.crystalformer.networks import network
from tests.models.crystalformer.paper.small import paper_model as crystalformer_paper
from tests.models.prototypes import decoration
from tests.models.test_paper import tiny as transformer_paper
from tests.models.worlds import closed_world, frequencies, model_of_all_groups
from tests.models.wyckoff_augen.diffusion.small import tiny_model as wyckoff_augen
from tests.models.wyckoff_augen.grids.small import tiny_model as wyckoff_augen_grids
from tests.models.wyckoff_augen.paper.small import tiny_model as wyckoff_augen_paper
from tests.models.wyckoffdiff.small import tiny_model as wyckoffdiff

ENDS = st.floats(-1e3, 1e3)


@pytest.fixture(scope="module")
def hardness(tmp_path_factory) -> str:
    """A folder with a predictor of random weights, for every element."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = GeneEncoder(
            GeneEncoderConfig(width=16, heads=2, layers=1, elements=tuple(range(1, 104)), target="hardness")
        )
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("predictor") / "best"
    encoder.save(folder, half=False)
    return str(folder)


def asked(folder: str, low: float = -inf, high: float = inf, strength: float = 1.0, **more) -> Conditions:
    return Conditions(targets=PropertyTarget(property=folder, low=low, high=high, strength=strength), **more)


def middle(folder: str, model) -> float:
    """The median of what is predicted of a model's genes."""
    genes = next(iter(model.stream(None, seed=99))).genes()
    return float(np.median(load_encoder(folder).predict(genes)[0]))


@given(value=ENDS, deviation=st.floats(1e-3, 1e3), ends=st.tuples(ENDS, ENDS))
def test_probabilities_are_those_of_the_distribution(value, deviation, ends):
    scale = deviation / sqrt(2)
    for low, high in ((min(ends), max(ends)), (-inf, ends[0]), (ends[0], inf)):
        found = probability_in_range(np.array([value]), np.array([deviation]), low, high)[0]
        assert found == pytest.approx(laplace.cdf(high, value, scale) - laplace.cdf(low, value, scale), abs=1e-12)


def test_what_is_not_predicted_is_not_in_range():
    assert probability_in_range(np.array([np.nan]), np.array([np.nan]), -inf, 0.0).tolist() == [0.0]


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_frequencies_are_the_models_times_the_predictors(hardness, strength):
    model, everything = closed_world(16)
    values, deviations = load_encoder(hardness).predict(everything)
    high = float(np.quantile(values, 0.4))
    chance = probability_in_range(values, deviations, -inf, high)
    assert chance.min() < 0.4 < 0.6 < chance.max()  # or there would be nothing to see
    n = 6000
    drawn = model.sample(n, asked(hardness, high=high, strength=strength, space_groups=[16]), seed=4, score=False)
    given_group = np.exp(model.log_prob(everything))
    wanted = given_group * chance**strength
    share = wanted.sum() / given_group.sum()
    expected = n * wanted / wanted.sum()
    counts = frequencies(drawn.genes(), everything)
    often = expected >= 8
    parts = [np.append(some[often], some[~often].sum()) for some in (counts, expected)]
    # Pearson's statistic; its mean is the degrees of freedom.
    assert ((parts[0] - parts[1]) ** 2 / parts[1]).sum() < often.sum() + 5 * sqrt(2 * often.sum())
    draws = drawn.column("draws").to_numpy()
    assert n / draws.sum() == pytest.approx(share, abs=5 * sqrt(share * (1 - share) / draws.sum()))


FAMILIES = {
    "wyckoff-transformer": model_of_all_groups,
    "wyckoff-transformer-paper": lambda: transformer_paper((16, 216)),
    "wyckoffdiff": lambda: wyckoffdiff((3, 8, 26), groups=(16, 216)),
    "crystalformer": lambda: CrystalFormer(model_of_all_groups(), network(), Tries.none()).eval(),
    "crystalformer-paper": lambda: crystalformer_paper(elements=(3, 8, 26), max_sites=3),
    "wyckoff-augen-grids": lambda: wyckoff_augen_grids(elements=(3, 8, 26), max_sites=3),
    "wyckoff-augen-paper": lambda: wyckoff_augen_paper(elements=(3, 8, 26), max_sites=3),
    "wyckoff-augen": lambda: wyckoff_augen(max_sites=3, steps=4, levels=2),
    "decoration": decoration,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_heeds_them_and_says_what_was_predicted(family, hardness):
    model = FAMILIES[family]()
    high = middle(hardness, model)
    conditions = asked(hardness, high=high)
    table = model.sample(12, conditions, seed=1)
    again = predict(CrystalTable.from_genes(table.genes()), hardness)
    for name in ("hardness", "hardness_std"):
        np.testing.assert_allclose(table.column(name).to_numpy(), again.column(name).to_numpy(), rtol=1e-4, atol=1e-4)
    free = model.sample(200, None, seed=1, score=False)
    kept = load_encoder(hardness).predict(model.sample(40, conditions, seed=1, score=False).genes())[0]
    assert kept.mean() < load_encoder(hardness).predict(free.genes())[0].mean()
    assert (table.column("draws").to_numpy() >= 1).all()
    if family != "decoration":
        np.testing.assert_allclose(
            table.column("log_prob").to_numpy(), model.log_prob(table), rtol=1e-4, atol=1e-3, err_msg=family
        )


def test_ids_tell_the_draw_and_fewer_are_the_first_of_more(hardness):
    model = model_of_all_groups()
    conditions = asked(hardness, high=middle(hardness, model))
    more, fewer = (model.sample(n, conditions, seed=7, score=False) for n in (700, 300))
    assert more[:300].ids == fewer.ids
    numbers = np.array([int(name.split("-")[1]) for name in more.ids])
    assert np.diff(numbers, prepend=-1).tolist() == more.column("draws").to_pylist()
    free = model.sample(int(numbers[-1]) + 1, seed=7, score=False)
    assert gene_keys(free.take(numbers).genes()).tolist() == gene_keys(more.genes()).tolist()


def test_hard_constraints_stay_hard(hardness):
    model = model_of_all_groups()
    conditions = asked(hardness, high=middle(hardness, model), space_groups=[2, 62], required_elements=["O"])
    genes = model.sample(40, conditions, seed=0, score=False).genes()
    assert set(genes.space_group.tolist()) <= {2, 62}
    assert (genes.elements == 8).any(axis=1).all()


def test_generate_counts_what_was_off_target(hardness):
    model = model_of_all_groups()
    conditions = asked(hardness, high=middle(hardness, model))
    summary = generate(model, 30, conditions, seed=2, genes_only=True).summary
    assert summary.off_target > 0
    lost = ("off_target", "illegal", "duplicates", "forced", "not_novel", "failed")
    assert summary.attempts == summary.crystals + sum(getattr(summary, name) for name in lost)
    assert summary.conditions == {
        "targets": [{"property": hardness, "high": conditions.targets[0].high, "strength": 1.0}]
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_what_never_comes_is_given_up_with_the_nearest(family, hardness, monkeypatch):
    """Scored streams go through blocks of which nothing is kept before they give up."""
    monkeypatch.setattr(_targets, "MOST_BLOCKS", 3)
    with pytest.raises(InputError, match=r"draws was kept for hardness from 1e\+06 to inf.*nearest.*widen the range"):
        list(islice(FAMILIES[family]().stream(asked(hardness, low=1e6), seed=0, score=True), 10))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 1.0, "high": 1.0}, "must be below"),
        ({"low": np.nan, "high": 1.0}, "must be below"),
        ({}, "without a limit"),
        ({"low": 1.0, "strength": 0.0}, "strength of a target is 0"),
        ({"low": 1.0, "strength": np.nan}, "strength of a target is nan"),
    ],
)
def test_targets_that_say_nothing_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        PropertyTarget(property="hardness", **values)


def test_two_ranges_of_one_property_are_refused(hardness):
    one, other = (PropertyTarget(property=hardness, high=high) for high in (1.0, 2.0))
    with pytest.raises(InputError, match="hardness is a target 2 times"):
        model_of_all_groups().stream(Conditions(targets=[one, other]), seed=0)


def test_a_property_that_nothing_predicts_is_refused():
    with pytest.raises(UnknownNameError, match="formation_energy"):
        model_of_all_groups().stream(asked("colour", low=1.0), seed=0)


def test_chains_take_properties_not_targets(hardness):
    with pytest.raises(InputError, match="properties to guide by"):
        guide(ToyModel(), [Guide(name="edge", property=length, weight=1.0)], asked(hardness, low=0.0))
