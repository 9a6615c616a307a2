"""Distributions of sizes and elements of structures, against a reference."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import InputError
from aristotype.evaluate import _counts
from aristotype.evaluate._bootstrap import Interval, Tally, bootstrapped, resampled_copies, with_interval
from aristotype.evaluate._distances import jensen_shannon, root_jensen_shannon, wasserstein
from aristotype.evaluate._geometry import Geometry, geometry

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.crystal import CrystalTable, GeneBatch
    from aristotype.evaluate._bootstrap import Floats


def wasserstein_continuous(
    values: ArrayLike, reference: ArrayLike, *, weights: NDArray[np.integer] | None = None
) -> float:
    """First Wasserstein (earth mover's) distance of real numbers, in their units.

    Args:
        values: (n,) numbers.
        reference: (m,) numbers.
        weights: (n,) copies of each value; one of each by default.

    Raises:
        InputError: a side is empty, or holds numbers that are not finite.
    """
    from scipy.stats import wasserstein_distance

    sides = [np.asarray(side, dtype=np.float64).reshape(-1) for side in (values, reference)]
    if not all(len(side) and np.isfinite(side).all() for side in sides):
        wrong = [int((~np.isfinite(side)).sum()) for side in sides]
        raise InputError(
            f"{len(sides[0])} values and {len(sides[1])} of the reference, {wrong[0]} and {wrong[1]} of them not "
            "finite; give at least one of each, all finite"
        )
    return float(wasserstein_distance(*sides, u_weights=weights))


def distribution_metrics(
    table: CrystalTable,
    reference: CrystalTable,
    *,
    sizes: Geometry | None = None,
    reference_sizes: Geometry | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Interval]:
    """Distances of a table's distributions from those of a reference.

    Args:
        table: n crystals with geometry.
        reference: what they are compared with.
        sizes: `geometry` of the table, where it is at hand.
        reference_sizes: the same of the reference.
        resamples: bootstrap resamples of the table (the reference stands still); 0 for no intervals.
        seed: of the bootstrap.

    Returns:
        first Wasserstein distances `emd_density` (g/cm^3), `emd_volume_per_atom` (cubic Angstrom), `emd_elements`
        (distinct elements), `emd_sites` (Wyckoff sites), `emd_primitive_atoms` and `emd_conventional_atoms`; the
        divergence `element_jsd` in bits; and its root in nats, `element_root_jsd`. Elements are weighted by atoms,
        and each structure weighs the same.

    Raises:
        TableError: a row is a gene, which has no geometry.
        InputError: a table is empty.
    """
    if not len(table) or not len(reference):
        raise InputError(f"{len(table)} structures and {len(reference)} of the reference; at least one of each needed")
    sizes = geometry(table) if sizes is None else sizes
    theirs = geometry(reference) if reference_sizes is None else reference_sizes
    copies = resampled_copies(len(table), resamples, seed)
    metrics = {
        "emd_density": _continuous(sizes.density, theirs.density, copies),
        "emd_volume_per_atom": _continuous(sizes.volume_per_atom, theirs.volume_per_atom, copies),
    }
    batches = table.genes(), reference.genes()
    for name, tally, distance in _FIGURES:
        mine, other = (tally(batch) for batch in batches)
        metrics[name] = with_interval(mine, partial(distance, q=other.histogram()), copies)
    return metrics


def _continuous(values: Floats, reference: Floats, copies: NDArray[np.int16]) -> Interval:
    return bootstrapped(lambda drawn: wasserstein_continuous(values, reference, weights=drawn), copies)


def _numbers(count: Callable[[GeneBatch], NDArray[np.int64]]) -> Callable[[GeneBatch], Tally]:
    return lambda genes: Tally.of_numbers(count(genes))


def element_shares(genes: GeneBatch) -> Tally:
    """Elements weighted by atoms; each structure weighs the same, so that large cells do not count more."""
    atoms = _counts.compositions(genes)
    return Tally.of_matrix(atoms / atoms.sum(axis=1, keepdims=True))


_FIGURES: tuple[tuple[str, Callable[[GeneBatch], Tally], Callable[..., Floats]], ...] = (
    ("emd_elements", _numbers(_counts.num_elements), wasserstein),
    ("emd_sites", _numbers(lambda genes: genes.num_sites), wasserstein),
    ("emd_primitive_atoms", _numbers(_counts.primitive_atoms), wasserstein),
    ("emd_conventional_atoms", _numbers(_counts.conventional_atoms), wasserstein),
    ("element_jsd", element_shares, jensen_shannon),
    ("element_root_jsd", element_shares, root_jensen_shannon),
)
