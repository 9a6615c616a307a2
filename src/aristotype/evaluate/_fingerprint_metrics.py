"""All metrics of structural and compositional fingerprints at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from aristotype.evaluate._arrays import Scaler, has_fingerprint
from aristotype.evaluate._bootstrap import Interval
from aristotype.evaluate._coverage import COMPOSITION_CUTOFF, STRUCTURE_CUTOFF, coverage
from aristotype.evaluate._diversity import mean_pairwise_distance
from aristotype.evaluate._moments import central_moment_discrepancy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def fingerprint_metrics(
    structures: ArrayLike,
    compositions: ArrayLike,
    reference_structures: ArrayLike,
    reference_compositions: ArrayLike,
    *,
    scaler: Scaler,
    structure_cutoff: float = STRUCTURE_CUTOFF,
    composition_cutoff: float = COMPOSITION_CUTOFF,
    submitted: int | None = None,
) -> dict[str, Interval]:
    """Coverage, central moment discrepancy and diversity of a set of structures against a reference.

    Args:
        structures: (n, d) CrystalNN fingerprints, NaN where there is none.
        compositions: (n, c) Magpie fingerprints as they are, NaN where there is none.
        reference_structures: (m, d).
        reference_compositions: (m, c).
        scaler: fitted to Magpie fingerprints of the training part of the reference.
        structure_cutoff: largest structural distance that counts as near.
        composition_cutoff: largest distance of standardised compositions that counts as near.
        submitted: how many structures were submitted, where that is more than n.

    Returns:
        the metrics of `Coverage.metrics`, over all rows; `cmd` and `structural_diversity` over the rows that have a
        CrystalNN fingerprint; `compositional_diversity` over those that have a Magpie fingerprint, standardised.

    Raises:
        InputError: the arrays do not fit together, a side has no fingerprints, or fewer than two structures have one.
    """
    scaled, others = scaler.transform(compositions), scaler.transform(reference_compositions)
    metrics = coverage(structures, scaled, reference_structures, others).metrics(
        structure_cutoff=structure_cutoff, composition_cutoff=composition_cutoff, submitted=submitted
    )
    rows, theirs = _known(structures), _known(reference_structures)
    single = {
        "cmd": central_moment_discrepancy(rows, theirs),
        "structural_diversity": mean_pairwise_distance(rows),
        "compositional_diversity": mean_pairwise_distance(_known(scaled)),
    }
    return metrics | {name: Interval(value=value) for name, value in single.items()}


def _known(rows: ArrayLike) -> Floats:
    """The rows that have a fingerprint."""
    values = np.asarray(rows, dtype=np.float64)
    known: Floats = values[has_fingerprint(values)]
    return known
