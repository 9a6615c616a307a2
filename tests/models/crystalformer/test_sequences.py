"""Sequences of whole tables against those of single crystals, enumerated another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aristotype.crystal import Crystal, CrystalTable, setting_of, to_box
from aristotype.datasets import load_dataset
from aristotype.models.crystalformer._sequences import sequences_of
from tests.crystal.builders import random_crystal
from tests.models.crystalformer.enumeration import enumerated

CLOSE = 1e-5


def compared(table: CrystalTable) -> None:
    """Every sequence of one way is one of the other.

    Descriptions that differ by 1e-6 to 1e-5 are one to the enumeration, and two to the batch.
    """
    found = sequences_of(table)
    for row, crystal in enumerate(table):
        assert isinstance(crystal, Crystal)
        wanted = enumerated(crystal)
        mine = np.flatnonzero(found.owner == row)
        matched = np.zeros(len(mine), bool)
        count = crystal.num_sites
        assert (found.genes.num_sites[mine] == count).all()
        for description, free in wanted:
            cell = to_box(crystal.space_group, [description.lattice], [crystal.num_atoms]).coordinates
            off = np.abs((found.free[mine, :count] - free + 0.5) % 1.0 - 0.5).max(axis=(1, 2), initial=0.0)
            off = np.maximum(off, np.abs(found.cell[mine] - cell).max(axis=1))
            assert off.min() < CLOSE
            matched |= off < 3 * CLOSE
            best = mine[off.argmin()]
            assert found.genes.wyckoffs[best, :count].tolist() == list(description.wyckoffs)
            assert found.genes.elements[best, :count].tolist() == list(description.elements)
        assert matched.all()


@pytest.mark.parametrize("start", range(1, 231, 23))
def test_sequences_are_those_that_are_enumerated_one_by_one(start):
    crystals = [
        replace(random_crystal(number, np.random.default_rng(number), special=1), id=f"{number}")
        for number in range(start, min(231, start + 23))
    ]
    compared(CrystalTable.from_crystals(crystals))


def test_real_crystals_have_the_sequences_that_are_enumerated(data_folder, monkeypatch):
    monkeypatch.setenv("ARISTOTYPE_DATA", str(data_folder))
    table = load_dataset("mp_20", "val")
    compared(table.take(np.sort(np.random.default_rng(0).choice(len(table), 150, replace=False))))


def test_every_crystal_has_a_sequence_and_its_setting_stands_for_itself():
    crystals = [random_crystal(number, np.random.default_rng(2 * number)) for number in range(1, 231)]
    found = sequences_of(CrystalTable.from_crystals(crystals))
    assert set(found.owner.tolist()) == set(range(230))
    assert (np.diff(found.owner) >= 0).all()
    smallest = setting_of(found.genes)
    assert (smallest.wyckoffs == found.genes.wyckoffs).all()
    assert (smallest.elements == found.genes.elements).all()


def test_no_crystals_have_no_sequences():
    assert len(sequences_of(CrystalTable.from_crystals([]))) == 0
