"""Partial crystals: what is known stays where it is, and the rest follows the model."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import (
    Conditions,
    Crystal,
    CrystalTable,
    Frames,
    GeneBatch,
    PartialCrystal,
    canonical_genes,
    frames_of,
    gene_keys,
    settings_of,
)
from aristotype.errors import InfeasibleConditionsError, InputError, SymmetryError
from aristotype.models.blocks import image_maps
from aristotype.models.crystalformer import CrystalFormer, Tries
from aristotype.models.crystalformer._complete import Completing, _fitting
from aristotype.symmetry import space_group
from tests.crystal.builders import random_crystal, table_of
from tests.models.crystalformer.networks import Certain, model, network
from tests.models.worlds import tiny_model
from tests.random_genes import GROUPS, random_genes


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """A model always draws whole blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aristotype.models.wyckoff_transformer._sampler.BLOCK", 48)
        patch.setattr("aristotype.models.crystalformer._model._COMPLETED_A_BLOCK", 2)
        yield


class Given(Certain):
    """Draws one gene, again and again."""

    def __init__(self, genes: GeneBatch) -> None:
        self.genes = genes

    def stream(self, conditions=None, *, seed, score=False):
        assert conditions is not None and conditions.partial_crystal is None and conditions.partial is not None
        for block in repeat(48):
            yield CrystalTable.from_genes(GeneBatch.concatenate([self.genes] * block))


@pytest.fixture(scope="module")
def whole() -> CrystalFormer:
    made = random_genes(np.random.default_rng(0), [*GROUPS, 225, 225], elements=(3, 8, 26), max_sites=3)
    return CrystalFormer(tiny_model(canonical_genes(made), max_sites=4), network(), Tries(sites=2, crystals=2)).eval()


def completed(crystal: Crystal, partial: PartialCrystal, n: int, seed: int = 0, tries: Tries | None = None):
    drawer = CrystalFormer(Given(table_of(crystal).genes()), network(), tries or Tries.none()).eval()
    return drawer.sample(n, Conditions(partial_crystal=partial), seed=seed, score=False)


def weights(crystal: Crystal, partial: PartialCrystal, n: int, seed: int = 0) -> np.ndarray:
    """Weights of n candidates, with what the choice of a setting and a frame adds."""
    frames, genes = frames_of(partial), table_of(crystal).genes()
    every, _ = settings_of(genes)
    fits = _fitting(every, np.arange(len(every)), frames, partial)
    picked = np.array(fits)[np.random.default_rng(seed).integers(len(fits), size=n)]
    made = model()
    with torch.no_grad():
        drawing = Completing(
            made.geometry.double(),
            every.take(picked[:, 0]),
            made._index,
            seed,
            np.arange(n),
            Tries.none(),
            partial,
            frames,
            picked[:, 1],
        )
        drawing.in_own_description(drawing.run())
    return np.exp(drawing.log_weight) * len(fits) / len(every)


@settings(max_examples=20, deadline=None)
@given(number=st.integers(1, 230), seed=st.integers(0, 10**6), lattice=st.booleans())
def test_known_sites_stay_where_they_are(number, seed, lattice):
    rng = np.random.default_rng(seed)
    crystal = random_crystal(number, rng, special=1)
    sites = rng.permutation(crystal.num_sites)[: rng.integers(1, crystal.num_sites + 1)].tolist()
    partial = PartialCrystal.of(crystal, sites, lattice=lattice)
    found = completed(crystal, partial, 2, seed)
    assert (gene_keys(found.genes()) == gene_keys(table_of(crystal).genes())).all()
    for one in found:
        assert isinstance(one, Crystal)
        left = list(zip(one.wyckoffs, one.elements, one.site_free, strict=True))
        for letter, element, free in zip(partial.wyckoffs, partial.elements, partial.site_free, strict=True):
            same = [k for k, own in enumerate(left) if own[:2] == (letter, element) and np.allclose(own[2], free)]
            assert same, (left, letter, element, free)
            left.pop(same[0])
        assert len(left) == crystal.num_sites - len(sites)
        if lattice:
            assert one.lattice == pytest.approx(crystal.lattice, abs=1e-9)
    again = completed(crystal, partial, 1, seed)
    assert again == found[:1]


