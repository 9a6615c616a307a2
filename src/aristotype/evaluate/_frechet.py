"""Fréchet distance of embeddings: two sets of structures as two Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aristotype.errors import InputError
from aristotype.evaluate._arrays import Floats, checked


@dataclass(frozen=True, kw_only=True)
class FrechetDistance:
    """A Fréchet distance and what decides how far it can be trusted.

    Estimated means and covariances are noisy, and noise adds to the distance: it reads high, in proportion to 1 / n to
    leading order. Distances are comparable at equal n, embedding and reference only.
    """

    value: float  # squared units of the embedding
    mean_part: float  # squared distance of the means
    covariance_part: float  # of the covariances
    embedding: str
    rows: int  # n
    reference_rows: int
    dimensions: int
    ridge: float

    @property
    def note(self) -> str:
        """What to print beside the figure."""
        text = (
            f"{self.embedding}, {self.dimensions} dimensions, {self.rows} rows against {self.reference_rows}, "
            f"ridge {self.ridge:g}; reads high by an amount that falls as 1/n, compare at equal n"
        )
        if self.rows <= self.dimensions:
            text += "; no more rows than dimensions: the covariance is singular and the figure mostly noise"
        return text


def frechet_distance(rows: ArrayLike, reference: ArrayLike, *, embedding: str, ridge: float = 0.0) -> FrechetDistance:
    """Squared 2-Wasserstein distance of the Gaussians fitted to two sets of rows (Dowson & Landau 1982).

    `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`, the form of Heusel et al. (NeurIPS 2017, equation 6). The last trace
    is that of the root of C1^(1/2) C2 C1^(1/2), which is symmetric: its eigenvalues are real, and no covariance needs
    an inverse.

    Args:
        rows: (n, d) embeddings.
        reference: (m, d) embeddings.
        embedding: its name, as the figure means nothing without.
        ridge: added to the diagonals of both covariances, as a fraction of the mean variance of the reference; it damps
            directions in which the reference hardly varies.

    Raises:
        InputError: fewer than two rows on a side, arrays that do not fit together, or a negative ridge.
    """
    mine = checked(rows, "embeddings", least=2)
    theirs = checked(reference, "embeddings of the reference", least=2, width=mine.shape[1])
    if not 0.0 <= ridge < np.inf:
        raise InputError(f"ridge is {ridge} and must be at least 0, for example 1e-6")
    mean_part = float(np.square(mine.mean(axis=0) - theirs.mean(axis=0)).sum())
    left, right = (np.atleast_2d(np.cov(values, rowvar=False)) for values in (mine, theirs))
    lift = ridge * float(np.trace(right)) / len(right) * np.eye(len(right))
    covariance_part = _bures(left + lift, right + lift)
    return FrechetDistance(
        value=mean_part + covariance_part,
        mean_part=mean_part,
        covariance_part=covariance_part,
        embedding=embedding,
        rows=len(mine),
        reference_rows=len(theirs),
        dimensions=mine.shape[1],
        ridge=ridge,
    )


def frechet_floor(
    reference: ArrayLike, *, size: int, embedding: str, draws: int = 10, seed: int, ridge: float = 0.0
) -> Floats:
    """What the distance reads for a generator as good as the data: rows of the reference against the rest of it.

    Args:
        reference: (m, d) embeddings.
        size: rows of each draw, as many as are judged elsewhere; at least two rows must remain.
        embedding: its name.
        draws: how many.
        seed: of the draws.
        ridge: as in `frechet_distance`.

    Returns:
        (draws,) distances.

    Raises:
        InputError: the size is less than 2 or leaves fewer than two rows.
    """
    values = checked(reference, "embeddings of the reference", least=4)
    if not 2 <= size <= len(values) - 2:
        raise InputError(f"draws of {size} from {len(values)} rows; from 2 to {len(values) - 2}")
    rng = np.random.default_rng(seed)
    floor = []
    for _ in range(draws):
        order = rng.permutation(len(values))
        mine, rest = values[order[:size]], values[order[size:]]
        floor.append(frechet_distance(mine, rest, embedding=embedding, ridge=ridge).value)
    return np.array(floor)


def _bures(left: Floats, right: Floats) -> float:
    """Tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2)), never negative."""
    values, vectors = np.linalg.eigh(left)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ right @ root)
    total = np.trace(left) + np.trace(right) - 2.0 * np.sqrt(np.maximum(cross, 0.0)).sum()
    return max(0.0, float(total))
