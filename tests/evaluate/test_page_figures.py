"""What figures are drawn from: shares against independent counts, places of elements, crystals as they are seen."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from aristotype.crystal import Cell, Crystal, decode
from aristotype.errors import InputError, SymmetryError
from aristotype.evaluate import draw_crystals, primitive_atoms, special_atoms
from aristotype.evaluate._draw import MAX_ATOMS, draw_crystal, drawable_cell, scene, seen_pieces
from aristotype.evaluate._elements_plot import element_places, element_shares
from aristotype.evaluate._energy_plots import hull
from aristotype.evaluate._figure_style import inline_svg, new_figure, styled
from aristotype.evaluate._gallery import galleries
from aristotype.evaluate._plots import _freedom_shares as freedom_shares
from aristotype.evaluate._plots import crystal_systems, group_histogram, sizes
from aristotype.evaluate._sets import EvaluatedSet, Sets, evaluated_sets
from aristotype.symmetry import CRYSTAL_SYSTEMS, space_group
from tests.evaluate.page_sets import crystals, evaluated

ROCK_SALT = Crystal(
    space_group=225, elements=(11, 17), wyckoffs=(0, 1), free=(), lattice=(5.64, 5.64, 5.64, 90.0, 90.0, 90.0)
)


@pytest.fixture(scope="module")
def sets() -> Sets:
    return evaluated_sets(
        [evaluated(crystals(120, 1), name="one", seed=1), evaluated(crystals(80, 2), name="two", seed=2)],
        crystals(100, 3).arrow,
        "known",
    )


def test_shares_of_elements_are_means_over_crystals_atom_by_atom(sets):
    one = sets.evaluated[0]
    expected = np.zeros(119)
    for row in one.table:
        numbers = decode(row, primitive=True).numbers
        expected += np.bincount(numbers, minlength=119) / len(numbers)
    assert element_shares(one) == pytest.approx(expected / len(one), abs=1e-12)


def test_shares_of_positions_agree_with_the_count_of_special_atoms(sets):
    for one in sets.everything:
        shares = freedom_shares(one)
        special = special_atoms(one.genes).sum() / primitive_atoms(one.genes).sum()
        assert shares.sum() == pytest.approx(1.0)
        assert 1 - shares[3] == pytest.approx(special)


def test_shares_of_groups_add_up_to_those_of_systems(sets):
    with styled():
        words = next(crystal_systems(sets)).description
    for one in sets.everything:
        by_name = dict.fromkeys(CRYSTAL_SYSTEMS, 0.0)
        for number, share in enumerate(group_histogram(one)):
            if number:
                by_name[space_group(number).crystal_system] += share
        assert sum(by_name.values()) == pytest.approx(1.0)
        mine = next(part for part in words.split("; ") if part.startswith(f"{one.name}: "))
        assert mine == f"{one.name}: " + ", ".join(f"{name} {share:.1%}" for name, share in by_name.items())


def test_quantiles_of_energies_are_of_physical_structures_only(sets):
    with styled():
        picture = next(hull(sets))
    for one, row in zip(sets.evaluated, picture.grid.rows, strict=True):
        rows = one.table.arrow.select(["e_above_hull", "unphysical"]).to_pylist()
        kept = [r["e_above_hull"] for r in rows if not r["unphysical"]]
        kept = sorted(value for value in kept if value is not None and value == value)
        assert row[0] == one.name and row[1] == str(len(kept))
        # Linear interpolation between order statistics, which is numpy's and everyone's default.
        for cell, share in zip(row[2:5], (0.1, 0.5, 0.9)):
            place = share * (len(kept) - 1)
            low, part = int(place), place - int(place)
            high = kept[min(low + 1, len(kept) - 1)]
            value = kept[low] + part * (high - kept[low])
            assert float(cell.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=6e-4)
        assert row[5] == f"{sum(value <= 0 for value in kept) / len(kept):.1%}"


def test_mean_sizes_are_those_of_the_rows(sets):
    with styled():
        rows = {row[0]: row for row in next(sizes(sets)).grid.rows}
    for one in sets.everything:
        every = list(one.table)
        assert rows[one.name][2] == f"{np.mean([len(set(row.elements)) for row in every]):.2f}"
        assert rows[one.name][4] == f"{np.mean([row.num_sites for row in every]):.2f}"
        assert rows[one.name][6] == f"{np.mean([row.num_atoms_primitive for row in every]):.2f}"


def test_elements_have_places_of_their_own_in_the_order_of_the_table():
    places = element_places()
    assert [number for number, _, _ in places] == list(range(1, 119))
    assert len({(row, column) for _, row, column in places}) == 118
    rows = {}
    for number, row, column in places:
        rows.setdefault(row, []).append((column, number))
    for row in rows.values():  # numbers grow from left to right
        assert [number for _, number in sorted(row)] == sorted(number for _, number in row)
    by_number = {number: column for number, _, column in places}
    assert {by_number[number] for number in (2, 10, 18, 36, 54, 86, 118)} == {18}
    assert {by_number[number] for number in (1, 3, 11, 19, 37, 55, 87)} == {1}
    assert sorted(len(row) for row in rows.values()) == [2, 8, 8, 15, 15, 17, 17, 18, 18]


def test_a_scene_is_a_rotation_of_every_atom_in_the_closed_cell():
    table = crystals(60, 4)
    for crystal in table:
        if crystal.num_atoms > MAX_ATOMS:
            continue
        cell = decode(crystal)
        view = scene(cell)
        # Lengths and the hand are kept, so that it is a rotation.
        assert view.axes @ view.axes.T == pytest.approx(cell.lattice @ cell.lattice.T, abs=1e-6)
        assert np.linalg.det(view.axes) == pytest.approx(np.linalg.det(cell.lattice))
        # All images of all atoms, and those of them that lie in the cell or on its faces.
        images = (cell.coords[:, None] + np.array(list(product((-1, 0, 1), repeat=3)))[None]).reshape(-1, 3)
        inside = ((images > -1e-3) & (images < 1 + 1e-3)).all(axis=1)
        expected = images[inside] @ view.axes
        assert len(view.points) == len(expected)
        order = np.lexsort(np.round(expected, 3).T)
        mine = np.lexsort(np.round(view.points, 3).T)
        assert view.points[mine] == pytest.approx(expected[order], abs=2e-2)
        assert (np.diff(view.points[:, 2]) >= 0).all()


def test_edges_are_hidden_where_an_atom_is_before_them():
    rng = np.random.default_rng(5)
    for crystal in [ROCK_SALT, *(one for one in crystals(10, 6) if one.num_atoms < 20)]:
        view = scene(drawable_cell(crystal))
        pieces = seen_pieces(view)
        for start, end in view.edges:
            for part in rng.random(6):
                point = start + part * (end - start)
                # A ray from the point to the viewer, sampled; the sphere hides the point if the ray enters it.
                ray = point + np.linspace(0, 25, 1001)[:, None] * [0.0, 0.0, 1.0]
                gaps = np.linalg.norm(ray[:, None] - view.points[None], axis=2) - view.radii
                if abs(gaps.min()) < 0.15:
                    continue  # nearer to an outline than the pieces are long
                drawn = any(on_segment(point[:2], *piece) for piece in pieces)
                assert drawn == (gaps.min() > 0) or doubled(view, point, start, end)


def on_segment(point: np.ndarray, first: np.ndarray, last: np.ndarray) -> bool:
    along = last - first
    part = np.clip((point - first) @ along / max(along @ along, 1e-12), 0, 1)
    return bool(np.linalg.norm(first + part * along - point) < 1e-6)


def doubled(view, point: np.ndarray, start: np.ndarray, end: np.ndarray) -> bool:
    """Whether another edge runs through the same point of the screen."""
    others = [edge for edge in view.edges if not (np.array_equal(edge[0], start) and np.array_equal(edge[1], end))]
    return any(on_segment(point[:2], edge[0, :2], edge[1, :2]) for edge in others)


def test_all_discs_of_a_drawing_reach_the_page_as_circles():
    with styled():
        figure = new_figure(2, 2)
        draw_crystal(figure.add_axes((0, 0, 1, 1)), ROCK_SALT)
        drawn = inline_svg(figure, "x", "a title", "a description")
    assert " C " not in drawn
    numbers = np.array(re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)" r="([\d.]+)"', drawn), float)
    numbers = numbers[(numbers[:, :2] != 0).any(axis=1)]  # those of the legend stand at 0 and are moved by `use`
    assert len(numbers) == 27 * 5  # atoms of the closed cell, in five shades
    assert (numbers[:, 2] > 0).all() and (numbers[:, :2] > 0).all() and (numbers[:, :2] < 144).all()


def test_large_cells_are_drawn_as_primitive_ones():
    large = Crystal(
        space_group=227,
        elements=(12, 13, 8),
        wyckoffs=(0, 3, 8),
        free=(0.3, 0.1, 0.5),
        lattice=(8.1, 8.1, 8.1, 90.0, 90.0, 90.0),
    )
    assert large.num_atoms > MAX_ATOMS
    assert len(drawable_cell(large).numbers) == large.num_atoms_primitive


def test_a_figure_of_crystals_needs_titles_and_cells_that_close():
    assert len(draw_crystals([ROCK_SALT] * 7, ["$a$ <b>"] * 7, columns=3).axes) == 7
    with pytest.raises(InputError, match="0 titles for 0 crystals"):
        draw_crystals([], [])
    with pytest.raises(InputError, match="1 titles for 2"):
        draw_crystals([ROCK_SALT] * 2, ["one"])
    open_cell = Crystal(space_group=1, elements=(1,), wyckoffs=(0,), free=(0.0,) * 3, lattice=(3, 3, 3, 20, 20, 90))
    with pytest.raises(SymmetryError, match="close"):
        draw_crystals([open_cell], ["it does not close"])


def test_galleries_draw_from_what_they_say(sets):
    one = sets.evaluated[0]
    every, best = galleries(one, 10, 0)
    assert len(set(every.rows)) == len(every.rows) == 10
    assert best.rows and all(one.table.arrow["sun"][row].as_py() for row in best.rows)
    assert galleries(one, 10, 0)[0].rows == every.rows != galleries(one, 10, 1)[0].rows
    # Where there is no column of that name, it is what its three parts say.
    parts = EvaluatedSet(name="parts", table=one.table.without_columns(["sun"]), place=0)
    assert galleries(parts, 10, 0)[1].rows == best.rows
    lacking = EvaluatedSet(name="lacking", table=one.table.without_columns(["sun", "stable"]), place=0)
    assert galleries(lacking, 10, 0)[1].rows == () and "stable" in galleries(lacking, 10, 0)[1].missing


def test_cells_that_do_not_close_are_left_out_of_galleries():
    table = crystals(400, 8)
    lattice = table.lattice
    triclinic = np.flatnonzero(table.space_group <= 2)
    assert len(triclinic)
    lattice[triclinic, 3:] = [20.0, 20.0, 90.0]
    broken = table.with_columns(lattice=pa.FixedSizeListArray.from_arrays(pa.array(lattice.ravel()), 6))
    chosen = galleries(EvaluatedSet(name="broken", table=broken, place=0), 400, 0)[0]
    assert set(chosen.rows) == set(range(400)) - set(triclinic.tolist())
    assert f"{len(triclinic)} left out: their cells do not close" in chosen.note


def test_the_tool_draws_a_folder(tmp_path):
    from tools.draw_crystals import main

    crystals(40, 7).write(tmp_path / "crystals.parquet")
    main(tmp_path, tmp_path / "a.png", count=4)
    main(tmp_path, tmp_path / "b.png", count=4)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_cell_keeps_its_atoms_when_it_is_drawn():
    cell = Cell(np.eye(3) * 4.0, np.array([3, 8]), np.array([[0.5, 0.5, 0.5], [1 - 1e-9, 0.0, 0.25]]))
    view = scene(cell)
    assert sorted(view.numbers.tolist()) == [3, 8, 8, 8, 8]  # inside once; on an edge of the cell four times
