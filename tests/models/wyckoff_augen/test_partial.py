"""Partial crystals: what is known stays where it is, and all else that is asked for holds."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import Conditions, Crystal, PartialCrystal, PropertyTarget, decode
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.symmetry import space_group
from tests.crystal.builders import random_lattice, table_of
from tests.models.wyckoff_augen.diffusion.small import tiny_model as tiny_diffusion
from tests.models.wyckoff_augen.grids.small import tiny_model as tiny_grids
from tests.models.wyckoff_augen.paper.small import tiny_model as tiny_paper
from tests.models.wyckoff_augen.test_laws import primitive_counts

POLAR = (1, 4, 8, 31, 33, 36, 99, 160, 186)
MODELS = {"diffusion": tiny_diffusion(max_sites=4), "grids": tiny_grids(max_sites=4)}


@pytest.fixture(params=sorted(MODELS))
def model(request):
    return MODELS[request.param]


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """A model always draws whole blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aristotype.models.wyckoff_augen._base._FIRST_BLOCK", 2)
        yield


def some_crystal(number: int, rng: np.random.Generator) -> Crystal:
    """Lithium anywhere, oxygen on one general position or two; cells are small, so that grids are."""
    group = space_group(number)
    order = len(group.rotations) // group.centring_order
    general = [len(group.positions) - 1] * (2 if order <= 8 else 1)
    letters = sorted([int(rng.integers(len(group.positions))), *general])
    return Crystal(
        space_group=number,
        elements=(3, *[8] * len(general)),
        wyckoffs=tuple(letters),
        free=tuple(float(x) for w in letters for x in rng.random(group.positions[w].freedom)),
        lattice=tuple(random_lattice(number, rng, 60 * group.centring_order).tolist()),
        id=str(number),
    )


def check_known(crystal: Crystal, partial: PartialCrystal) -> None:
    """The known sites are there to the last digit, and nothing is twice."""
    known = Counter(zip(partial.wyckoffs, partial.elements, partial.site_free, strict=True))
    there = Counter(zip(crystal.wyckoffs, crystal.elements, crystal.site_free, strict=True))
    assert not known - there, (known, there)
    assert crystal.space_group == partial.space_group
    if partial.lattice is not None:
        assert crystal.lattice == partial.lattice


def check_atoms(crystal: Crystal, partial: PartialCrystal) -> None:
    """Atoms of the known sites, told from their operations alone, are atoms of the crystal."""
    whole = decode(crystal)
    for letter, element, free in zip(partial.wyckoffs, partial.elements, partial.site_free, strict=True):
        for point in space_group(partial.space_group).positions[letter].orbit(free):
            step = whole.coords[whole.numbers == element] - point
            assert np.abs(step - np.rint(step)).max(axis=1).min() < 1e-6


@settings(max_examples=6, deadline=None)
@pytest.mark.parametrize("name", sorted(MODELS))
@given(number=st.one_of(st.sampled_from(POLAR), st.integers(1, 230)), seed=st.integers(0, 10**6), lattice=st.booleans())
def test_known_sites_stay_where_they_are(name, number, seed, lattice):
    model, rng = MODELS[name], np.random.default_rng(seed)
    crystal = some_crystal(number, rng)
    sites = rng.permutation(crystal.num_sites)[: rng.integers(1, crystal.num_sites + 1)].tolist()
    partial = PartialCrystal.of(crystal, sites, lattice=lattice)
    most = int(primitive_counts(table_of(crystal).genes()).sum()) + 8  # larger ones take longer
    found = model.sample(2, Conditions(partial_crystal=partial, max_atoms=most), seed=seed)
    assert found.genes().legal().all() and primitive_counts(found.genes()).sum(axis=1).max() <= most
    for one in found:
        assert isinstance(one, Crystal)
        check_known(one, partial)
        check_atoms(one, partial)
    np.testing.assert_allclose(found.column("log_prob").to_numpy(), model.log_prob(found), atol=1e-3)
    assert (found.column("crystal_draws").to_numpy() == model.completing.count).all()


@pytest.mark.parametrize("number", POLAR)
def test_other_sites_come_where_the_origin_floats(model, number):
    """A known site that comes second, and sites before it: in the known cell they are where distances say."""
    rng = np.random.default_rng(number)
    last = len(space_group(number).positions) - 1
    freedom = space_group(number).positions[last].freedom
    for lattice in (tuple(random_lattice(number, rng, 120.0).tolist()), None):
        partial = PartialCrystal(
            space_group=number, elements=(26,), wyckoffs=(last,), free=tuple(rng.random(freedom).tolist()),
            lattice=lattice,
        )  # fmt: skip
        asked = Conditions(partial_crystal=partial, num_sites=2, required_elements=["Li"])
        found = model.sample(2, asked, seed=number, score=False)
        assert (found.genes().num_sites == 2).all() and (found.genes().elements == 3).any(axis=1).all()
        for one, closest in zip(found, found.column("closest").to_numpy(), strict=True):
            check_known(one, partial)
            assert nearest(one, partial) == pytest.approx(closest, abs=2e-3)


