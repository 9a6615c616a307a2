"""Features, graphs, sites on the origin, noise and the loss of the published model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, Crystal, CrystalTable, GeneBatch
from aristotype.errors import ConfigError
from aristotype.models.blocks import image_maps, is_polar, pinned_axes
from aristotype.models.wyckoff_augen._sequences import Orders, descriptions_of, of_length, some_order
from aristotype.models.wyckoff_augen._surroundings import Surroundings
from aristotype.models.wyckoff_augen.paper import PaperConfig, _messages
from aristotype.models.wyckoff_augen.paper._batches import batch_of, maker_of_batches, noisy
from aristotype.models.wyckoff_augen.paper._features import group_features, position_features, shape_corners, shape_rows
from aristotype.models.wyckoff_augen.paper._graph import edges_of
from aristotype.models.wyckoff_augen.paper._interior import mixture
from aristotype.models.wyckoff_augen.paper._layers import GraphNorm
from aristotype.models.wyckoff_augen.paper._located import located
from aristotype.models.wyckoff_augen.paper._places import draw_held, held_axes, log_density_held, places_of
from aristotype.symmetry import GRID, cell_matrix, space_group, tables
from tests.models.wyckoff_augen.paper.small import tiny_config, tiny_model


def test_groups_and_positions_have_features_of_their_own():
    assert len(np.unique(group_features()[1:], axis=0)) == 230
    features = position_features()[tables().padded("freedom", fill=-1) >= 0]
    assert features.shape == (1731, 231)
    assert len(np.unique(features.round(3), axis=0)) == 1731
    # 32 classes of point groups: each group has one, and all occur.
    assert (group_features()[1:, 12:44].sum(axis=1) == 1).all() and (group_features()[:, 12:44].sum(axis=0) > 0).all()


def test_shapes_are_those_of_the_units():
    corners, share = shape_corners()
    rows = shape_rows()
    assert share.sum(axis=1) == pytest.approx(1.0)
    assert sorted(rows[rows >= 0].tolist()) == list(range(len(corners)))
    # The origin of group 225 is position a.
    assert np.abs(corners[rows[225, 0, 0]]).max() == 0


# Graphs


def edges_by_counting(number: int, lattice: np.ndarray, letters, frees, points):
    """Every atom of the lattice within a wide box, by brute force: (target, source, vector) rounded."""
    basis, group = cell_matrix(lattice), space_group(number)
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centrings = group.translations[(group.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))] / GRID
    for target, point in enumerate(points):
        for source, (letter, free) in enumerate(zip(letters, frees, strict=True)):
            orbit = group.positions[letter].orbit(free)
            while len(orbit):  # one atom of the primitive cell after another
                same = orbit[0] + centrings
                difference = (orbit[:, None] - same) - np.rint(orbit[:, None] - same)
                orbit = orbit[~(np.abs(difference).max(axis=2) < 1e-6).any(axis=1)]
                steps = ((same[:, None] + shifts - point) @ basis).reshape(-1, 3)
                length = np.linalg.norm(steps, axis=1)
                if source == target and length.min() < 1e-6:
                    continue
                for step in np.unique(steps[length < length.min() + 1e-3].round(4) + 0.0, axis=0):
                    yield target, source, *step.tolist()


@pytest.mark.parametrize("number", [1, 5, 15, 62, 146, 166, 194, 225, 227])
def test_edges_are_those_to_all_nearest_images(number):
    model = tiny_model()
    found = descriptions_of(model.sample(6, Conditions(space_groups=[number]), seed=number, score=False))
    at = located(found.genes, found.free)
    for row in range(min(3, len(found))):
        count = int(found.genes.num_sites[row])
        letters = found.genes.wyckoffs[row, :count].tolist()
        frees = [at.place[row, site, : found.genes.freedoms[row, site]] for site in range(count)]
        args = letters, frees, at.point[row, :count]
        edges = edges_of(Surroundings(number, found.lattice[row]), *args)
        one = np.column_stack([edges.target, edges.source, edges.step.round(4) + 0.0])
        two = np.array(list(edges_by_counting(number, found.lattice[row], *args))).reshape(-1, 5)
        one, two = (rows[np.lexsort(rows.round(2).T)] for rows in (one, two))
        assert one == pytest.approx(two, abs=2e-4)


def test_equally_near_images_all_have_an_edge():
    """In rock salt each atom has six neighbours of the other kind, of one atom of the primitive cell."""
    around = Surroundings(225, np.array([5.6, 5.6, 5.6, 90.0, 90.0, 90.0]))
    edges = edges_of(around, [0, 1], [np.zeros(0)] * 2, np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]))
    assert len(edges.target) == 12
    assert np.linalg.norm(edges.step, axis=1) == pytest.approx(2.8)


def test_states_of_prefixes_are_those_of_shorter_crystals():
    model = tiny_model()
    found = descriptions_of(model.sample(64, Conditions(space_groups=[33, 62, 166, 225]), seed=2, score=False))
    found = found.take(np.unique(found.owner, return_index=True)[1])
    found = of_length(found, np.flatnonzero(found.genes.num_sites == 3)[:12])
    network = model.network.double()

    def states(length: int) -> torch.Tensor:
        rows = np.arange(len(found))
        short = descriptions_short(found, length)
        order = np.tile(np.arange(length), (len(found), 1))
        batch = batch_of(short, Orders(rows, order, np.zeros(len(rows))), model.vocabulary_index, 3)
        batch = type(batch)(**{**vars(batch), "space": space})
        return network.read(network.about(batch.group, batch.space), batch)

    rows = np.arange(len(found))
    whole = batch_of(
        found, Orders(rows, np.tile(np.arange(3), (len(found), 1)), np.zeros(len(rows))), model.vocabulary_index, 3
    )
    space = whole.space
    with torch.no_grad():
        every = network.read(network.about(whole.group, whole.space), whole)
        for length in (1, 2):
            assert states(length)[:, -1].numpy() == pytest.approx(every[:, length].numpy(), abs=1e-9)
    assert float(every[:, 1:].std(dim=0).min()) > 1e-4


def descriptions_short(found, length):
    """The first sites alone."""
    genes = GeneBatch(
        space_group=found.genes.space_group,
        elements=found.genes.elements[:, :length],
        wyckoffs=found.genes.wyckoffs[:, :length],
    )
    return replace(found, genes=genes, free=found.free[:, :length])


def test_graph_norm_takes_off_means_and_widths_of_each_graph():
    norm = GraphNorm(3)
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)) * 5 + 2
    graph = torch.tensor([0, 0, 0, 2, 2, 2, 2])
    y = norm(x, graph, 3)
    for rows in (graph == 0, graph == 2):
        assert y[rows].mean(dim=0).detach().numpy() == pytest.approx(0.0, abs=1e-6)
        assert y[rows].var(dim=0, unbiased=False).detach().numpy() == pytest.approx(1.0, abs=1e-4)


# Sites on the origin


def polar_positions():
    for number in np.flatnonzero(is_polar(np.arange(1, 231, dtype=np.int16))) + 1:
        for position in space_group(int(number)).positions:
            if position.freedom and not all(pinned_axes(int(number), position.index)):
                yield int(number), position.index


def test_densities_of_sites_on_the_origin_integrate_to_one_over_what_names_each_once():
    side = np.arange(8) / 8 + 0.013
    generic = np.array([0.0617, 0.2931, 0.4219])
    seen = 0
    for number, letter in polar_positions():
        linear, shift, axes = held_axes(number, letter)
        points = np.stack(np.meshgrid(*[side if axis else np.zeros(1) for axis in axes]), axis=-1).reshape(-1, 3)
        law = mixture(torch.from_numpy(np.random.default_rng(seen).normal(size=(1, 7 * 3))))
        law = law._replace(concentration=law.concentration.clamp(max=0.6))
        law = type(law)(*(part.expand(len(points), *part.shape[1:]) for part in law))
        images = torch.from_numpy(np.einsum("mij,nj->nmi", linear, points) + shift)
        flags = torch.ones(images.shape[:2], dtype=torch.bool)
        density = log_density_held(law, images, flags, torch.from_numpy(axes).expand(len(points), -1)).exp()
        freedom = space_group(number).positions[letter].freedom
        maps = image_maps(number, letter, True)
        u = np.where(axes, generic, 0.0)[:freedom]
        copies = len(np.unique(((maps.linear @ u + maps.shift / GRID) % 1.0).round(6) % 1.0, axis=0))
        assert float(density.mean()) / copies == pytest.approx(1.0, abs=1e-4)
        seen += 1
    assert seen > 50


def test_draws_on_the_origin_follow_their_density():
    n, number, letter = 3000, 8, 1  # Cm: y is free, x and z are 0
    linear, shift, axes = held_axes(number, letter)
    assert axes.tolist() == [False, True, False]
    law = mixture(torch.from_numpy(np.random.default_rng(0).normal(0.0, 1.0, (1, 21))))
    law = type(law)(*(part.expand(n, *part.shape[1:]) for part in law))
    axes = torch.from_numpy(axes).expand(n, -1)
    drawn = draw_held(law, axes, torch.from_numpy(np.random.default_rng(1).random((n, 4))))
    assert float(drawn[:, [0, 2]].abs().max()) == 0
    images = torch.from_numpy(np.einsum("mij,nj->nmi", linear, drawn.numpy()) + shift)
    inverse = torch.exp(-log_density_held(law, images, torch.ones(images.shape[:2], dtype=torch.bool), axes))
    assert float(inverse.mean()) == pytest.approx(1 / len(linear), abs=4 * float(inverse.std()) / np.sqrt(n))


# Noise and the loss


def handful(count: int = 24) -> CrystalTable:
    return tiny_model(seed=4).sample(count, Conditions(space_groups=[2, 14, 33, 62, 99, 166, 225]), seed=0, score=False)


def test_noise_moves_sites_by_as_much_as_asked_and_leaves_them_on_their_positions():
    lattice = [7.0, 8.0, 9.0, 90.0, 100.0, 90.0]
    one = Crystal(
        space_group=11,
        elements=(3, 8),
        wyckoffs=(4, 5),
        free=(0.2, 0.3, 0.15, 0.1, 0.6),
        lattice=tuple(lattice),
        id="a",
    )
    found = descriptions_of(CrystalTable.from_crystals([one]))
    found = found.take(np.zeros(2000, np.int64))
    told = noisy(found, tiny_config(), np.random.default_rng(0))
    moved = told.at.place - located(found.genes, found.free).place
    basis = cell_matrix(found.lattice[:1])[0]
    plane = (moved[:, 0, :2] @ basis[[0, 2]]).std(axis=0)  # both in the mirror plane
    assert plane[[0, 2]] == pytest.approx([0.2, 0.2], rel=0.1)
    assert (moved[:, 1] @ basis).std(axis=0) == pytest.approx([0.2] * 3, rel=0.1)
    cells = told.lattice - found.lattice
    assert np.abs(cells[:, :3]).max() == pytest.approx(0.005, rel=0.02) and np.abs(cells[:, 4]).max() <= 0.5
    assert np.abs(cells[:, [3, 5]]).max() == 0
    assert (found.genes.freedoms[0] == [2, 3]).all()


def test_the_loss_is_the_likelihood_with_its_terms_and_slower_gradients():
    model = tiny_model(concentration=1.0, z_loss=0.0, position_noise=0.0, length_noise=0.0, angle_noise=0.0)
    found = descriptions_of(handful())
    rows = np.flatnonzero(found.genes.num_sites == 2)[:8]
    some = of_length(found, rows)
    batch = batch_of(some, some_order(some, np.random.default_rng(0)), model.vocabulary_index, 3)
    loss, parts = model.loss(batch)
    assert loss.item() == pytest.approx(sum(part.item() for part in parts.values()), rel=1e-5)
    bias = model.network.lattice.coarse[0][-1].bias
    slow = torch.autograd.grad(loss, bias)[0]
    whole = torch.autograd.grad(-model.network.log_prob(batch).parts["cell"].sum(), bias)[0]
    assert slow.numpy() == pytest.approx(0.3 * whole.numpy(), rel=1e-3, abs=1e-6)
    with_terms = tiny_model(concentration=1.5, z_loss=1.0)
    assert with_terms.loss(batch)[0].item() > loss.item() + 1.0


def test_gradients_are_the_same_where_messages_are_computed_again(monkeypatch):
    model = tiny_model()
    found = descriptions_of(handful())
    batch = maker_of_batches(found, model.vocabulary_index, model.config, 0)(
        np.flatnonzero(found.genes.num_sites == 2)[:6], 6.0
    )
    weights = [model.network.messages.edge[0].weight, model.network.messages.layers[0].update[0].weight]
    kept = torch.autograd.grad(model.loss(batch)[0], weights)
    monkeypatch.setattr(_messages, "_EDGES_KEPT", 0)
    again = torch.autograd.grad(model.loss(batch)[0], weights)
    for one, two in zip(kept, again, strict=True):
        assert float(one.abs().max()) > 1e-6
        assert two.numpy() == pytest.approx(one.numpy(), abs=1e-5)


def test_half_precision_gives_nearly_the_same_loss():
    model = tiny_model()
    found = descriptions_of(handful())
    make = maker_of_batches(found, model.vocabulary_index, model.config, 0)
    batch = make(np.flatnonzero(found.genes.num_sites == 2)[:6], 6.0)
    whole = model.loss(batch)[0].item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(batch)[0]
    loss.backward()
    assert loss.item() == pytest.approx(whole, abs=2.0)


def test_some_steps_bring_the_loss_down():
    model = tiny_model()
    model.train()
    found = descriptions_of(handful())
    make = maker_of_batches(found, model.vocabulary_index, model.config, 0)
    batches = [make(np.flatnonzero(found.genes.num_sites == length)[:12], 12.0) for length in (1, 2, 3)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = sum(model.loss(batch)[0] for batch in batches)
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 10.0


def test_places_are_chosen_by_dimension():
    found = descriptions_of(handful())
    found = of_length(found, np.flatnonzero(found.genes.num_sites == 3)[:20])
    at = located(found.genes, found.free)
    places = places_of(found.genes, at, np.arange(found.genes.wyckoffs.size).reshape(-1, 3))
    freedom, held = found.genes.freedoms.ravel(), at.shape.ravel() < 0
    for kind, rows in ((1, places.segment), (2, places.polygon), (3, places.interior)):
        assert rows.tolist() == np.flatnonzero((freedom == kind) & ~held).tolist()
    assert set(places.held.tolist()) <= set(np.flatnonzero(held).tolist())
    assert bool(((places.along >= 0) & (places.along <= 1)).all() and places.in_triangle.inside.all())


def test_configurations_are_checked():
    for wrong in ({"width": 0}, {"distances": 1}, {"gradient_factor": 0.0}, {"concentration": 0.9}, {"z_loss": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PaperConfig(**wrong)
