"""Scores of the published factorisation: the same for every description, normalised, and those of the sampler."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from aristotype.crystal import Conditions, gene_keys
from aristotype.models.crystalformer._support import BINS
from aristotype.models.crystalformer.paper._tokens import BEFORE, first_axes
from aristotype.models.crystalformer.paper._von_mises import Mixture, bin_masses, draw, log_density, log_inside, mixture
from aristotype.symmetry import space_group
from tests.models.crystalformer.descriptions import encoded_anew, some_equivalents
from tests.models.crystalformer.paper.small import paper_model


@pytest.mark.parametrize("start", range(1, 231, 23))
def test_every_description_of_a_crystal_has_one_score(start):
    """Atoms in another cell, origin, orientation and order are encoded anew; 1e-5 nats are asked for."""
    ours = paper_model()
    for table in encoded_anew(range(start, min(231, start + 23))):
        scores = ours.log_prob(table)
        assert np.isfinite(scores).all()
        assert scores == pytest.approx(scores[0], abs=1e-5)


@pytest.mark.parametrize("number", [1, 2, 14, 19, 33, 47, 62, 99, 136, 152, 160, 205, 221, 225])
def test_all_equivalents_have_one_score(number):
    """Those by other letters among them: this model writes letters freely."""
    scores = paper_model().log_prob(some_equivalents(number))
    assert scores == pytest.approx(scores[0], abs=1e-8)


@pytest.mark.parametrize("number", [1, 2, 5, 14, 33, 47, 62, 99, 146, 166, 186, 205, 221])
def test_samples_follow_the_score(number):
    """The mean of q/p over crystals drawn from p is one for every density q: all crystals together have one.

    Both are models with weights a little apart, so that ratios are near one and their mean is known well.
    """
    sizes = {"elements": (3, 8), "max_sites": 3, "scale": 0.2}
    ours, other = paper_model(number, **sizes), paper_model(number, nudge=0.002, **sizes)
    drawn = ours.sample(200, Conditions(space_groups=[number]), seed=1)
    ratio = np.exp(other.log_prob(drawn) - drawn.column("log_prob").to_numpy())
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.1
    assert ratio.mean() == pytest.approx(1.0, abs=4.0 * error)
    assert ratio.std() > 1e-3  # the two do differ


@pytest.mark.parametrize("number", [221, 227])
def test_genes_come_as_often_as_the_score_says(number):
    """Letters and elements of crystals without free coordinates, of which a score does not depend on the cell."""
    ours = paper_model(1, elements=(3, 8), max_sites=2)
    drawn = ours.sample(2000, Conditions(space_groups=[number]), seed=0, score=False)
    fixed = drawn.filter(drawn.genes().freedoms.sum(axis=1) == 0)
    keys = gene_keys(fixed.genes()).tolist()
    counts = Counter(keys)
    parts = ours.log_prob_parts(fixed[:300])
    assert parts["coordinates"] == pytest.approx(0.0, abs=1e-6)
    share = np.log(ours.group_probabilities()[number])
    for key, found in {k: i for i, k in enumerate(keys[:300])}.items():
        expected = np.exp(_log_gene(ours, fixed[found : found + 1]) - share)
        error = np.sqrt(expected * (1.0 - expected) / len(drawn))
        assert counts[key] / len(drawn) == pytest.approx(expected, abs=4.5 * error + 1e-3)


def _log_gene(model, crystal) -> float:
    """Log-probability of letters and elements, summed over the descriptions of a gene."""
    from aristotype.models._parts import log_sum_by_row
    from aristotype.models.crystalformer._sequences import sequences_of

    sequences = sequences_of(crystal, any_letters=True)
    letters, elements = model.log_sequences(sequences)[:2]
    codes = np.concatenate([sequences.genes.wyckoffs, sequences.genes.elements], axis=1)
    first = np.unique(codes, axis=0, return_index=True)[1]
    total = log_sum_by_row((letters + elements)[first], np.zeros(len(first), np.int64), 1)
    return float(total[0] + np.log(model.group_probabilities()[crystal.space_group[0]]))


def test_each_parameter_comes_first_in_a_coordinate_of_its_own():
    """It is told from that coordinate on, and can be read from it: of all 1731 positions."""
    axes = first_axes()
    for number in range(1, 231):
        for position in space_group(number).positions:
            mine = axes[number, position.index, : position.freedom]
            assert (np.diff(mine) > 0).all()
            assert (np.abs(position.linear[mine, np.arange(position.freedom)]) == 1).all()
            for parameter, axis in enumerate(mine):
                assert not position.linear[axis, parameter + 1 :].any()


# Mixtures on part of a circle

laws = st.tuples(
    st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=2),
    st.lists(st.floats(-1.0, 2.0), min_size=2, max_size=2),
    st.lists(st.floats(-3.0, 7.6), min_size=2, max_size=2),
)


def _mixture(weights, centres, log_concentrations) -> Mixture:
    return Mixture(
        torch.log_softmax(torch.tensor([weights], dtype=torch.float64), dim=1),
        torch.tensor([centres], dtype=torch.float64),
        torch.exp(torch.tensor([log_concentrations], dtype=torch.float64)),
    )


@given(law=laws, x=st.floats(0.0, 1.0))
def test_a_density_is_that_of_scipy(law, x):
    found = float(log_density(_mixture(*law), torch.tensor([x], dtype=torch.float64)).exp())
    weights = np.exp(law[0]) / np.exp(law[0]).sum()
    parts = [
        2.0 * np.pi * stats.vonmises.pdf(2.0 * np.pi * (x - centre), np.exp(concentration))
        for centre, concentration in zip(law[1], law[2], strict=True)
    ]
    assert found == pytest.approx(float(np.dot(weights, parts)), rel=1e-9, abs=1e-12)


@given(law=laws)
def test_bins_hold_all_of_the_mass(law):
    everywhere = torch.ones(1, BINS, dtype=torch.bool)
    mass = bin_masses(_mixture(*law), everywhere, torch.tensor([BEFORE], dtype=torch.float64))
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-5)


@given(law=laws, bins=st.sets(st.integers(0, BINS - 1), min_size=1, max_size=5), place=st.floats(0.0, 0.99))
@settings(max_examples=20)
def test_a_density_on_part_of_a_circle_integrates_to_one(law, bins, place):
    """By scipy's quadrature, on a few bins, the first of which is cut off somewhere."""
    law = (law[0], law[1], [min(value, 3.0) for value in law[2]])
    first = min(bins)
    least = (first + place - 0.5) / BINS
    allowed = torch.zeros(1, BINS, dtype=torch.bool)
    allowed[0, list(bins)] = True

    def density(x: float) -> float:
        point = torch.tensor([x], dtype=torch.float64)
        return float(log_inside(_mixture(*law), point, allowed, torch.tensor([least], dtype=torch.float64)).exp())

    total = sum(
        integrate.quad(density, max(least, (b - 0.5) / BINS), (b + 0.5) / BINS - 1e-12, epsabs=1e-7)[0] for b in bins
    )
    assert total == pytest.approx(1.0, abs=1e-4)
    outside = next(b for b in range(BINS) if b not in bins)
    assert density(outside / BINS) == 0.0
    if place > 0.1:
        assert density(least - 0.05 / BINS) == 0.0


