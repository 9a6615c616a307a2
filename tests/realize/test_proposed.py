"""Starts that a source proposes: taken as they are, mixed with random ones, and told."""

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch, equivalents, gene_keys
from aristotype.crystal import described_as as described
from aristotype.errors import ConfigError, TableError
from aristotype.realize import MinimaConfig, minima, minima_many
from tests.realize.structures import perovskite, rutile

WHOLE = MinimaConfig(trials=2, screened=1, raced=1, steps=1, proposed=1.0)


class Always:
    """Proposes one crystal for every gene that is its own, in any of its descriptions; can be pickled."""

    def __init__(self, crystal: CrystalTable, other: bool = False) -> None:
        self.crystal, self.other, self.asked = crystal, other, []

    def __call__(self, genes: CrystalTable, *, seed: int) -> CrystalTable:
        self.asked += [(name, seed) for name in genes.ids]
        own = gene_keys(genes.genes()) == gene_keys(self.crystal.genes())
        rows = np.flatnonzero(own | self.other)
        copies = [self.crystal.with_columns(id=[genes.ids[row]]) for row in rows]
        return CrystalTable.concatenate(copies) if copies else genes[:0]


@pytest.fixture(scope="module")
def tilted():
    return perovskite("tilted", 20, 22)


def test_a_proposal_in_any_description_is_where_the_search_starts(tilted):
    """One step moves every free parameter by 0.25 Angstrom at most; the unit is the cube root of a volume an atom."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    every, _ = equivalents(tilted.genes())
    for row in range(len(every)):
        source = Always(described(tilted, every.take([row])))
        found = minima(CrystalTable.from_genes(tilted.genes(), ["g"]), seed=5, config=WHOLE, source=source)
        assert set(found.column("start").to_pylist()) == {"proposed"}
        off = StructureMatcher().get_rms_dist(*(t.to_structures(primitive=True)[0] for t in (tilted, found)))
        assert off is not None and off[0] < 0.25
        assert sorted(source.asked) == [("g/0.0", 5), ("g/1.0", 5)]


def test_the_share_is_rounded_up_and_the_rest_is_random(tilted):
    gene = CrystalTable.from_genes(tilted.genes(), ["g"])
    for share, count in ((0.0, 0), (0.01, 1), (0.5, 2), (0.51, 3), (1.0, 4)):
        source = Always(tilted)
        config = MinimaConfig(trials=3, screened=4, raced=2, heat=2, steps=2, proposed=share)
        found = minima(gene, seed=0, config=config, source=source)
        names = {f"g/{trial}.{start}" for trial in range(3) for start in range(count)}
        assert {name for name, _ in source.asked} == names
        if share in (0.0, 1.0):
            assert set(found.column("start").to_pylist()) == {"proposed" if share else "random"}
        if not share:
            assert found == minima(gene, seed=0, config=config)


def test_where_a_source_gives_nothing_starts_stay_random(tilted):
    """The other gene's minima are those of a search without a source, and known crystals go first."""
    salt = GeneBatch.from_lists([225], [[11, 17]], [[0, 1]])
    genes = CrystalTable.from_genes(GeneBatch.concatenate([salt, tilted.genes()]), ["salt", "tilted"])
    config = MinimaConfig(trials=3, screened=4, raced=2, heat=5, steps=5)
    found = minima(genes, seed=0, config=config, source=Always(tilted))
    own = [name == "salt" for name in found.column("gene").to_pylist()]
    assert found.filter(own) == minima(genes[:1], seed=0, config=config)
    reused = minima(genes[1:], seed=0, config=WHOLE, source=Always(tilted), known=perovskite("known", 64, 26), keep=9)
    assert set(reused.column("start").to_pylist()) <= {"known", "proposed"}
    assert "known" in reused.column("start").to_pylist()


def test_processes_and_chunks_change_nothing(tilted, tmp_path):
    from aristotype._shards import Shards

    genes = CrystalTable.from_genes(GeneBatch.concatenate([tilted.genes()] * 3), ["a", "b", "c"])
    direct = minima(genes, seed=0, config=WHOLE, source=Always(tilted))
    shards = Shards(tmp_path / "out.parquet")
    many, failures = minima_many(genes, seed=0, config=WHOLE, source=Always(tilted), shards=shards, processes=2)
    assert not failures
    assert many == direct
    without, _ = minima_many(genes, seed=0, config=WHOLE, shards=shards)  # kept pieces of another source are not taken
    assert set(without.column("start").to_pylist()) == {"random"}


def test_a_source_that_errs_is_refused(tilted):
    gene = CrystalTable.from_genes(tilted.genes(), ["g"])
    with pytest.raises(TableError, match=r"'g/0\.0' does not have the gene"):
        minima(gene, seed=0, config=WHOLE, source=Always(rutile("r", 22, 8), other=True))
    with pytest.raises(ConfigError, match=r"proposed = 1\.5"):
        MinimaConfig(proposed=1.5)
