"""Frames of a partial crystal: into all of them and back is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import PartialCrystal, decode, frames_of, into_frames, out_of_frames
from aristotype.crystal._settled import padded_free
from tests.crystal.builders import random_crystal, table_of


@pytest.mark.parametrize("number", [1, 2, 4, 8, 14, 36, 62, 146, 186, 198, 216, 225])
def test_into_frames_and_back_the_atoms_are_the_same(number):
    crystal = random_crystal(number, np.random.default_rng(number), special=1)
    table, frames = table_of(crystal), frames_of(PartialCrystal.of(crystal))
    genes = table.genes()
    settled = into_frames(frames, genes, padded_free(table, genes), table.lattice)
    count = len(frames.linear)
    assert (settled.owner == 0).all() and len(settled.owner) == count
    assert frames.lattice is not None
    np.testing.assert_allclose(settled.lattice, frames.lattice, atol=1e-9)
    back, free, lattice = out_of_frames(
        frames, np.arange(count), settled.genes, settled.free, settled.lattice, np.zeros((count, 3))
    )
    np.testing.assert_allclose(lattice, np.repeat(table.lattice, count, axis=0), atol=1e-9)
    whole = decode(crystal)
    for row in range(count):
        letters, elements = back.wyckoffs[row].tolist(), back.elements[row].tolist()
        assert sorted(zip(letters, elements, strict=True)) == sorted(
            zip(crystal.wyckoffs, crystal.elements, strict=True)
        )
        again = decode(of_arrays(crystal, letters, elements, free[row]))
        for numbers, point in zip(again.numbers, again.coords, strict=True):
            step = whole.coords[whole.numbers == numbers] - point
            assert np.abs(step - np.rint(step)).max(axis=1).min() < 1e-9


def of_arrays(crystal, letters, elements, free):
    from aristotype.crystal import Crystal
    from aristotype.symmetry import space_group

    positions = space_group(crystal.space_group).positions
    return Crystal(
        space_group=crystal.space_group,
        elements=tuple(elements),
        wyckoffs=tuple(letters),
        free=tuple(x for w, row in zip(letters, free.tolist(), strict=True) for x in row[: positions[w].freedom]),
        lattice=crystal.lattice,
    )
