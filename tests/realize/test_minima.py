"""Laws of `minima`: genes kept, each minimum its own, ranked, and the same whatever else is asked for."""

import sys

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, Failure, GeneBatch, decode, encode_arrays, gene_keys
from aristotype.errors import ConfigError, TableError
from aristotype.realize import MinimaConfig, minima
from aristotype.realize._distinct import distinct
from tests.realize.structures import perovskite, rutile

FEW = MinimaConfig(trials=3, screened=4, raced=2, heat=5, steps=25)


@pytest.fixture(scope="module")
def genes():
    """Rock salt, rutile, quartz, perovskite, something in P1, one that is forced to rise."""
    batch = GeneBatch.from_lists(
        [225, 136, 154, 62, 1, 216],
        [[11, 17], [22, 8], [14, 8], [20, 22, 8, 8], [3, 9], [11, 17]],
        [[0, 1], [0, 5], [0, 2], [2, 0, 2, 3], [0, 0], [0, 1]],
    )
    return CrystalTable.from_genes(batch, ["salt", "rutile", "quartz", "tilted", "any", "forced"])


@pytest.fixture(scope="module")
def found(genes):
    return minima(genes, seed=3, config=FEW)


def test_every_minimum_has_the_gene_asked_for(genes, found):
    """Encoded again at 1e-4 Angstrom by the structures alone."""
    cells = [decode(crystal) for crystal in found]
    again = encode_arrays(
        [c.lattice for c in cells], [c.numbers for c in cells], [c.coords for c in cells], tolerance=1e-4, max_gap=None
    )
    asked = dict(zip(genes.ids, gene_keys(genes.genes()), strict=True))
    owner = found.column("gene").to_pylist()
    for name, key, kept in zip(owner, gene_keys(again.genes()), found.column("gene_kept").to_pylist(), strict=True):
        assert kept == (key == asked[name]) == (name != "forced")


def test_minima_are_named_ranked_and_distinct(genes, found):
    owner, rank = found.column("gene").to_pylist(), found.column("rank").to_pylist()
    assert list(dict.fromkeys(owner)) == genes.ids
    assert found.ids == [f"{name}-{place}" for name, place in zip(owner, rank, strict=True)]
    own = np.array(found.column("gene_distinct").to_pylist())
    value = found.column("objective").to_numpy()
    for name in genes.ids:
        rows = [row for row, gene in enumerate(owner) if gene == name]
        assert [rank[row] for row in rows] == list(range(1, len(rows) + 1))
        assert len(rows) <= 3
        order = [(not own[row], value[row]) for row in rows]
        assert order == sorted(order)
    assert owner.count("any") > 1
    assert owner.count("salt") == 1  # every trial ends there


def test_rock_salt_and_rutile_are_what_they_are(found):
    """Cells within 5 % of the measured ones (a = 5.64; a = 4.59, c = 2.96): the potential has learnt from others."""
    rows = dict(zip(found.ids, found, strict=True))
    assert rows["salt-1"].lattice[0] == pytest.approx(5.64, rel=0.05)
    assert rows["rutile-1"].lattice[0] == pytest.approx(4.59, rel=0.05)
    assert rows["rutile-1"].lattice[2] == pytest.approx(2.96, rel=0.05)


def test_a_gene_depends_on_itself_alone(genes, found):
    few = minima(genes.take([3, 1]), seed=3, config=FEW)
    owner = np.array(found.column("gene").to_pylist())
    wanted = [*np.flatnonzero(owner == "tilted"), *np.flatnonzero(owner == "rutile")]
    assert few == found.take(wanted)


def test_the_parts_that_fit_into_memory_change_nothing(genes, found, monkeypatch):
    monkeypatch.setattr(sys.modules["aristotype.realize._minimise"], "_PAIRS", 30)
    assert minima(genes, seed=3, config=FEW) == found


def test_more_trials_keep_the_earlier_ones(genes):
    """The best of more trials is at least as low."""
    gene = genes.take([4])
    settings = {"screened": 4, "raced": 2, "heat": 5, "steps": 25, "distinct": 0.0}
    low = [
        minima(gene, seed=0, keep=20, config=MinimaConfig(trials=trials, **settings)).column("objective").to_pylist()
        for trials in (1, 2, 6)
    ]
    assert set(low[0]) < set(low[1]) < set(low[2])


def test_seeds_differ(genes):
    one, two = (minima(genes.take([4]), seed=seed, config=FEW) for seed in (0, 1))
    assert one.column("objective").to_pylist() != two.column("objective").to_pylist()


