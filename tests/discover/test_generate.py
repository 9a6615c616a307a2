"""The generate pipeline: distinct, accounted for, the same whatever n, and an end to every request."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aristotype
from aristotype.crystal import Conditions, CrystalTable, Failure, GeneBatch, gene_keys
from aristotype.discover import PATIENCE, describe_conditions, generate
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.symmetry import forced

# Rock salt, caesium chloride, perovskite, rutile, fluorite; and 216 with 4a + 4b, which is rock salt at every geometry.
POOL = [(225, (0, 1)), (221, (0, 1)), (221, (0, 1, 2)), (136, (0, 5)), (225, (0, 2)), (216, (0, 1))]


def random_genes(rng: np.random.Generator, n: int, elements: int = 20) -> GeneBatch:
    rows = [POOL[i] for i in rng.integers(0, len(POOL), n)]
    species = [rng.choice(np.arange(3, 3 + elements), len(letters), replace=False).tolist() for _, letters in rows]
    return GeneBatch.from_lists([group for group, _ in rows], species, [list(letters) for _, letters in rows])


class FakeModel:
    """Streams random genes of a few prototypes; `blocks` ends the stream early."""

    def __init__(self, block: int = 16, elements: int = 20, blocks: int | None = None) -> None:
        self.block, self.elements, self.blocks, self.drawn = block, elements, blocks, 0

    def stream(self, conditions=None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        rng = np.random.default_rng(seed)
        start = 0
        while self.blocks is None or start < self.blocks * self.block:
            # Row by row, so that rows do not depend on the size of blocks.
            genes = GeneBatch.concatenate([random_genes(rng, 1, self.elements) for _ in range(self.block)])
            ids = [f"{seed}-{start + row}" for row in range(self.block)]
            yield CrystalTable.from_genes(genes, ids).with_columns(
                model="fake", log_prob=pa.array(np.zeros(self.block))
            )
            start += self.block
            self.drawn = start


def failing(table: CrystalTable, *, seed: int, failures: list[Failure]) -> CrystalTable:
    """Fails for every gene with an element of even number below 8; the others stay as they are."""
    bad = np.isin(table.genes().elements, (4, 6)).any(axis=1)
    failures += [Failure(index=int(row), id=table.ids[row], reason="even") for row in np.flatnonzero(bad)]
    return table.filter(~bad)


def run(n: int, model: FakeModel | None = None, **options):
    return generate(model or FakeModel(), n, realize=options.pop("realize", failing), **options)


# ---- laws


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 50), novel=st.booleans(), keep_forced=st.booleans())
def test_fewer_are_the_first_of_more(data, seed, novel, keep_forced):
    more = data.draw(st.integers(1, 60))
    fewer = data.draw(st.integers(1, more))
    known = set(gene_keys(random_genes(np.random.default_rng(1), 200), merge_enantiomorphs=True).tolist())
    options = {"seed": seed, "novel": novel, "keep_forced": keep_forced, "train_keys": known}
    long = run(more, FakeModel(data.draw(st.integers(1, 40))), **options)
    short = run(fewer, FakeModel(data.draw(st.integers(1, 40))), **options)
    assert short.table == long.table[:fewer]
    assert list(short.failures) == list(long.failures)[: len(short.failures)]


@settings(max_examples=25)
@given(seed=st.integers(0, 50), n=st.integers(1, 60), block=st.integers(1, 50), novel=st.booleans())
def test_every_gene_drawn_is_accounted_for(seed, n, block, novel):
    known = set(gene_keys(random_genes(np.random.default_rng(1), 200), merge_enantiomorphs=True).tolist())
    result = run(n, FakeModel(block), seed=seed, novel=novel, train_keys=known)
    s = result.summary
    assert s.attempts == s.crystals + s.illegal + s.duplicates + s.forced + s.not_novel + s.failed
    assert s.crystals == len(result.table) == n
    assert s.complete
    assert s.failed == len(result.failures)
    # The last crystal is the last row that was used, and failures are named by their row.
    assert result.table.ids[-1] == f"{seed}-{s.attempts - 1}"
    assert [failure.id for failure in result.failures] == [f"{seed}-{failure.index}" for failure in result.failures]


@settings(max_examples=10)
@given(seed=st.integers(0, 50))
def test_crystals_are_distinct_not_forced_and_novel(seed):
    known = set(gene_keys(random_genes(np.random.default_rng(1), 200), merge_enantiomorphs=True).tolist())
    genes = run(40, seed=seed, novel=True, train_keys=known).table.genes()
    keys = gene_keys(genes, merge_enantiomorphs=True).tolist()
    assert len(set(keys)) == 40
    assert known.isdisjoint(keys)
    assert not forced(genes.space_group, genes.elements, genes.wyckoffs).any()


def test_realised_crystals_are_the_same_to_the_bit_whatever_n():
    more = generate(FakeModel(), 24, seed=3)
    fewer = generate(FakeModel(), 7, seed=3)
    assert fewer.table == more.table[:7]
    assert not more.table.is_gene.any()


# ---- what is kept


def test_forced_genes_are_kept_when_asked_for():
    kept = run(60, keep_forced=True)
    genes = kept.table.genes()
    assert forced(genes.space_group, genes.elements, genes.wyckoffs).any()
    assert kept.summary.forced == 0
    assert run(60).summary.forced > 0


def test_mirror_images_in_the_partner_group_count_once():
    # Quartz in both hands: 152 and 154.
    hands = CrystalTable.from_genes(GeneBatch.from_lists([152, 154], [(14, 8), (14, 8)], [(0, 2), (0, 2)]))

    class Hands(FakeModel):
        def stream(self, conditions=None, *, seed, score=False):
            yield hands

    with pytest.warns(UserWarning, match="only 1 of 2"):
        result = run(2, Hands(), genes_only=True)
    assert result.summary.duplicates == 1


def test_genes_only_has_no_geometry_and_says_so():
    result = generate(FakeModel(), 5, genes_only=True)
    assert result.table.is_gene.all()
    assert result.summary.genes_only


def test_columns_name_each_crystal_and_its_novelty():
    known = set(gene_keys(run(10).table.genes(), merge_enantiomorphs=True).tolist()[:4])
    table = run(10, train_keys=known).table
    assert table.column("novel").to_pylist() == [False] * 4 + [True] * 6
    assert all(":" in label for label in table.column("label").to_pylist())
    assert run(10).table.column("novel").null_count == 10
    assert run(10).summary.novel is None


def test_the_keys_of_the_model_serve_by_default():
    model = FakeModel()
    keys = set(gene_keys(run(10).table.genes(), merge_enantiomorphs=True).tolist())
    model.train_keys = lambda: keys
    result = run(10, model, novel=True)
    assert result.summary.not_novel == 10
    assert keys.isdisjoint(gene_keys(result.table.genes(), merge_enantiomorphs=True).tolist())


def test_progress_ends_at_n():
    seen = []
    run(30, progress=lambda done, total, drawn: seen.append((done, total, drawn)))
    assert seen[-1][:2] == (30, 30)
    assert seen == sorted(seen)


def test_the_summary_is_json_with_settings_and_versions():
    import json

    summary = json.loads(json.dumps(run(3, seed=5).summary.to_dict()))
    assert (summary["seed"], summary["model"], summary["requested"]) == (5, "fake", 3)
    assert len(summary["versions"]["symmetry_sha256"]) == 64


def test_conditions_are_described_without_what_is_free():
    assert describe_conditions(Conditions()) == {}
    told = describe_conditions(
        Conditions(space_groups=[225], allowed_elements={"Li", "O"}, formula="Li2O", formula_units=1, max_atoms=4)
    )
    assert told == {
        "space_groups": [225],
        "allowed_elements": ["Li", "O"],
        "formula": {"Li": 2, "O": 1},
        "formula_units": 1,
        "max_atoms": 4,
    }


# ---- ends


def test_a_request_for_more_than_there_is_ends_with_what_there_is():
    # Two elements: a handful of genes in all.
    model = FakeModel(elements=3)
    with pytest.warns(UserWarning, match=r"only \d+ of 10000.*loosen the conditions"):
        result = run(10_000, model, genes_only=True)
    assert not result.summary.complete
    assert 0 < result.summary.crystals < 40
    assert model.drawn < (PATIENCE + 40) * model.block


def test_an_empty_result_is_a_table_too():
    def nothing(table, *, seed, failures):
        failures += [Failure(index=i, id=name, reason="no") for i, name in enumerate(table.ids)]
        return table[:0]

    with pytest.warns(UserWarning, match="only 0 of 3"):
        result = run(3, FakeModel(elements=3), realize=nothing)
    assert len(result.table) == 0
    assert result.summary.failed == len(result.failures) > 0


@pytest.mark.parametrize("n", [0, -3])
def test_at_least_one_crystal_must_be_asked_for(n):
    with pytest.raises(InputError, match="at least 1"):
        run(n)


def test_novelty_needs_the_training_keys():
    with pytest.raises(InputError, match="train_keys"):
        run(3, novel=True)
    model = FakeModel()
    model.train_keys = set  # a model that does not know them
    with pytest.raises(InputError, match="train_keys"):
        run(3, model, novel=True)


def test_impossible_conditions_come_through():
    class Refusing(FakeModel):
        def stream(self, conditions=None, *, seed, score=False):
            raise InfeasibleConditionsError("no")

    with pytest.raises(InfeasibleConditionsError):
        run(3, Refusing(), conditions=Conditions(formula="Li7O9"))


def test_the_package_exports_it():
    assert aristotype.generate is generate
