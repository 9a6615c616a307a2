"""CrystalFormer as a model among others: samples, conditions, genes of any family, checkpoints, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import Conditions, CrystalTable, GeneBatch, canonical_genes, gene_keys, parse_formula
from aristotype.discover import generate
from aristotype.errors import CheckpointError, InputError, TableError
from aristotype.models import load
from aristotype.models.crystalformer import CrystalFormer, GeometryConfig, GeometryNetwork, Tries
from aristotype.models.wyckoff_transformer import WyckoffTransformer
from tests.models.crystalformer.networks import model, network
from tests.models.worlds import tiny_model
from tests.random_genes import GROUPS, random_genes

ELEMENTS = (3, 8, 26)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """A model always draws whole blocks, and scores them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aristotype.models.wyckoff_transformer._sampler.BLOCK", 48)
        yield


@pytest.fixture(scope="module")
def genes() -> WyckoffTransformer:
    made = random_genes(np.random.default_rng(0), list(GROUPS), elements=ELEMENTS, max_sites=3)
    return tiny_model(canonical_genes(made), max_sites=4)


@pytest.fixture(scope="module")
def whole(genes) -> CrystalFormer:
    return CrystalFormer(genes, network(), Tries(sites=2, crystals=2)).eval()


def test_samples_are_crystals_of_the_genes_that_were_drawn(whole, genes):
    crystals = whole.sample(40, seed=3)
    assert not crystals.is_gene.any()
    drawn = genes.sample(40, seed=3)
    assert gene_keys(crystals.genes()).tolist() == gene_keys(drawn.genes()).tolist()
    assert crystals.ids == drawn.ids
    assert np.isfinite(crystals.column("log_prob").to_numpy()).all()
    assert (crystals.column("crystal_draws").to_numpy() <= 2).all()


def test_without_redraws_the_first_draw_stays_and_scores_are_the_same(whole):
    exact = whole.without_redraws()
    crystals = exact.sample(40, seed=3)
    assert (crystals.column("crystal_draws").to_numpy() == 1).all()
    assert (crystals.column("site_draws").to_numpy() == 0).all()
    assert (crystals.column("closest").to_numpy() < 0.7).any()
    assert np.allclose(whole.log_prob(crystals), crystals.column("log_prob").to_numpy())


@pytest.mark.parametrize("group", [4, 62, 160])
def test_chains_leave_the_distribution_of_draws_as_it_is(whole, group):
    """Draws stay draws under moves of sites and cells: no figure of theirs drifts (paired differences, 4.5 errors)."""
    from aristotype.discover import ChainConfig, mutate
    from aristotype.symmetry import forced

    drawn = whole.without_redraws().sample(100, Conditions(space_groups=[group]), seed=5)
    genes = drawn.genes()
    starts = drawn.filter(~forced(genes.space_group, genes.elements, genes.wyckoffs))[:60]
    config = ChainConfig(steps=12, closest=0.0, displacement=0.5, strain=0.15)
    table = mutate(whole, starts, chains=1, moves=["displace", "strain"], config=config).table
    last = table.filter(np.array(table.column("kind").to_pylist()) == "last")
    assert np.mean(last.column("accepted").to_numpy()) > 0.1  # they do move
    for figure in (lambda t: t.column("log_prob").to_numpy(), lambda t: np.log(t.lattice[:, :3]).sum(axis=1)):
        change = figure(last) - figure(starts)
        assert abs(change.mean()) < 4.5 * change.std() / np.sqrt(len(change))


def test_a_longer_sample_begins_with_the_shorter_one(whole):
    short, long = whole.sample(10, seed=1, score=False), whole.sample(30, seed=1, score=False)
    assert long[:10] == short
    assert whole.sample(10, seed=2, score=False) != short


def test_conditions_hold_in_crystals(whole):
    found = whole.sample(8, Conditions(space_groups=[62, 225], formula=parse_formula("LiFeO2")), seed=0, score=False)
    assert set(found.space_group.tolist()) <= {62, 225}
    for crystal in found:
        assert crystal.composition[8] == 2 * crystal.composition[3] == 2 * crystal.composition[26]


def test_parts_add_up_and_genes_count_for_themselves(whole, genes):
    crystals = whole.sample(12, seed=5, score=False)
    parts = whole.log_prob_parts(crystals)
    total = parts.pop("total")
    assert set(parts) == {"letters", "elements", "lattice", "coordinates"}
    assert total == pytest.approx(np.sum(list(parts.values()), axis=0))
    assert parts["letters"] + parts["elements"] == pytest.approx(genes.log_prob(crystals.genes()))


