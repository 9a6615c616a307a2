"""The baselines of `models.baselines` with elemental volumes from `realize` and charge balance from `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aristotype.errors import UnknownNameError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable
    from aristotype.models.baselines import Baseline, ElementChoice

BASELINES = ("ion-exchange", "decoration")
"""Names of the baselines."""


def make_baseline(name: str, known: CrystalTable, *, elements: ElementChoice = "uniform") -> Baseline:
    """A baseline made from a table of known crystals; use the training part only.

    Every product is charge balanced by the SMACT rule with oxidation states `smact14`, and has the geometry of a known
    crystal in a cell of the volume that its elements need.

    Args:
        name: one of `BASELINES`.
        known: crystals with geometry.
        elements: how `decoration` draws elements: all alike (`uniform`), or as often as known crystals hold them
            (`frequency`).

    Raises:
        UnknownNameError: there is no such baseline.
        TableError: a row has no geometry.
        InputError: the table is empty, too small to learn an exchange from, or not legal.
    """
    from aristotype.evaluate import charge_balanced
    from aristotype.models.baselines import Decoration, IonExchange
    from aristotype.realize import priors

    if name == "ion-exchange":
        return IonExchange(known, volumes=priors().volumes, balanced=charge_balanced)
    if name == "decoration":
        return Decoration(known, volumes=priors().volumes, balanced=charge_balanced, elements=elements)
    raise UnknownNameError(f"there is no baseline {name!r}; there are {', '.join(BASELINES)}")
