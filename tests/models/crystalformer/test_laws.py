"""Scores of crystals: the same for every description, normalised, and those of the sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import Crystal, CrystalTable, GeneBatch, cell_box, crystal_equivalents, site_descriptions
from aristotype.models.crystalformer._places import places_of
from aristotype.models.crystalformer._sequences import Sequences
from aristotype.symmetry import lattice_constraints, space_group
from tests.models.crystalformer.descriptions import encoded_anew, some_equivalents
from tests.models.crystalformer.networks import model, network

# One setting of axes, origins and polar directions after the other: triclinic to cubic, with and without a polar axis.
GENES = {
    1: [(0, 3), (0, 8), (0, 8)],
    2: [(0, 3), (8, 8), (8, 8)],
    4: [(0, 3), (0, 8)],
    6: [(0, 3), (1, 8), (2, 8)],
    14: [(0, 3), (4, 8)],
    12: [(0, 3), (8, 8), (9, 8)],
    19: [(0, 3), (0, 8)],
    33: [(0, 3), (0, 8)],
    62: [(2, 3), (2, 8), (3, 8)],
    99: [(0, 3), (1, 8), (3, 8)],
    136: [(0, 3), (5, 8)],
    146: [(0, 3), (1, 8)],
    152: [(0, 3), (2, 8)],
    160: [(0, 3), (1, 8)],
    166: [(0, 3), (2, 8), (7, 8)],
    186: [(1, 3), (1, 8)],
    194: [(2, 3), (5, 8), (10, 8)],
    198: [(0, 3), (1, 8)],
    205: [(0, 3), (3, 8)],
    225: [(0, 3), (8, 8)],
}


def gene(number: int) -> GeneBatch:
    sites = sorted(GENES[number])
    return GeneBatch.from_lists([number], [[z for _, z in sites]], [[w for w, _ in sites]])


@pytest.mark.parametrize("start", range(1, 231, 23))
def test_every_description_of_a_crystal_has_one_score(start):
    """Atoms in another cell, origin, orientation and order are encoded anew; 1e-5 nats are asked for."""
    ours = model()
    for table in encoded_anew(range(start, min(231, start + 23))):
        scores = ours.log_prob(table)
        assert np.isfinite(scores).all()
        assert scores == pytest.approx(scores[0], abs=1e-5)


@pytest.mark.parametrize("number", [2, 14, 19, 33, 62, 99, 136, 152, 160, 205, 225])
def test_all_equivalents_have_one_score(number):
    scores = model().log_prob(some_equivalents(number))
    assert scores == pytest.approx(scores[0], abs=1e-8)


@pytest.mark.parametrize("number", sorted(GENES))
def test_samples_follow_the_score(number):
    """The mean of q/p over crystals drawn from p is one for every density q: what is drawn follows the score.

    Both are models with weights a little apart, so that ratios are near one and their mean is known well.
    """
    ours, other = model(number, scale=0.2), model(number, scale=0.2, nudge=0.001)
    n = 150
    genes = CrystalTable.from_genes(GeneBatch.concatenate([gene(number)] * n), ids=[str(i) for i in range(n)])
    drawn = ours.realize(genes, seed=1)
    ratio = np.exp(other.log_prob(drawn) - ours.log_prob(drawn))
    error = ratio.std() / np.sqrt(n)
    assert error < 0.1
    assert ratio.mean() == pytest.approx(1.0, abs=4.0 * error)
    assert ratio.std() > 1e-3  # the two do differ


@pytest.mark.parametrize(
    ("number", "sites", "freedom"),
    [
        (205, [(0, 26), (2, 16)], 1),
        (225, [(0, 11), (1, 17)], 0),
        (227, [(0, 12), (6, 8)], 2),
    ],
)
def test_the_density_over_descriptions_integrates_to_one(number, sites, freedom):
    """A sum over random raw descriptions with these letters, by how many of them describe one crystal."""
    ours = model(5, scale=0.1)
    rng = np.random.default_rng(0)
    n = 2000
    constraints = lattice_constraints(number)
    reach = np.log(40.0)
    cells = np.exp(rng.random((n, len(constraints.names))) * reach)  # lengths from 1 to 40 Angstrom
    letters, elements = tuple(w for w, _ in sites), tuple(z for _, z in sites)
    frees = rng.random((n, freedom))
    crystals = [
        Crystal(
            space_group=number,
            elements=elements,
            wyckoffs=letters,
            free=tuple(free),
            lattice=tuple(constraints.expand(cell)),
            id=str(row),
        )
        for row, (free, cell) in enumerate(zip(frees, cells, strict=True))
    ]
    density = np.exp(ours.log_prob(CrystalTable.from_crystals(crystals)))
    same = [c for c in crystal_equivalents(crystals[1]) if (c.wyckoffs, c.elements) == (letters, elements)]
    raw = sum(np.prod([len(images) for images in site_descriptions(c)]) for c in same)
    total = density * np.prod(cells * reach, axis=1) / raw
    error = total.std() / np.sqrt(n)
    assert error < 0.1
    assert total.mean() == pytest.approx(1.0, abs=4.0 * error)


def sequences(genes: GeneBatch, free: np.ndarray, cell: np.ndarray, acute: np.ndarray) -> Sequences:
    n = len(genes)
    return Sequences(
        genes=genes,
        free=free,
        cell=cell,
        acute=acute,
        log_measure=np.zeros(n),
        owner=np.arange(n),
        cut=np.zeros(n, bool),
    )


@pytest.mark.parametrize("number", [1, 2, 3, 12, 14, 47, 123, 191, 221])
def test_the_density_of_cells_integrates_to_one_over_the_box(number):
    """Of every crystal family, monoclinic ones of all three kinds; a mean over a broad proposal."""
    rng = np.random.default_rng(0)
    n = 40_000
    box = cell_box(number)
    wide = rng.normal(0.0, 1.5, (n, 6))
    cell = np.where(np.isfinite(box.high), rng.random((n, 6)), np.where(np.isfinite(box.low), np.abs(wide), wide))
    log_normal = -0.5 * np.square(wide / 1.5) - np.log(1.5 * np.sqrt(2 * np.pi))
    log_proposal = np.where(
        np.isfinite(box.high), 0.0, np.where(np.isfinite(box.low), log_normal + np.log(2.0), log_normal)
    )
    exists = np.arange(6) < box.size
    log_proposal = np.where(exists, log_proposal, 0.0).sum(axis=1) - np.log(2.0) * box.two_kinds
    cell = np.where(exists, cell, 0.0)
    cell[:, 0] += 2.9
    letter = len(space_group(number).positions) - 1
    gene = GeneBatch.from_lists([number], [[8]], [[letter]])
    places = places_of(
        sequences(gene.take(np.zeros(n, int)), np.zeros((n, 1, 3)), cell, (rng.random(n) < 0.5) & box.two_kinds),
        np.arange(n),
        np.arange(-1, 127),
        torch.float64,
    )
    net = network(number, scale=0.1).double()
    with torch.no_grad():
        law = net.cell_law(net.encode(places.group, places.wyckoffs, places.elements), places.group, places.wyckoffs)
        density = net.boxes.log_density(law, places.cell, places.acute, places.group).numpy()
    ratio = np.exp(density - log_proposal)
    error = ratio.std() / np.sqrt(n)
    assert error < 0.1
    assert ratio.mean() == pytest.approx(1.0, abs=4.0 * error)


@pytest.mark.parametrize(
    ("number", "letters"),
    [
        (136, [5]),  # one free parameter
        (99, [0]),  # one, which is on the origin
        (12, [8]),  # two, where images mix parameters in no bin
        (166, [7]),  # two
        (5, [2]),  # three, one of them on the origin
        (14, [4]),  # three
        (152, [2]),  # three, where images add parameters
        (195, [9]),  # three, which images permute
        (136, [5, 5]),  # a second site of the kind, in order
        (99, [0, 0, 0]),  # in order after the one on the origin
    ],
)
def test_the_density_of_sites_integrates_to_one(number, letters):
    """A mean over random parameters in [0, 1): what is outside the support, or out of order, has none."""
    rng = np.random.default_rng(0)
    n = 30_000
    freedom = space_group(number).positions[letters[0]].freedom
    free = np.where(np.arange(3) < freedom, rng.random((n, len(letters), 3)), 0.0)
    gene = GeneBatch.from_lists([number], [[8] * len(letters)], [letters])
    box = cell_box(number)
    cell = np.where(np.isfinite(box.high) & (np.arange(6) < box.size), 0.5, 0.0)
    q = sequences(gene.take(np.zeros(n, int)), free, np.tile(cell, (n, 1)), np.zeros(n, bool))
    places = places_of(q, np.arange(n), np.arange(-1, 127), torch.float32)
    net = network(number, scale=0.05)
    with torch.no_grad():
        context = net.encode(places.group, places.wyckoffs, places.elements)
        log_density = net.log_sites(net.place(context, places), places).double().numpy()
    density = np.nan_to_num(np.exp(log_density))  # where no bin is allowed there is no number
    error = density.std() / np.sqrt(n)
    assert error < 0.1
    assert density.mean() == pytest.approx(1.0, abs=4.0 * error + 1e-5)