def test_no_place_is_without_density():
    """However sure a network is, and wherever."""
    sure = mixture(torch.tensor([[0.0, 0.0, 0.5, 0.5, 40.0, 40.0]], dtype=torch.float64))
    allowed = torch.zeros(1, BINS, dtype=torch.bool)
    allowed[0, :2] = True
    start = torch.tensor([BEFORE], dtype=torch.float64)
    far = torch.tensor([0.01], dtype=torch.float64)
    assert float(log_inside(sure, far, allowed, start)) == pytest.approx(np.log(BINS / 2), abs=1e-6)
    drawn = draw(sure, allowed, start, torch.tensor([[0.9, 0.5, 0.5]], dtype=torch.float64))
    assert 0.5 / BINS <= float(drawn) <= 1.5 / BINS
    assert float(sure.log_weight.exp().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("narrow", [False, True])
def test_draws_follow_the_density(narrow):
    """By a Kolmogorov-Smirnov test of the distribution function at the draws."""
    law = _mixture([0.0, 1.0], [0.1, 0.5], [2.0, 6.5 if narrow else 1.0])
    allowed = torch.zeros(1, BINS, dtype=torch.bool)
    allowed[0, [1, 2, 3, 11, 12]] = True
    least = torch.tensor([1.2 / BINS], dtype=torch.float64)
    n = 4000
    many = Mixture(*(part.expand(n, 2) for part in law))
    uniform = torch.from_numpy(np.random.default_rng(0).random((n, 3)))
    drawn = draw(many, allowed.expand(n, BINS), least.expand(n), uniform).numpy()
    assert np.isfinite(log_inside(many, torch.from_numpy(drawn), allowed.expand(n, BINS), least.expand(n))).all()
    grid = np.linspace(BEFORE, 1.0 + BEFORE, 50_001)[:-1]
    points = torch.from_numpy(grid)
    spread = Mixture(*(part.expand(len(grid), 2) for part in law))
    density = log_inside(spread, points, allowed.expand(len(grid), BINS), least.expand(len(grid))).exp().numpy()
    cumulative = np.cumsum(density) / density.sum()
    assert stats.kstest(np.interp(drawn, grid, cumulative), "uniform").pvalue > 1e-3