@pytest.mark.parametrize("number", [2, 4, 5, 8, 14, 19, 62, 75, 99, 146, 160, 186, 198, 227])
def test_where_all_is_known_the_weights_are_the_score(number):
    """Candidates differ in frames, places and images; their mean is the sum over all sequences of the crystal."""
    crystal = random_crystal(number, np.random.default_rng(number), special=1)
    expected = model().log_prob_parts(table_of(crystal))
    found = weights(crystal, PartialCrystal.of(crystal), 600)
    value = np.exp(expected["lattice"][0] + expected["coordinates"][0])
    mean, error = found.mean() / value, found.std() / np.sqrt(len(found)) / value
    assert error < 0.2
    assert abs(mean - 1.0) < 4.0 * error + 1e-4


@pytest.mark.parametrize(
    ("number", "letters", "elements", "site", "alike"),
    [
        (6, [2, 2], [3, 8], 1, 1),  # the origin is on a site that is not known
        (29, [0, 0], [3, 8], 1, 1),
        (99, [0, 3], [3, 8], 1, 1),
        (186, [0, 2], [3, 8], 1, 1),
        (6, [2, 2], [3, 8], 0, 1),  # or on the known one
        (62, [2, 3], [3, 8], 1, 1),  # or fixed
        (62, [3, 3, 3], [8, 8, 8], 1, 3),  # the known one may be any of three in a row
        (4, [0, 0, 0], [8, 8, 8], 1, 3),
    ],
)
def test_one_known_site_anywhere_weighs_as_much_as_it_has_images(number, letters, elements, site, alike):
    """The mean over all its coordinates: its density integrates to one for each image, and each place in a row."""
    count = 1500
    group = space_group(number)
    genes = GeneBatch.from_lists([number], [elements], [letters])
    position = group.positions[letters[site]]
    free = np.random.default_rng(0).random((count, position.freedom))
    partial = PartialCrystal(
        space_group=number,
        elements=(elements[site],),
        wyckoffs=(letters[site],),
        free=tuple(free[0].tolist()),
    )
    frames = Frames(
        linear=np.tile(np.eye(3, dtype=np.int64), (count, 1, 1)),
        translation=np.zeros((count, 3)),
        letters=np.tile(np.arange(len(group.positions)), (count, 1)),
        points=position.representative(free)[:, None],
        lattice=None,
    )
    made, every = model(scale=0.05), GeneBatch.concatenate([genes] * count)  # broad laws: weights are alike
    with torch.no_grad():
        drawing = Completing(
            made.geometry, every, made._index, 0, np.arange(count), Tries.none(), partial, frames, np.arange(count)
        )
        drawing.in_own_description(drawing.run())
    found = np.exp(drawing.log_weight)
    expected = alike * len(image_maps(number, letters[site]).linear)
    error = found.std() / np.sqrt(count)
    assert error < 0.15 * expected
    assert abs(found.mean() - expected) < 4.0 * error


def test_a_drawn_site_keeps_away_from_known_ones_that_come_later():
    """The known site has the last place; with tries atoms overlap less often than without."""
    crystal = Crystal(
        space_group=2, elements=(3, 8, 8), wyckoffs=(8, 8, 8), free=(0.1, 0.2, 0.3, 0.3, 0.1, 0.4, 0.4, 0.4, 0.2),
        lattice=(4.0, 4.4, 4.8, 80.0, 85.0, 95.0),
    )  # fmt: skip
    partial = PartialCrystal.of(crystal, [2])
    loose, strict = (completed(crystal, partial, 24, tries=tries) for tries in (Tries.none(), Tries()))
    first, best = (table.column("closest").to_numpy() for table in (loose, strict))
    assert np.mean(best >= 0.72) > np.mean(first >= 0.72) + 0.3


