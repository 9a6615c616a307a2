"""Relaxation of long tables: processes, resumption, repeats, and rows that break."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pyarrow as pa
import pytest

from aristotype._shards import Shards
from aristotype.calculators import load_potential
from aristotype.crystal import CrystalTable
from aristotype.errors import InputError, TableError, UnknownNameError
from aristotype.realize import (
    MinimaConfig,
    RelaxConfig,
    lowest_of_each,
    minima,
    minima_many,
    realize_many,
    relax,
    relax_failures,
    relax_rows,
    without_geometry,
)
from tests.realize.test_relax import SYMMETRIC, Double, caesium_chloride, metals

EMT = "ase.calculators.emt:EMT"


@pytest.fixture(scope="module")
def table() -> CrystalTable:
    return metals((225, 221, 194, 123, 166, 62, 14, 2), seed=5)


def test_chunks_and_processes_change_nothing(table):
    whole = relax_rows(table, load_potential(EMT), SYMMETRIC)
    one = relax(table, calculator=EMT, config=SYMMETRIC)
    two = relax(table, calculator=EMT, config=SYMMETRIC, processes=2)
    assert one == two
    assert one.ids == whole.ids
    assert np.allclose(one.column("energy").to_numpy(), whole.column("energy").to_numpy(), atol=1e-9)


def test_other_columns_stay_and_what_describes_the_gene_is_new(table):
    more = table.with_columns(seed=7, label="old", log_prob=pa.array(np.zeros(len(table))))
    found = relax(more, calculator=EMT, config=SYMMETRIC)
    assert found.column("seed").to_pylist() == [7] * len(table)
    assert "old" not in found.column("label").to_pylist()
    assert "log_prob" not in found.columns


class Counted:
    """EMT that counts its calls, and breaks at one of them."""

    def __init__(self, broken_at: int = -1) -> None:
        self._emt, self.calls, self._broken_at = load_potential(EMT), 0, broken_at
        self.name, self.fingerprint, self.elements = "counted", "counted", self._emt.elements

    def energies(self, structures):
        return self._emt.energies(structures)

    def predict(self, structures):
        self.calls += 1
        if self.calls == self._broken_at:
            raise KeyboardInterrupt
        return self._emt.predict(structures)


def test_a_run_that_was_stopped_repeats_nothing(table, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("aristotype.realize._relax_many"), "_ROWS", 2)
    whole = Counted()
    expected = relax(table, calculator=whole, config=SYMMETRIC)
    shards = tmp_path / "out.parquet"
    first = Counted(broken_at=whole.calls // 2)
    with pytest.raises(KeyboardInterrupt):
        relax(table, calculator=first, config=SYMMETRIC, shards=Shards(shards))
    kept = Shards(shards)
    finished = list(kept.folder.glob("[!.]*.parquet"))
    assert 0 < len(finished) < (len(table) + 1) // 2
    second = Counted()
    found = relax(table, calculator=second, config=SYMMETRIC, shards=Shards(shards))
    assert found == expected
    assert second.calls < whole.calls
    third = Counted()
    assert relax(table, calculator=third, config=SYMMETRIC, shards=Shards(shards)) == expected
    assert third.calls == 0
    other = Counted()
    relax(table, calculator=other, config=RelaxConfig(free_steps=0, fmax=0.04), shards=Shards(shards))
    assert other.calls > 0


class Fragile(Counted):
    """Raises whatever it likes for gold."""

    def predict(self, structures):
        if any(79 in structure.numbers for structure in structures):
            raise ZeroDivisionError("gold")
        return super().predict(structures)


def test_a_calculator_that_raises_costs_only_its_row(table):
    gold = ["79" in row for row in map(str, table.arrow["elements"].to_pylist())]
    assert 0 < sum(gold) < len(table)
    found = relax(table, calculator=Fragile(), config=SYMMETRIC)
    assert found.ids == table.ids
    failed = relax_failures(found)
    assert [row.index for row in failed] == np.flatnonzero(gold).tolist()
    assert all("ZeroDivisionError: gold" in row.reason for row in failed)
    for name in ("energy", "gene_kept", "rmsd", "volume_change"):  # of what failed nothing was kept or moved
        assert [value is None for value in found.column(name).to_pylist()] == gold
    assert np.allclose(found.lattice[gold], table.lattice[gold], atol=1e-9)


def test_a_relaxed_structure_that_cannot_be_encoded_has_no_energy(table, monkeypatch):
    """Energy and geometry of a row are of one structure."""
    module = import_module("aristotype.realize._relax")
    real = module.encode_arrays

    def refusing(cells, numbers, coords, **settings):
        names = list(settings["ids"])
        keep = [place for place, name in enumerate(names) if name != names[0] or settings["tolerance"] < 1e-3]
        if len(keep) < len(names):
            settings["failures"].append(module.Failure(index=0, id=names[0], reason="for the test"))
        settings["ids"] = [names[place] for place in keep]
        return real(*([part[place] for place in keep] for part in (cells, numbers, coords)), **settings)

    monkeypatch.setattr(module, "encode_arrays", refusing)
    found = relax_rows(table, load_potential(EMT), SYMMETRIC)
    assert found.ids == table.ids and not relax_failures(found)  # found at a smaller tolerance
    monkeypatch.setattr(module, "_TOLERANCES", ())
    found = relax_rows(table, load_potential(EMT), SYMMETRIC)
    assert [row.index for row in relax_failures(found)] == [0]
    assert relax_failures(found)[0].reason == "the relaxed structure cannot be encoded: for the test"
    assert found.column("energy").to_pylist()[0] is None and found.column("energy").null_count == 1
    assert np.array_equal(found.lattice[0], table.lattice[0])


def test_trials_go_on_until_two_energies_agree(table):
    config = RelaxConfig(free_steps=0, repeats=8)
    once = relax(table, calculator=EMT, config=RelaxConfig(free_steps=0))
    found = relax(table, calculator=EMT, config=config)
    trials = found.column("trials_relaxed").to_numpy()
    agree = np.array(found.column("trials_agree").to_pylist())
    assert found.ids == table.ids
    assert ((trials >= 2) & (trials <= 8)).all()
    assert agree[trials < 8].all()
    assert (found.column("energy").to_numpy() <= once.column("energy").to_numpy() + 1e-9).all()
    assert found == relax(table, calculator=EMT, config=config)
    never = relax(table, calculator=EMT, config=RelaxConfig(free_steps=0, repeats=3, agree=0.0))
    assert set(never.column("trials_relaxed").to_pylist()) == {3}


def test_what_cannot_work_is_refused_before_it_begins(table):
    with pytest.raises(InputError, match="cannot be sent to 2 processes"):
        relax(caesium_chloride(), calculator=Double(), processes=2)
    with pytest.raises(UnknownNameError, match="no potential 'chgnut'"):
        relax(table, calculator="chgnut")
    with pytest.raises(TableError, match="have no geometry"):
        relax(without_geometry(table), calculator=EMT)


def test_realising_in_processes_gives_the_same_crystals(table, tmp_path):
    genes = without_geometry(relax(table, calculator=EMT, config=SYMMETRIC))
    assert set(genes.columns) == set(without_geometry(table).columns)
    one, lost = realize_many(genes, seed=3)
    two, _ = realize_many(genes, seed=3, processes=2, shards=Shards(tmp_path / "out.parquet"))
    again, _ = realize_many(genes, seed=3, shards=Shards(tmp_path / "out.parquet"))
    assert one == two == again
    assert len(one) + len(lost) == len(genes)


def test_searching_in_processes_gives_the_same_minima(table, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("aristotype.realize._realize_many"), "_SEARCHED_ROWS", 3)
    genes, config = without_geometry(table), MinimaConfig(trials=2, screened=2, raced=1, heat=5, steps=10)
    whole = minima(genes, seed=1, keep=2, config=config, known=table, failures=[])
    one, lost = minima_many(genes, seed=1, keep=2, config=config, known=table)
    two, _ = minima_many(
        genes, seed=1, keep=2, config=config, known=table, processes=2, shards=Shards(tmp_path / "out.parquet")
    )
    again, _ = minima_many(genes, seed=1, keep=2, config=config, known=table, shards=Shards(tmp_path / "out.parquet"))
    assert one == two == again
    assert one.ids == whole.ids
    assert len({*one.column("gene").to_pylist(), *(failure.id for failure in lost)}) == len(genes)


def test_the_lowest_minimum_of_each_gene_is_kept(table):
    names = ["a", "b", "a", "c"]
    energy = pa.array([-1.0, None, -2.0, 0.5])
    found = lowest_of_each(table[:4].with_columns(gene=names, energy=energy))
    assert found.ids == ["a", "b", "c"]
    assert found.column("energy").to_pylist() == [-2.0, None, 0.5]
    assert np.array_equal(found.lattice[0], table.lattice[2])