def nearest(crystal: Crystal, partial: PartialCrystal) -> float:
    """Smallest distance over radii of a decoded crystal, but for pairs of known sites in a known cell."""
    from aristotype.crystal import covalent_radii

    cell = decode(crystal, primitive=True)
    shifts = np.array(np.meshgrid(*[np.arange(-3, 4)] * 3)).reshape(3, -1).T
    steps = cell.coords[:, None, None] - cell.coords[None, :, None] + shifts
    lengths = np.linalg.norm(steps @ cell.lattice, axis=3)
    lengths[lengths < 1e-4] = np.inf
    radii = covalent_radii()[cell.numbers]
    ratio = np.minimum(lengths.min(axis=2), 12.0) / (radii[:, None] + radii)
    if partial.lattice is not None:
        known = np.isin(cell.numbers, partial.elements)  # elements of known sites are theirs alone
        ratio[np.ix_(known, known)] = np.inf
    return float(ratio.min())


def test_fewer_are_the_first_of_more_and_seeds_differ(model):
    crystal = some_crystal(31, np.random.default_rng(5))
    asked = Conditions(partial_crystal=PartialCrystal.of(crystal, [2]), max_atoms=10)
    more, fewer = (model.sample(n, asked, seed=3, score=False) for n in (5, 2))
    assert list(more[:2]) == list(fewer)
    assert list(model.sample(2, asked, seed=4, score=False)) != list(fewer)
    assert len({one.free for one in more}) > 1


def test_other_conditions_hold_too(model):
    crystal = some_crystal(62, np.random.default_rng(2))
    partial = PartialCrystal.of(crystal, [0], lattice=False)  # lithium
    assert partial.elements == (3,)
    sites = model.sample(4, Conditions(partial_crystal=partial, num_sites=3, max_atoms=20), seed=0, score=False)
    assert (sites.genes().num_sites == 3).all() and primitive_counts(sites.genes()).sum(axis=1).max() <= 20
    some = model.sample(4, Conditions(partial_crystal=partial, required_elements=["Fe"], max_atoms=24), seed=0)
    assert (some.genes().elements == 26).any(axis=1).all()
    exact = model.sample(4, Conditions(partial_crystal=partial, formula="LiO", max_atoms=24), seed=0, score=False)
    atoms = primitive_counts(exact.genes())
    assert (atoms[:, 3] == atoms[:, 8]).all() and (atoms.sum(axis=1) == 2 * atoms[:, 3]).all()
    for table in (sites, some, exact):
        for one in table:
            check_known(one, partial)


def test_targets_hold_too(model):
    """Draws are kept by what a predictor says of their genes, and scored as they are."""
    partial = PartialCrystal.of(some_crystal(62, np.random.default_rng(2)), [0])
    target = PropertyTarget(property="formation_energy", high=0.5)
    asked = Conditions(partial_crystal=partial, num_sites=2, max_atoms=12, targets=[target])
    found = model.sample(3, asked, seed=0, score=True)
    assert found.column("formation_energy").to_numpy().mean() < 0.5 and found.column("draws").to_numpy().min() >= 1
    np.testing.assert_allclose(found.column("log_prob").to_numpy(), model.log_prob(found), atol=1e-3)
    for one in found:
        check_known(one, partial)


def test_what_a_model_cannot_draw_is_told(model):
    for conditions, error, message in (
        ({"allowed_elements": ["Li", "Po"]}, InputError, "Po is allowed, and is not among the 3 elements"),
        ({"allowed_elements": ["Li"], "formula": "LiFeO2"}, InfeasibleConditionsError, "O, Fe is required"),
        ({"excluded_elements": ["Li", "O", "Fe"]}, InfeasibleConditionsError, "all 3 elements of this model are excl"),
        ({"formula": "Li299FeO500"}, InputError, "bytes in these space groups, over 1,000,000,000"),
        ({"formula": "Li3Fe7O5", "space_groups": [230]}, InfeasibleConditionsError, "space group 230 has no set of at"),
    ):
        with pytest.raises(error, match=message):
            model.stream(Conditions(**conditions), seed=0)


def test_what_contradicts_a_partial_crystal_is_told(model):
    salt = PartialCrystal(space_group=225, elements=(3,), wyckoffs=(0,), free=())
    template = table_of(some_crystal(225, np.random.default_rng(0))).genes()
    for conditions, error, message in (
        ({"space_groups": [62]}, InfeasibleConditionsError, "partial crystal is of space group 225"),
        ({"formula": "FeO"}, InfeasibleConditionsError, "Li is required, and is not among"),
        ({"excluded_elements": ["Li"]}, InfeasibleConditionsError, "Li is required, and is not among"),
        ({"num_sites": 9}, InfeasibleConditionsError, "loosen"),
        ({"max_atoms": 1, "required_elements": ["O"]}, InfeasibleConditionsError, "loosen"),
        ({"template": template}, InputError, "a template and a partial crystal are given"),
    ):
        with pytest.raises(error, match=message):
            model.stream(Conditions(partial_crystal=salt, **conditions), seed=0)
    odd = PartialCrystal(space_group=225, elements=(84,), wyckoffs=(0,), free=())
    with pytest.raises(InputError, match="Po is required"):
        model.stream(Conditions(partial_crystal=odd), seed=0)
    many = PartialCrystal(space_group=1, elements=(3,) * 5, wyckoffs=(0,) * 5, free=tuple(np.linspace(0, 0.9, 15)))
    with pytest.raises(InfeasibleConditionsError, match="at most 4"):
        model.stream(Conditions(partial_crystal=many), seed=0)


def test_the_published_configuration_refuses_partial_crystals():
    salt = PartialCrystal(space_group=225, elements=(3,), wyckoffs=(0,), free=())
    with pytest.raises(InputError, match="which this model does not take"):
        tiny_paper().stream(Conditions(partial_crystal=salt), seed=0)
