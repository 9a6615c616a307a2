"""Partial crystals: genes and cells are weighed by the score, and what is known is held."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, Crystal, PartialCrystal
from aristotype.models.wyckoff_augen import Tries
from aristotype.models.wyckoff_augen._candidates import KnownSites
from aristotype.models.wyckoff_augen._complete import Completion
from aristotype.models.wyckoff_augen.diffusion._completing import Completing
from tests.crystal.builders import table_of
from tests.models.wyckoff_augen.diffusion.small import tiny_model
from tests.models.wyckoff_augen.test_partial import some_crystal

SALT = PartialCrystal(space_group=225, elements=(3,), wyckoffs=(0,), free=(), lattice=(5, 5, 5, 90, 90, 90))


def test_weights_of_each_completion_are_its_density():
    """Lithium is known at the origin of a salt: all crystals with one more site of at most two atoms.

    One of them has a higher symmetry: lithium at both places is one crystal in both frames.
    """
    model, count = tiny_model(max_sites=4, seed=1), 4000
    completion = Completion(model, Conditions(partial_crystal=SALT, num_sites=2, max_atoms=3))
    rows, group = np.arange(count), np.full(count, 225)
    space, log_drawn = completion.spaces.of_group(0, rows)
    drawing = Completing(completion, group, space, 0, rows, rows % len(completion.limits))
    with torch.no_grad():
        drawing.weigh()
    found = KnownSites.candidates(drawing)  # as they are before their weights become an order
    weight = drawing.log_weight + model.log_joint(group, space) - log_drawn + np.log(len(completion.limits))
    top = weight.max()
    for letter in (1, 2):
        for place, element in enumerate((3, 8, 26)):
            crystal = Crystal(
                space_group=225, elements=(3, element), wyckoffs=(0, letter), lattice=SALT.lattice, free=()
            )
            wanted = {(0, 0), (letter, place)}
            own = np.exp(weight - top) * [
                set(zip(*sites)) == wanted
                for sites in zip(found.letters[:, :2].tolist(), found.elements[:, :2].tolist())
            ]
            expected = np.exp(model.log_prob(table_of(crystal))[0] - top)
            error = own.std() / np.sqrt(count)
            assert error < 0.25 * expected
            assert own.mean() == pytest.approx(expected, abs=4 * error)


def test_the_first_that_fits_is_the_heaviest_or_follows_it():
    """Candidates are in an order; few of them get coordinates, and the others are never chosen before those."""
    model = tiny_model(max_sites=4)
    completion = Completion(
        model, Conditions(partial_crystal=PartialCrystal.of(some_crystal(62, np.random.default_rng(0)), [0]))
    )
    found = completion.candidates(0, np.arange(96), np.arange(96) % len(completion.limits))
    order = found.log_weight.reshape(2, -1)
    assert (np.sort(order, axis=1)[:, -1] == 0.0).all()
    moved = found.closest.reshape(2, -1) > -np.inf
    assert (moved.sum(axis=1) <= 3).all() and moved.any(axis=1).all()
    assert all(order[row][moved[row]].min() >= order[row][~moved[row]].max() for row in range(2))


def test_a_cell_without_room_still_has_a_completion():
    """Where no candidate fits, that which is furthest apart is given, as everywhere."""
    model = tiny_model(max_sites=4)
    model.tries = Tries(sites=1, crystals=1)
    known = PartialCrystal(space_group=225, elements=(26,), wyckoffs=(0,), free=(), lattice=(2, 2, 2, 90, 90, 90))
    found = model.sample(2, Conditions(partial_crystal=known, num_sites=2), seed=0, score=False)
    assert (found.genes().num_sites == 2).all() and (found.column("closest").to_numpy() < 0.72).all()
