"""Densities of known coordinates are those of scores; draws along polar axes follow them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, covalent_radii
from aristotype.models.blocks import is_polar, pinned_axes
from aristotype.models.wyckoff_augen._sequences import Orders, descriptions_of, of_length
from aristotype.models.wyckoff_augen._surroundings import Surroundings
from aristotype.models.wyckoff_augen.grids._batches import batch_of
from aristotype.models.wyckoff_augen.grids._densities import draw_along, log_densities
from aristotype.models.wyckoff_augen.grids._grids import FINER, divisions
from aristotype.models.wyckoff_augen.grids._points import Point
from aristotype.models.wyckoff_augen.grids._score import log_sequences
from aristotype.symmetry import space_group
from tests.models.wyckoff_augen.grids.small import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model(max_sites=3, seed=1)


def test_they_add_up_to_the_coordinates_of_a_score(model):
    """Another way through the same network: all nodes of one site at a time, not those of a batch of sequences."""
    table = model.sample(30, Conditions(space_groups=(1, 4, 8, 36, 62, 99, 160, 198, 225)), seed=3, score=False)
    table = table.filter((table.genes().num_sites == 3) & (table.genes().freedoms.sum(axis=1) > 2))[:6]
    assert len(table) > 3 and is_polar(table.space_group).any() and not is_polar(table.space_group).all()
    found = descriptions_of(table)
    rows = np.unique(found.owner, return_index=True)[1]
    orders = Orders(rows, np.tile(np.arange(3), (len(rows), 1)), np.zeros(len(rows)))
    expected = log_sequences(model.network, found, orders, model.vocabulary_index, 3)["coordinates"]
    some = of_length(found, rows)
    batch = batch_of(some, orders._replace(description=np.arange(len(rows))), model.vocabulary_index, 3)
    network = model.network
    with torch.no_grad():
        state = network.read(network.about(batch.group, batch.space), batch)
        kinds = network.kinds(batch.group, batch.wyckoffs, batch.elements)
        for row, value in enumerate(expected):
            number, total = int(batch.group[row]), 0.0
            around = Surroundings(number, some.lattice[row])
            for site, letter in enumerate(batch.wyckoffs[row].tolist()):
                free = some.free[row, site, : space_group(number).positions[letter].freedom]
                held = site == 0 and bool(is_polar(np.array([number]))[0])
                sizes = divisions(number, letter, some.lattice[row], anchored=held)
                if sizes:
                    point = site_of(number, letter, sizes, around, free, held=held)
                    told = state[row : row + 1, site], kinds[row : row + 1, site], kinds[row : row + 1, :site]
                    total += float(log_densities(network, [point], *told)[0])
                around.put(letter, free)
            assert total == pytest.approx(value, abs=1e-3)


def site_of(number, letter, sizes, around, free, *, held=False, random=None):
    return Point(
        number=number,
        letter=letter,
        held=held,
        sizes=sizes,
        around=around,
        placed=np.full(len(around), covalent_radii()[8]),
        radius=1.0,
        random=np.zeros((1, 8)) if random is None else random,
        free=free,
    )


def site_with_neighbour(number: int, letter: int, lattice, rng, draws: int = 1) -> Point:
    """A site of a position, in a cell where another one is."""
    around = Surroundings(number, np.array(lattice, float))
    last = space_group(number).positions[-1]
    around.put(last.index, rng.random(last.freedom))
    freedom = space_group(number).positions[letter].freedom
    sizes = divisions(number, letter, np.array(lattice, float))
    return site_of(number, letter, sizes, around, rng.random(freedom), random=rng.random((draws, 8)))


def told(model, number: int, points: int):
    """A state, and kinds, that are the same for all points."""
    rng = torch.Generator().manual_seed(number)
    width = model.config.width
    one = torch.randn(1, width, generator=rng), torch.randn(1, width, generator=rng)
    return *(part.expand(points, -1) for part in one), torch.randn(1, 1, width, generator=rng).expand(points, -1, -1)


@pytest.mark.parametrize(
    ("number", "letter", "lattice"),
    [
        (4, 0, (4.0, 3.0, 4.5, 90, 100, 90)),
        (36, 0, (3.0, 4.0, 3.5, 90, 90, 90)),
        (36, 1, (3.0, 4.0, 3.5, 90, 90, 90)),
        (99, 3, (4.0, 4.0, 3.0, 90, 90, 90)),
        (160, 1, (4.0, 4.0, 5.0, 90, 90, 120)),
    ],
)
def test_draws_along_an_axis_follow_the_density(model, number, letter, lattice):
    """The mean of a function over weighted draws is its integral with the density, by midpoints of all divisions."""
    draws = 6000
    point = site_with_neighbour(number, letter, lattice, np.random.default_rng(number), draws)
    (axis,) = np.flatnonzero(pinned_axes(number, letter))
    with torch.no_grad():
        (along,) = draw_along(model.network, [point], *told(model, number, 1))
        size = FINER * point.sizes[axis]
        steps = (np.arange(2 * size) + 0.5) / (2 * size)
        every = []
        for step in steps.tolist():
            free = point.free.copy()
            free[axis] = step
            every.append(site_of(number, letter, point.sizes, point.around, free))
        density = np.exp(log_densities(model.network, every, *told(model, number, len(every))))
    others = np.delete(np.arange(len(point.free)), axis)
    assert (along.free[:, others] == point.free[others]).all()
    weight = np.exp(along.log_weight)
    for test in (np.ones_like, lambda u: np.cos(2 * np.pi * u), lambda u: np.sin(4 * np.pi * u)):
        values = weight * test(along.free[:, axis])
        error = values.std() / np.sqrt(draws)
        assert error < 0.05 * density.mean()
        assert values.mean() == pytest.approx((density * test(steps)).mean(), abs=4 * error + 1e-3 * density.mean())


@pytest.mark.parametrize(
    ("number", "letter", "lattice"),
    [
        (1, 0, (3.0, 3.3, 3.6, 80, 85, 75)),
        (8, 0, (4.0, 3.0, 4.5, 90, 100, 90)),
        (8, 1, (4.0, 3.0, 4.5, 90, 100, 90)),
        (33, 0, (4.0, 3.0, 3.5, 90, 90, 90)),
    ],
)
def test_over_all_known_coordinates_weights_are_as_many_as_images(model, number, letter, lattice):
    """A density integrates to one over one image of each site, whatever is known and whatever is drawn."""
    count = 1200
    rng = np.random.default_rng(number)
    point = site_with_neighbour(number, letter, lattice, rng)
    points = [
        site_of(number, letter, point.sizes, point.around, rng.random(len(point.free)), random=rng.random((1, 8)))
        for _ in range(count)
    ]
    with torch.no_grad():
        found = draw_along(model.network, points, *told(model, number, count))
    weight = np.exp([along.log_weight[0] for along in found])
    expected, error = len(point.grid.linear), weight.std() / np.sqrt(count)
    assert error < 0.12 * expected
    assert weight.mean() == pytest.approx(expected, abs=4 * error + 1e-6)