def test_an_energy_ranks_within_those_that_keep_their_gene(genes):
    """An energy that prefers the worst of the judged minima turns the order round; without a number it comes last."""
    gene = genes.take([3])
    config = MinimaConfig(trials=6, screened=2, raced=1, steps=25, judged=4)
    plain = minima(gene, seed=0, keep=4, config=config)
    value = plain.column("objective").to_numpy()
    own = plain.column("gene_distinct").to_numpy(zero_copy_only=False)
    assert len(plain) == 4

    def against(table):
        energy = -table.column("objective").to_numpy()
        return np.where(energy == energy.max(), np.nan, energy)

    turned = minima(gene, seed=0, keep=4, config=config, energy=against)
    order = np.lexsort((-value, value == value.min(), ~own))
    assert turned.column("objective").to_pylist() == value[order].tolist()
    nameless = [energy is None for energy in turned.column("cheap_energy").to_pylist()]
    assert nameless == (value == value.min())[order].tolist()
    assert turned.ids == [f"tilted-{k}" for k in (1, 2, 3, 4)]


def test_a_known_crystal_gives_its_geometry():
    """Calcium titanate from gadolinium ferrite: with one trial of one step it is that with other elements."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    known = perovskite("known", 64, 26)
    gene = CrystalTable.from_genes(perovskite("new", 20, 22).genes(), ["new"])
    found = minima(gene, seed=0, known=known, config=MinimaConfig(trials=1, steps=1))
    assert found.column("start").to_pylist() == ["known"]
    exchanged = known.to_structures(primitive=True)[0]
    exchanged.replace_species({"Gd": "Ca", "Fe": "Ti"})
    off = StructureMatcher().get_rms_dist(exchanged, found.to_structures(primitive=True)[0])
    # One step moves every free parameter by 0.25 Angstrom; the unit is the cube root of the volume an atom, 2.2.
    assert off is not None and off[0] < 0.25


def test_known_crystals_of_other_templates_change_nothing(genes):
    gene = genes.take([3])
    assert minima(gene, seed=0, known=rutile("known", 22, 8), config=FEW) == minima(gene, seed=0, config=FEW)


def test_a_gene_that_rises_is_pushed_off(genes):
    """Two metals in P4/mmm 1a 1d are caesium chloride when c = a; the gene is another one, and its first is kept."""
    gene = CrystalTable.from_genes(GeneBatch.from_lists([123], [[47, 58]], [[0, 3]]))
    found = minima(gene, seed=0, config=FEW)
    assert found.column("gene_distinct").to_pylist()[0]
    a, _, c, *_ = found[0].lattice
    assert abs(c - a) > 0.05


def test_atoms_that_end_too_close_are_pushed_apart():
    gene = CrystalTable.from_genes(GeneBatch.from_lists([225], [[55, 8]], [[0, 1]]), ["tight"])
    found = minima(gene, seed=0, config=MinimaConfig(trials=1, steps=5, min_ratio=1.05))
    assert found.column("start").to_pylist() == ["repulsion"]
    assert found.column("min_distance_ratio").to_pylist()[0] >= 1.05


def test_bad_input_is_refused(genes, found):
    with pytest.raises(TableError, match="geometry already"):
        minima(found, seed=0)
    with pytest.raises(ConfigError, match="keep = 0"):
        minima(genes, seed=0, keep=0)
    with pytest.raises(TableError, match="no geometry"):
        minima(genes, seed=0, known=genes)
    failures: list[Failure] = []
    heavy = CrystalTable.from_genes(GeneBatch.from_lists([225], [[118]], [[0]]), ["heavy"])
    assert len(minima(heavy, seed=0, failures=failures)) == 0
    assert "radius" in failures[0].reason


def test_an_empty_table_gives_an_empty_one():
    out = minima(CrystalTable.from_genes(GeneBatch.from_lists([], [], [])), seed=0)
    assert len(out) == 0
    assert {"gene", "rank", "objective", "cheap_energy", "start", "gene_kept"} <= set(out.columns)


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"raced": 20}, {"distinct": -1.0}, {"tolerance": 1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MinimaConfig(**wrong)


def test_like_trials_are_dropped():
    prints = np.array([[1.0, 0.0], [0.99, 0.01], [0.5, 0.5], [0.0, 1.0]])
    assert distinct(np.array([0, 1, 2, 3]), prints, 0.1, 10) == [0, 2, 3]
    assert distinct(np.array([1, 0, 3, 2]), prints, 0.1, 2) == [1, 3]


def test_forty_random_genes_are_realised():
    """Whatever the group: nothing fails, and what is not forced to rise has its gene."""
    from tests.random_genes import random_genes

    rng = np.random.default_rng(2)
    groups = rng.choice(np.arange(1, 195), 40, replace=False).tolist()
    batch = random_genes(rng, groups, elements=[3, 8, 22], max_sites=3)
    small = batch.take([row for row in range(40) if sum(batch.multiplicities[row]) <= 48])
    assert len(small) > 20
    table = CrystalTable.from_genes(small)
    failures: list[Failure] = []
    found = minima(
        table, seed=0, keep=1, config=MinimaConfig(trials=1, screened=2, raced=1, steps=20), failures=failures
    )
    assert not failures
    assert len(found) == len(table)
