"""log_prob of the paper configuration: the same for all orders and descriptions, a sum over them, and it normalises."""

from __future__ import annotations

from itertools import combinations_with_replacement, permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import GeneBatch, equivalents, gene_keys, sorted_genes
from aristotype.errors import ConfigError, InputError
from aristotype.models.wyckoff_transformer.paper import PaperConfig, ScoringLimits, WyckoffTransformerPaper, order_bound
from aristotype.models.wyckoff_transformer.paper._orders import lattice, log_num_orders, log_prob_one_order, num_subsets
from aristotype.symmetry import tables

VOCABULARY = (3, 8, 26)
# Single precision: a probability is a product of some thirty softmaxes, each good to about 1e-6.
TOLERANCE = 2e-5


def tiny(**changes) -> WyckoffTransformerPaper:
    torch.manual_seed(0)
    model = WyckoffTransformerPaper(
        PaperConfig(**{"elements": VOCABULARY, "width": 16, "heads": 2, "feed_forward": 16, "layers": 2, **changes})
    )
    model.group_counts[[1, 47, 225]] = torch.tensor([1, 2, 3])
    model.temperatures.uniform_(0.8, 1.3)
    for parameter in model.parameters():  # far from uniform, so that orders differ
        parameter.data.mul_(2.0)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> WyckoffTransformerPaper:
    return tiny()


def random_genes(number: int, n: int, most: int, seed: int) -> GeneBatch:
    generator = np.random.default_rng([seed, number])
    freedom = tables().padded("freedom", fill=-1)[number]
    rows = []
    for _ in range(n):
        letters: list[int] = []
        for _ in range(int(generator.integers(1, most + 1))):
            letters.append(
                int(
                    generator.choice([w for w in range(27) if freedom[w] > 0 or (freedom[w] == 0 and w not in letters)])
                )
            )
        rows.append((letters, generator.choice(VOCABULARY, len(letters)).tolist()))
    return sorted_genes(GeneBatch.from_lists([number] * n, [e for _, e in rows], [w for w, _ in rows]))


def by_brute_force(model: WyckoffTransformerPaper, genes: GeneBatch, row: int) -> float:
    """Every description, every distinct order, one by one."""
    described, _ = equivalents(genes.take([row]))
    sequences = set()
    for one in range(len(described)):
        sites = [
            (int(e), int(w)) for e, w in zip(described.elements[one], described.wyckoffs[one], strict=True) if w >= 0
        ]
        sequences |= set(permutations(sites))
    group = torch.full((len(sequences),), int(genes.space_group[row]))
    elements = torch.tensor([[VOCABULARY.index(e) for e, _ in sites] for sites in sequences])
    letters = torch.tensor([[w for _, w in sites] for sites in sequences])
    values = log_prob_one_order(model.conditional, model.rules, group, elements, letters)
    return float(np.logaddexp.reduce(values) + np.log(model.group_probabilities()[genes.space_group[row]]))


