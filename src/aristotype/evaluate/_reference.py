"""What structures are compared with: known ones for novelty, and a split for distributions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from aristotype.crystal import CrystalTable
from aristotype.errors import InputError, TableError
from aristotype.evaluate._arrays import Floats
from aristotype.evaluate._frechet_gene import gene_embedding
from aristotype.evaluate._geometry import Geometry, geometry

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Known structures.

    Attributes:
        name: Its name.
        known: What a novel structure must not match.
        compared: What distributions are compared with.
        splits: The splits that `known` and `compared` are made of, for people.
        notes: What else to know, such as how much of a split is at hand.
    """

    name: str
    known: CrystalTable
    compared: CrystalTable
    splits: str
    notes: tuple[str, ...] = ()

    @cached_property
    def sizes(self) -> Geometry:
        """Of the structures that distributions are compared with; several sets share them."""
        return geometry(self.compared)

    @cached_property
    def gene_embedding(self) -> Floats:
        """Of the same structures; see `gene_embedding` in `_frechet_gene`."""
        return gene_embedding(self.compared.genes())


def load_reference(
    reference: str | os.PathLike[str] | CrystalTable, novel_against: tuple[str, ...], compare: str
) -> Reference:
    """The parts of a reference that an evaluation needs.

    Args:
        reference: a registered dataset, a path that `load_dataset` takes, or a table; without splits it is taken
            whole.
        novel_against: splits that count as known.
        compare: the split for distributions.

    Raises:
        InputError: the reference has splits, and none of the ones asked for, or a row without a geometry.
        AristotypeError: it cannot be read.
    """
    notes: tuple[str, ...] = ()
    if isinstance(reference, CrystalTable):
        name, table = "reference", reference
    else:
        name, table, notes = _loaded(reference)
    table.check_geometry()
    if not len(table):
        raise InputError(f"the reference {name} has no rows; there is nothing to compare with")
    present = _splits(table)
    if not present:
        return Reference(name=name, known=table, compared=table, splits="all rows", notes=notes)
    known = [split for split in novel_against if split in present]
    if not known or compare not in present:
        raise InputError(
            f"the reference {name} has the splits {', '.join(sorted(present))}; novelty asks for "
            f"{' or '.join(novel_against)} and the comparison for {compare}: choose another split, or drop the column"
        )
    labels = table.column("split").to_pylist()
    return Reference(
        name=name,
        known=table.filter([label in known for label in labels]),
        compared=table.filter([label == compare for label in labels]),
        splits=f"novel against {' and '.join(known)}, compared with {compare}",
        notes=notes,
    )


def _loaded(reference: str | os.PathLike[str]) -> tuple[str, CrystalTable, tuple[str, ...]]:
    from aristotype.datasets import DATASETS, is_table, open_dataset

    if not (isinstance(reference, str) and reference in DATASETS) and is_table(Path(reference)):
        return Path(reference).stem, CrystalTable.read(reference), ()
    prepared = open_dataset(reference)
    notes: tuple[str, ...] = ()
    if prepared.train_share is not None and prepared.train_share < 1:
        notes = (f"Of the reference {prepared.statement} is at hand: novelty reads high, because the rest is missing.",)
    return prepared.name, prepared.table(), notes


def _splits(table: CrystalTable) -> set[str]:
    if "split" not in table.columns:
        return set()
    found = {split for split in table.column("split").unique().to_pylist() if split}
    if not all(isinstance(split, str) for split in found):
        raise TableError(f"the reference's column split is of type {table.column('split').type}; splits are names")
    return found
