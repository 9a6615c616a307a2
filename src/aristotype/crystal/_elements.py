"""What the shipped table says of the elements (made by `tools/build_elements.py`)."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NUMBERS = 119
"""Atomic numbers 0 (no element) to 118."""


@cache
def element_rows() -> tuple[dict[str, Any], ...]:
    """Symbol, place in the periodic table, electronegativity and radii of hydrogen to lawrencium."""
    return tuple(json.loads((files("aristotype.crystal") / "elements.json").read_text(encoding="utf-8")))


@cache
def covalent_radii() -> NDArray[np.float64]:
    """(119,) covalent radii by atomic number, Angstrom (Cordero et al., Dalton Trans. 2008, 2832); NaN beyond Cm."""
    radii = np.full(_NUMBERS, np.nan)
    for row in element_rows():
        if row["covalent_radius"] is not None:
            radii[row["number"]] = row["covalent_radius"]
    radii.setflags(write=False)
    return radii
