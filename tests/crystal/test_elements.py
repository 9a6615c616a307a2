"""The shipped table of elements against the libraries it was made from."""

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from aristotype.crystal import covalent_radii as our_radii
from aristotype.crystal import element_rows


def test_radii_are_those_of_ase_up_to_curium():
    assert (our_radii()[1:97] == covalent_radii[1:97]).all()
    assert np.isnan(our_radii()[[0, *range(97, 119)]]).all()


def test_rows_are_the_elements_in_order():
    assert [row["number"] for row in element_rows()] == list(range(1, 104))
    assert all(atomic_numbers[row["symbol"]] == row["number"] for row in element_rows())
