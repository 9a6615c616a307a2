"""What is the same crystal: gauges and equivalent descriptions, over all 230 groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from aristotype.crystal import (
    Crystal,
    canonical_crystal,
    crystal_equivalents,
    decode,
    encode,
    fix_gauge,
    floating_dimension,
    gene_keys,
    site_descriptions,
)
from aristotype.crystal._gauge import sort_key
from aristotype.crystal._reduce import monoclinic_classes, niggli_change
from aristotype.symmetry import cell_matrix, cell_parameters, space_group
from tests.crystal.builders import crystals, disguised, random_crystal, seeds, table_of

# Free parameters are compared at 1e-4: encoding at 1e-3 Angstrom refines atoms by rounding errors only.
CLOSE = 1e-4


def same(one: Crystal, other: Crystal) -> bool:
    a, b = sort_key(one), sort_key(other)
    return one.space_group == other.space_group and len(a) == len(b) and np.abs(np.subtract(a, b)).max() < CLOSE


def distances(crystal: Crystal, radius: float = 5.5) -> dict[tuple[int, int], np.ndarray]:
    """All distances up to a radius between atoms of each pair of elements, over the primitive cell."""
    cell = decode(crystal, primitive=True)
    # Coordinates differ by less than one cell; lattice planes tell how many more the radius reaches over.
    reach = 1 + np.ceil(radius * np.linalg.norm(np.linalg.inv(cell.lattice), axis=0)).astype(int)
    shifts = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    out = {}
    for one in np.unique(cell.numbers):
        for other in np.unique(cell.numbers):
            a, b = cell.coords[cell.numbers == one], cell.coords[cell.numbers == other]
            lengths = np.linalg.norm((b[:, None, None] - a[None, :, None] + shifts) @ cell.lattice, axis=-1)
            out[int(one), int(other)] = np.sort(lengths[lengths < radius])
    return out


@pytest.mark.parametrize("start", range(1, 231, 23))
def test_all_equivalents_have_the_same_distances(start):
    for number in range(start, min(231, start + 23)):
        rng = np.random.default_rng(number)
        crystal = random_crystal(number, rng, special=1)
        expected = distances(crystal)
        every = crystal_equivalents(crystal)
        for row in rng.permutation(len(every))[:3]:
            found = distances(every[row])
            assert found.keys() == expected.keys()
            for pair, lengths in expected.items():
                assert len(found[pair]) == len(lengths), number
                assert np.allclose(found[pair], lengths, atol=1e-5), number


@pytest.mark.slow
def test_every_description_that_moyopy_chooses_is_among_the_equivalents():
    """Independent: moyopy standardises a disguised crystal; its description must be one that we list, in all groups."""
    skipped = []
    for number in range(1, 231):
        rng = np.random.default_rng(number)
        crystal = random_crystal(number, rng, special=1)
        found = encode(disguised(crystal, rng), tolerance=1e-3, max_gap=None)[0]
        if found.space_group != number:
            skipped.append(number)  # random coordinates came out more symmetric
            continue
        assert same(canonical_crystal(crystal), canonical_crystal(found)), (number, str(crystal), str(found))
    assert len(skipped) <= 3, skipped


def test_hands_are_told_apart():
    """The mirror image of a crystal without reflections is another crystal; of one with them it is the same."""
    for number in (
        1,
        4,
        5,
        16,
        18,
        19,
        75,
        89,
        143,
        146,
        149,
        155,
        168,
        177,
        195,
        197,
        198,
        207,
        209,
        214,
        2,
        14,
        62,
        9,
    ):
        rng = np.random.default_rng(number)
        crystal = random_crystal(number, rng, special=0)
        cell = disguised(crystal, rng)
        mirrored = encode(cell._replace(coords=-cell.coords), tolerance=1e-3, max_gap=None)[0]
        assert mirrored.space_group == number
        chiral = (np.linalg.det(space_group(number).rotations) > 0).all()
        assert same(canonical_crystal(crystal), canonical_crystal(mirrored)) == (not chiral), number


@settings(max_examples=60)
@given(crystals(special=1), seeds)
def test_equivalents_are_one_set_whichever_member_is_given(crystal, seed):
    every = crystal_equivalents(crystal)
    member = every[np.random.default_rng(seed).integers(len(every))]
    again = crystal_equivalents(member)
    assert len(again) == len(every)
    assert all(same(a, b) for a, b in zip(every, again))


@settings(max_examples=60)
@given(crystals())
def test_equivalents_share_the_gene_key_and_hold_the_gauge_fixed_one(crystal):
    fixed = fix_gauge(crystal)
    every = crystal_equivalents(crystal)
    assert any(same(fixed, other) for other in every)
    assert same(fix_gauge(fixed), fixed)
    keys = gene_keys(table_of(*(replace(c, id=str(i)) for i, c in enumerate([crystal, *every]))).genes())
    assert len(set(keys.tolist())) == 1


@settings(max_examples=60)
@given(crystals())
def test_the_fixed_gauge_takes_the_floating_coordinates_away(crystal):
    number = crystal.space_group
    fixed = fix_gauge(crystal)
    anchors = [s for s in zip(fixed.wyckoffs, fixed.elements) if s == (fixed.wyckoffs[0], fixed.elements[0])]
    axes = np.flatnonzero(space_group(number).polar_axes)
    position = space_group(number).positions[fixed.wyckoffs[0]]
    points = [position.representative(free) for free in fixed.site_free[: len(anchors)]]
    assert any((np.asarray(point)[axes] == 0.0).all() for point in points)
    assert floating_dimension(number) == len(axes)


def test_68_groups_float():
    assert sum(floating_dimension(number) > 0 for number in range(1, 231)) == 68


@given(crystals())
@settings(max_examples=60)
def test_site_descriptions_denote_the_same_orbit(crystal):
    group = space_group(crystal.space_group)
    for letter, free, every in zip(crystal.wyckoffs, crystal.site_free, site_descriptions(crystal)):
        position = group.positions[letter]
        own = position.orbit(free)
        assert (np.abs((every - free + 0.5) % 1.0 - 0.5) < 1e-8).all(axis=1).any()
        for other in position.orbit(every):
            step = own[:, None] - other[None]
            assert (np.abs(step - np.rint(step)).max(axis=-1).min(axis=1) < 1e-8).all()


def test_special_metrics_do_not_hide_equivalents():
    """A crystal without symmetry in a cubic cell has 24 reduced bases; a monoclinic one with beta = 90 has two."""
    rng = np.random.default_rng(0)
    base = random_crystal(1, rng, special=2)
    cubic = replace(base, lattice=(8.0, 8.0, 8.0, 90.0, 90.0, 90.0))
    every = crystal_equivalents(cubic)
    kinds = list(zip(cubic.wyckoffs, cubic.elements))
    assert len(every) == 24 * kinds.count(min(kinds))
    found = encode(disguised(cubic, rng), tolerance=1e-3, max_gap=None)[0]
    assert found.space_group == 1
    assert same(canonical_crystal(cubic), canonical_crystal(found))
    straight = random_crystal(14, rng, special=1)
    straight = replace(straight, lattice=(*straight.lattice[:4], 90.0, 90.0))
    found = encode(disguised(straight, rng), tolerance=1e-3, max_gap=None)[0]
    assert same(canonical_crystal(straight), canonical_crystal(found))


@given(seeds)
@settings(max_examples=50)
def test_the_niggli_cell_is_that_of_moyopy(seed):
    from moyopy import niggli_reduce

    rng = np.random.default_rng(seed)
    lattice = rng.normal(size=(3, 3)) * 4
    lattice *= np.sign(np.linalg.det(lattice))
    if np.linalg.det(lattice) < 2:
        return
    change = niggli_change(lattice)
    assert round(float(np.linalg.det(change))) == 1
    theirs = cell_parameters(np.array(niggli_reduce(lattice.tolist())[0]))
    assert np.allclose(cell_parameters(change @ lattice), theirs, atol=1e-5)


def test_monoclinic_settings_that_stay_standard():
    """Without centring and glide all 6 classes of bases modulo 2 stay standard, else 2: one vector is bound."""
    counts = {number: len(monoclinic_classes(number)) for number in range(3, 16)}
    free = {3, 4, 6, 10, 11}
    assert counts == {number: 6 if number in free else 2 for number in range(3, 16)}


def test_the_monoclinic_cell_is_reduced():
    rng = np.random.default_rng(3)
    for number in range(3, 16):
        crystal = random_crystal(number, rng, special=0)
        fixed = fix_gauge(crystal)
        a, _, c, _, beta, _ = fixed.lattice
        assert 90.0 <= beta < 90.0 + 60.0
        assert a * a + c * c <= crystal.lattice[0] ** 2 + crystal.lattice[2] ** 2 + 1e-6
        volumes = [np.linalg.det(cell_matrix(x.lattice)) for x in (crystal, fixed)]
        assert volumes[0] == pytest.approx(volumes[1])
