"""Coverage of a reference by structures, and of structures by a reference: COV, AMSD and AMCD.

Xie et al., ICLR 2022 (appendix B); Ganea et al., NeurIPS 2021, for molecules. A structure is near another set if its
smallest structural distance to the set and its smallest compositional distance are both within their cut-offs. The two
nearest structures need not be the same one: that is the published definition, and it is kept.

The published cut-off of compositions belongs to means and deviations that the authors fitted to their training data,
which are not at hand: fit a `Scaler` to the training part of the reference, and say so beside the figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import InputError
from aristotype.evaluate._arrays import checked, distance_blocks, has_fingerprint
from aristotype.evaluate._bootstrap import Interval, share

Floats = NDArray[np.float64]

STRUCTURE_CUTOFF = 0.4
"""Of CrystalNN fingerprints, for MP-20 (Xie et al. 2022)."""
COMPOSITION_CUTOFF = 10.0
"""Of standardised Magpie fingerprints, for MP-20 (Xie et al. 2022)."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Smallest distances between n structures and a reference of m; infinite where there is no fingerprint."""

    structure_precision: Floats  # (n,) of each structure to the reference
    composition_precision: Floats  # (n,)
    structure_recall: Floats  # (m,) of each of the reference to the structures
    composition_recall: Floats  # (m,)

    def metrics(
        self,
        *,
        structure_cutoff: float = STRUCTURE_CUTOFF,
        composition_cutoff: float = COMPOSITION_CUTOFF,
        submitted: int | None = None,
    ) -> dict[str, Interval]:
        """Shares within the cut-offs and mean smallest distances.

        Args:
            structure_cutoff: largest structural distance that counts as near.
            composition_cutoff: largest compositional distance that counts as near.
            submitted: how many structures were submitted, where that is more than n: the others are near nothing.

        Returns:
            `cov_recall` and `cov_precision` with Wilson's intervals (of recall: of drawing the reference, the
            structures standing still), and `amsd_recall`, `amsd_precision`, `amcd_recall` and `amcd_precision`, means
            over those that have a fingerprint.

        Raises:
            InputError: fewer were submitted than there are.
        """
        total = len(self.structure_precision) if submitted is None else submitted
        if total < len(self.structure_precision):
            raise InputError(
                f"{total} submitted cannot give {len(self.structure_precision)} structures; leave submitted out or "
                "count again"
            )
        metrics = {}
        for name, structure, composition, count in (
            ("recall", self.structure_recall, self.composition_recall, len(self.structure_recall)),
            ("precision", self.structure_precision, self.composition_precision, total),
        ):
            near = (structure <= structure_cutoff) & (composition <= composition_cutoff)
            metrics[f"cov_{name}"] = share(int(near.sum()), count)
            metrics[f"amsd_{name}"] = Interval(value=_mean(structure))
            metrics[f"amcd_{name}"] = Interval(value=_mean(composition))
        return metrics


def coverage(
    structures: ArrayLike, compositions: ArrayLike, reference_structures: ArrayLike, reference_compositions: ArrayLike
) -> Coverage:
    """Smallest distances both ways, structural and compositional.

    Args:
        structures: (n, d) structural fingerprints; NaN where there is none, which is near nothing.
        compositions: (n, c) compositional ones, standardised (see `Scaler`); a row that lacks either counts as lacking
            both.
        reference_structures: (m, d).
        reference_compositions: (m, c).

    Raises:
        InputError: the arrays do not fit together, or a side has no fingerprints.
    """
    mine, own = _pair(structures, compositions, "fingerprints")
    theirs, other = _pair(reference_structures, reference_compositions, "fingerprints of the reference")
    precision, recall = [], []
    for left, right in zip(mine, theirs, strict=True):
        if left.shape[1] != right.shape[1]:
            raise InputError(
                f"fingerprints are {left.shape[1]} numbers wide, those of the reference {right.shape[1]}; use one "
                "fingerprint for both"
            )
        forth, back = np.full(len(own), np.inf), np.full(len(other), np.inf)
        nearest, closest = np.empty(len(left)), np.full(len(right), np.inf)
        for rows, distances in distance_blocks(left, right):
            nearest[rows] = distances.min(axis=1)
            np.minimum(closest, distances.min(axis=0), out=closest)
        forth[own], back[other] = nearest, closest
        precision.append(forth)
        recall.append(back)
    return Coverage(
        structure_precision=precision[0],
        composition_precision=precision[1],
        structure_recall=recall[0],
        composition_recall=recall[1],
    )


def _pair(structures: ArrayLike, compositions: ArrayLike, name: str) -> tuple[tuple[Floats, Floats], NDArray[np.bool_]]:
    """Both kinds of fingerprints of the rows that have both, and which rows those are."""
    first, second = (np.asarray(rows, dtype=np.float64) for rows in (structures, compositions))
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise InputError(
            f"structural {name} have the shape {first.shape} and compositional ones {second.shape}; give (n, d) and "
            "(n, c) of the same n structures"
        )
    there = has_fingerprint(first) & has_fingerprint(second)
    return (checked(first[there], f"structural {name}"), checked(second[there], f"compositional {name}")), there


def _mean(distances: Floats) -> float:
    return float(distances[np.isfinite(distances)].mean())
