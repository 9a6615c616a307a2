"""Magpie fingerprints of compositions (Ward et al., npj Comput. Mater. 2, 16028, 2016).

Six statistics of 22 properties of the elements, weighted by atomic fractions. The properties are those that smact
carries. They are matminer's but for ten values that Magpie leaves out and each of the two fills in its own way: of He,
Ne, Ar, At, Rn, Fr and Bk.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import element_symbol
from aristotype.errors import MissingDependencyError
from aristotype.evaluate._counts import NUM_ELEMENTS, compositions

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch

Floats = NDArray[np.float64]

STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
"""Of each property, in this order: the mean absolute deviation from the mean is `avg_dev`; `mode` is the value of the
most abundant element, the smallest one among equals."""


def magpie_fingerprints(genes: GeneBatch) -> Floats:
    """Magpie fingerprint of each composition: the six statistics of one property after another.

    Args:
        genes: n genes, which need no geometry.

    Returns:
        (n, 132) numbers in the units of the properties, so that most of a distance is of their largest ones:
        standardise them (`Scaler`) where the protocol does. NaN where an element has no entry (beyond berkelium).

    Raises:
        MissingDependencyError: smact is not installed, or older than its Magpie table.
    """
    table = _properties()[1]
    counts = compositions(genes)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, elements = np.nonzero(counts)  # one entry an element of each gene, sorted by gene
    if not len(rows):
        return np.full((len(genes), len(STATISTICS) * table.shape[1]), np.nan)
    values, weights = table[elements], fractions[rows, elements][:, None]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    low, high = (extreme.reduceat(values, starts, axis=0) for extreme in (np.minimum, np.maximum))
    mean = np.add.reduceat(weights * values, starts, axis=0)
    owner = np.cumsum(np.diff(rows, prepend=-1) != 0) - 1  # place among the genes that have elements
    deviation = np.add.reduceat(weights * np.abs(values - mean[owner]), starts, axis=0)
    most = np.isclose(weights[:, 0], np.maximum.reduceat(weights[:, 0], starts)[owner])
    mode = np.minimum.reduceat(np.where(most[:, None], values, np.inf), starts, axis=0)
    # An element without an entry leaves the whole fingerprint without one, also where it is not the mode.
    mode[np.isnan(mean)] = np.nan
    statistics = np.stack([low, high, high - low, mean, deviation, mode], axis=2)
    out = np.full((len(genes), len(STATISTICS) * table.shape[1]), np.nan)
    out[rows[starts]] = statistics.reshape(len(starts), -1)
    return out


def magpie_labels() -> list[str]:
    """Names (132) of the numbers of a fingerprint, such as `mean Electronegativity`.

    Raises:
        MissingDependencyError: smact is not installed, or older than its Magpie table.
    """
    return [f"{statistic} {name}" for name in _properties()[0] for statistic in STATISTICS]


@cache
def _properties() -> tuple[tuple[str, ...], Floats]:
    """Names of the 22 properties, and their values (119, 22) by atomic number, NaN where an element has no entry."""
    try:
        from smact.data_loader import lookup_element_magpie_data
    except ImportError as error:
        raise MissingDependencyError(
            f"Magpie fingerprints need the element properties of smact ({error}); install it: pip install -U smact"
        ) from error
    names = tuple(lookup_element_magpie_data("H"))
    values = np.full((NUM_ELEMENTS, len(names)), np.nan)
    for number in range(1, NUM_ELEMENTS):
        entry = lookup_element_magpie_data(element_symbol(number))
        if entry is not None:
            values[number] = [entry[name] for name in names]
    return names, values
