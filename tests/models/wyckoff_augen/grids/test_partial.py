"""Partial crystals: what is known stays where it is, what is drawn around it is weighed by the model's own density."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import Conditions, Crystal, PartialCrystal
from aristotype.models.blocks import image_maps
from aristotype.models.wyckoff_augen import Tries
from aristotype.models.wyckoff_augen._candidates import Candidates
from aristotype.models.wyckoff_augen._complete import Completion, _Chosen
from aristotype.symmetry import space_group
from tests.crystal.builders import random_lattice, table_of
from tests.models.wyckoff_augen.grids.small import tiny_model
from tests.models.wyckoff_augen.test_partial import some_crystal

POLAR = (1, 4, 8, 31, 33, 36, 99, 160, 186)


@pytest.fixture(scope="module")
def model():
    return tiny_model(max_sites=4)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """A model always draws whole blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aristotype.models.wyckoff_augen._base._FIRST_BLOCK", 2)
        yield


def weighed(model, conditions: Conditions, n: int, seed: int = 0) -> Candidates:
    """n candidates, all frames equally often."""
    completion = Completion(model, conditions)
    return completion.candidates(seed, np.arange(n), np.arange(n) % len(completion.limits))


@pytest.mark.parametrize("number", [*POLAR, 2, 5, 14, 62, 146, 198, 225, 227])
def test_where_all_is_known_the_weights_are_the_score(model, number):
    """Every frame, order and image is a sequence: over all of them the mean of the weights is the density."""
    crystal = some_crystal(number, np.random.default_rng(number))
    check_weights(model, crystal)


@pytest.mark.parametrize(
    ("number", "letters", "elements"),
    [(4, [0], [8]), (99, [0, 1], [8, 8]), (186, [1], [8]), (195, [0], [8]), (216, [0, 2], [8, 8]), (225, [2], [8])],
)
def test_crystals_of_higher_symmetry_are_weighed_once(model, number, letters, elements):
    """They are the same sequence in several frames, or seen from several images."""
    rng = np.random.default_rng(number)
    crystal = Crystal(
        space_group=number,
        elements=tuple(elements),
        wyckoffs=tuple(letters),
        free=tuple(float(x) for w in letters for x in rng.random(space_group(number).positions[w].freedom)),
        lattice=tuple(random_lattice(number, rng, 60).tolist()),
    )
    check_weights(model, crystal)


def check_weights(model, crystal: Crystal) -> None:
    parts = model.log_prob_parts(table_of(crystal))
    assert parts["exact"][0] == 1.0
    conditions = Conditions(partial_crystal=PartialCrystal.of(crystal), num_sites=crystal.num_sites)
    found = np.sort(weighed(model, conditions, 256).log_weight - parts["total"][0])
    first = np.append(True, np.diff(found) > 1e-3)  # of each sequence; they come several times
    assert first.sum() < 64
    assert np.exp(found[first]).mean() == pytest.approx(1.0, abs=5e-3)


