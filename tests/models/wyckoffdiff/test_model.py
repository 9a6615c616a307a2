"""WyckoffDiff: bounds that are bounds, chains that follow them, conditions, checkpoints."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, GeneBatch, compositions, equivalents, gene_keys, template_keys
from aristotype.errors import ConfigError, InfeasibleConditionsError, InputError
from aristotype.models import GeneModel, load
from aristotype.models.wyckoffdiff import WyckoffDiff, WyckoffDiffConfig, _sampler, fit
from aristotype.models.wyckoffdiff._chain import Chain, draw_with_totals
from aristotype.models.wyckoffdiff._noise import Step
from aristotype.models.wyckoffdiff._occupation import Occupation
from aristotype.models.wyckoffdiff._plan import Plan
from aristotype.models.wyckoffdiff._sizes import sizes_of
from aristotype.symmetry import NUM_GROUPS
from aristotype.training import TrainingConfig
from tests.models.wyckoffdiff.small import TOLD, everything, tiny_model
from tests.random_genes import random_genes

VOCABULARY = (3, 8, 26)


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    monkeypatch.setattr(_sampler, "FIRST_BLOCK", 8)


def exact(model: WyckoffDiff, number: int) -> tuple[np.ndarray, GeneBatch]:
    """p(occupation) of all occupations of a group: what is told is kept, or told anew after `PATIENCE` chains."""
    if not model.config.told_sizes:
        return exact_told(model, number, (0, 0))
    weights = model.size_probabilities(np.array([number]))[0]
    total = 0.0
    for sizes in zip(*np.nonzero(weights), strict=True):
        chance, genes = exact_told(model, number, sizes)
        kept = chance * (np.minimum(sizes_of(genes), np.array(weights.shape) - 1) == sizes).all(axis=1)
        if kept.sum():
            ends = 1 - (1 - kept.sum()) ** _sampler.PATIENCE
            total = total + weights[sizes] * ends * kept / kept.sum()
    return total / total.sum(), genes


def exact_told(model: WyckoffDiff, number: int, sizes: tuple[int, int]) -> tuple[np.ndarray, GeneBatch]:
    """p(occupation) of all occupations of a group, by summing over all chains of zeros that grow."""
    layout, all_of_them, genes = everything(model, number)
    n, elements = len(layout), len(model.config.elements)
    fixed = torch.cat([all_of_them.fixed.view(n, -1), torch.zeros(1, len(all_of_them.fixed) // n, dtype=torch.long)])
    free = torch.cat([all_of_them.free.view(n, -1), torch.zeros(1, all_of_them.free.numel() // n, dtype=torch.long)])
    states = torch.cat([fixed, free], dim=1)  # the last one is empty
    here = torch.zeros(n + 1, dtype=torch.float64)
    here[n] = 1.0
    visited = model.visited()
    one = type(layout).of(np.array([number]))
    for index in range(len(visited) - 1, 0, -1):
        after = torch.zeros_like(here)
        for state in range(n + 1):
            if here[state] == 0:
                continue
            noisy = Occupation(fixed=fixed[state], free=free[state].view(-1, elements))
            time, before = visited[index].view(1), visited[index - 1].view(1)
            with torch.no_grad():
                logs = model.log_x0(one, noisy, time, torch.tensor([sizes]))
            p_fixed, p_free = model.reverse(
                one, noisy, *logs, Step(kept=model.kept[time], kept_before=model.kept[before])
            )
            variables = [*p_fixed.double(), *p_free.double().flatten(0, 1)]
            chance = torch.ones(n + 1, dtype=torch.float64)
            for column, p in enumerate(variables):
                chance = chance * p[states[:, column]]
            if index == 1:  # not empty
                chance[n] = 0.0
                chance = chance / chance.sum()
            after += here[state] * chance
        here = after
    return here[:n].numpy(), genes


@pytest.mark.parametrize(
    ("number", "elements", "most"), [(1, (3, 8), 3), (2, (3,), 1), (81, (3,), 1), (157, (3, 8), 1)]
)
def test_with_one_step_the_bound_is_exact_where_genes_have_one_description(number, elements, most):
    model = tiny_model(elements, most, steps=1, spread=0.2)
    probability, genes = exact(model, number)
    assert probability.sum() == pytest.approx(1, abs=1e-5)
    _, owner = equivalents(genes)
    number_of = np.bincount(owner)
    bound = model.bound(genes)[0] - np.log(model.group_probabilities()[number])
    keys = np.array([key.hex() for key in gene_keys(genes).tolist()])
    total = np.array([probability[keys == key].sum() for key in keys])
    alone = number_of == 1
    assert alone.any()
    assert np.allclose(np.exp(bound[alone]), total[alone], rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("told", [{}, {"told_sizes": True, "max_kinds": 1, "max_sites": 5}])
def test_the_bound_is_below_the_probability_and_near_it(told):
    model = tiny_model((3,), 1, steps=3, spread=0.2, groups=[81], **told)
    probability, genes = exact(model, 81)
    keys = np.array([key.hex() for key in gene_keys(genes).tolist()])
    _, first = np.unique(keys, return_index=True)
    total = np.array([probability[keys == keys[row]].sum() for row in first])
    bound = model.bound(genes.take(first))[0]
    assert (model.bound(genes.take(first))[0] == bound).all()
    # The mean over genes drawn from the model is below that of the truth, and not by much.
    fits = np.isfinite(bound)  # all but those of more sites than are told
    assert fits.sum() > 10
    gap = (total[fits] * (np.log(total[fits]) - bound[fits])).sum() / total[fits].sum()
    gap += np.log(model.group_probabilities()[81])
    assert 0 < gap < (10.0 if told else 2.0)  # what is told is not what a network of random weights does


@pytest.mark.parametrize("told", [{}, TOLD])
def test_draws_of_several_steps_follow_the_chain(told):
    model = tiny_model((3, 8), 1, steps=3, groups=[1] * 50, spread=0.2, **told)
    probability, genes = exact(model, 1)
    n = 2000
    drawn = model.sample(n, Conditions(space_groups=1), seed=4, score=False).genes()
    keys = gene_keys(genes).tolist()
    found = gene_keys(drawn).tolist()
    counts = np.array([found.count(key) for key in keys])
    assert counts.sum() == n
    expected = n * probability
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < len(keys) + 5 * np.sqrt(2 * len(keys))


@pytest.mark.parametrize("prior", ["zeros", "marginal", "uniform"])
@pytest.mark.parametrize("network", ["transformer", "gnn"])
def test_every_gene_of_every_group_is_legal(prior, network):
    model = tiny_model(VOCABULARY, 2, prior=prior, network=network, groups=range(1, NUM_GROUPS + 1))
    genes = model.sample(500, seed=0, score=False).genes()
    assert genes.legal().all()
    assert len(np.unique(genes.space_group)) > 150


def test_nothing_that_left_zero_changes_on_the_way():
    model = tiny_model(VOCABULARY, 2, steps=8)
    seen = []

    def watched(layout, noisy, *args, drawn=model.drawn):
        seen.append(noisy)
        return drawn(layout, noisy, *args)

    model.drawn = watched
    groups, told = np.array([2, 47, 62, 139, 225] * 8), np.zeros((40, 2), np.int64)
    chain = Chain(model, Plan.of(model, Conditions()), groups, told, 0, np.arange(40), 0)
    chain.run()
    assert len(seen) == 7
    for early, late in pairwise(seen):
        for one, two in ((early.fixed, late.fixed), (early.free, late.free)):
            assert (two[one > 0] == one[one > 0]).all()
    assert (seen[-1].free > 0).any()


@pytest.mark.parametrize("prior", ["marginal", "uniform"])
def test_chains_end_as_sparse_as_the_data(prior):
    """A network that knows the marginals alone: the numbers of sites come out as in the training genes."""
    genes = random_genes(np.random.default_rng(1), [2, 62, 139, 225] * 100, elements=VOCABULARY, max_sites=4)
    config = WyckoffDiffConfig(prior=prior, width=16, layers=1, heads=2, timesteps=100, steps=25)
    torch.manual_seed(0)
    model = WyckoffDiff.for_training(config, genes).eval()
    network = model.network
    with torch.no_grad():
        for layer in (network.fixed_out, network.fixed_empty, network.free_out, network.free_count):
            layer.weight.zero_()
            layer.bias.zero_()
    drawn = model.sample(400, seed=0, score=False).genes()
    assert drawn.num_sites.mean() == pytest.approx(genes.num_sites.mean(), rel=0.25)


def test_bounds_do_not_depend_on_the_description_or_on_what_stands_beside():
    model = tiny_model(VOCABULARY, 3, steps=6)
    genes = random_genes(np.random.default_rng(3), [2, 5, 16, 47, 62, 139, 166, 225], elements=VOCABULARY, max_sites=4)
    value, error = model.bound(genes)
    assert np.isfinite(value).all()
    assert (error > 0).all()
    described, owner = equivalents(genes)
    some = np.random.default_rng(0).permutation(len(described))[:60]
    again = model.bound(described.take(some))[0]
    assert np.abs(again - value[owner[some]]).max() < 1e-3
    one = model.bound(genes.take([4]))[0]
    assert one[0] == pytest.approx(value[4], abs=1e-3)


def test_genes_that_cannot_be_written_have_no_probability():
    model = tiny_model(VOCABULARY, 2)
    genes = GeneBatch.from_lists([1, 1], [[8, 8, 8], [8, 8, 3]], [[0, 0, 0], [0, 0, 0]])
    assert np.isneginf(model.log_prob(genes)).tolist() == [True, False]
    with pytest.raises(InputError, match="element 92"):
        model.log_prob(GeneBatch.from_lists([1], [[92]], [[0]]))


def test_rows_depend_on_seed_and_number_alone():
    model = tiny_model(VOCABULARY, 2)
    assert isinstance(model, GeneModel)
    table = model.sample(600, seed=5, score=False)
    assert model.sample(7, seed=5, score=False) == table[:7]
    assert model.sample(600, seed=6, score=False).genes().space_group.tolist() != table.space_group.tolist()
    scored = model.sample(4, seed=5)
    assert scored.column("log_prob_kind").to_pylist() == ["bound"] * 4
    assert np.isfinite(scored.column("log_prob").to_numpy()).all()


def pairs(genes: GeneBatch, row: int) -> set[tuple[int, int]]:
    """Position and element of each site."""
    return set(zip(genes.wyckoffs[row].tolist(), genes.elements[row].tolist(), strict=True)) - {(-1, 0)}


SALT = GeneBatch.from_lists([225], [[3, 8]], [[0, 1]])
CASES = [
    Conditions(space_groups=[225, 216]),
    Conditions(allowed_elements=["Li", "O"]),
    Conditions(excluded_elements=["Fe"]),
    Conditions(required_elements=["Fe", "O"]),
    Conditions(num_sites=2),
    Conditions(max_atoms=6),
    Conditions(formula="LiO", max_atoms=8),
    Conditions(formula="Li2O", formula_units=1, space_groups=[225, 164, 166]),
    Conditions(formula="Li2O", num_sites=3, space_groups=[62, 164], max_atoms=24),
    Conditions(template=SALT),
    Conditions(template=GeneBatch.from_lists([62], [[3, 3, 3]], [[2, 2, 3]])),
    Conditions(partial=GeneBatch.from_lists([221], [[26]], [[0]])),
    Conditions(partial=GeneBatch.from_lists([62], [[3, 8]], [[2, 3]]), required_elements=["Fe"]),
]


@pytest.mark.parametrize(("prior", "told"), [("zeros", {}), ("zeros", TOLD), ("marginal", {})])
@pytest.mark.parametrize("conditions", CASES, ids=range(len(CASES)))
def test_nothing_outside_the_conditions_is_drawn(conditions, prior, told):
    if prior != "zeros" and conditions.formula is not None:
        pytest.skip("what is there does not stay: a formula is met by chance alone")
    groups = [number for number in (62, 164, 166, 216, 221, 225) for _ in range(30)]
    model = tiny_model(VOCABULARY, 2, groups=groups, spread=0.2, prior=prior, **told)
    table = model.sample(8, conditions, seed=0, score=False)
    genes = table.genes()
    assert genes.legal().all()
    assert (table.column("tries").to_numpy() >= 1).all()
    if conditions.space_groups is not None:
        assert set(genes.space_group.tolist()) <= set(conditions.space_groups)
    if conditions.num_sites is not None:
        assert (genes.num_sites == conditions.num_sites).all()
    for held in compositions(genes):
        assert set(held) <= conditions.elements(range(1, 119))
        assert conditions.required_elements <= set(held)
        if conditions.max_atoms is not None:
            assert sum(held.values()) <= conditions.max_atoms
        if conditions.formula is not None:
            units = {held[z] / count for z, count in conditions.formula}
            assert len(units) == 1
            assert conditions.formula_units is None or units == {conditions.formula_units}
    if conditions.template is not None:
        assert (template_keys(genes) == template_keys(conditions.template)).all()
    if conditions.partial is not None:
        asked = pairs(conditions.partial, 0)
        for row in range(len(genes)):  # some description holds the known sites
            described, _ = equivalents(genes.take([row]))
            assert any(asked <= pairs(described, each) for each in range(len(described)))


@pytest.mark.parametrize(
    ("conditions", "error", "message"),
    [
        (Conditions(required_elements=["U"]), InputError, "U is asked for .* not among the 3 elements"),
        (Conditions(allowed_elements=["U"]), InfeasibleConditionsError, "leave none of the model's 3 elements"),
        (Conditions(required_elements=["Li"], excluded_elements=["Li"]), InfeasibleConditionsError, "Li is asked for"),
        (Conditions(formula="Li5O", formula_units=1, space_groups=225), InfeasibleConditionsError, "no set of Wyckoff"),
        (Conditions(max_atoms=1, required_elements=["Li", "O"]), InfeasibleConditionsError, "no set of Wyckoff"),
        (Conditions(template=SALT, space_groups=1), InfeasibleConditionsError, "template is of space group 225"),
        (Conditions(template=SALT, num_sites=3), InfeasibleConditionsError, "template has 2 sites, not 3"),
        (Conditions(template=SALT, max_atoms=1), InfeasibleConditionsError, "template has 2 atoms, more than 1"),
        (Conditions(template=SALT, formula="Li2O"), InfeasibleConditionsError, "units of 3 cannot make"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(conditions, error, message):
    with pytest.raises(error, match=message):
        tiny_model(VOCABULARY, 2).sample(1, conditions, seed=0)


@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(InputError, match="the seed is"):
        tiny_model().sample(1, seed=seed)


def test_counts_with_given_sums_are_the_conditional_distribution():
    rng = np.random.default_rng(0)
    p = torch.tensor(rng.dirichlet(np.ones(3), size=(1, 3)))
    n = 20_000
    drawn = draw_with_totals(p.expand(n, -1, -1), torch.full((n,), 3), torch.tensor(rng.random((n, 3)))).numpy()
    assert (drawn.sum(axis=1) == 3).all()
    cells = {cell: float(p[0, [0, 1, 2], list(cell)].prod()) for cell in product(range(3), repeat=3)}
    wanted = {cell: value for cell, value in cells.items() if sum(cell) == 3}
    whole = sum(wanted.values())
    for cell, value in wanted.items():
        share = (drawn == cell).all(axis=1).mean()
        assert share == pytest.approx(value / whole, abs=5 * np.sqrt(0.25 / n))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "ones"}, "choose one of zeros, marginal, uniform"),
        ({"loss": "mean"}, "choose one of bound"),
        ({"network": "mlp"}, "choose one of transformer, gnn"),
        ({"width": 10, "heads": 4}, "which 4 heads do not divide"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 50, "timesteps": 40}, "lower steps or raise timesteps"),
        ({"elements": (8, 3)}, "increasing order"),
        ({"elements": (3, 110)}, "features are known from 1 to 103"),
        ({"group_smoothing": 0.0}, "group_smoothing"),
        ({"max_sites": -1}, "max_sites is -1"),
        ({"network": "gnn", "told_sizes": True}, "told no sizes"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        WyckoffDiffConfig(**changes)


KINDS = [{}, {"network": "gnn", "loss": "published", "told_sizes": False}, {"prior": "marginal", "loss": "balanced"}]


@pytest.mark.parametrize("changes", KINDS, ids=range(3))
def test_training_lowers_the_bound_and_ends_in_a_checkpoint(tmp_path, changes):
    rng = np.random.default_rng(0)
    elements = rng.choice([3, 26], size=(400, 1))
    genes = GeneBatch.from_lists([225] * 400, np.c_[elements, np.full(400, 8)].tolist(), [[0, 1]] * 400)
    small = {"width": 16, "layers": 1, "heads": 2, "timesteps": 40, "steps": 8, "dropout": 0.0}
    config = WyckoffDiffConfig(**{**small, **changes})
    training = TrainingConfig(
        epochs=30, batch_size=64, learning_rate=1e-2, warmup_steps=5, threads=1, tensorboard=False
    )
    result = fit(config, genes, genes.take(range(100)), training, tmp_path / "run", card="# mine")
    model = load(tmp_path / "run" / "best")
    assert "# mine" in (tmp_path / "run" / "best" / "README.md").read_text()
    assert result.best["nll"] < 5
    # Two genes, half each, with two descriptions each: log 2 nats and what p(group) costs are the least there can be.
    value, error = model.bound(genes.take([0]))
    assert 0.69 - 4 * error[0] < -value[0] < 4.5
    drawn = model.sample(64, Conditions(space_groups=225), seed=0, score=False).genes()
    known = set(gene_keys(genes).tolist())
    if not changes:  # the others learn slowly
        assert np.mean([key in known for key in gene_keys(drawn).tolist()]) > 0.8
    assert model.train_keys() == {key.tobytes() for key in np.unique(gene_keys(genes))}


def test_training_genes_that_the_model_cannot_write_are_refused(tmp_path):
    genes = GeneBatch.from_lists([1, 1], [[8, 8, 8], [8]], [[0, 0, 0], [0]])
    config = WyckoffDiffConfig(width=16, layers=1, heads=2, max_count=2)
    with pytest.raises(InputError, match=r"gene 0 .* beyond what the model writes \(2 sites of one element"):
        fit(config, genes, genes, TrainingConfig(epochs=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()
