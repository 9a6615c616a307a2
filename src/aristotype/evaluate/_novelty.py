"""Uniqueness and novelty at three levels: structure, protostructure (gene) and prototype (template)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import gene_keys, template_keys
from aristotype.evaluate._matching import Matcher

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from aristotype.crystal import CrystalTable, GeneBatch


def novelty_columns(
    table: CrystalTable,
    reference: CrystalTable,
    *,
    matcher: Matcher | None = None,
    processes: int = 1,
    executor: Executor | None = None,
) -> dict[str, pa.Array]:
    """Columns that say what of a table is new: unlike the rows before it (unique), unlike a reference (novel).

    `duplicate_of` and `reference_match` are ids of the structures that a row matches first (see `Matcher`), null where
    there is none; `unique` and `novel` are true just there. The columns of genes and templates are those of
    `gene_novelty`.

    Args:
        table: n crystals.
        reference: the crystals that are known.
        matcher: what counts as the same structure; by default pymatgen's own tolerances (0.2, 0.3, 5 degrees).
        processes: worker processes, one thread each.
        executor: runs the work instead of processes of our own.

    Returns:
        arrays (n,) by name, for `CrystalTable.with_columns`.

    Raises:
        TableError: a row is a gene, which has no geometry.
        StructureError: a structure has no reduced cell.
        InputError: `processes` is less than 1.
    """
    found = (matcher or Matcher()).matches(table, reference, processes=processes, executor=executor)
    own, known = table.ids, reference.ids
    duplicate_of = [None if row is None else own[row] for row in found.firsts]
    reference_match = [None if row is None else known[row] for row in found.references]
    return {
        "duplicate_of": pa.array(duplicate_of, pa.string()),
        "reference_match": pa.array(reference_match, pa.string()),
        "unique": pa.array([row is None for row in duplicate_of], pa.bool_()),
        "novel": pa.array([row is None for row in reference_match], pa.bool_()),
        **gene_novelty(table.genes(), reference.genes()),
    }


def gene_novelty(genes: GeneBatch, reference: GeneBatch) -> dict[str, pa.Array]:
    """The same for genes and templates, which need no geometry: compared by keys, so equivalent descriptions are one.

    `unique_gene`, `novel_gene`, `unique_template` and `novel_template` take the two groups of an enantiomorphic pair
    for one; `unique_gene_unmerged` and `novel_gene_unmerged` tell them apart.

    Args:
        genes: n genes.
        reference: the genes that are known.

    Returns:
        arrays (n,) of booleans by name.
    """
    both = genes, reference
    levels = {
        "gene": [gene_keys(one, merge_enantiomorphs=True) for one in both],
        "gene_unmerged": [gene_keys(one) for one in both],
        "template": [template_keys(one, merge_enantiomorphs=True) for one in both],
    }
    out: dict[str, pa.Array] = {}
    for level, (keys, known) in levels.items():
        out[f"unique_{level}"] = pa.array(_first_of_its_kind(keys), pa.bool_())
        out[f"novel_{level}"] = pa.array(~np.isin(keys, known), pa.bool_())
    return out


def _first_of_its_kind(keys: NDArray[np.void]) -> NDArray[np.bool_]:
    """(n,) whether a key was not there before."""
    out = np.zeros(len(keys), dtype=bool)
    out[np.unique(keys, return_index=True)[1]] = True
    return out