def test_weights_of_each_completion_are_its_density(model):
    """Lithium is known at the origin of a salt: all crystals with one more site of at most two atoms.

    One of them has a higher symmetry: lithium at both places is one sequence, and is drawn in both frames.
    """
    salt = PartialCrystal(space_group=225, elements=(3,), wyckoffs=(0,), free=(), lattice=(5, 5, 5, 90, 90, 90))
    found = weighed(model, Conditions(partial_crystal=salt, num_sites=2, max_atoms=3), 3000)
    weight = np.exp(found.log_weight - found.log_weight.max())
    other = np.where(found.letters[:, 0] == 0, 1, 0)  # which of the two sites is not the known one
    letters, elements = (
        np.take_along_axis(part, other[:, None], axis=1)[:, 0] for part in (found.letters, found.elements)
    )
    for letter in (1, 2):
        for place, element in enumerate((3, 8, 26)):
            crystal = Crystal(
                space_group=225, elements=(3, element), wyckoffs=(0, letter), free=(), lattice=salt.lattice
            )
            own = weight * ((letters == letter) & (elements == place))
            expected = np.exp(model.log_prob(table_of(crystal))[0] - found.log_weight.max())
            error = own.std() / np.sqrt(len(own))
            assert error < 0.2 * expected
            assert own.mean() == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(
    ("number", "letters", "known", "lattice"),
    [
        (99, (0, 1), 1, (4.0, 4.0, 3.5, 90, 90, 90)),  # the origin is on the site that is not known, or in another
        (99, (0, 1), 0, (4.0, 4.0, 3.5, 90, 90, 90)),  # frame on the known one
        (36, (0, 0), 1, (3.5, 4.5, 4.0, 90, 90, 90)),
    ],
)
def test_weights_add_up_to_the_density_of_all_that_may_come(number, letters, known, lattice):
    """The mean weight of candidates of one gene is the integral of its score over the site that is not known."""
    model = tiny_model(max_sites=4, seed=1)  # one whose weights have no long tail
    rng = np.random.default_rng(number)
    positions, elements = space_group(number).positions, (3, 26)
    freedoms = [positions[w].freedom for w in letters]
    own = rng.random(freedoms[known])
    partial = PartialCrystal(
        space_group=number, elements=(elements[known],), wyckoffs=(letters[known],), free=tuple(own.tolist()),
        lattice=lattice,
    )  # fmt: skip
    most = sum(positions[w].multiplicity for w in letters) // space_group(number).centring_order
    asked = Conditions(
        partial_crystal=partial, num_sites=2, max_atoms=most, allowed_elements=elements, required_elements=elements
    )
    found = weighed(model, asked, 800)
    other = 1 - known
    wanted = ((found.letters[:, :2] == letters[other]) & (found.elements[:, :2] == 2 * other)).any(axis=1)
    top = found.log_weight.max()
    weight = np.exp(found.log_weight - top) * wanted
    # Points of the circles of its parameters, which hold every site as often as it has images.
    points = rng.permuted((np.arange(300)[:, None] + rng.random((300, freedoms[other]))) / 300, axis=0)
    crystals = []
    for row, point in enumerate(points):
        free = (own, point) if known == 0 else (point, own)
        crystals.append(
            Crystal(
                space_group=number, elements=elements, wyckoffs=letters, free=tuple(np.concatenate(free).tolist()),
                lattice=lattice, id=str(row),
            )
        )  # fmt: skip
    density = np.exp(model.log_prob(table_of(*crystals)) - top) / len(image_maps(number, letters[other]).linear)
    errors = [values.std() / np.sqrt(len(values)) for values in (weight, density)]
    assert max(errors) < 0.2 * density.mean()
    assert weight.mean() == pytest.approx(density.mean(), abs=4 * float(np.hypot(*errors)))


def test_candidates_are_chosen_by_weight_among_those_that_fit():
    rows, log_weight = 20_000, np.log([0.5, 0.2, 0.1, 0.2])
    out = _Chosen(rows, 1)
    few = Candidates(
        letters=np.tile(np.arange(4), rows)[:, None],
        elements=np.zeros((4 * rows, 1), np.int64),
        free=np.zeros((4 * rows, 1, 3)),
        lattice=np.ones((4 * rows, 6)),
        closest=np.tile([0.1, 0.8, 0.9, 0.8], rows),
        site_draws=np.ones(4 * rows, np.int64),
        log_weight=np.tile(log_weight, rows),
    )
    out.choose(np.arange(rows), few, np.random.default_rng(0).random(rows), 0.72)
    shares = np.bincount(out.letters[:, 0], minlength=4) / rows
    np.testing.assert_allclose(shares, [0.0, 0.4, 0.2, 0.4], atol=5 * 0.5 / np.sqrt(rows))
    assert (out.site_draws == 4).all() and (out.crystal_draws == 4).all()


def test_drawn_sites_keep_away_from_known_ones_that_come_later():
    """The known sites have the last places; with tries atoms overlap less often than without."""
    partial = PartialCrystal(  # the one position of its group can be anywhere
        space_group=19, elements=(8, 8), wyckoffs=(0, 0), free=(0.3, 0.1, 0.4, 0.05, 0.4, 0.2),
        lattice=(5.5, 6.0, 6.5, 90.0, 90.0, 90.0),
    )  # fmt: skip
    asked = Conditions(partial_crystal=partial, num_sites=3, required_elements=["Li"])
    model = tiny_model(max_sites=3)
    loose = weighed(model, asked, 48).closest
    model.tries = Tries()
    strict = weighed(model, asked, 48)
    assert np.mean(strict.closest >= 0.72) > np.mean(loose >= 0.72) + 0.3
    assert strict.site_draws.max() > 0
