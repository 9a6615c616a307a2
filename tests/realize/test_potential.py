"""The cheap energy against independent ones: neighbours, gradients, splines, symmetry; what it was fitted for."""

import numpy as np
import pytest
import torch

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.realize._geometry import geometry_of
from aristotype.realize._known import unlikeness
from aristotype.realize._minimise import _Cheap, cheap_energies, minimise, volume_slope
from aristotype.realize._neighbours import Candidates, Neighbours
from aristotype.realize._output import cell_of
from aristotype.realize._potential import FIRST_KNOT, KNOT_STEP, KNOTS, REACH, pair_functions, pair_potential
from aristotype.realize._shapes import drawn_shapes, letter_keys, shape_limits, template_shapes
from aristotype.realize._solve import Geometry
from tests.realize.structures import free_positions, perovskite, pyrite, rutile, spinel

STEP = 1e-5


@pytest.fixture(scope="module")
def crystals():
    return free_positions(12.0)


def placed(atoms, geometry, dtype=torch.float64):
    cheap = _Cheap(atoms, geometry, dtype)
    shape, volume = (torch.from_numpy(a).to(dtype) for a in (geometry.shape, geometry.volume))
    conventional = cheap.conventional(shape, volume)
    points = cheap.problem.points(torch.from_numpy(geometry.free).to(dtype))
    return cheap, conventional, cheap.primitive(conventional), points


def test_neighbours_are_those_of_an_independent_search(crystals):
    from pymatgen.optimization.neighbors import find_points_in_spheres

    atoms, geometry = crystals
    _, _, cells, points = placed(atoms, geometry)
    near = Neighbours.within(REACH, Candidates.of(atoms), points, torch.from_numpy(atoms.atom_row), cells)
    for row in range(len(atoms)):
        own = atoms.atom_row == row
        cell = np.ascontiguousarray(cells[row].numpy())
        places = np.ascontiguousarray(points[own].numpy() @ cell)
        first, _, _, lengths = find_points_in_spheres(
            places, places, r=REACH, pbc=np.ones(3, np.int64), lattice=cell, tol=1e-8
        )
        heads = atoms.site_atom[atoms.site_row == row] - np.flatnonzero(own)[0]
        wanted = np.sort(lengths[np.isin(first, heads) & (lengths > 1e-8)])
        mine = near.row == row
        step = points[near.first[mine]] - points[near.second[mine]] + near.shift[mine]
        assert np.sort(np.linalg.norm(step.numpy() @ cell, axis=1)) == pytest.approx(wanted, abs=1e-9)


def test_gradients_agree_with_differences(crystals):
    atoms, geometry = crystals
    cheap, conventional, cells, points = placed(atoms, geometry)
    found = cheap.read(cheap.near(points, cells, 0.0), points, cells)

    def energy(**moved):
        values = {"shape": geometry.shape, "volume": geometry.volume, "free": geometry.free} | moved
        other, _, vectors, places = placed(atoms, Geometry(**values))
        return other.read(other.near(places, vectors, 0.0), places, vectors).energy.numpy()

    def slope(name, change):
        up, down = ({name: getattr(geometry, name) + sign * STEP * change} for sign in (1, -1))
        return (energy(**up) - energy(**down)) / (2 * STEP)

    by_volume = volume_slope(cells, found.on_cell).numpy() / geometry.volume
    assert slope("volume", np.ones(len(atoms))) == pytest.approx(by_volume, rel=1e-4, abs=1e-5)
    shape = torch.from_numpy(geometry.shape)
    by_shape = cheap.problem.shape_slope(conventional, shape, found.on_cell).numpy()
    for k in range(6):
        assert slope("shape", np.eye(6)[k]) == pytest.approx(by_shape[:, k], rel=1e-4, abs=1e-3)
    direction = np.random.default_rng(0).standard_normal(geometry.free.shape)
    direction *= np.arange(3) < atoms.site_freedom[:, None]
    by_free = cheap.problem.free_slope(found.on_site, cells).numpy() * atoms.site_weight[:, None]
    total = np.bincount(atoms.site_row, weights=(by_free * direction).sum(axis=1))
    assert np.abs(total).max() > 1.0
    assert slope("free", direction) == pytest.approx(total, rel=1e-4, abs=1e-2)


def test_functions_are_smooth_and_end():
    """Values, slopes and curvatures agree on both sides of a knot, and nothing is left at the reach."""
    potential = pair_potential(torch.float64)
    one, two = torch.tensor([22]), torch.tensor([8])
    for knot in range(1, KNOTS + 1):
        at = FIRST_KNOT + knot * KNOT_STEP
        sides = [
            pair_functions(potential, one, two, torch.tensor([at + off], dtype=torch.float64)) for off in (-1e-9, 1e-9)
        ]
        for left, right in zip(*sides, strict=True):
            assert torch.allclose(left, right, atol=1e-6)
    value, slope = pair_functions(potential, one, two, torch.tensor([REACH + 0.1], dtype=torch.float64))
    assert value.abs().max() == slope.abs().max() == 0.0