def test_genes_of_any_family_get_a_geometry_of_their_own(whole):
    batch = random_genes(
        np.random.default_rng(1), [1, 2, 5, 14, 33, 62, 99, 148, 194, 227], elements=ELEMENTS, max_sites=4
    )
    table = CrystalTable.from_genes(canonical_genes(batch))
    found = whole.realize(table, seed=0)
    assert gene_keys(found.genes()).tolist() == gene_keys(table.genes()).tolist()
    alone = whole.realize(table[4:5], seed=0)
    assert alone.column("closest").to_numpy() == pytest.approx(found.column("closest").to_numpy()[4:5], rel=1e-4)


def test_what_overlaps_is_drawn_again_and_counted():
    batch = GeneBatch.from_lists([2], [[3, 8, 8]], [[8, 8, 8]])
    table = CrystalTable.from_genes(GeneBatch.concatenate([batch] * 100), ids=[str(i) for i in range(100)])
    loose, strict = (
        CrystalFormer(model().genes, network(), Tries.none()),
        CrystalFormer(model().genes, network(), Tries()),
    )
    once, again = loose.realize(table, seed=0), strict.realize(table, seed=0)
    first, best = (t.column("closest").to_numpy() for t in (once, again))
    assert (first < 0.72).any()
    assert (best >= first - 1e-9).all()
    kept = first >= 0.72
    assert (again.column("crystal_draws").to_numpy()[kept] == 1).all()
    more = again.column("crystal_draws").to_numpy() - 1 + again.column("site_draws").to_numpy()
    assert (more[~kept] > 0).all()
    assert (more[kept] == 0).all()
    assert (again.lattice[kept] == once.lattice[kept]).all()


def test_generate_takes_the_geometry_of_the_model(whole):
    result = generate(whole, 5, seed=0, keep_forced=True)
    assert not result.table.is_gene.any()
    assert (result.table.column("closest").to_numpy() >= 0.7).all()
    assert result.summary.failed == len(result.failures)
    assert all("of the sum of their covalent radii" in failure.reason for failure in result.failures)
    bare = generate(whole, 5, seed=0, keep_forced=True, genes_only=True)
    assert bare.table.is_gene.all()
    assert "closest" not in bare.table.columns


def test_a_checkpoint_gives_the_same_crystals(whole, tmp_path):
    whole.save(tmp_path / "kept", card="# kept\n\nA model.", half=False)
    loaded = load(tmp_path / "kept")
    assert isinstance(loaded, CrystalFormer)
    loaded.tries = whole.tries
    crystals = whole.sample(6, seed=0)
    again = loaded.sample(6, seed=0)
    assert again.column("log_prob").to_numpy() == pytest.approx(crystals.column("log_prob").to_numpy(), abs=1e-4)
    assert again.lattice == pytest.approx(crystals.lattice)


def test_a_shipped_gene_model_is_referred_to_and_not_copied(tmp_path):
    config = GeometryConfig(
        elements=tuple(range(1, 90)), width=24, heads=2, encoder_layers=1, decoder_layers=1, dropout=0.0
    )
    made = CrystalFormer(load("wyckoff-transformer-mp20"), GeometryNetwork(config))
    made.save(tmp_path / "kept", card="# kept\n\nA model.")
    assert not [name for name in made.tensors() if name.startswith("genes.")]
    assert load(tmp_path / "kept").genes.name == "wyckoff-transformer-mp20"


def test_bad_input_is_told(whole):
    with pytest.raises(TableError, match="geometry"):
        whole.log_prob(CrystalTable.from_genes(GeneBatch.from_lists([225], [[3, 8]], [[0, 1]])))
    config = GeometryConfig(elements=(3, 8), width=24, heads=2, encoder_layers=1, decoder_layers=1)
    few = CrystalFormer(whole.genes, GeometryNetwork(config))
    with pytest.raises(InputError, match=r"gene 0 holds element 26, which is not among the 2 elements"):
        few.realize(CrystalTable.from_genes(GeneBatch.from_lists([225], [[26, 8]], [[0, 1]])), seed=0)
    with pytest.raises(InputError, match="-1 crystals were asked for"):
        whole.sample(-1, seed=0)
    settings = {**whole.settings(), "canonical_version": -1}
    with pytest.raises(CheckpointError, match="canonical version -1"):
        CrystalFormer.from_checkpoint(settings, whole.tensors())
