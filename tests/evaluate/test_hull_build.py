"""Hulls built from known structures: files, frames of energy, what a run repeats, and what a table's rows get."""

from __future__ import annotations

import gzip
import json
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aristotype._shards import Shards
from aristotype.crystal import CrystalTable
from aristotype.errors import DataUnavailableError, InputError, OutputError, TableError, UnknownNameError
from aristotype.evaluate import Known, build_hull, elemental_references, own_references, read_hull
from aristotype.evaluate._counts import compositions
from aristotype.evaluate._hull_build import ELEMENTS_FILE, deviation
from aristotype.evaluate._stability import heights, stability
from aristotype.realize import relax
from tests.realize.test_relax import SYMMETRIC, metals

EMT = "ase.calculators.emt:EMT"


@pytest.fixture(scope="module")
def table() -> CrystalTable:
    """Alloys and elements at rest under EMT, with their total energies."""
    return relax(
        metals((225, 221, 194, 123, 166, 62, 14, 2, 136, 167, 12, 229), seed=2), calculator=EMT, config=SYMMETRIC
    )


@pytest.fixture(scope="module")
def elements() -> CrystalTable:
    from aristotype.crystal import GeneBatch
    from aristotype.realize import realize

    numbers = (13, 28, 29, 46, 47, 78, 79)
    genes = GeneBatch.from_lists([225] * len(numbers), [[z] for z in numbers], [[0]] * len(numbers))
    crystals = realize(CrystalTable.from_genes(genes, [f"e{z}" for z in numbers]), seed=0)
    return relax(crystals, calculator=EMT, config=SYMMETRIC)


@pytest.fixture(scope="module")
def labelled(table) -> CrystalTable:
    rng = np.random.default_rng(0)
    above = rng.uniform(0, 0.2, len(table))
    labels = rng.normal(-0.3, 0.2, len(table))
    labels[0] = np.nan
    return table.with_columns(
        formation_energy_per_atom=pa.array(labels, mask=np.isnan(labels)), e_above_hull=pa.array(above)
    )


@pytest.fixture(scope="module")
def hull(labelled, elements):
    known = [Known("alloys", labelled), Known("elements", elements)]
    return build_hull(known, calculator=EMT, references="own")


def test_every_known_structure_is_above_the_calculators_hull_and_some_are_on_it(hull, table, elements):
    every = CrystalTable.concatenate([table, elements])
    columns = stability(every, hull, kind="calculator", min_distance=np.full(len(every), 2.0))
    height = heights(columns)
    assert height.min() == pytest.approx(0.0, abs=1e-5)
    assert (height > -1e-5).all()
    pure = (compositions(every.genes()) > 0).sum(axis=1) == 1
    formation = heights(columns, "formation_energy")
    assert formation[-len(elements) :] == pytest.approx(0.0, abs=1e-3)  # the same metal may be among the alloys
    assert (formation[pure] > -1e-6).all()


def test_labels_are_points_of_the_reference_hull(hull, labelled):
    labels = np.array(labelled.column("formation_energy_per_atom").to_pylist(), float)
    surface = labels - labelled.column("e_above_hull").to_numpy()
    rows = np.flatnonzero(np.isfinite(surface))
    amounts = compositions(labelled.genes())[rows]
    assert (hull.points("reference").evaluate(amounts).energy <= surface[rows] + 1e-6).all()
    assert hull.about["deviation"]["n"] == len(rows)


def test_the_joined_hull_is_below_both(hull, table):
    amounts = compositions(table.genes())
    joined = hull.points("joined").evaluate(amounts).energy
    for kind in ("reference", "calculator"):
        assert (joined <= hull.points(kind).evaluate(amounts).energy + 1e-9).all()
    assert hull.kinds == ("reference", "calculator", "joined") and hull.default_kind == "joined"


def test_a_file_gives_the_same_hull(hull, table, tmp_path):
    path = tmp_path / "hull.parquet"
    hull.write(path)
    again = read_hull(path)
    amounts = compositions(table.genes())
    for kind in hull.kinds:
        one, other = (each.points(kind).evaluate(amounts) for each in (hull, again))
        assert np.allclose(one.energy, other.energy, atol=1e-6)  # energies are stored in single precision
        assert np.array_equal(one.entries, other.entries)
    assert again.about == json.loads(json.dumps(hull.about))
    with pytest.raises(OutputError, match="exists"):
        hull.write(path)


def test_what_was_computed_is_not_computed_again(labelled, elements, hull, tmp_path, monkeypatch):
    known = [Known("alloys", labelled), Known("elements", elements)]
    shards = tmp_path / "hull.parquet"
    build_hull(known, calculator=EMT, references="own", shards=Shards(shards))
    import aristotype.calculators._single_points as module

    monkeypatch.setattr(module, "_chunk", None)
    again = build_hull(known, calculator=EMT, references="own", shards=Shards(shards))
    assert np.array_equal(again.energy, hull.energy) and np.array_equal(again.computed, hull.computed)


