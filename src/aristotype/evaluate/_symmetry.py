"""Symmetry of structures: whether it is the one that was asked for, and how often it occurs against a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, canonical_genes, gene_keys
from aristotype.errors import InputError
from aristotype.evaluate import _counts
from aristotype.evaluate._bootstrap import Interval, Tally, bootstrapped, resampled_copies, share, with_interval
from aristotype.evaluate._distances import chi_square, jensen_shannon, root_jensen_shannon
from aristotype.symmetry import tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.crystal import CrystalTable
    from aristotype.evaluate._bootstrap import Floats

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What n rows kept of their symmetry in a step; a row that the step lost kept nothing."""

    present: Flags  # (n,) the row is there after the step
    group: Flags  # (n,) the same space group
    gene: Flags  # (n,) the same protostructure; the two groups of an enantiomorphic pair count as one


def symmetry_kept(before: CrystalTable, after: CrystalTable) -> Kept:
    """Compares rows of the same id before and after a step, such as requested and realised, or realised and relaxed.

    Args:
        before: n genes or crystals.
        after: those of them that the step gave, in any order, with their symmetry as found again.

    Raises:
        InputError: a row after the step was not there before.
    """
    place = {name: row for row, name in enumerate(before.ids)}
    unknown = [name for name in after.ids if name not in place]
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(after)} rows were not there before the step, first {unknown[0]!r}; compare tables "
            "whose rows keep their ids"
        )
    rows = np.array([place[name] for name in after.ids], dtype=np.int64)
    present, group, gene = (np.zeros(len(before), dtype=bool) for _ in range(3))
    present[rows] = True
    group[rows] = before.space_group[rows] == after.space_group
    keys = gene_keys(before.genes(), merge_enantiomorphs=True)
    gene[rows] = keys[rows] == gene_keys(after.genes(), merge_enantiomorphs=True)
    return Kept(present=present, group=group, gene=gene)


def fidelity_metrics(
    requested: CrystalTable, realised: CrystalTable, relaxed: CrystalTable | None = None
) -> dict[str, Interval]:
    """Shares of requested rows whose symmetry is still there after realisation, and after relaxation.

    Rows are compared by id; one that a step lost has not kept its symmetry. Wilson's intervals.

    Args:
        requested: n genes or crystals as generated.
        realised: with the symmetry found in their structures.
        relaxed: with the symmetry found in their relaxed structures.

    Returns:
        `group_realised`, `gene_realised` and the same with `relaxed`, each against what was requested; `p1_requested`,
        `p1_realised` and `p1_relaxed`, shares of P1 among the rows of each table.

    Raises:
        InputError: a table is empty, or a row was not requested.
    """
    tables = {"requested": requested, "realised": realised}
    if relaxed is not None:
        tables["relaxed"] = relaxed
    for name, table in tables.items():
        if not len(table):
            raise InputError(f"0 {name} rows; at least one is needed for a share")
    metrics = {}
    for name, table in tables.items():
        if table is not requested:
            kept = symmetry_kept(requested, table)
            metrics[f"group_{name}"] = share(int(kept.group.sum()), len(requested))
            metrics[f"gene_{name}"] = share(int(kept.gene.sum()), len(requested))
        metrics[f"p1_{name}"] = share(int((table.space_group == 1).sum()), len(table))
    return metrics