def test_fixed_coordinates_must_be_those_of_their_position():
    def partial(**changes):
        return PartialCrystal(**{"space_group": 62, "elements": (8,), "wyckoffs": (2,), "free": (0.1, 0.2), **changes})

    assert partial(free=(1.1, -0.8)).free == pytest.approx((0.1, 0.2))
    for changes, message in (
        ({"elements": (), "wyckoffs": (), "free": ()}, "has no site"),
        ({"free": (0.1,)}, "has 1 free parameters .* which have 2"),
        ({"free": (0.1, float("nan"))}, "not all numbers"),
        ({"elements": (200,)}, "atomic numbers go from 1 to 118"),
        ({"wyckoffs": (3,), "free": (0.1, 0.25, 0.2)}, "those of a position of higher symmetry"),
        ({"elements": (8, 8), "wyckoffs": (2, 2), "free": (0.1, 0.2, 0.6, 0.3)}, "where another one is"),
        ({"elements": (8, 3), "wyckoffs": (0, 0), "free": ()}, "where another one is"),
        ({"lattice": (5.0, 6.0)}, "has 2 numbers"),
    ):
        with pytest.raises(InputError, match=message):
            partial(**changes)
    for changes in ({"wyckoffs": (9,)}, {"space_group": 231}, {"lattice": (5.0, 6.0, 7.0, 90.0, 95.0, 90.0)}):
        with pytest.raises(SymmetryError):
            partial(**changes)
    gene = table_of(random_crystal(62, np.random.default_rng(0))).genes()
    with pytest.raises(InputError, match="is a gene"):
        PartialCrystal.of(CrystalTable.from_genes(gene)[0])
    with pytest.raises(InputError, match="indices begin at 0"):
        PartialCrystal.of(random_crystal(62, np.random.default_rng(0)), [50])
    with pytest.raises(InputError, match="give one of them"):
        Conditions(partial=gene, partial_crystal=partial())


def test_what_contradicts_a_partial_crystal_is_told(whole):
    salt = PartialCrystal(space_group=225, elements=(3,), wyckoffs=(0,), free=())
    for conditions, error, message in (
        ({"space_groups": [62]}, InfeasibleConditionsError, "is of space group 225"),
        ({"formula": "FeO"}, InfeasibleConditionsError, "holds an element that the other conditions exclude"),
        ({"excluded_elements": ["Li"]}, InfeasibleConditionsError, "holds an element that the other conditions"),
        ({"num_sites": 9}, InfeasibleConditionsError, "sites"),
    ):
        with pytest.raises(error, match=message):
            whole.sample(1, Conditions(partial_crystal=salt, **conditions), seed=0)
    odd = PartialCrystal(space_group=225, elements=(84,), wyckoffs=(0,), free=())
    with pytest.raises(InputError, match="Po is in the partial crystal but not among"):
        whole.sample(1, Conditions(partial_crystal=odd), seed=0)


def test_a_model_of_genes_does_not_ignore_geometry(whole):
    salt = PartialCrystal(space_group=225, elements=(3,), wyckoffs=(0,), free=())
    with pytest.raises(InputError, match="draws genes without geometry"):
        whole.genes.sample(1, Conditions(partial_crystal=salt), seed=0)
    bare = Conditions(partial_crystal=salt, max_atoms=8).without_geometry()
    assert bare == Conditions(max_atoms=8) and bare.partial is not None
    assert whole.genes.sample(3, bare, seed=0).space_group.tolist() == [225] * 3
    crystals = whole.sample(3, Conditions(partial_crystal=salt, max_atoms=8), seed=0)
    assert all((0, 3) in zip(one.wyckoffs, one.elements, strict=True) for one in crystals)