def test_relaxation_near_the_hull_only_lowers_it(labelled, elements):
    known = [Known("alloys", labelled), Known("elements", elements)]
    asked = []

    def lower(table, *, name):
        asked.append((name, table.ids))
        return np.array(table.column("energy").to_pylist()) - 0.5

    plain = build_hull(known, calculator=EMT, references="own")
    relaxed = build_hull(known, calculator=EMT, references="own", relax=lower)
    assert [name for name, _ in asked] == ["alloys", "elements"]
    assert 0 < sum(len(ids) for _, ids in asked) < len(labelled) + len(elements)
    assert relaxed.about["relaxed"] == sum(len(ids) for _, ids in asked)
    amounts = compositions(labelled.genes())
    assert (
        relaxed.points("calculator").evaluate(amounts).energy
        <= plain.points("calculator").evaluate(amounts).energy + 1e-9
    ).all()


def built_with(known, fallen, monkeypatch):
    """The hull where the energy of one row of the first source fell by 80 eV/atom, and the ids that were relaxed."""
    energies = [np.array(source.table.column("energy").to_pylist()) for source in known]
    if fallen is not None:
        energies[0][fallen] -= 80.0
    given = iter(energies)
    module = import_module("aristotype.evaluate._hull_build")
    monkeypatch.setattr(module, "single_points", lambda table, *_, **__: next(given))
    asked: set[str] = set()

    def relax(table, *, name):
        asked.update(table.ids)
        return np.full(len(table), np.nan)

    return build_hull(known, calculator=EMT, references="own", relax=relax), asked


def test_a_collapse_sinks_no_system(labelled, elements, monkeypatch):
    """Neither the hull nor the choice of what is relaxed near it sees such an energy."""
    known = [Known("alloys", labelled), Known("elements", elements)]
    fallen = int(((compositions(labelled.genes()) > 0).sum(axis=1) > 1).argmax())
    sound, near = built_with(known, None, monkeypatch)
    hull, still_near = built_with(known, fallen, monkeypatch)
    assert (sound.about["unphysical"], hull.about["unphysical"]) == (0, 1)
    assert hull.energy.min() > -5
    # Without one row the hull can only be higher: what was near stays near.
    assert near - {labelled.ids[fallen]} <= still_near and labelled.ids[fallen] not in still_near


def test_elements_of_the_materials_project_are_read(tmp_path, monkeypatch):
    entry = {"energy": -8.0, "correction": -1.0, "composition": {"O": 2.0}}
    (tmp_path / ELEMENTS_FILE).write_bytes(gzip.compress(json.dumps({"O": entry}).encode()))
    found = elemental_references(tmp_path)
    assert found[8] == -4.5 and np.isnan(np.delete(found, 8)).all()
    monkeypatch.setenv("ARISTOTYPE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataUnavailableError, match="set ARISTOTYPE_DATA"):
        elemental_references()


def test_own_references_are_the_lowest_of_pure_structures():
    amounts = np.zeros((4, 119), int)
    amounts[0, 3], amounts[1, 3], amounts[2, 8], amounts[3, [3, 8]] = 2, 4, 1, [1, 1]
    found = own_references(amounts, np.array([-1.0, -1.5, np.nan, -9.0]))
    assert found[3] == -1.5 and np.isnan(np.delete(found, 3)).all()


def test_a_deviation_of_nothing_is_no_number():
    assert deviation(np.array([np.nan, 1.0]), np.array([1.0, np.nan])) == {"n": 0}


def test_rows_that_are_not_physical_have_no_height(hull, table):
    energy = table.column("energy").to_numpy().copy()
    energy[0] -= 20.0
    distance = np.full(len(table), 2.0)
    distance[1] = 0.3
    columns = stability(table.with_columns(energy=energy), hull, min_distance=distance)
    assert columns["unphysical"].to_pylist()[:3] == [True, True, False]
    assert columns["e_above_hull"].to_pylist()[:2] == [None, None]
    assert columns["formation_energy"].to_pylist()[0] < -5


def test_a_missing_element_is_told(labelled, elements, table):
    part = build_hull([Known("elements", elements[:2])], calculator=EMT, references="own")
    columns = stability(table, part, min_distance=np.full(len(table), 2.0))
    missing, height = columns["hull_missing"].to_pylist(), columns["e_above_hull"].to_pylist()
    assert any(missing)
    assert all((name is None) == (value is not None) for name, value in zip(missing, height))


def test_bad_input_is_told(table, tmp_path, hull):
    with pytest.raises(InputError, match="no known structure"):
        build_hull([], calculator=EMT)
    with pytest.raises(TableError, match="no column energy"):
        stability(metals((225,)), hull, min_distance=np.ones(1))
    with pytest.raises(InputError, match="make a hull"):
        read_hull(tmp_path / "nothing.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match="is no hull"):
        read_hull(tmp_path / "torn.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(TableError, match="is no hull"):
        read_hull(tmp_path / "other.parquet")
    with pytest.raises(UnknownNameError, match="no hull 'reference'"):
        build_hull([Known("t", table)], calculator=EMT, references="own").points("reference")
