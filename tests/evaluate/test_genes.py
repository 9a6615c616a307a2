"""The report: laws of its figures, its counts, what it refuses, and the figures of real data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aristotype.crystal import GeneBatch, equivalents, gene_keys, template_keys
from aristotype.errors import InputError
from aristotype.evaluate import (
    GENE_ROWS,
    PROTOCOL,
    KnownKeys,
    distinct_share,
    gene_report,
    legal_share,
    metrics_table,
    novel_share,
    novel_templates,
)
from aristotype.symmetry import mirror_image

DISTANCES = [row.key for row in GENE_ROWS if row.key.startswith("emd") or "jsd" in row.key or "chi2" in row.key]


@pytest.fixture(scope="module")
def genes(random_genes) -> GeneBatch:
    return random_genes(300, seed=3)


def other_descriptions(genes: GeneBatch, seed: int) -> GeneBatch:
    """The same genes, each in a random one of its equivalent descriptions, sites in random order."""
    rng = np.random.default_rng(seed)
    described, owner = equivalents(genes)
    order = rng.permutation(len(owner))
    _, first = np.unique(owner[order], return_index=True)
    chosen = described.take(order[first])
    shuffle = rng.permuted(np.tile(np.arange(chosen.wyckoffs.shape[1]), (len(chosen), 1)), axis=1)
    return GeneBatch(
        space_group=chosen.space_group,
        elements=np.take_along_axis(chosen.elements, shuffle, 1),
        wyckoffs=np.take_along_axis(chosen.wyckoffs, shuffle, 1),
    )


def test_every_figure_is_the_same_for_equivalent_descriptions(genes, random_genes):
    known, reference = KnownKeys.of(genes.take(np.arange(0, 300, 2))), random_genes(200, seed=4)
    original = gene_report(genes, reference, train_keys=known, resamples=0)
    relabelled = gene_report(other_descriptions(genes, 5), reference, train_keys=known, resamples=0)
    assert original["metrics"].keys() == relabelled["metrics"].keys()
    for name, figure in original["metrics"].items():
        assert relabelled["metrics"][name]["value"] == pytest.approx(figure["value"], abs=1e-12), name


def test_a_batch_against_itself_is_at_no_distance_and_nothing_is_novel(genes):
    metrics = gene_report(genes, genes, train_keys=KnownKeys.of(genes), resamples=0)["metrics"]
    assert len(DISTANCES) == 10
    assert {metrics[name]["value"] for name in DISTANCES} == {0.0}
    assert {metrics[name]["value"] for name in ("novel", "novel_merged", "novel_templates")} == {0.0}


def test_copies_change_distinctness_alone_of_all_figures(genes, random_genes):
    reference, twice = random_genes(100, seed=6), GeneBatch.concatenate([genes, genes])
    once, doubled = (gene_report(batch, reference, resamples=0)["metrics"] for batch in (genes, twice))
    assert doubled["distinct"]["value"] == pytest.approx(once["distinct"]["value"] / 2)
    for name in once.keys() - {"distinct"}:
        assert doubled[name]["value"] == pytest.approx(once[name]["value"], abs=1e-12), name


def test_mirror_images_are_known_only_where_hands_are_merged(random_genes):
    genes = random_genes(40, seed=7, groups=(76, 91, 144, 178))
    mirrored = np.array([mirror_image(int(g))[0] for g in genes.space_group], np.int16)
    letters = [[mirror_image(int(g))[1][w] for w in row if w >= 0] for g, row in zip(genes.space_group, genes.wyckoffs)]
    elements = [[z for z in row if z > 0] for row in genes.elements.tolist()]
    images = GeneBatch.from_lists(mirrored.tolist(), elements, letters)
    metrics = gene_report(images, genes, train_keys=KnownKeys.of(genes), resamples=0)["metrics"]
    assert metrics["novel"]["value"] == 1.0
    assert metrics["novel_merged"]["value"] == 0.0


def test_illegal_genes_count_in_the_first_row_only(genes):
    # 225 with 4a twice is illegal.
    bad = GeneBatch.concatenate([genes, GeneBatch.from_lists([225], [[11, 17]], [[0, 0]])])
    assert legal_share(bad) == pytest.approx(300 / 301)
    report, clean = (gene_report(batch, genes, attempts=602, resamples=0) for batch in (bad, genes))
    assert (report["attempts"], report["legal"]) == (602, 300)
    assert report["metrics"]["legal"]["value"] == pytest.approx(300 / 602)
    assert report["metrics"] == clean["metrics"]


def test_shares_of_keys_by_hand():
    keys = [b"a", b"a", b"b", b"c"]
    assert distinct_share(keys) == 0.75
    assert novel_share(keys, {b"a"}) == 0.5
    assert novel_templates(keys, {b"a"}) == 500.0
    assert novel_templates(keys, {b"b"}, sample=2) == 500.0  # one of {a}, one of {b, c}
    assert np.isnan(novel_templates(keys, set(), sample=5))


def test_keys_of_the_library_are_what_known_keys_hold(genes):
    known = KnownKeys.of(genes)
    assert set(gene_keys(genes).tolist()) == known.genes
    assert set(template_keys(genes).tolist()) == known.templates
    assert len(known.merged_genes) <= len(known.genes)


def test_intervals_hold_their_figures_and_repeat_with_the_seed(genes, random_genes):
    reference = random_genes(400, seed=8)
    first, again, other = (gene_report(genes, reference, resamples=60, seed=s)["metrics"] for s in (0, 0, 1))
    assert first == again
    assert first["emd_sites"] != other["emd_sites"]
    for name in [*DISTANCES, "legal", "p1", "smact", "special_atoms"]:
        figure = first[name]
        # An interval may end a rounding error below a share of exactly 1.
        assert 0.0 <= figure["low"] <= figure["value"] <= figure["high"] + 1e-12, name
    for name in ("distinct", "groups_present"):
        assert first[name]["low"] is None


def test_intervals_of_shares_cover_the_truth():
    from aristotype.evaluate._bootstrap import share

    rng = np.random.default_rng(0)
    for rate in (0.02, 0.5, 0.9):
        intervals = [share(int(k), 500) for k in rng.binomial(500, rate, size=1000)]
        covered = np.mean([i.low <= rate <= i.high for i in intervals])
        assert 0.92 < covered < 0.98  # 95 % nominal; lattice effects and 1000 trials allow 2 to 3 % either way
    assert share(0, 100).low == 0.0 < share(0, 100).high


def test_a_report_is_plain_json(genes):
    report = gene_report(genes, genes, resamples=3)
    assert json.loads(json.dumps(report)) == report
    assert report["protocol"] == PROTOCOL


def test_what_cannot_be_reported_is_refused(genes):
    illegal = GeneBatch.from_lists([225], [[11, 17]], [[0, 0]])
    with pytest.raises(InputError, match="none of 1 genes is legal"):
        gene_report(illegal, genes)
    with pytest.raises(InputError, match="1 of 1 reference genes are illegal"):
        gene_report(genes, illegal)
    with pytest.raises(InputError, match="of 0 reference genes"):
        gene_report(genes, genes.take(np.arange(0)))
    with pytest.raises(InputError, match="10 attempts cannot give 300"):
        gene_report(genes, genes, attempts=10)


def test_the_table_shows_columns_side_by_side(genes, random_genes):
    report = gene_report(genes, random_genes(100, seed=9), resamples=5)
    table = metrics_table({"ours": report["metrics"], "published": {"p1": 0.0201, "novel": None}})
    lines = table.splitlines()
    assert lines[0] == "| metric | ours | published |"
    (p1,) = [line for line in lines if line.startswith("| P1 ")]
    assert p1.endswith("| 2.01% |")
    assert " to " in p1
    assert not any(line.startswith("| novel") for line in lines)  # no column has it
    assert any(line.startswith("| groups present") and line.endswith("| - |") for line in lines)
