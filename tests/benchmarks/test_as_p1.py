"""Crystals without their symmetry are the same atoms."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from aristotype.crystal import CrystalTable
from benchmarks.as_p1 import as_p1
from tests.crystal.builders import random_crystal


@pytest.mark.parametrize("number", [5, 12, 62, 139, 146, 166, 225])
def test_a_crystal_in_p1_has_the_atoms_that_it_had(number):
    table = CrystalTable.from_crystals([random_crystal(number, np.random.default_rng(number))])
    plain = as_p1(table)
    assert plain.space_group.tolist() == [1]
    assert plain.genes().legal().all()
    matcher = StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.01, scale=False)
    assert matcher.fit(table.to_structures()[0], plain.to_structures()[0])
