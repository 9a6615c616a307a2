"""`CrystalTable`: what goes in comes out, and what is unsound is refused."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import Crystal, CrystalTable, Gene, GeneBatch
from aristotype.errors import InputError, OutputError, SymmetryError, TableError, UnknownNameError
from aristotype.symmetry import tables
from tests.crystal.builders import random_crystal

rows = st.lists(
    st.builds(
        lambda number, seed, bare: (lambda c: c.gene if bare else c)(
            random_crystal(number, np.random.default_rng(seed))
        ),
        st.integers(1, 230),
        st.integers(0, 999),
        st.booleans(),
    ),
    max_size=6,
).map(lambda cs: [type(c)(**{**c.__dict__, "id": str(i)}) for i, c in enumerate(cs)])


def small() -> CrystalTable:
    rng = np.random.default_rng(1)
    crystals = [random_crystal(number, rng) for number in (1, 14, 62, 166, 225)]
    return CrystalTable.from_crystals([*crystals[:3], crystals[3].gene, crystals[4]])


@settings(max_examples=30)
@given(rows)
def test_rows_come_back(given_rows):
    table = CrystalTable.from_crystals(given_rows)
    assert list(table) == given_rows
    assert [table[i] for i in range(len(table))] == given_rows
    assert table.is_gene.tolist() == [not isinstance(row, Crystal) for row in given_rows]
    genes = table.genes()
    assert genes.num_sites.tolist() == [row.num_sites for row in given_rows]
    assert CrystalTable.from_genes(genes, ids=table.ids).genes().wyckoffs.tolist() == genes.wyckoffs.tolist()


@settings(max_examples=20)
@given(rows, st.data())
def test_parts_are_the_rows_they_should_be(given_rows, data):
    table = CrystalTable.from_crystals(given_rows)
    part = data.draw(st.slices(len(given_rows)))
    assert list(table[part]) == given_rows[part]
    assert table[part].genes().space_group.tolist() == [row.space_group for row in given_rows[part]]
    order = data.draw(st.permutations(range(len(given_rows))))
    assert list(table.take(order)) == [given_rows[i] for i in order]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table))), bool)
    assert list(table.filter(mask)) == [row for row, keep in zip(given_rows, mask) if keep]
    cut = data.draw(st.integers(0, len(table)))
    assert CrystalTable.concatenate([table[:cut], table[cut:]]) == table


def test_files_come_back(tmp_path):
    table = small().with_columns(energy=np.arange(5.0), note=["a", None, "c", "d", "e"])
    table.write(tmp_path / "t.parquet")
    again = CrystalTable.read(tmp_path / "t.parquet")
    assert again == table
    assert again.columns == ("id", "space_group", "elements", "wyckoffs", "free", "lattice", "energy", "note")
    metadata = pq.read_schema(tmp_path / "t.parquet").metadata
    assert metadata[b"aristotype.schema_version"] == b"1"
    assert metadata[b"aristotype.symmetry_sha256"].decode() == tables().sha256
    types = {field.name: field.type for field in again.arrow.schema}
    assert types["id"] == pa.string()
    assert types["space_group"] == pa.int16()
    assert types["elements"] == types["wyckoffs"] == pa.list_(pa.int8())
    assert types["free"] == pa.list_(pa.float64())
    assert types["lattice"] == pa.list_(pa.float64(), 6)


def test_existing_files_are_kept(tmp_path):
    path = tmp_path / "t.parquet"
    small().write(path)
    with pytest.raises(OutputError, match="exists"):
        small().write(path)
    small()[:2].write(path, force=True)
    assert len(CrystalTable.read(path)) == 2


@pytest.mark.skipif(os.name != "posix", reason="only there file names may hold any bytes")
def test_paths_that_are_not_utf8(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"t\xff.parquet")
    try:
        small().write(os.fsdecode(path))
    except OSError as error:
        pytest.skip(f"the file system refuses such names: {error}")
    assert CrystalTable.read(os.fsdecode(path)) == small()
    with pytest.raises(TableError, match=r"\\xfe"):
        CrystalTable.read(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xfe.parquet")))


def refused(table: pa.Table, tmp_path, match: str, metadata: dict | None = None) -> None:
    good = small().arrow.schema.metadata
    path = tmp_path / "bad.parquet"
    pq.write_table(table.replace_schema_metadata({**good, **(metadata or {})}), path)
    with pytest.raises(TableError, match=match):
        CrystalTable.read(path)


def test_files_of_other_versions_are_refused(tmp_path):
    arrow = small().arrow
    refused(arrow, tmp_path, "schema_version 99", {b"aristotype.schema_version": b"99"})
    refused(arrow, tmp_path, "canonical_version", {b"aristotype.canonical_version": b"0"})
    refused(arrow, tmp_path, "symmetry_sha256", {b"aristotype.symmetry_sha256": b"abc"})


def test_foreign_and_broken_files_are_refused(tmp_path):
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"material_id": ["mp-1"], "cif": ["data_x"]}), foreign)
    with pytest.raises(TableError, match="encode"):
        CrystalTable.read(foreign)
    whole = tmp_path / "whole.parquet"
    small().write(whole)
    for name, content in {"cut": whole.read_bytes()[:-100], "text": b"id,space_group\n", "empty": b""}.items():
        broken = tmp_path / f"{name}.parquet"
        broken.write_bytes(content)
        with pytest.raises(TableError, match="truncated"):
            CrystalTable.read(broken)
    with pytest.raises(TableError, match="check the path"):
        CrystalTable.read(tmp_path / "none.parquet")
    with pytest.raises(TableError, match="check the path"):
        CrystalTable.read(tmp_path)


def changed(name: str, values, row: int = 0) -> pa.Table:
    """The small table with one value of a column replaced."""
    arrow = small().arrow
    column = arrow[name].to_pylist()
    column[row] = values
    return arrow.set_column(
        arrow.column_names.index(name), arrow.schema.field(name), pa.array(column, arrow.schema.field(name).type)
    )


@pytest.mark.parametrize(
    ("name", "values", "match"),
    [
        ("space_group", 231, "space group outside"),
        ("space_group", 0, "space group outside"),
        ("elements", [119, 3, 3, 3, 3, 3], "different numbers|element outside"),
        ("elements", [3], "different numbers"),
        ("wyckoffs", [1] * 6, "different numbers|does not have"),
        ("free", [0.5], "another number of free"),
        ("free", None, "without a lattice"),
        ("lattice", [1.0, 2.0, 3.0, 90.0, 90.0, float("nan")], "no cell"),
        ("lattice", [1.0, -2.0, 3.0, 90.0, 90.0, 90.0], "no cell"),
        ("lattice", [1.0, 2.0, 3.0, 90.0, 90.0, 180.0], "no cell"),
    ],
)
def test_unsound_content_is_refused(tmp_path, name, values, match):
    refused(changed(name, values), tmp_path, match)
    with pytest.raises(TableError, match=match):
        CrystalTable(changed(name, values))


def test_free_parameters_lie_in_the_unit_interval():
    arrow = small().arrow
    free = arrow["free"].to_pylist()
    for bad in (1.0, -0.1, float("nan")):
        with pytest.raises(TableError, match=r"outside \[0, 1\)"):
            CrystalTable(changed("free", [bad, *free[0][1:]]))


def test_types_and_columns_are_checked(tmp_path):
    arrow = small().arrow
    refused(arrow.drop_columns(["wyckoffs"]), tmp_path, "lacks the columns wyckoffs")
    text = arrow.set_column(1, "space_group", pa.array(["P1"] * 5))
    refused(text, tmp_path, "space_group as string")
    wide = arrow.set_column(1, "space_group", arrow["space_group"].cast(pa.int64()))
    assert CrystalTable(wide) == small()  # cast without loss
    nulls = arrow.set_column(0, pa.field("id", pa.string()), pa.array(["a", None, "c", "d", "e"]))
    refused(nulls, tmp_path, "no value for id in row 1")


def test_ids_are_unique(tmp_path):
    table = small()
    with pytest.raises(TableError, match="more than once"):
        CrystalTable.concatenate([table, table])
    with pytest.raises(TableError, match="twice"):
        table.take([0, 0])
    twin = table.arrow.set_column(0, table.arrow.schema.field("id"), pa.array(["a"] * 5))
    refused(twin, tmp_path, "more than once")
    with pytest.raises(TableError, match="more than once"):
        CrystalTable.from_genes(table.genes(), ids=["a"] * 5)
    with pytest.raises(InputError, match="2 ids for 5"):
        CrystalTable.from_genes(table.genes(), ids=["a", "b"])


def test_columns_are_added_replaced_and_dropped():
    table = small().with_columns(model="x", seed=range(5))
    assert table.column("model").to_pylist() == ["x"] * 5
    assert table.with_columns(seed=None).column("seed").null_count == 5
    assert table.without_columns(["model", "nothing"]).columns[-1] == "seed"
    assert repr(table) == "CrystalTable(5 rows, 1 of them genes, model, seed)"
    with pytest.raises(TableError, match="3 values for 5"):
        table.with_columns(seed=[1, 2, 3])
    with pytest.raises(TableError, match="cannot be dropped"):
        table.without_columns(["id"])
    with pytest.raises(UnknownNameError, match="energy"):
        table.column("energy")
    with pytest.raises(TableError, match="space group outside"):
        table.with_columns(space_group=np.full(5, 300))


def test_columns_of_different_tables_meet():
    one, two = small()[:2].with_columns(energy=[1.0, 2.0]), small()[2:].with_columns(seed=7)
    both = CrystalTable.concatenate([one, two])
    assert both.column("energy").to_pylist() == [1.0, 2.0, None, None, None]
    with pytest.raises(TableError, match="one type"):
        CrystalTable.concatenate([one, small()[2:].with_columns(energy="high")])
    assert len(CrystalTable.concatenate([])) == 0


def test_rows_out_of_range():
    table = small()
    with pytest.raises(IndexError):
        table[5]
    assert table[-1] == table[4]
    with pytest.raises(TableError, match="row 9"):
        table.take([9])
    with pytest.raises(TableError, match="must agree"):
        table.filter([True])


def test_arrays_share_memory():
    """Batches are made without copies of the columns."""
    table = small()
    values, lengths = table.ragged("free")
    assert not values.flags.owndata
    assert lengths.tolist() == [len(row.free) if isinstance(row, Crystal) else 0 for row in table]
    assert np.isnan(table.lattice[3]).all()
    assert table.lattice[0].tolist() == list(table[0].lattice)


def test_flat_arrays_make_tables():
    table = small().filter(~small().is_gene)
    letters, counts = table.ragged("wyckoffs")
    again = CrystalTable.from_arrays(
        space_group=table.space_group,
        num_sites=counts,
        elements=table.ragged("elements")[0],
        wyckoffs=letters,
        free=table.ragged("free")[0],
        lattice=table.lattice,
        ids=table.ids,
    )
    assert again == table
    with pytest.raises(TableError, match="fit together"):
        CrystalTable.from_arrays(space_group=[1], num_sites=[2], elements=[3], wyckoffs=[0], free=[], lattice=[[1] * 6])
    with pytest.raises(TableError, match="must agree"):
        CrystalTable.from_arrays(space_group=[1], num_sites=[1], elements=[3], wyckoffs=[0], free=[], lattice=[[1] * 6])


def test_row_objects_check_themselves():
    with pytest.raises(SymmetryError, match="231"):
        Gene(space_group=231, elements=(1,), wyckoffs=(0,))
    with pytest.raises(SymmetryError, match="no position 3"):
        Gene(space_group=1, elements=(1,), wyckoffs=(3,))
    with pytest.raises(SymmetryError, match="every site"):
        Gene(space_group=1, elements=(1, 2), wyckoffs=(0,))
    with pytest.raises(SymmetryError, match="which have 3"):
        Crystal(space_group=1, elements=(1,), wyckoffs=(0,), free=(0.1,), lattice=(1, 1, 1, 90, 90, 90))


def test_an_empty_batch_makes_an_empty_table():
    empty = GeneBatch.from_lists([], [], [])
    assert len(CrystalTable.from_genes(empty)) == 0
    assert len(CrystalTable.from_genes(empty).genes()) == 0


def test_a_slice_may_have_any_step():
    empty = CrystalTable.concatenate([])
    assert len(empty[:: 2**63]) == len(empty[:: -(2**63)]) == 0
