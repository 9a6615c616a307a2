"""Laws that every configuration keeps: scores and draws of crystals, and what is asked of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, CrystalTable, GeneBatch, crystal_equivalents
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models import load
from aristotype.models.blocks import primitive_multiplicities
from aristotype.models.wyckoff_augen import Tries
from aristotype.symmetry import asymmetric_unit, space_group
from tests.models.wyckoff_augen.diffusion.small import tiny_model as tiny_diffusion
from tests.models.wyckoff_augen.grids.small import tiny_model as tiny_grids
from tests.models.wyckoff_augen.paper.small import tiny_model as tiny_paper

GROUPS = (2, 4, 5, 12, 15, 19, 33, 62, 63, 92, 99, 123, 148, 166, 186, 194, 198, 221, 225, 227)
MAKERS = {"diffusion": tiny_diffusion, "grids": tiny_grids, "paper": tiny_paper}
ROUNDED = {"diffusion": 2e-2, "grids": 2e-3, "paper": 1e-5}
"""How much of a score changes with coordinates that are rounded: small noises, and features in single precision."""


@pytest.fixture(scope="module", params=sorted(MAKERS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    return MAKERS[name](max_sites=3, elements=(3, 8, 26))


@pytest.fixture(scope="module")
def crystals(model):
    return model.sample(60, Conditions(space_groups=GROUPS), seed=3, score=False)


def test_scores_are_the_same_for_every_description(name, model, crystals):
    described = [[crystal, *crystal_equivalents(crystal)[:4]] for crystal in crystals[:24]]
    every = [one for some in described for one in some]
    flat = CrystalTable.from_crystals([replace(one, id=str(row)) for row, one in enumerate(every)])
    total = model.log_prob(flat)
    assert np.isfinite(total).all() and len(flat) > 48
    first = 0
    for some in described:
        values = total[first : first + len(some)]
        np.testing.assert_allclose(values, values[0], atol=ROUNDED[name])
        first += len(some)


@pytest.mark.parametrize("groups", [(33, 36, 99, 160, 186), (19, 62, 122, 166, 198, 225)])
def test_draws_follow_the_score(name, groups):
    """The mean over draws of p of a model with slightly other weights, over the own, is one: both are densities.

    Of groups whose cells are always reduced, so that scores of `paper` are not bounds. Of the diffusion the weights of
    scores of coordinates stay: their densities are bounded alone, and alike.
    """
    model, other = (MAKERS[name](max_sites=2, elements=(3, 8, 26)) for _ in range(2))
    torch.manual_seed(1)
    net = other.network
    changed = torch.nn.ModuleList([net.sequence, net.cell]) if name == "diffusion" else net
    for weights in changed.parameters():
        weights.data += 0.01 * torch.randn_like(weights)
    drawn = model.sample(128, Conditions(space_groups=groups), seed=0, score=False)
    ratio = np.exp(other.log_prob(drawn) - model.log_prob(drawn))
    assert 0.01 < ratio.std() < 2.0
    assert abs(ratio.mean() - 1.0) < 4.0 * ratio.std() / np.sqrt(len(ratio))


def test_samples_are_legal_and_lie_in_the_unit(name, crystals):
    assert crystals.genes().legal().all()
    assert set(crystals.space_group.tolist()) <= set(GROUPS)
    for crystal in crystals[:40]:
        unit = asymmetric_unit(crystal.space_group)
        polar = any(space_group(crystal.space_group).polar_axes)
        for letter, free in zip(crystal.wyckoffs, crystal.site_free, strict=True):
            position = space_group(crystal.space_group).positions[letter]
            wrapped = unit.wrap(position.representative(np.array(free)[None]))
            unit.locate(position.index, wrapped.points)  # it is on a shape, or this is an error
            assert polar or unit.contains(wrapped.points).all()


def test_the_origin_of_a_polar_group_is_on_a_site(model):
    table = model.sample(12, Conditions(space_groups=[33, 99, 160]), seed=0, score=False)
    for crystal in table:
        assert min(abs(free[-1]) for free in crystal.site_free) == 0.0


def test_fewer_are_the_first_of_more_and_seeds_differ(model):
    more, fewer = (model.sample(n, seed=5, score=False) for n in (70, 9))
    np.testing.assert_array_equal(more[:9].lattice, fewer.lattice)
    assert [one.free for one in more[:9]] == [one.free for one in fewer]
    assert not np.array_equal(model.sample(9, seed=6, score=False).lattice, fewer.lattice)


def test_scores_of_draws_come_with_them(model):
    table = model.sample(6, seed=1)
    np.testing.assert_allclose(table.column("log_prob").to_numpy(), model.log_prob(table), atol=1e-3)


def test_second_tries_bring_closer_atoms_apart(name):
    wanted = Conditions(space_groups=[62, 14])
    model = MAKERS[name](max_sites=3, elements=(3, 8, 26))
    free = model.sample(40, wanted, seed=0, score=False)
    model.tries = Tries()
    tried = model.sample(40, wanted, seed=0, score=False)
    draws, closest = tried.column("crystal_draws").to_numpy(), tried.column("closest").to_numpy()
    assert np.median(closest) > np.median(free.column("closest").to_numpy())
    assert tried.column("site_draws").to_numpy().max() > 0 == free.column("site_draws").to_numpy().max()
    assert draws.max() > 1 and (draws[closest < model.tries.closest] == model.tries.crystals).all()
    assert (free.column("crystal_draws").to_numpy() == 1).all() and tried.ids == free.ids
    assert tried.genes().legal().all()
    # Group and elements are those of the first draw.
    assert (tried.space_group == free.space_group).all()
    assert (model.members(tried.genes()) == model.members(free.genes())).all()


def test_spaces_of_elements_are_heeded(model):
    only = model.sample(30, Conditions(allowed_elements=["Li", "O"], required_elements=["O"]), seed=0, score=False)
    elements = only.genes().elements
    assert set(np.unique(elements)) <= {0, 3, 8} and (elements == 8).any(axis=1).all()
    without = model.sample(30, Conditions(excluded_elements=["O"], space_groups=[225]), seed=0, score=False)
    assert not (without.genes().elements == 8).any()
    with pytest.raises(InputError, match="U is required, and is not among the"):
        model.sample(1, Conditions(required_elements=["U"]), seed=0)
    with pytest.raises(InputError, match="U is allowed, and is not among the"):
        model.sample(1, Conditions(allowed_elements=["U"]), seed=0)
    with pytest.raises(InfeasibleConditionsError, match="Li is required, and is not among the elements allowed"):
        model.sample(1, Conditions(allowed_elements=["O"], required_elements=["Li"]), seed=0)
    with pytest.raises(InfeasibleConditionsError, match="elements of this model are excluded"):
        model.sample(1, Conditions(excluded_elements=sorted(model.vocabulary)), seed=0)


@pytest.mark.parametrize(
    "more", [{}, {"space_groups": GROUPS}, {"formula_units": 2}, {"num_sites": 3}, {"max_atoms": 9}]
)
def test_formulas_are_exact(model, more):
    table = model.sample(25, Conditions(formula="LiFeO2", **more), seed=0, score=False)
    genes = table.genes()
    atoms = primitive_counts(genes)
    assert (atoms[:, [3, 26, 8]] == atoms[:, [3]] * np.array([1, 1, 2])).all()
    assert (atoms.sum(axis=1) == atoms[:, 3] * 4).all()
    if "formula_units" in more:
        assert (atoms[:, 3] == 2).all()
    assert (genes.num_sites == 3).all() or "num_sites" not in more
    assert atoms.sum(axis=1).max() <= more.get("max_atoms", 40)
    assert set(genes.space_group.tolist()) <= set(more.get("space_groups", range(1, 231)))


def test_numbers_of_sites_and_atoms_are_kept(model):
    table = model.sample(40, Conditions(num_sites=2, max_atoms=7, required_elements=["O"]), seed=1, score=False)
    genes = table.genes()
    assert (genes.num_sites == 2).all() and (genes.elements == 8).any(axis=1).all()
    assert primitive_counts(genes).sum(axis=1).max() <= 7
    with pytest.raises(InfeasibleConditionsError, match="loosen the formula"):
        model.sample(1, Conditions(formula="LiFeO2", num_sites=2), seed=0)
    with pytest.raises(InfeasibleConditionsError, match="loosen the formula"):
        model.sample(1, Conditions(max_atoms=3, space_groups=[225], required_elements=["Li", "Fe", "O"]), seed=0)


def test_templates_and_known_sites_are_kept(model):
    template = GeneBatch.from_lists([225], [[3, 8]], [[0, 1]])
    genes = model.sample(20, Conditions(template=template), seed=0, score=False).genes()
    assert (genes.wyckoffs[:, :2] == [0, 1]).all() and (genes.space_group == 225).all()
    exact = model.sample(8, Conditions(template=template, formula="LiFe"), seed=0, score=False).genes()
    assert (np.sort(exact.elements[:, :2], axis=1) == [3, 26]).all()
    known = GeneBatch.from_lists([62], [[8, 26]], [[0, 2]])
    genes = model.sample(20, Conditions(partial=known, max_atoms=16), seed=0, score=False).genes()
    for letter, element in ((0, 8), (2, 26)):
        assert ((genes.wyckoffs == letter) & (genes.elements == element)).any(axis=1).all()
    assert primitive_counts(genes).sum(axis=1).max() <= 16 and (genes.num_sites > 2).any()
    with pytest.raises(InfeasibleConditionsError, match="the template has 2 sites"):
        model.stream(Conditions(template=template, num_sites=3), seed=0)
    with pytest.raises(InfeasibleConditionsError, match="space group 62, which is not among"):
        model.stream(Conditions(partial=known, space_groups=[2]), seed=0)


def primitive_counts(genes) -> np.ndarray:
    """(n, 119) atoms of each element in the primitive cell."""
    out = np.zeros((len(genes), 119), np.int64)
    for row, number in enumerate(genes.space_group.tolist()):
        for letter, element in zip(genes.wyckoffs[row].tolist(), genes.elements[row].tolist(), strict=True):
            if letter >= 0:
                out[row, element] += primitive_multiplicities(number)[letter]
    return out


def test_checkpoints_give_the_same_model(model, crystals, tmp_path):
    model.save(tmp_path / "kept", half=False)
    again = load(tmp_path / "kept")
    assert type(again) is type(model) and again.name == "kept"
    np.testing.assert_allclose(again.log_prob(crystals[:4]), model.log_prob(crystals[:4]), atol=1e-4)
