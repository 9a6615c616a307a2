"""Patterns as a property: alike for one crystal in every description, unlike for others, and against pymatgen."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import canonical_crystal, crystal_equivalents
from aristotype.discover import PatternLikeness
from aristotype.errors import InputError
from tests.crystal.builders import random_crystal, table_of

from .toy_crystals import rock_salt

SALT = rock_salt(1, 5.64, [11, 17])


def test_a_crystal_is_most_like_itself():
    likeness = PatternLikeness.of_crystal(SALT)
    lengths = np.array([5.2, 5.5, 5.6, 5.64, 5.7, 6.1])
    values = likeness(rock_salt(6, lengths, [11, 17]))
    assert values[3] == pytest.approx(1.0, abs=1e-9)
    assert values.argmax() == 3
    assert (np.diff(values[:4]) > 0).all()
    assert (np.diff(values[3:]) < 0).all()
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    assert likeness(rock_salt(1, 5.64, [3, 35]))[0] < 0.99


def test_every_description_has_one_pattern():
    crystal = random_crystal(14, np.random.default_rng(1))
    likeness = PatternLikeness.of_crystal(table_of(crystal))
    others = [canonical_crystal(crystal), *crystal_equivalents(crystal)[:3]]
    for other in others:
        assert likeness(table_of(other))[0] == pytest.approx(1.0, abs=1e-6)


def test_peaks_are_where_bragg_puts_them():
    likeness = PatternLikeness.of_crystal(SALT, width=0.5)
    profile = likeness.profiles(SALT)[0]
    # 200 of rock salt: the strongest peak; 2 theta by hand
    angle = 2 * np.degrees(np.arcsin(1.54184 / 2 / (5.64 / 2)))
    assert likeness.angles[profile.argmax()] == pytest.approx(angle, abs=0.15)


@pytest.mark.parametrize(
    ("two_theta", "intensity", "options", "message"),
    [
        (np.arange(5), np.ones(5), {}, "5 angles and 5 intensities"),
        (np.arange(30.0), np.ones(29), {}, "30 angles and 29 intensities"),
        (np.ones(30), np.ones(30), {}, "angles that do not ascend"),
        (np.arange(30.0), np.full(30, np.nan), {}, "values that are no numbers"),
        (np.linspace(0.1, 0.9, 30), np.ones(30), {}, "no intensity between 10.0 and 80.0 degrees"),
        (np.arange(30.0), np.ones(30), {"width": 0.0}, "width 0.0"),
    ],
)
def test_patterns_that_are_none_are_refused(two_theta, intensity, options, message):
    with pytest.raises(InputError, match=message):
        PatternLikeness(two_theta, intensity, **options)
