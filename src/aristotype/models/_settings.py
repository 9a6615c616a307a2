"""Settings that several families have, and how they are checked."""

from __future__ import annotations

from aristotype.errors import ConfigError

HEAVIEST = 103
"""Atomic number of the last element that has features (see `models.blocks.element_features`)."""


def check_counted(elements: tuple[int, ...], group_smoothing: float, *, heaviest: int | None = None) -> None:
    """Checks what is learnt by counting: a vocabulary, and how p(space group) is smoothed.

    Args:
        elements: atomic numbers of the vocabulary.
        group_smoothing: share of p(space group) that is spread evenly.
        heaviest: largest atomic number that has features, where they are needed.

    Raises:
        ConfigError: the share is out of range, or elements are out of order or without features.
    """
    if not 0 < group_smoothing <= 0.002:
        raise ConfigError(f"group_smoothing is {group_smoothing}; it must be above 0 and at most 0.002")
    check_vocabulary(elements)
    if heaviest is not None and elements and not 1 <= elements[0] <= elements[-1] <= heaviest:
        raise ConfigError(
            f"elements go from {elements[0]} to {elements[-1]}; features are known from 1 to {heaviest}, so leave out "
            "what lies beyond"
        )


def check_vocabulary(elements: tuple[int, ...]) -> None:
    """Checks the order of a vocabulary.

    Raises:
        ConfigError: an element comes twice, or before a lighter one.
    """
    if list(elements) != sorted(set(elements)):
        raise ConfigError("elements must be distinct atomic numbers in increasing order")
