"""Symmetry that is kept, and its distributions: laws, and counts made row by row."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from aristotype.crystal import CrystalTable, GeneBatch, canonical_genes, equivalents
from aristotype.errors import InputError
from aristotype.evaluate import fidelity_metrics, symmetry_kept, symmetry_metrics
from aristotype.symmetry import space_group


@pytest.fixture(scope="module")
def genes(random_genes) -> GeneBatch:
    return random_genes(300, seed=3)


@pytest.fixture(scope="module")
def reference(random_genes) -> GeneBatch:
    return random_genes(200, seed=4)


def sites(genes: GeneBatch):
    for group, letters in zip(genes.space_group.tolist(), genes.wyckoffs.tolist(), strict=True):
        yield from ((group, letter) for letter in letters if letter >= 0)


def divergence(left: Counter, right: Counter) -> float:
    bins = sorted(left.keys() | right.keys())
    return jensenshannon([left[b] for b in bins], [right[b] for b in bins], base=2) ** 2


def test_distances_to_itself_are_zero(genes):
    metrics = symmetry_metrics(genes, genes, resamples=0)
    distances = [name for name in metrics if name.endswith(("jsd", "chi2"))]
    assert len(distances) == 8
    for name in distances:
        assert metrics[name].value == pytest.approx(0.0, abs=1e-7)


def test_figures_are_counts_made_site_by_site(genes, reference):
    metrics = symmetry_metrics(genes, reference, resamples=0)
    both = genes, reference
    groups = [Counter(batch.space_group.tolist()) for batch in both]
    assert metrics["group_jsd"].value == pytest.approx(divergence(*groups), abs=1e-7)
    dimensions = [Counter(space_group(g).positions[w].freedom for g, w in sites(batch)) for batch in both]
    assert metrics["wyckoff_dimension_jsd"].value == pytest.approx(divergence(*dimensions), abs=1e-7)
    for name, counts in (("group", groups), ("wyckoff_dimension", dimensions)):
        root = np.sqrt(np.log(2) * divergence(*counts))
        assert metrics[f"{name}_root_jsd"].value == pytest.approx(root, abs=1e-7)
    canonical = [canonical_genes(batch) for batch in both]
    symbols = [Counter(space_group(g).positions[w].site_symmetry for g, w in sites(batch)) for batch in canonical]
    assert metrics["site_symmetry_jsd"].value == pytest.approx(divergence(*symbols), abs=1e-7)
    letters = [Counter(w for _, w in sites(batch)) for batch in canonical]
    assert metrics["wyckoff_letter_jsd"].value == pytest.approx(divergence(*letters), abs=1e-7)
    positions = [Counter(sites(batch)) for batch in canonical]
    assert metrics["wyckoff_position_jsd"].value == pytest.approx(divergence(*positions), abs=1e-7)
    general = dimensions[0][3]
    assert metrics["special_sites"].value == pytest.approx(1 - general / dimensions[0].total())
    atoms = special = 0
    for group, letter in sites(genes):
        position = space_group(group).positions[letter]
        count = position.multiplicity // space_group(group).centring_order
        atoms += count
        special += count * (position.freedom < 3)
    assert metrics["special_atoms"].value == pytest.approx(special / atoms)
    assert metrics["p1"].value == groups[0][1] / len(genes)


def test_letters_are_counted_up_to_the_normalizer(genes, reference):
    """Another description of the same genes, letters exchanged, gives the same figures."""
    rng = np.random.default_rng(0)
    same, owner = equivalents(genes)
    other = same.take([int(rng.choice(np.flatnonzero(owner == row))) for row in range(len(genes))])
    assert (other.wyckoffs != genes.wyckoffs).any()
    assert symmetry_metrics(other, reference, resamples=0) == symmetry_metrics(genes, reference, resamples=0)


def test_rows_in_another_order_give_the_same_figures(genes, reference):
    order = np.random.default_rng(0).permutation(len(genes))
    for name, metric in symmetry_metrics(genes.take(order), reference, resamples=0).items():
        assert metric.value == pytest.approx(symmetry_metrics(genes, reference, resamples=0)[name].value, abs=1e-12)


def test_intervals_hold_the_figure_and_repeat_with_the_seed(genes, reference):
    first, again = (symmetry_metrics(genes, reference, resamples=50, seed=7) for _ in range(2))
    assert first == again
    assert first != symmetry_metrics(genes, reference, resamples=50, seed=8)
    for metric in first.values():
        assert metric.low <= metric.value <= metric.high


def table_of(groups: list[int], letters: list[list[int]], ids: list[str]) -> CrystalTable:
    return CrystalTable.from_genes(GeneBatch.from_lists(groups, [[11] * len(w) for w in letters], letters), ids)


def test_a_row_keeps_its_group_its_gene_both_or_neither():
    before = table_of([225, 225, 62, 92, 19], [[0], [0], [2], [1], [0]], ["a", "b", "c", "d", "e"])
    # b: origin shifted by a half, the same gene; c: another gene; d: the other hand of the same gene; e: lost.
    after = table_of([225, 96, 62, 1], [[1], [1], [3], [0]], ["b", "d", "c", "a"])
    kept = symmetry_kept(before, after)
    assert kept.present.tolist() == [True, True, True, True, False]
    assert kept.group.tolist() == [False, True, True, False, False]
    assert kept.gene.tolist() == [False, True, False, True, False]


def test_fidelity_counts_lost_rows_as_not_kept(random_genes):
    requested = CrystalTable.from_genes(random_genes(40, seed=0))
    realised = requested[:30]
    p1 = table_of([1] * 10, [[0]] * 10, requested.ids[:10])
    relaxed = CrystalTable.concatenate([p1, requested[10:20]])
    metrics = fidelity_metrics(requested, realised, relaxed)
    assert metrics["group_realised"].value == metrics["gene_realised"].value == 30 / 40
    own = int((requested.space_group[:10] == 1).sum())
    assert metrics["group_relaxed"].value == (10 + own) / 40
    assert metrics["p1_relaxed"].value == (10 + int((requested.space_group[10:20] == 1).sum())) / 20
    assert set(fidelity_metrics(requested, realised)) == {name for name in metrics if "relaxed" not in name}


def test_what_cannot_be_compared_is_refused(genes):
    table = CrystalTable.from_genes(genes)
    with pytest.raises(InputError, match="were not there before"):
        symmetry_kept(table[:5], table[3:8])
    with pytest.raises(InputError, match="0 realised rows"):
        fidelity_metrics(table, table[:0])
    with pytest.raises(InputError, match="at least one of each"):
        symmetry_metrics(genes, genes.take([]))
