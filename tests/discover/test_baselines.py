"""The baselines with volumes and charge balance from the other floors, and through the pipeline."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from smact.screening import smact_validity

from aristotype.crystal import Conditions, CrystalTable, decode, encode_arrays, formulas, gene_keys
from aristotype.discover import BASELINES, generate, make_baseline, with_own_geometry
from aristotype.errors import InputError, TableError, UnknownNameError
from tests.models.prototypes import known_crystals

ALL = pytest.mark.parametrize("name", BASELINES)


@ALL
def test_products_pass_smact_itself(name):
    table = make_baseline(name, known_crystals()).sample(200, seed=0)
    assert all(smact_validity(formula, oxidation_states_set="smact14") for formula in formulas(table.genes()))


@ALL
def test_a_run_makes_distinct_crystals_with_geometry_and_fewer_are_the_first_of_more(name):
    model = make_baseline(name, known_crystals())
    many, few = (generate(model, n, seed=4) for n in (120, 30))
    assert many.summary.crystals == 120
    assert few.table == many.table[:30]
    assert not many.table.is_gene.any()
    assert len(set(gene_keys(many.table.genes(), merge_enantiomorphs=True).tolist())) == 120
    assert many.summary.duplicates == many.summary.illegal == many.summary.failed == 0


@ALL
def test_novel_ones_are_not_among_the_known(name):
    model = make_baseline(name, known_crystals())
    run = generate(model, 40, seed=0, novel=True)
    keys = gene_keys(run.table.genes(), merge_enantiomorphs=True).tolist()
    assert not set(keys) & model.train_keys()
    free = generate(model, 200, seed=0)
    known = [key in model.train_keys() for key in gene_keys(free.table.genes(), merge_enantiomorphs=True).tolist()]
    assert free.table.column("novel").to_pylist() == [not old for old in known]
    assert any(known), "known crystals in a series are made again from their relatives"


@ALL
def test_conditions_that_only_one_crystal_meets_end_the_run(name):
    asked = Conditions(formula="MgO", space_groups=225, max_atoms=2)
    with pytest.warns(UserWarning, match="only 1 of 3 crystals"):
        run = generate(make_baseline(name, known_crystals()), 3, asked, seed=0)
    assert formulas(run.table.genes()) == ["MgO"]


@ALL
def test_products_of_real_crystals_have_the_space_group_of_their_parents(name, data_folder):
    """Atoms encoded again give the same gene.

    A few real crystals stand at the tolerance of a higher symmetry, and a scaled cell moves them across.
    """
    rows = pq.read_table(data_folder / "mp_20_val.parquet").slice(0, 1000).to_pylist()
    known = encode_arrays(
        [np.reshape(row["lattice"], (3, 3)) for row in rows],
        [row["atomic_numbers"] for row in rows],
        [np.reshape(row["frac_coords"], (-1, 3)) for row in rows],
        max_gap=None,  # a layered parent in a larger cell may pass the limit
    )
    table = make_baseline(name, known).sample(200, seed=0)
    cells = [decode(row, primitive=True) for row in table]
    again = encode_arrays(
        [c.lattice for c in cells], [c.numbers for c in cells], [c.coords for c in cells], max_gap=None
    )
    assert len(again) == len(table)
    same = [a == b for a, b in zip(gene_keys(again.genes()).tolist(), gene_keys(table.genes()).tolist())]
    assert np.mean(same) > 0.97


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownNameError, match="'nonsense'; there are ion-exchange, decoration"):
        make_baseline("nonsense", known_crystals())


@ALL
def test_genes_without_geometry_cannot_be_parents(name):
    with pytest.raises(TableError, match="no geometry"):
        make_baseline(name, CrystalTable.from_genes(known_crystals().genes()))
    with pytest.raises(InputError, match="empty"):
        make_baseline(name, known_crystals()[:0])


def test_a_table_of_genes_does_not_pass_for_crystals():
    with pytest.raises(TableError, match="no geometry"):
        with_own_geometry(CrystalTable.from_genes(known_crystals().genes()), seed=0, failures=[])
