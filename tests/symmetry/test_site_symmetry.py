"""Site-symmetry symbols against the stabilisers they are derived from."""

from __future__ import annotations

import re

import numpy as np
import pytest

from aristotype.symmetry import space_group, tables

# Order of the 32 crystallographic point groups by symbol.
ORDERS = {
    "1": 1, "-1": 2, "2": 2, "m": 2, "2/m": 4, "222": 4, "mm2": 4, "mmm": 8, "4": 4, "-4": 4, "4/m": 8, "422": 8,
    "4mm": 8, "-42m": 8, "4/mmm": 16, "3": 3, "-3": 6, "32": 6, "3m": 6, "-3m": 12, "6": 6, "-6": 6, "6/m": 12,
    "622": 12, "6mm": 12, "-62m": 12, "6/mmm": 24, "23": 12, "m-3": 24, "432": 24, "-43m": 24, "m-3m": 48,
}  # fmt: skip
OTHER_ORIENTATIONS = {"2mm": "mm2", "m2m": "mm2", "-4m2": "-42m", "-6m2": "-62m"}


def point_group(symbol: str) -> str:
    """The symbol of the point group alone, from an oriented one."""
    bare = symbol.replace(".", "")
    return OTHER_ORIENTATIONS.get(bare, bare)


@pytest.mark.parametrize("number", range(1, 231))
def test_symbol_has_the_order_and_the_hand_of_the_stabiliser(number):
    group = space_group(number)
    data = tables()
    start = data.position_offset[number - 1]
    for position in group.positions:
        rotations = group.rotations[data.ragged("stabiliser", start + position.index)]
        symbol = point_group(position.site_symmetry)
        assert ORDERS[symbol] == len(rotations), position
        improper = bool((np.rint(np.linalg.det(rotations)) < 0).any())
        assert improper == (re.search(r"m|-", symbol) is not None), position


def test_symbols_by_hand():
    """Entries of ITA A that show the rules: places, short forms, orientation within the cell."""
    expected = {
        (47, "a"): "mmm", (47, "i"): "2mm", (47, "A"): "1", (12, "a"): "2/m", (62, "c"): ".m.", (123, "e"): "mmm.",
        (139, "d"): "-4m2", (166, "a"): "-3m", (166, "d"): ".2/m", (191, "f"): "mmm", (194, "c"): "-6m2",
        (216, "a"): "-43m", (221, "c"): "4/mm.m", (225, "d"): "m.mm", (225, "e"): "4m.m", (227, "c"): ".-3m",
        (230, "a"): ".-3.", (229, "c"): ".-3m", (202, "d"): "2/m..", (136, "f"): "m.2m", (136, "g"): "m.2m",
    }  # fmt: skip
    for (number, letter), symbol in expected.items():
        assert space_group(number).position(letter).site_symmetry == symbol, (number, letter)
