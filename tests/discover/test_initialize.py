"""Starting structures: what is left out, and that it is counted."""

from __future__ import annotations

import pytest
import spglib

from aristotype import load
from aristotype.crystal import CrystalTable
from aristotype.discover import StartGenerator
from aristotype.discover._initialize import OVERLAP, RISEN
from aristotype.errors import InputError


@pytest.fixture(scope="module")
def model():
    return load("crystalformer-mp20")


class Repeated:
    """A model of crystals that draws the same block for ever."""

    name = "repeated"
    draws_geometry = True

    def __init__(self, block: CrystalTable) -> None:
        self.block = block

    def stream(self, conditions=None, *, seed, score=False):
        while True:
            yield self.block


def group_of(atoms) -> int:
    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    return spglib.get_symmetry_dataset(cell, symprec=0.1).number


def test_structures_of_a_higher_group_than_the_one_asked_for_are_left_out(model):
    starts = StartGenerator(model, "Ca2C2O6", space_groups=[225], seed=0)
    table = starts.take(20)
    assert [group_of(atoms) for atoms in table.to_atoms(primitive=True)] == [225] * 20
    assert starts.left_out[RISEN] > 10
    assert starts.drawn >= 20 + starts.left_out[RISEN]
    unjudged = next(model.stream(starts.conditions, seed=0))
    assert {group_of(atoms) for atoms in unjudged.to_atoms(primitive=True)} == {221, 225}


def test_without_a_group_asked_for_a_higher_symmetry_is_welcome(model):
    conditions = StartGenerator(model, "Ca2C2O6", space_groups=[225]).conditions
    block = next(model.stream(conditions, seed=0)).without_columns(["closest"])
    block = block.with_columns(closest=[1.0] * len(block))
    free = StartGenerator(Repeated(block), "Ca2C2O6")
    assert free.take(len(block)) == block
    assert not free.left_out[RISEN]


def test_when_everything_is_left_out_it_ends_with_the_reasons(model):
    conditions = StartGenerator(model, "Ca2C2O6", space_groups=[225]).conditions
    block = next(model.stream(conditions, seed=0))
    risen = block.filter([group_of(atoms) == 221 for atoms in block.to_atoms(primitive=True)])
    near = [1.0 if row % 3 else 0.1 for row in range(len(risen))]
    starts = StartGenerator(Repeated(risen.with_columns(closest=near)), "Ca2C2O6", space_groups=[225])
    with pytest.raises(InputError, match=rf"{RISEN} \([\d,]+\); {OVERLAP} \([\d,]+\); allow more space groups"):
        starts.take(1)