def symmetry_metrics(
    genes: GeneBatch, reference: GeneBatch, *, resamples: int = 200, seed: int = 0
) -> dict[str, Interval]:
    """How the symmetry of structures is distributed, against a reference.

    Letters, and orientations of site symmetries, name positions only up to the normalizer of the group: they are those
    of canonical genes on both sides.

    Args:
        genes: n genes of structures, as found in them.
        reference: what they are compared with.
        resamples: bootstrap resamples of `genes` (the reference stands still); 0 for no such intervals.
        seed: of the bootstrap.

    Returns:
        `p1` (share of structures); `group_jsd` in bits and `group_chi2` of space groups; `wyckoff_dimension_jsd` of the
        free parameters (0 to 3) of sites, `site_symmetry_jsd` of their oriented site-symmetry symbols,
        `wyckoff_letter_jsd` of their letters, and `wyckoff_position_jsd` of group and letter together, in bits, each
        site counting once; `group_root_jsd` and `wyckoff_dimension_root_jsd`, roots of the divergences in nats, as the
        protocol "augen" has them; `special_sites` and `special_atoms`, shares of sites and of atoms on special
        positions.

    Raises:
        InputError: there are no genes on either side.
    """
    if not len(genes) or not len(reference):
        raise InputError(f"{len(genes)} genes and {len(reference)} of the reference; at least one of each is needed")
    copies = resampled_copies(len(genes), resamples, seed)
    metrics = {"p1": share(int((genes.space_group == 1).sum()), len(genes))}
    metrics |= {
        name: with_interval(mine, partial(distance, q=theirs.histogram()), copies)
        for name, mine, theirs, distance in _comparisons(genes, reference)
    }
    freedoms = _counts.site_freedoms(genes)
    special = np.column_stack([(freedoms == 3).sum(axis=1), ((freedoms >= 0) & (freedoms < 3)).sum(axis=1)])
    metrics["special_sites"] = _ratio(special, copies)
    atoms = _counts.special_atoms(genes)
    metrics["special_atoms"] = _ratio(np.column_stack([_counts.primitive_atoms(genes) - atoms, atoms]), copies)
    return metrics


def _comparisons(genes: GeneBatch, reference: GeneBatch) -> list[tuple[str, Tally, Tally, Callable[..., Floats]]]:
    mine, theirs = canonical_genes(genes), canonical_genes(reference)
    tallies: Sequence[tuple[str, Callable[[GeneBatch], Tally], Callable[..., Floats]]] = (
        ("group_jsd", lambda batch: Tally.of_numbers(batch.space_group.astype(np.int64)), jensen_shannon),
        ("group_root_jsd", lambda batch: Tally.of_numbers(batch.space_group.astype(np.int64)), root_jensen_shannon),
        ("group_chi2", lambda batch: Tally.of_numbers(batch.space_group.astype(np.int64)), chi_square),
        ("wyckoff_dimension_jsd", lambda batch: _of_sites(_counts.site_freedoms(batch)), jensen_shannon),
        ("wyckoff_dimension_root_jsd", lambda batch: _of_sites(_counts.site_freedoms(batch)), root_jensen_shannon),
        ("site_symmetry_jsd", lambda batch: _of_sites(_site_symmetries(batch)), jensen_shannon),
        ("wyckoff_letter_jsd", lambda batch: _of_sites(batch.wyckoffs.astype(np.int64)), jensen_shannon),
        ("wyckoff_position_jsd", lambda batch: _of_sites(_positions(batch)), jensen_shannon),
    )
    return [(name, tally(mine), tally(theirs), distance) for name, tally, distance in tallies]


def _of_sites(numbers: NDArray[np.int64]) -> Tally:
    """One entry a site, in the bin of its number (n, S); negative where there is no site."""
    rows, sites = np.nonzero(numbers >= 0)
    return Tally(genes=rows, bins=numbers[rows, sites], weights=np.ones(len(rows)))


def _site_symmetries(genes: GeneBatch) -> NDArray[np.int64]:
    """(n, S) numbers of site-symmetry symbols, -1 where there is no site."""
    symbols = tables().padded("site_symmetry")[genes.space_group[:, None], genes.wyckoffs].astype(np.int64)
    return np.where(genes.wyckoffs >= 0, symbols, -1)


def _positions(genes: GeneBatch) -> NDArray[np.int64]:
    """(n, S) one number for group and letter, -1 where there is no site."""
    letters = genes.wyckoffs.astype(np.int64)
    return np.where(letters >= 0, genes.space_group[:, None].astype(np.int64) * 32 + letters, -1)


def _ratio(counts: NDArray[np.int64], copies: NDArray[np.int16]) -> Interval:
    """Share of the second column in the sum of both, over all rows (n, 2)."""

    def figure(drawn: NDArray[np.integer] | None) -> float:
        total = counts.sum(axis=0) if drawn is None else drawn @ counts
        return float(total[1] / total.sum())

    return bootstrapped(figure, copies)
