"""Conditions as JSON values, for the summary of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aristotype.crystal import (
    Conditions,
    GeneBatch,
    PartialCrystal,
    PropertyTarget,
    element_symbol,
    protostructure_labels,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def describe_conditions(conditions: Conditions) -> dict[str, Any]:
    """Conditions as JSON values; what is free is left out."""

    def symbols(numbers: Iterable[int] | None) -> list[str] | None:
        return None if numbers is None else [element_symbol(number) for number in sorted(numbers)]

    def label(gene: GeneBatch | None) -> str | None:
        return None if gene is None else protostructure_labels(gene)[0]

    groups, formula, known = conditions.space_groups, conditions.formula, conditions.partial_crystal
    out: dict[str, Any] = {
        "space_groups": None if groups is None else list(groups),
        "allowed_elements": symbols(conditions.allowed_elements),
        "required_elements": symbols(conditions.required_elements or None),
        "excluded_elements": symbols(conditions.excluded_elements or None),
        "formula": None if formula is None else {element_symbol(number): count for number, count in formula},
        "formula_units": conditions.formula_units,
        "num_sites": conditions.num_sites,
        "max_atoms": conditions.max_atoms,
        "template": label(conditions.template),
        "partial": label(conditions.partial),
        "partial_crystal": None if known is None else _described(known),
        "targets": [_range(target) for target in conditions.targets] or None,
    }
    return {name: value for name, value in out.items() if value is not None}


def _range(target: PropertyTarget) -> dict[str, Any]:
    ends = {"low": target.low, "high": target.high}
    finite = {name: end for name, end in ends.items() if math.isfinite(end)}
    return {"property": target.property, **finite, "strength": target.strength}


def _described(known: PartialCrystal) -> dict[str, Any]:
    sites = zip(known.elements, known.letters, known.site_free, strict=True)
    return {
        "space_group": known.space_group,
        "sites": [[element_symbol(element), letter, *free] for element, letter, free in sites],
        "lattice": None if known.lattice is None else list(known.lattice),
    }