def test_slopes_of_functions_are_derivatives():
    potential = pair_potential(torch.float64)
    distance = torch.linspace(0.5, 6.1, 200, dtype=torch.float64) + 1e-3
    one, two = torch.full((200,), 56), torch.full((200,), 8)
    _, slope = pair_functions(potential, one, two, distance)
    up, down = (pair_functions(potential, one, two, distance + off)[0] for off in (STEP, -STEP))
    assert torch.allclose((up - down) / (2 * STEP), slope, atol=1e-3, rtol=1e-4)


def test_energies_do_not_depend_on_the_cell_that_describes_a_crystal():
    """Rock salt in its own group, and with the same atoms in P1."""
    salt = CrystalTable.from_genes(GeneBatch.from_lists([225], [[11, 17]], [[0, 1]]))
    plain = salt.with_columns(free=[[]], lattice=_cells([[5.64] * 3 + [90.0] * 3]))
    half, quarter = 5.64 / np.sqrt(2), 60.0
    bare = CrystalTable.from_genes(GeneBatch.from_lists([1], [[11, 17]], [[0, 0]]))
    bare = bare.with_columns(free=[[0.0, 0.0, 0.0, 0.5, 0.5, 0.5]], lattice=_cells([[half] * 3 + [quarter] * 3]))
    one, two = (cheap_energies(*geometry_of(table))[0] for table in (plain, bare))
    assert one == pytest.approx(two, abs=1e-4)


def _cells(rows):
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(rows).astype(float)), 6)


def test_displaced_crystals_are_brought_back():
    """What it was fitted for: the descent ends closer to the crystals than it began."""
    for table in (rutile("r", 22, 8), pyrite("p"), spinel("s")):
        atoms, geometry = geometry_of(table)
        used = np.arange(3) < atoms.site_freedom[:, None]
        moved = Geometry(
            shape=geometry.shape,
            volume=geometry.volume * 1.15,
            free=geometry.free + 0.03 * used,
        )
        ends = minimise(atoms, moved, 60)
        step = ends.geometry.free - geometry.free
        assert np.abs(step - np.rint(step)).max() < 0.5 * np.abs(moved.free - geometry.free).max()
        assert abs(np.log(ends.geometry.volume / geometry.volume)) < np.log(1.15)
        assert ends.energy < cheap_energies(atoms, moved)


def test_held_shapes_are_held(crystals):
    atoms, geometry = crystals
    ends = minimise(atoms, geometry, 5, held=True)
    assert (ends.geometry.shape == geometry.shape.astype(np.float32)).all()
    assert (ends.geometry.volume != geometry.volume).all()


def test_geometries_survive_the_table():
    for table in (perovskite("p", 20, 22), rutile("r", 22, 8)):
        atoms, geometry = geometry_of(table)
        assert cell_of(atoms, geometry) == pytest.approx(table.lattice, rel=1e-9)


def test_like_elements_are_alike():
    """Neighbours in a group or a series are nearer to each other than a metal is to oxygen."""
    off = unlikeness()
    assert off == pytest.approx(off.T, abs=1e-6)
    for one, two in ((57, 59), (26, 27), (40, 72), (35, 53), (19, 37)):
        assert off[one, two] < 0.5 * off[one, 8]


def test_shapes_of_templates_are_those_of_their_crystals():
    genes = perovskite("p", 20, 22).genes()
    (key,) = letter_keys(genes)
    begin, end = template_shapes().of(key)
    assert end > begin
    assert template_shapes().count[begin:end].sum() >= 50
    drawn = drawn_shapes(62, key, np.zeros((50, 6)), np.linspace(0, 0.99, 50))
    atoms, geometry = geometry_of(perovskite("p", 20, 22))
    assert np.abs(drawn - geometry.shape).max(axis=1).min() < 0.03
    low, high = shape_limits(atoms.group)
    assert (geometry.shape[:, :3] > low[:, :3]).all() and (geometry.shape[:, :3] < high[:, :3]).all()


def test_unknown_templates_are_drawn_from_their_system():
    gene = GeneBatch.from_lists([38], [[3, 8, 9, 11, 17]], [[2, 3, 4, 5, 5]])
    (key,) = letter_keys(gene)
    assert template_shapes().of(key) == (0, 0)
    normal = np.random.default_rng(0).standard_normal((4, 6))
    again = drawn_shapes(38, key, normal, np.zeros(4))
    assert len(np.unique(again[:, 0])) == 4
