"""Forced symmetry against moyopy, which looks at coordinates, and against what crystallographers know."""

from __future__ import annotations

from collections.abc import Callable

import moyopy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.errors import SymmetryError
from aristotype.symmetry import CRYSTAL_SYSTEMS, forced, forced_supergroup, relabellings, space_group, tables
from aristotype.symmetry._forced import _holohedry

GENES_A_GROUP = 8


def random_gene(number: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """One to four sites, special positions first in line, up to three elements; never a full position twice."""
    positions = space_group(number).positions
    elements, wyckoffs = [], []
    for _ in range(rng.integers(1, 5)):
        special = rng.random() < 0.6
        letter = min(int(rng.geometric(0.35)) - 1, len(positions) - 1) if special else int(rng.integers(len(positions)))
        if positions[letter].freedom or letter not in wyckoffs:
            elements.append(int(rng.integers(1, 4)))
            wyckoffs.append(letter)
    return elements, wyckoffs


def operations_seen(crystal) -> int:
    """Operations of the built cell, translations included, as moyopy counts them."""
    cell = moyopy.Cell(crystal.basis.tolist(), crystal.coordinates.tolist(), crystal.numbers.tolist())
    # 1e-5 A: built coordinates are exact to 1e-14, and random ones come that near to a higher symmetry in no draw.
    return len(moyopy.MoyoDataset(cell, symprec=1e-5).operations)


@pytest.mark.parametrize("number", range(1, 231))
def test_forced_symmetry_is_what_moyopy_sees_at_random_geometries(number, build_crystal: Callable):
    rng = np.random.default_rng(number)
    positions = space_group(number).positions
    for _ in range(GENES_A_GROUP):
        elements, wyckoffs = random_gene(number, rng)
        if sum(positions[w].multiplicity for w in wyckoffs) > 300:
            continue
        seen = min(operations_seen(build_crystal(number, elements, wyckoffs, rng)) for _ in range(2))
        found = forced_supergroup(number, elements, wyckoffs)
        assert found.operations == seen, (elements, wyckoffs)
        assert found.forced == (seen > len(space_group(number).rotations))


@pytest.mark.parametrize(
    ("number", "sites", "supergroup"),
    [
        (216, [(30, "a"), (16, "b")], 225),  # rock salt, though the elements differ
        (216, [(30, "a"), (16, "c")], None),  # zinc blende is what it says
        (195, [(84, "a")], 221),
        (209, [(1, "a")], 225),
        (225, [(11, "a"), (17, "b")], None),
        (225, [(1, "a"), (1, "b")], 221),  # a simple cubic lattice of half the length
        (1, [(1, "a")], 2),
        (1, [(1, "a"), (1, "a")], 2),
        (1, [(1, "a"), (2, "a")], None),
        (1, [(1, "a"), (1, "a"), (1, "a")], None),
        (2, [(1, "a"), (1, "b")], 2),  # the same group with half the cell
        (75, [(1, "a")], 123),  # the origin floats along c
        (75, [(1, "a"), (2, "b")], 99),
        (146, [(1, "a")], 166),
        (166, [(1, "a"), (1, "b")], 166),
        (4, [(1, "a")], 11),  # two equal atoms have an inversion centre between them
        (4, [(1, "a"), (2, "a")], None),
        (194, [(1, "a"), (1, "c")], None),
        (194, [(12, "c")], None),  # hexagonal close packing
        (194, [(1, "b"), (1, "c"), (1, "d")], 191),  # planes of one kind
    ],
)
def test_known_cases(number, sites, supergroup, build_crystal: Callable):
    elements = [z for z, _ in sites]
    wyckoffs = [space_group(number).position(letter).index for _, letter in sites]
    assert forced_supergroup(number, elements, wyckoffs).forced == (supergroup is not None)
    crystal = build_crystal(number, elements, wyckoffs, np.random.default_rng(0))
    cell = moyopy.Cell(crystal.basis.tolist(), crystal.coordinates.tolist(), crystal.numbers.tolist())
    assert moyopy.MoyoDataset(cell, symprec=1e-5).number == (supergroup or number)


@settings(deadline=None, max_examples=200)
@given(number=st.integers(1, 230), seed=st.integers(0, 2**32 - 1))
def test_names_of_elements_order_of_sites_and_relabelling_do_not_count(number, seed):
    rng = np.random.default_rng(seed)
    elements, wyckoffs = map(np.array, random_gene(number, rng))
    found = forced_supergroup(number, elements, wyckoffs)
    order = rng.permutation(len(elements))
    names = rng.permutation(np.arange(1, 100))
    assert forced_supergroup(number, names[elements][order], wyckoffs[order]) == found
    for row in rng.permutation(relabellings(number, "affine"))[:3]:
        assert forced_supergroup(number, elements, row[wyckoffs]) == found


@settings(deadline=None, max_examples=100)
@given(number=st.integers(1, 230), seed=st.integers(0, 2**32 - 1))
def test_more_elements_never_raise_the_symmetry(number, seed):
    rng = np.random.default_rng(seed)
    elements, wyckoffs = random_gene(number, rng)
    general = len(space_group(number).positions) - 1
    found = forced_supergroup(number, elements, wyckoffs)
    more = forced_supergroup(number, [*elements, 90], [*wyckoffs, general])
    assert found.index % more.index == 0
    assert not forced_supergroup(number, [*elements, 90, 91, 91, 91], [*wyckoffs, *[general] * 4]).forced


@pytest.mark.parametrize("number", range(1, 231))
def test_three_general_orbits_of_one_element_force_nothing(number):
    general = len(space_group(number).positions) - 1
    assert not forced_supergroup(number, [1, 1, 1], [general] * 3).forced


def test_batch_gives_what_single_genes_give():
    rng = np.random.default_rng(3)
    count, width = 300, 5
    numbers = rng.integers(1, 231, count)
    elements, wyckoffs = np.zeros((count, width), np.int8), np.full((count, width), -1, np.int8)
    for row, number in enumerate(numbers):
        z, w = random_gene(int(number), rng)
        elements[row, : len(z)], wyckoffs[row, : len(w)] = z, w
    single = [
        forced_supergroup(int(n), z[z > 0], w[z > 0]).forced
        for n, z, w in zip(numbers, elements, wyckoffs, strict=True)
    ]
    found = forced(numbers.astype(np.int16), elements, wyckoffs)
    assert found.dtype == np.bool_
    assert found.tolist() == single
    assert 0 < found.sum() < count
    assert forced([], np.empty((0, 3)), np.empty((0, 3))).shape == (0,)


def test_orders_of_the_holohedries():
    assert [len(_holohedry(system)) for system in CRYSTAL_SYSTEMS] == [2, 4, 8, 16, 24, 24, 48]


@pytest.mark.parametrize(
    ("number", "elements", "wyckoffs", "message"),
    [
        (231, [1], [0], "1 to 230"),
        (225, [1], [12], "go from 0 to 11"),
        (225, [1], [-1], "go from 0 to 11"),
        (225, [1, 2], [0, 0], "position a of space group 225 .* not 2 times"),
        (225, [0], [-1], "at least one element"),
        (225, [1, 2], [0], r"both must have \(2,\)"),
    ],
)
def test_what_is_no_gene_is_refused(number, elements, wyckoffs, message):
    with pytest.raises(SymmetryError, match=message):
        forced_supergroup(number, elements, wyckoffs)


def test_refusal_in_a_batch_names_the_row():
    with pytest.raises(SymmetryError, match="gene 1: "):
        forced([225, 225], [[1, 0], [1, 1]], [[0, -1], [0, 0]])


def test_positions_without_freedom_are_the_ones_the_table_says():
    freedom = tables().padded("freedom", fill=-1)
    assert freedom[225, :3].tolist() == [0, 0, 0]
