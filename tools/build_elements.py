"""Writes the shipped table of element properties: period, group, block, electronegativity and radius from pymatgen,
covalent radii from ase (Cordero et al., Dalton Trans. 2008, 2832; null where there is none), oxidation states (the set
smact14) and metals from smact.

    python tools/build_elements.py src/aristotype/crystal/elements.json

Missing electronegativities and radii (noble gases, heavy actinoids) take the mean of the element's period and are
marked.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import smact
from ase.data import covalent_radii
from pymatgen.core import Element

LAST_RADIUS = 96
"""Curium is the last element with a measured covalent radius; ase gives the others a placeholder."""


def rows() -> list[dict]:
    """One row an element from hydrogen to lawrencium."""
    warnings.simplefilter("ignore")
    table = []
    known_to_smact = {element.number: element for element in smact.element_dictionary().values()}
    for number in range(1, 104):
        element = Element.from_Z(number)
        radius = element.atomic_radius
        table.append(
            {
                "number": number,
                "symbol": element.symbol,
                "period": element.row,
                "group": element.group,
                "block": element.block,
                "electronegativity": None if np.isnan(element.X) else float(element.X),
                "radius": None if radius is None else float(radius),
                "covalent_radius": float(covalent_radii[number]) if number <= LAST_RADIUS else None,
                "oxidation_states": list(known_to_smact[number].oxidation_states_smact14 or ()),
                "metal": element.symbol in smact.metals,
            }
        )
    for name in ("electronegativity", "radius"):
        for period in range(1, 8):
            known = [row[name] for row in table if row["period"] == period and row[name] is not None]
            for row in table:
                if row["period"] == period and row[name] is None:
                    row[name] = round(float(np.mean(known)), 3)
                    row.setdefault("filled", []).append(name)
    return table


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("[\n" + ",\n".join(json.dumps(row) for row in rows()) + "\n]\n")
