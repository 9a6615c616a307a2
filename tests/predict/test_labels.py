"""Which rows of a table teach a property, and which must not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.errors import InputError, TableError, UnknownNameError
from aristotype.predict import TARGETS, labelled_rows, target_named, training_rows


def table(**columns) -> CrystalTable:
    """NaCl, NaBr, NaI, KCl and KBr with columns."""
    genes = GeneBatch.from_lists([225] * 5, [[11, 17], [11, 35], [11, 53], [19, 17], [19, 35]], [[0, 1]] * 5)
    return CrystalTable.from_genes(genes, ids=list("abcde")).with_columns(columns)


SPLIT = ["train", "train", "val", "test", "train"]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int16(), pa.decimal128(12, 3)])
def test_any_numeric_column_is_a_property(kind):
    values = pa.array([1, 2, None, 4, 5], pa.int16()).cast(kind)
    rows, found = labelled_rows(table(hardness=values), target_named("hardness"))
    assert rows.tolist() == [0, 1, 3, 4]
    assert found.tolist() == [1.0, 2.0, 4.0, 5.0]


def test_registered_names_stand_for_published_columns():
    assert target_named("formation_energy").column == "formation_energy_per_atom"
    assert target_named("refractive_index").column == "n"
    rows, _ = labelled_rows(
        table(formation_energy_per_atom=[0.1, np.nan, np.inf, None, 2.0]), TARGETS["formation_energy"]
    )
    assert rows.tolist() == [0, 4]  # neither NaN, nor infinite, nor null


def test_columns_that_are_no_property_are_refused():
    with pytest.raises(UnknownNameError, match="numeric columns of the table are depth, mass"):
        labelled_rows(table(depth=[1] * 5, mass=[1.5] * 5, word=["x"] * 5), target_named("hardness"))
    for column in (["soft"] * 5, [True] * 5):
        with pytest.raises(TableError, match="convert"):
            labelled_rows(table(hardness=column), target_named("hardness"))
    with pytest.raises(InputError, match="none of 5 rows"):
        labelled_rows(table(hardness=[np.nan] * 5), target_named("hardness"))


def test_rows_without_a_value_are_counted_and_left_out():
    found = training_rows(table(hardness=[1.0, None, 3.0, 4.0, 5.0], split=SPLIT), target_named("hardness"))
    assert found.train.values.tolist() == [1.0, 5.0]
    assert found.val.values.tolist() == [3.0]
    assert found.test.values.tolist() == [4.0]
    assert found.train.genes.elements.tolist() == [[11, 17], [19, 35]]
    assert "1 of 5 rows have no value of hardness" in found.notes[0]


def test_a_property_with_splits_of_its_own_keeps_them():
    own = ["test", "val", "train", "train", None]
    found = training_rows(
        table(hardness=[1.0, 2.0, 3.0, 4.0, 5.0], split=SPLIT, split_hardness=own), target_named("hardness")
    )
    assert found.train.values.tolist() == [3.0, 4.0]
    assert found.val.values.tolist() == [2.0]


def test_without_splits_or_values_in_them_the_remedy_is_told():
    with pytest.raises(TableError, match="--split"):
        training_rows(table(hardness=[1.0] * 5), target_named("hardness"))
    with pytest.raises(InputError, match="split val"):
        training_rows(table(hardness=[1.0] * 5, split=["train"] * 5), target_named("hardness"))


def test_added_rows_that_are_held_out_elsewhere_are_left_out():
    main = table(hardness=[1.0] * 5, split=SPLIT)
    same_formula = GeneBatch.from_lists(
        [225, 221, 225, 225], [[11, 53], [11, 53], [19, 17], [3, 9]], [[1, 0], [0, 1], [0, 1], [0, 1]]
    )
    more = CrystalTable.from_genes(same_formula, ids=["v", "w", "x", "d"]).with_columns(hardness=[7.0, 8.0, 9.0, 10.0])
    found = training_rows(main, target_named("hardness"), added=[("more", more)])
    # NaI and KCl of group 225 are held out, in whatever letters; NaI of group 221 is another material; d is taken.
    assert found.train.values.tolist() == [1.0, 1.0, 1.0, 8.0]
    assert any("1 labelled rows of more are added; 3 others" in note for note in found.notes)
