"""Known values of a property: which rows of a table have one, and which of them may be learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, GeneBatch, formulas
from aristotype.errors import InputError, TableError, UnknownNameError
from aristotype.models.gene_encoder import Labelled
from aristotype.predict._targets import Target

_SPLIT_HINT = "`aristotype data prepare FILE --split 0.8,0.1,0.1 --out TABLE` draws splits"
_OWN = frozenset({"space_group", "tolerance"})
"""Numeric columns of every table, which are no property of the material."""


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """What a model of one property learns from.

    Attributes:
        train: Genes and values to learn from.
        val: Genes and values to validate on.
        test: Genes and values for final figures, None where the table has none.
        notes: What was left out and what was added, one sentence each.
    """

    train: Labelled
    val: Labelled
    test: Labelled | None
    notes: tuple[str, ...]


def labelled_rows(table: CrystalTable, target: Target) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows (k,) of a table that have a finite value of a property, and the values (k,).

    Args:
        table: n rows, crystals or genes.
        target: what property; the column may be of any numeric type.

    Raises:
        UnknownNameError: there is no such column; the message lists the numeric ones.
        TableError: the column holds no numbers.
        InputError: no row has a value.
    """
    if target.column not in table.columns:
        numeric = [field.name for field in table.arrow.schema if _numeric(field.type) and field.name not in _OWN]
        raise UnknownNameError(
            f"no column {target.column!r} for the property {target.name}; numeric columns of the table are "
            f"{', '.join(numeric) or 'none'}"
        )
    column = table.column(target.column)
    if not _numeric(column.type):
        raise TableError(
            f"the column {target.column} is of type {column.type}, and a property is a number; convert it to float"
        )
    values = pa.compute.cast(column, pa.float64()).to_numpy()
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        raise InputError(f"none of {len(table)} rows has a finite value in the column {target.column}; fill some in")
    return rows, values[rows]


def training_rows(
    table: CrystalTable, target: Target, *, added: Sequence[tuple[str, CrystalTable]] = ()
) -> TrainingRows:
    """Training and validation rows of a property.

    A column `split_<target>` is taken before `split`. Rows of further tables are added to the training rows, except
    those that share reduced formula and space group, or the id, with a validation or test row of the main table.

    Args:
        table: the main table, with splits.
        target: the property.
        added: name and table of each further source; all labelled rows of it count, whatever their split.

    Raises:
        UnknownNameError: no such column.
        TableError: the column holds no numbers, or there are no splits.
        InputError: no row with a value in a split that is needed.
    """
    rows, values = labelled_rows(table, target)
    split = _splits(table, target)
    notes = []
    if len(table) > len(rows):
        notes.append(
            f"{len(table) - len(rows):,} of {len(table):,} rows have no value of {target.name} and are left out"
        )
    found = {}
    for name in ("train", "val"):
        mine = split[rows] == name
        if not mine.any():
            raise InputError(
                f"no row of the split {name} has a value of {target.name}; train and val need some each: {_SPLIT_HINT}"
            )
        found[name] = Labelled(table.take(rows[mine]).genes(), values[mine])
    train = [found["train"]]
    held_out = table.filter(np.isin(split, ("val", "test")))
    held_keys, held_ids = set(_material_keys(held_out)), set(held_out.ids)
    for name, more in added:
        more_rows, more_values = labelled_rows(more, target)
        extra = more.take(more_rows)
        keys, ids = _material_keys(extra), extra.ids
        fresh = np.array([k not in held_keys and i not in held_ids for k, i in zip(keys, ids, strict=True)], bool)
        train.append(Labelled(extra.filter(fresh).genes(), more_values[fresh]))
        notes.append(
            f"{int(fresh.sum()):,} labelled rows of {name} are added; {int((~fresh).sum()):,} others share formula and "
            "space group, or the id, with a validation or test row and are left out"
        )
    joined = _joined(train)
    notes.append(f"{len(joined.values):,} rows to learn from, {len(found['val'].values):,} to validate on")
    mine = split[rows] == "test"
    test = Labelled(table.take(rows[mine]).genes(), values[mine]) if mine.any() else None
    return TrainingRows(train=joined, val=found["val"], test=test, notes=tuple(notes))


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)


def _splits(table: CrystalTable, target: Target) -> NDArray[np.object_]:
    """(n,) the split of each row under which this property is published."""
    own = f"split_{target.column}"
    name = own if own in table.columns else "split"
    if name not in table.columns:
        raise TableError(f"the table has no column split (nor {own}); {_SPLIT_HINT}")
    return np.array(table.column(name).to_pylist(), dtype=object)


def _material_keys(table: CrystalTable) -> list[tuple[str, int]]:
    """Reduced formula and space group of each row."""
    return list(zip(formulas(table.genes()), table.space_group.tolist(), strict=True))


def _joined(parts: Sequence[Labelled]) -> Labelled:
    return Labelled(GeneBatch.concatenate([p.genes for p in parts]), np.concatenate([p.values for p in parts]))
