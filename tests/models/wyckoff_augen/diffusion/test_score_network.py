"""The score turns with the crystal, stays in the subspaces of sites, and is the same in every description."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aristotype.crystal import Crystal, crystal_equivalents
from aristotype.models.wyckoff_augen.diffusion._frames import joined, position_maps
from aristotype.models.wyckoff_augen.diffusion._graph import Graph, graph_of
from aristotype.symmetry import cell_matrix, space_group
from tests.crystal.builders import random_crystal
from tests.models.wyckoff_augen.diffusion.small import CUTOFF, frame_and_free, tiny_model

TOLD = 2e-4  # of scores of the order of one: distances and directions are told in single precision
NOISE = 0.4


@pytest.fixture(scope="module")
def model():
    return tiny_model(elements=tuple(range(1, 90)))


def graph(crystal: Crystal, free: np.ndarray, noise: float = NOISE, neighbours: int = 20) -> Graph:
    frame, _ = frame_and_free(crystal)
    elements = np.array(crystal.elements) - 1
    return graph_of(joined([frame]), elements, free, np.array([noise]), CUTOFF, neighbours).double()


@torch.no_grad()
def scores(model, given: Graph) -> np.ndarray:
    network = model.network.double()
    return network.scores(given).numpy()


def crystals(number: int, count: int = 2) -> list[Crystal]:
    rng = np.random.default_rng(number)
    return [random_crystal(number, rng) for _ in range(count)]


@pytest.mark.parametrize("number", range(1, 231))
def test_scores_turn_with_the_images_of_sites(model, number):
    rng = np.random.default_rng(number)
    for crystal in crystals(number):
        frame, free = frame_and_free(crystal)
        found = np.einsum("ni,nij->nj", scores(model, graph(crystal, free)), frame.dual)
        assert np.abs(found).max() > 1e-4  # or there would be nothing to see
        turned, moved = found.copy(), free.copy()
        for site, letter in enumerate(crystal.wyckoffs):
            maps = position_maps(number, letter)
            if maps.freedom:
                image = rng.integers(len(maps.images))
                moved[site] = (maps.images[image] @ free[site] + maps.shifts[image]) % 1.0
                turned[site] = maps.images[image] @ found[site]
        again = np.einsum("ni,nij->nj", scores(model, graph(crystal, moved)), frame.dual)
        np.testing.assert_allclose(again, turned, atol=TOLD * max(1.0, np.abs(found).max()))


@pytest.mark.parametrize("number", range(1, 231))
def test_scores_lie_in_the_subspaces_of_sites_without_being_put_there(model, number):
    for crystal in crystals(number):
        frame, free = frame_and_free(crystal)
        given = graph(crystal, free, noise=0.01)
        every = torch.ones_like(given.moving)
        raw = replace(given, within=torch.eye(3).double().expand(len(free), 3, 3), moving=every)
        wanted, found = scores(model, given), scores(model, raw)
        np.testing.assert_allclose(found, wanted, atol=TOLD * max(1.0, np.abs(wanted).max()))
        drift = found.sum(axis=0) @ frame.polar
        np.testing.assert_allclose(drift, 0.0, atol=TOLD)


@pytest.mark.parametrize("number", range(1, 231))
def test_scores_are_those_of_the_crystal_in_every_setting(model, number):
    crystal = crystals(number, 1)[0]

    def lengths(given: Crystal) -> list[tuple[int, float]]:
        found = scores(model, graph(given, frame_and_free(given)[1]))
        return sorted(zip(given.elements, np.linalg.norm(found, axis=1).tolist(), strict=True))

    wanted = lengths(crystal)
    for other in crystal_equivalents(crystal)[:3]:
        for (element, length), (same, expected) in zip(lengths(other), wanted, strict=True):
            assert element == same
            assert length == pytest.approx(expected, abs=5e-4 * max(1.0, expected))


@pytest.mark.parametrize("number", [1, 4, 8, 33, 76, 146, 160, 186])
def test_the_origin_of_a_polar_group_makes_no_difference(model, number):
    for crystal in crystals(number):
        frame, free = frame_and_free(crystal)
        step = np.array([0.31, 0.17, 0.23]) * space_group(number).polar_axes @ cell_matrix(crystal.lattice)
        moved = (free + np.einsum("i,nij->nj", step, frame.dual)) % 1.0
        found, again = scores(model, graph(crystal, free)), scores(model, graph(crystal, moved))
        np.testing.assert_allclose(again, found, atol=TOLD * max(1.0, np.abs(found).max()))


def test_scores_go_on_as_neighbours_come_and_go(model):
    """Along a line no step is larger than steps a tenth as long explain: nothing jumps where the radius changes."""
    crystal = crystals(14, 1)[0]
    _, free = frame_and_free(crystal)
    way = np.linspace(0, 0.05, 400)[:, None, None] * np.array([1.0, 0.7, 0.4]) * (free != 0)
    values = np.array([scores(model, graph(crystal, (free + step) % 1.0, neighbours=6)) for step in way])
    jumps = np.abs(np.diff(values, axis=0)).max(axis=(1, 2))
    assert jumps.max() < 12 * np.median(jumps) + 1e-4
