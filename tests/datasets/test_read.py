"""Files that are not what they should be: a typed error that names the file, or a row that is listed."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aristotype.crystal import encode
from aristotype.datasets import prepare
from aristotype.datasets._read import read_csv
from aristotype.errors import InputError, TableError
from tests.datasets.sources import structures, write_arrays, write_csv, write_zip


def refused(path, message, kind=InputError):
    with pytest.raises(kind, match=message):
        prepare(path, out=path.parent / "out.parquet")
    assert not (path.parent / "out.parquet").exists()


def test_csv_without_a_cif_column(tmp_path):
    (tmp_path / "x.csv").write_text("material_id,structure\nmp-1,nothing\n")
    refused(tmp_path / "x.csv", "no column cif, only material_id, structure")


def test_empty_csv(tmp_path):
    (tmp_path / "x.csv").write_text("")
    refused(tmp_path / "x.csv", "it is empty")


def test_csv_with_a_header_alone(tmp_path):
    (tmp_path / "x.csv").write_text("material_id,cif\n")
    refused(tmp_path / "x.csv", "no rows")


@pytest.mark.parametrize("column", ["cif", "remark"])
def test_csv_that_is_not_utf8(tmp_path, column):
    other = "remark" if column == "cif" else "cif"
    (tmp_path / "x.csv").write_bytes(f"{column},{other}\nM\xfcnchen,plain\n".encode("latin-1"))
    refused(tmp_path / "x.csv", "UTF-8")


def test_csv_in_utf16(tmp_path):
    (tmp_path / "x.csv").write_bytes("material_id,cif\nmp-1,x\n".encode("utf-16"))
    refused(tmp_path / "x.csv", r"x\.csv")


def test_csv_cut_off_inside_a_text(tmp_path):
    path = write_csv(tmp_path / "x.csv", structures(3))
    path.write_bytes(path.read_bytes()[:-200])
    try:
        prepared = prepare(path, out=tmp_path / "out.parquet")
    except InputError as error:
        assert "x.csv" in str(error)
    else:
        assert (prepared.num_rows, prepared.num_failed) == (2, 1)


def test_csv_lines_with_too_many_fields_are_listed_under_their_own_numbers(tmp_path):
    path = write_csv(tmp_path / "x.csv", structures(2))
    with path.open("a") as file:
        file.write("2,mp-2,one,two\n3,mp-3,Xx,[],\n")
    prepared = prepare(path, out=tmp_path / "out.parquet")
    assert prepared.table().ids == ["mp-0", "mp-1"]
    failures = {failure.row: failure for failure in prepared.failures()}
    assert set(failures) == {2, 3}
    assert "4 fields, the header 5" in failures[2].reason
    assert (failures[3].id, failures[3].split) == ("mp-3", "train") and "no CIF text" in failures[3].reason


def test_csv_compressed_with_a_mark_and_without_ids(tmp_path):
    text = write_csv(tmp_path / "x.csv", structures(2)).read_text().replace("material_id", "number_")
    (tmp_path / "y.csv.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    table = prepare(tmp_path / "y.csv.gz", out=tmp_path / "out.parquet").table()
    assert table.ids == ["y-0", "y-1"]
    assert table.column("number_").to_pylist() == ["mp-0", "mp-1"]
    (tmp_path / "out.parquet").unlink()
    (tmp_path / "z.csv.gz").write_bytes(gzip.compress(text.encode())[:100])
    refused(tmp_path / "z.csv.gz", "no readable CSV", InputError)


def test_ids_stay_texts(tmp_path):
    (tmp_path / "x.csv").write_text("material_id,cif,value\n007,a,1\n1e5,b,2\n")
    assert read_csv(tmp_path / "x.csv")[0]["material_id"].to_pylist() == ["007", "1e5"]


def test_parquet_cut_off(tmp_path):
    path = write_arrays(tmp_path / "x.parquet", structures(3))
    path.write_bytes(path.read_bytes()[:-50])
    refused(path, "truncated")


def test_parquet_without_structures(tmp_path):
    pq.write_table(pa.table({"formula": ["NaCl"]}), tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet", "has the columns formula; structures are the columns lattice")


def test_a_table_of_another_version(tmp_path):
    encode(structures(2)).write(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    metadata = {**table.schema.metadata, b"aristotype.schema_version": b"0"}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet", "schema_version 0", TableError)


def test_a_prepared_table_can_be_a_source(tmp_path):
    path = write_arrays(tmp_path / "x.parquet", structures(4), split=["train", "val", "val", "test"])
    first = prepare(path, out=tmp_path / "first.parquet").table()
    second = prepare(tmp_path / "first.parquet", out=tmp_path / "second.parquet").table()
    assert sorted(second.columns) == sorted(first.columns)
    assert all(second.column(name).equals(first.column(name)) for name in first.columns)


def test_columns_with_names_of_the_format_are_kept_under_others(tmp_path):
    extra = {"space_group": [225, 221], "tolerance": ["x", "y"], "given_tolerance": [1, 2], "gene_key": ["p", "q"]}
    table = prepare(write_arrays(tmp_path / "x.parquet", structures(2), **extra), out=tmp_path / "out.parquet").table()
    assert table.column("given_space_group").to_pylist() == [225, 221]
    assert table.column("given_tolerance").to_pylist() == ["x", "y"]
    assert table.column("given_tolerance_2").to_pylist() == [1, 2]


def test_labels_of_one_file_are_null_in_the_rows_of_another(tmp_path):
    rows = structures(4)
    write_arrays(tmp_path / "d" / "train.parquet", rows[:2], ["a", "b"])
    write_arrays(tmp_path / "d" / "test.parquet", rows[2:], ["c", "d"], energy=[1, 2])
    table = prepare(tmp_path / "d", out=tmp_path / "out.parquet").table()
    assert table.column("energy").to_pylist() == [None, None, 1, 2]


def test_labels_of_types_that_do_not_fit_are_refused(tmp_path):
    rows = structures(4)
    write_arrays(tmp_path / "d" / "train.parquet", rows[:2], ["a", "b"], energy=["low", "high"])
    write_arrays(tmp_path / "d" / "test.parquet", rows[2:], ["c", "d"], energy=[1, 2])
    with pytest.raises(InputError, match="do not fit together"):
        prepare(tmp_path / "d", out=tmp_path / "out.parquet")


def test_archives(tmp_path):
    path = write_zip(tmp_path / "x.zip", structures(5), [f"wbm-{n}" for n in range(5)])
    assert prepare(path, out=tmp_path / "out.parquet").table().ids == [f"wbm-{n}" for n in range(5)]
    path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "out.parquet").unlink()
    refused(path, "no whole zip archive")


def test_folders_and_files_of_no_known_kind(tmp_path):
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "neither train/val/test files")
    (tmp_path / "x.xlsx").write_text("x")
    refused(tmp_path / "x.xlsx", "no known kind")


def test_a_column_of_cif_texts_in_parquet(tmp_path):
    rows = structures(3)
    table = pa.table({"id": ["a", "b", None], "cif": [rows[0].to(fmt="cif"), None, rows[2].to(fmt="cif")]})
    pq.write_table(table, tmp_path / "x.parquet")
    prepared = prepare(tmp_path / "x.parquet", out=tmp_path / "out.parquet")
    assert prepared.table().ids == ["a", "x-2"]
    assert [(failure.id, failure.row) for failure in prepared.failures()] == [("b", 1)]


def test_nothing_unforeseen_in_one_row_takes_the_others_with_it(tmp_path, monkeypatch):
    from aristotype.datasets import _work

    plain = _work.encode_arrays

    def fragile(lattices, numbers, coords, **options):
        if any(lattice[0][0] == 4.003 for lattice in lattices):
            raise ZeroDivisionError("nobody thought of this")
        return plain(lattices, numbers, coords, **options)

    monkeypatch.setattr(_work, "encode_arrays", fragile)
    rows = structures(5)
    assert rows[3].lattice.a == pytest.approx(4.003)
    prepared = prepare(write_arrays(tmp_path / "x.parquet", rows), out=tmp_path / "out.parquet")
    assert prepared.table().ids == ["mp-0", "mp-1", "mp-2", "mp-4"]
    assert "ZeroDivisionError: nobody thought of this" in prepared.failures()[0].reason
