"""Prototypes, series and the likelihood of exchanges, against what is counted gene by gene."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch, equivalents, gene_keys
from aristotype.datasets._substitution import Substitution
from aristotype.errors import InputError
from aristotype.models.baselines import ExchangeLikelihood, Fillings, element_lists, exchange_counts
from aristotype.models.baselines._likelihood import relatives
from tests.models.prototypes import known_crystals
from tests.random_genes import GROUPS, random_genes, shuffled


def some_genes(seed: int, groups, elements=(3, 8, 26)) -> GeneBatch:
    """Random genes, and other descriptions of some of them."""
    rng = np.random.default_rng(seed)
    genes = random_genes(rng, groups, elements=elements, max_sites=4)
    described, _ = equivalents(genes)
    some = rng.choice(len(described), min(len(described), 200), replace=False)
    return shuffled(GeneBatch.concatenate([genes, described.take(some)]), rng)


def renamed(genes: GeneBatch, row: int, names: dict[int, int]) -> bytes:
    """Key of a gene after its elements were renamed."""
    table = np.arange(128)
    table[list(names)] = list(names.values())
    gene = genes.take([row])
    named = GeneBatch(
        space_group=gene.space_group, elements=table[gene.elements].astype(np.int8), wyckoffs=gene.wyckoffs
    )
    return gene_keys(named).tolist()[0]


def exchanges_between(genes: GeneBatch, one: int, other: int) -> int | None:
    """Fewest elements whose exchange turns one gene into another; None if their prototypes differ."""
    (key,) = gene_keys(genes.take([other])).tolist()
    first, second = (kinds[kinds > 0].tolist() for kinds in element_lists(genes.take([one, other])))
    if len(first) != len(second) or genes.space_group[one] != genes.space_group[other]:
        return None
    found = [
        sum(a != b for a, b in zip(first, order))
        for order in permutations(second)
        if renamed(genes, one, dict(zip(first, order))) == key
    ]
    return min(found, default=None)


def test_genes_are_the_same_where_they_share_a_filling_of_one_prototype():
    """Against the keys of genes, in all groups and for all descriptions."""
    genes = some_genes(0, [*GROUPS, *GROUPS])
    fillings = Fillings.of(genes)
    pairs = set(zip(fillings.gene.tolist(), gene_keys(genes).tolist(), strict=True))
    assert len(pairs) == len(set(gene_keys(genes).tolist())) == fillings.gene.max() + 1


@pytest.mark.parametrize("number", [1, 2, 16, 47, 62, 136, 166, 216, 221, 225, 227])
def test_prototypes_are_the_same_where_renaming_elements_makes_the_genes_the_same(number):
    genes = some_genes(number, [number] * 12, elements=(3, 8, 26, 17))
    prototype = Fillings.of(genes).prototype
    for one, other in combinations(range(0, len(genes), max(1, len(genes) // 16)), 2):
        assert (exchanges_between(genes, one, other) is not None) == (prototype[one] == prototype[other])


def test_there_are_as_many_fillings_as_renamings_that_keep_a_gene_of_its_prototype_where_it_is():
    """Rock salt, elpasolite and perovskite: two, two and one."""
    genes = GeneBatch.from_lists(
        [225, 225, 221], [[11, 17], [55, 11, 26, 9], [20, 22, 8]], [[0, 1], [2, 0, 1, 4], [0, 1, 2]]
    )
    fillings = Fillings.of(genes)
    assert fillings.count.tolist() == [2, 2, 1]
    first, second = fillings.elements[fillings.owner == 1].tolist()
    assert first != second
    assert sorted(first) == sorted(second)


def test_an_element_too_many_on_alike_positions_is_refused():
    genes = GeneBatch.from_lists([1], [list(range(1, 10))], [[0] * 9])
    with pytest.raises(InputError, match=r"9 elements, 362,880 orders.*5,040"):
        Fillings.of(genes)


def test_exchanges_are_counted_as_the_keys_of_genes_with_a_blank_count_them():
    """The augmentation of training counts the same exchanges another way, row by row normalised."""
    genes = known_crystals().genes()
    counts = exchange_counts(Fillings.of(genes))
    partners = Substitution(genes).partners[:119, :119]
    total = counts.sum(axis=1, keepdims=True)
    assert (total > 0).sum() >= 6
    np.testing.assert_allclose(np.where(total > 0, counts / np.where(total > 0, total, 1), 0), partners, atol=1e-12)
    # Each gene counts once for each of its elements that has a partner.
    assert counts.sum() == pytest.approx(round(counts.sum()))


def test_the_nearest_relative_is_that_of_all_renamings():
    genes = known_crystals().genes()
    few = genes.take(np.flatnonzero(np.isin(genes.space_group, (225, 62, 14, 216, 1))))
    keys = gene_keys(few).tolist()
    found = relatives(Fillings.of(few))
    seen: Counter[int] = Counter()
    for row in range(len(few)):
        others = [other for other in range(len(few)) if keys[other] != keys[row]]
        apart = [d for d in (exchanges_between(few, row, other) for other in others) if d is not None]
        expected = min(apart, default=0)
        assert found[row] == (expected if expected <= 3 else 0)
        seen[expected] += 1
    assert seen[1] and seen[2]


def test_the_likelihood_is_symmetric_and_normalised():
    learnt = ExchangeLikelihood.learnt(Fillings.of(known_crystals().genes()))
    assert (learnt.joint == learnt.joint.T).all()
    assert (learnt.log_odds == learnt.log_odds.T).all()
    assert not learnt.joint.diagonal().any()
    assert learnt.joint.sum() == pytest.approx(1)
    assert learnt.num_exchanged.sum() == pytest.approx(1)
    known = learnt.marginal > 0
    np.testing.assert_allclose(learnt.conditional.sum(axis=1), known, atol=1e-12)
    # Bayes: the new element's own share, times the odds.
    both = np.ix_(known, known)
    np.testing.assert_allclose(
        (learnt.marginal * np.exp(learnt.log_odds))[both], learnt.conditional[both], rtol=1e-9, atol=1e-12
    )


def test_exchanges_that_were_seen_are_likelier_than_by_chance_and_others_are_possible():
    fillings = Fillings.of(known_crystals().genes())
    counts = exchange_counts(fillings)
    learnt = ExchangeLikelihood.learnt(fillings)
    known = counts.sum(axis=1) > 0
    off = known[:, None] & known[None] & ~np.eye(119, dtype=bool)
    assert (learnt.joint[off] > 0).all()
    assert not learnt.joint[~off].any()
    sharper = ExchangeLikelihood.learnt(fillings, smoothing=1e-6)
    seen = counts > 0
    assert sharper.joint[seen].sum() > learnt.joint[seen].sum()


@pytest.mark.parametrize("smoothing", [0.0, 1.0, -1.0, float("nan")])
def test_a_smoothing_that_is_no_share_is_refused(smoothing):
    with pytest.raises(InputError, match="smoothing"):
        ExchangeLikelihood.learnt(Fillings.of(known_crystals().genes()), smoothing)


def test_crystals_without_a_relative_teach_no_exchange():
    with pytest.raises(InputError, match="none of the 1 known crystals"):
        ExchangeLikelihood.learnt(Fillings.of(known_crystals()[:1].genes()))
    with pytest.raises(InputError, match="none of the 0 known crystals"):
        ExchangeLikelihood.learnt(Fillings.of(CrystalTable.concatenate([]).genes()))