@pytest.mark.parametrize("number", [1, 16, 47, 62, 166, 216, 225])
@torch.no_grad()
def test_the_recursion_over_subsets_is_the_sum_over_all_orders_and_descriptions(model, number):
    genes = random_genes(number, 6, 4, seed=1)
    scores = model.score(genes, ScoringLimits(subsets=100_000))
    assert scores.exact.all() and not scores.standard_error.any()
    expected = [by_brute_force(model, genes, row) for row in range(len(genes))]
    np.testing.assert_allclose(scores.log_prob, expected, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_the_order_of_known_sites_has_no_influence(model):
    from aristotype.models.wyckoff_transformer.paper._rules import FIELDS, Prefix

    generator = torch.Generator().manual_seed(0)
    elements = torch.randint(3, (50, 5), generator=generator)
    letters = torch.randint(20, 27, (50, 5), generator=generator)
    group = torch.full((50,), 47)
    element, symbol = elements[:, 0], model.rules.symbols[47, letters[:, 1]]
    order = torch.rand(50, 5, generator=generator).argsort(dim=1)
    for field in FIELDS:
        one = model.conditional(field, Prefix(group=group, elements=elements, letters=letters), element, symbol)
        shuffled = Prefix(group=group, elements=elements.gather(1, order), letters=letters.gather(1, order))
        two = model.conditional(field, shuffled, element, symbol)
        assert torch.equal(one.isinf(), two.isinf())
        torch.testing.assert_close(one, two, atol=TOLERANCE, rtol=0)


@given(number=st.sampled_from([2, 10, 16, 47, 65, 68, 123, 139, 221, 229]), seed=st.integers(0, 10**6))
@settings(max_examples=15)
def test_equivalent_genes_have_the_same_log_prob(number, seed):
    model = tiny()
    gene = random_genes(number, 1, 3, seed)
    described, _ = equivalents(gene)
    some = described.take(np.random.default_rng(seed).integers(len(described), size=3))
    scores = model.score(some, ScoringLimits(subsets=64))  # estimates too: draws are keyed by the gene
    np.testing.assert_allclose(scores.log_prob, scores.log_prob[0], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("site_order", ["any", "electronegativity"])
@pytest.mark.parametrize("number", [1, 16, 216])
def test_probabilities_of_all_genes_sum_to_one(site_order, number):
    model = tiny(elements=(3, 8), max_sites=2, site_order=site_order)
    freedom = tables().padded("freedom", fill=-1)[number]
    sites = [(e, w) for w in range(27) if freedom[w] >= 0 for e in (3, 8)]
    sets = [(site,) for site in sites] + list(combinations_with_replacement(sites, 2))
    sets = [s for s in sets if len(s) == 1 or s[0][1] != s[1][1] or freedom[s[0][1]] > 0]
    every = GeneBatch.from_lists(
        [number] * len(sets), [[e for e, _ in s] for s in sets], [[w for _, w in s] for s in sets]
    )
    _, first = np.unique(gene_keys(every).view("u8,u8"), return_index=True)
    scores = model.score(every.take(first), ScoringLimits(subsets=10**6))
    assert scores.exact.all()
    total = np.exp(scores.log_prob).sum() / model.group_probabilities()[number]
    assert total == pytest.approx(1.0, abs=1e-5)


def test_estimates_lie_within_their_errors_of_the_exact_values(model):
    genes = GeneBatch.concatenate([random_genes(number, 8, 5, seed=3) for number in (1, 47, 216)])
    exact = model.score(genes, ScoringLimits(subsets=10**6))
    for limits in (ScoringLimits(subsets=1, orders=400), ScoringLimits(subsets=40, orders=400)):
        estimate = model.score(genes, limits)
        drawn = ~estimate.exact
        assert drawn.any() and (estimate.standard_error[drawn] >= 0).all()
        # Four errors and a floor for the rows whose few descriptions or orders are all alike.
        off = np.abs(estimate.log_prob - exact.log_prob)[drawn]
        assert (off <= 4 * estimate.standard_error[drawn] + 1e-3).mean() > 0.9
        np.testing.assert_allclose(estimate.log_prob[~drawn], exact.log_prob[~drawn], atol=TOLERANCE, rtol=0)


def test_estimates_do_not_depend_on_what_else_is_scored(model):
    genes = random_genes(47, 6, 6, seed=4)
    together = model.score(genes, ScoringLimits(subsets=8, orders=16))
    alone = model.score(genes.take([4]), ScoringLimits(subsets=8, orders=16))
    assert not alone.exact[0]
    np.testing.assert_allclose(together.log_prob[4], alone.log_prob[0], atol=TOLERANCE, rtol=0)


def test_the_bound_is_above_the_exact_value_on_average(model):
    genes = random_genes(47, 40, 4, seed=5)
    exact = -model.score(genes, ScoringLimits(subsets=10**6)).log_prob
    assert np.mean([order_bound(model, genes, seed=seed).mean() for seed in range(5)]) > exact.mean()


def test_the_bound_is_exact_on_average_where_there_is_one_order_and_description():
    model = tiny(site_order="electronegativity")
    genes = random_genes(1, 10, 4, seed=6)  # group 1 has one position and one description
    exact = -model.log_prob(genes)
    np.testing.assert_allclose(order_bound(model, genes), exact, atol=TOLERANCE, rtol=0)


def test_illegal_and_overlong_genes_have_probability_zero(model):
    genes = GeneBatch.from_lists([225, 225, 1], [[3, 8], [3, 8], [3] * 70], [[0, 0], [0, 1], [0] * 70])
    scores = model.score(genes)
    assert np.isneginf(scores.log_prob).tolist() == [True, False, True]
    assert scores.exact.all()


def test_an_unknown_element_is_named(model):
    with pytest.raises(InputError, match="element 92"):
        model.log_prob(GeneBatch.from_lists([1], [[92]], [[0]]))
    with pytest.raises(ConfigError, match="orders is 1"):
        ScoringLimits(orders=1)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
@settings(max_examples=20)
def test_the_lattice_holds_every_sub_multiset_once(multiplicities):
    counts = tuple(sorted(multiplicities, reverse=True))
    subsets = lattice(counts)
    members = [tuple(row) for rows in subsets.members for row in rows.tolist()]
    assert len(members) == len(set(members)) == len(subsets.after) == np.prod(np.array(counts) + 1)
    of = dict(zip(np.concatenate(subsets.by_size).tolist(), members, strict=True))
    for subset, row in enumerate(subsets.after.tolist()):
        for site, following in enumerate(row):
            full = of[subset].count(site) == counts[site]
            assert following == -1 if full else of[following] == tuple(sorted((*of[subset], site)))


def test_counts_of_orders_and_sub_multisets():
    genes = GeneBatch.from_lists([1, 1, 225], [[3, 3, 3, 8], [8], [3, 8]], [[0] * 4, [0], [0, 1]])
    assert np.exp(log_num_orders(genes)) == pytest.approx([4, 1, 2])
    assert num_subsets(genes) == pytest.approx([8, 2, 4])
