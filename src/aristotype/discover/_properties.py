"""Properties that guide chains: any callable on a table, and some that are at hand.

A property is somebody else's code. What is of the wrong shape is a mistake and ends the run. Where a value is not
finite, or the callable raises, the crystal is ruled out with that reason (see `row_values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.discover._rewards import reward_named
from aristotype.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aristotype.crystal import CrystalTable, Score

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A property that crystals are drawn towards.

    The term that is added to the log-probability is weight * value where there is no target, and
    -weight * (value - target)^2 where there is one: a Gaussian around it of the width 1 / sqrt(2 weight).

    Attributes:
        name: of the column.
        property: a table of crystals to values (n,); the same crystal has to have the same value.
        weight: in nats for a unit of the property, or for the square of one.
        target: the value that is looked for.

    Raises:
        InputError: the weight or the target is not finite, a weight with a target is negative, or the name is empty.
    """

    name: str
    property: Score
    weight: float
    target: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("a property has no name; name it, as a column")
        if not np.isfinite(self.weight):
            raise InputError(f"the weight of {self.name} is {self.weight}; it must be a finite number (nats)")
        if self.target is not None and not np.isfinite(self.target):
            raise InputError(f"the target of {self.name} is {self.target}; it must be a finite number")
        if self.target is not None and self.weight < 0:
            raise InputError(f"the weight of {self.name} is {self.weight:g} with a target; it must not be below 0")

    def term(self, values: Floats) -> Floats:
        """What values (n,) are worth (n,), without the weight."""
        return values if self.target is None else -np.square(values - self.target)


def check_guides(guides: Sequence[Guide]) -> None:
    """Makes sure that properties can be told apart.

    Raises:
        InputError: two have one name, or one has the name of a column of chains.
    """
    names = [guide.name for guide in guides]
    taken = {"id", "chain", "step", "start", "kind", "log_prob", "score", "accepted", "move", "temperature", "formula"}
    for name in names:
        if names.count(name) > 1 or name in taken:
            raise InputError(f"a property is called {name!r}, and so is another column; give it a name of its own")


def volume(table: CrystalTable) -> Floats:
    """Volume an atom (n,) in cubic Angstrom."""
    from aristotype.evaluate import geometry

    return geometry(table).volume_per_atom


def energy(calculator: str = "chgnet", device: str = "auto") -> Score:
    """A property: the energy in eV/atom by an interatomic potential, NaN where it gives none.

    Raises:
        UnknownNameError: there is no such calculator.
    """
    from aristotype.calculators import shared_potential, single_points

    shared_potential(calculator, device)

    def single_point_energy(table: CrystalTable) -> Floats:
        return single_points(table, calculator, device=device)

    return single_point_energy


PROPERTIES = {
    "density": "g/cm^3",
    "volume": "cubic Angstrom an atom",
    "energy": "eV an atom, by CHGNet, not relaxed",
    "e-above-hull": "minus eV an atom above the hull, by CHGNet after a few steps of relaxation",
}
"""Names and units of the properties that are at hand."""


def property_named(name: str) -> Score:
    """A property by name, or `module:callable`; every reward is one.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name == "volume":
        return volume
    if name == "energy":
        return energy()
    if name not in PROPERTIES and ":" not in name:
        raise UnknownNameError(f"there is no property {name!r}; there are {', '.join(PROPERTIES)} and module:callable")
    return reward_named(name)
