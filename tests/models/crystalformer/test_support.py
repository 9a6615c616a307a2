"""Supports: every orbit can be written, in few ways, and the shipped table is what the maps between images say."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.models.blocks import image_maps, pinned_axes
from aristotype.models.crystalformer._support import BINS, bins_of, build_support, offsets_of, support
from aristotype.symmetry import GRID, NUM_GROUPS, space_group


def kinds(numbers):
    for number in numbers:
        group = space_group(number)
        for position in group.positions:
            for anchored in (False, True) if any(group.polar_axes) else (False,):
                yield number, position, anchored


def images(number, letter, anchored, free):
    """(n, m, 3) bins of all images of free parameters (n, f)."""
    maps = image_maps(number, letter, anchored)
    every = np.einsum("mij,nj->nmi", maps.linear, free) + maps.shift / GRID
    return np.pad(bins_of(every), ((0, 0), (0, 0), (0, 3 - free.shape[1])))


@pytest.mark.parametrize("start", range(1, NUM_GROUPS + 1, 23))
def test_every_orbit_has_an_image_in_the_support(start):
    rng = np.random.default_rng(start)
    ways = []
    for number, position, anchored in kinds(range(start, min(NUM_GROUPS + 1, start + 23))):
        free = rng.random((40, position.freedom))
        if anchored:
            free[:, np.array(pinned_axes(number, position.index), bool)] = 0.0
        inside = support(number, position.index, anchored).third[tuple(
            np.moveaxis(images(number, position.index, anchored, free), 2, 0)
        )].sum(axis=1)  # fmt: skip
        assert (inside >= 1).all()
        ways.append(inside)
    assert np.concatenate(ways).mean() < 1.3


@pytest.mark.parametrize("number", [1, 2, 5, 12, 31, 62, 88, 99, 146, 152, 167, 178, 198])
def test_the_shipped_table_is_what_is_built(number):
    for _, position, anchored in kinds([number]):
        shipped, built = support(number, position.index, anchored), build_support(number, position.index, anchored)
        assert all((one == other).all() for one, other in zip(shipped, built, strict=True))


@pytest.mark.parametrize("start", range(1, NUM_GROUPS + 1, 46))
def test_image_maps_stay_on_the_orbit(start):
    rng = np.random.default_rng(start)
    for number, position, anchored in kinds(range(start, min(NUM_GROUPS + 1, start + 46))):
        free = rng.random(position.freedom)
        if anchored:
            free[np.array(pinned_axes(number, position.index), bool)] = 0.0
        maps = image_maps(number, position.index, anchored)
        other = maps.linear @ free + maps.shift / GRID
        orbit = space_group(number).orbit(position.representative(free))
        steps = position.representative(other)[:, None] - orbit
        assert (np.abs(steps - np.rint(steps)).max(axis=2).min(axis=1) < 1e-9).all()
        assert any(np.allclose(each, free) for each in other)


def test_bins_are_centred_and_offsets_complete_them():
    free = np.array([0.0, 1 / 24, 0.5 / 24 - 1e-9, 0.5 / 24, 1 - 0.4 / 24])
    assert bins_of(free).tolist() == [0, 1, 0, 1, 0]
    assert ((bins_of(free) + offsets_of(free)) / BINS % 1.0) == pytest.approx(free)
