"""How different structures are from each other: mean distances, and an effective number of structures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aristotype.errors import InputError
from aristotype.evaluate._arrays import checked, distance_blocks

_ROWS = 512


def mean_pairwise_distance(rows: ArrayLike) -> float:
    """Mean Euclidean distance over all pairs of different rows (n, d).

    Of CrystalNN fingerprints it is the structural diversity, of Magpie fingerprints the compositional one, as in the
    protocol "augen". Say whether they were standardised: if not, the largest numbers of Magpie decide.

    Raises:
        InputError: fewer than two rows, or numbers that are not finite.
    """
    values = checked(rows, "fingerprints", least=2)
    total = 0.0
    for start in range(0, len(values), _ROWS):
        rows = values[start : start + _ROWS]
        # Pairs within these rows are met twice, those with later rows once; a row's distance to itself is 0.
        total += sum(float(distances.sum()) for _, distances in distance_blocks(rows, rows)) / 2
        total += sum(float(distances.sum()) for _, distances in distance_blocks(rows, values[start + _ROWS :]))
    return 2 * total / (len(values) * (len(values) - 1))


def vendi_score(rows: ArrayLike) -> float:
    """Effective number of different rows: 1 if all point one way, k for k orthogonal groups of equal size.

    Friedman & Dieng, TMLR 2023, definition 3.1, with the cosine of two rows as similarity: the exponential of the
    Shannon entropy of the eigenvalues of K / n. K is the product of the normalised rows with their transpose, and so
    the (d, d) product the other way round has the same eigenvalues (their section 3.2): it is never above d.

    Args:
        rows: (n, d) fingerprints or embeddings.

    Raises:
        InputError: there are no rows, numbers are not finite, or a row is zero and so has no direction.
    """
    values = checked(rows, "fingerprints")
    # Scaled first, as the square of a tiny number may be 0.
    largest = np.abs(values).max(axis=1)
    if not largest.all():
        raise InputError(
            f"{int((largest == 0).sum())} of {len(values)} fingerprints are zero, first row {int(largest.argmin())}, "
            "and have no direction; leave them out"
        )
    unit = values / largest[:, None]
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    product = unit.T @ unit if len(unit) > unit.shape[1] else unit @ unit.T
    weights = np.linalg.eigvalsh(product / len(unit))
    weights = weights[weights > 0]
    return float(np.exp(-(weights * np.log(weights)).sum()))
