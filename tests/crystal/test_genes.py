"""Genes in batches: canonical descriptions and keys against an orbit computation that shares no code with them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.crystal import (
    GeneBatch,
    canonical_genes,
    equivalents,
    gene_keys,
    sorted_genes,
    template_descriptions,
    template_keys,
    templates_of,
)
from aristotype.crystal import _genes as module
from aristotype.errors import SymmetryError
from aristotype.symmetry import mirror_image, relabellings, space_group
from tests.random_genes import GROUPS, random_genes, shuffled

PAIRED = [n for n in GROUPS if space_group(n).enantiomorph is not None]
Sites = tuple[tuple[int, int], ...]  # sorted (letter, element) pairs


def sites_of(genes: GeneBatch) -> list[Sites]:
    """Plain Python multisets."""
    rows = zip(genes.wyckoffs.tolist(), genes.elements.tolist(), strict=True)
    return [tuple(sorted((w, z) for w, z in zip(*row, strict=True) if w >= 0)) for row in rows]


def batch_of(number: int, genes: list[Sites]) -> GeneBatch:
    return GeneBatch.from_lists(
        [number] * len(genes), [[z for _, z in g] for g in genes], [[w for w, _ in g] for g in genes]
    )


def generators(number: int) -> list[tuple[int, ...]]:
    """A few relabellings whose compositions give all of them, found by composing random ones."""
    everything = [tuple(row) for row in relabellings(number).tolist()]
    rng = np.random.default_rng(number)
    chosen: list[tuple[int, ...]] = []
    closure = {everything[0]}
    while len(closure) < len(everything):
        new = everything[int(rng.integers(len(everything)))]
        if new in closure:
            continue
        chosen.append(new)
        frontier = list(closure)
        while frontier:
            frontier = [q for p in frontier for g in chosen if (q := tuple(g[i] for i in p)) not in closure]
            frontier = list(dict.fromkeys(frontier))
            closure.update(frontier)
    return chosen


def orbits(number: int, genes: list[Sites]) -> list[int]:
    """Number of the orbit of each gene under the generators, by union and find; the list is closed under them."""
    index = {gene: row for row, gene in enumerate(genes)}
    parent = list(range(len(genes)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for generator in generators(number):
        for gene, row in index.items():
            image = tuple(sorted((generator[w], z) for w, z in gene))
            parent[root(row)] = root(index[image])
    return [root(row) for row in range(len(genes))]


def all_genes(number: int, elements: tuple[int, ...], most: int) -> list[Sites]:
    """Every multiset of up to `most` sites; also those that occupy a fixed point twice, which orbits hold too."""
    sites = list(product(range(len(space_group(number).positions)), elements))
    return [gene for count in range(1, most + 1) for gene in combinations_with_replacement(sites, count)]


def same_partition(labels: list[int], keys: list[bytes]) -> bool:
    return len(set(labels)) == len(set(keys)) == len(set(zip(labels, keys, strict=True)))


@pytest.fixture(scope="module")
def genes() -> GeneBatch:
    """Ten genes of every group."""
    return random_genes(
        np.random.default_rng(1), [n for n in GROUPS for _ in range(10)], elements=(1, 8, 26), max_sites=6
    )


@pytest.mark.parametrize("number", GROUPS)
def test_keys_are_equal_exactly_on_orbits(number):
    """All genes of up to two sites and two elements: equal keys if and only if a normalizer operation relates them."""
    listed = all_genes(number, (3, 9), 2)
    batch = batch_of(number, listed)
    keys = gene_keys(batch).tolist()
    assert same_partition(orbits(number, listed), keys)
    bare = [tuple((w, 1) for w, _ in gene) for gene in listed]
    templates = all_genes(number, (1,), 2)
    label = dict(zip(templates, orbits(number, templates), strict=True))
    assert same_partition([label[gene] for gene in bare], template_keys(batch).tolist())


@pytest.mark.parametrize("number", [1, 5, 16, 25, 43, 68, 81, 143, 216])
def test_keys_are_equal_exactly_on_orbits_of_three_sites(number):
    listed = all_genes(number, (3,), 3)
    assert same_partition(orbits(number, listed), gene_keys(batch_of(number, listed)).tolist())


def test_canonical_genes_are_canonical(genes):
    canonical = canonical_genes(genes)
    again = canonical_genes(canonical)
    assert (again.wyckoffs == canonical.wyckoffs).all()
    assert (again.elements == canonical.elements).all()
    assert sites_of(sorted_genes(canonical)) == [tuple(sorted(s)) for s in sites_of(canonical)]
    for number, own, best in zip(genes.space_group.tolist(), sites_of(genes), sites_of(canonical), strict=True):
        images = {tuple(sorted((p[w], z) for w, z in own)) for p in relabellings(number).tolist()}
        assert best == min(images)


def test_keys_know_no_order_no_padding_and_no_relabelling(genes):
    rng = np.random.default_rng(2)
    keys, templates = gene_keys(genes), template_keys(genes)
    rows = []
    for number, own in zip(genes.space_group.tolist(), sites_of(genes), strict=True):
        table = relabellings(number)
        chosen = table[int(rng.integers(len(table)))].tolist()
        rows.append([(chosen[w], z) for w, z in own])
    moved = GeneBatch.from_lists(
        genes.space_group.tolist(), [[z for _, z in row] for row in rows], [[w for w, _ in row] for row in rows]
    )
    wide = GeneBatch.concatenate([moved, GeneBatch.from_lists([1], [[1] * 9], [[0] * 9])]).take(np.arange(len(genes)))
    for variant in (moved, shuffled(genes, rng), shuffled(wide, rng)):
        assert (gene_keys(variant) == keys).all()
        assert (template_keys(variant) == templates).all()


def test_keys_of_genes_and_templates_are_apart(genes):
    """A template is hashed as a gene of hydrogen; it must not have that gene's key."""
    hydrogen = templates_of(genes)
    assert not set(gene_keys(hydrogen).tolist()) & set(template_keys(hydrogen).tolist())
    assert (template_keys(hydrogen) == template_keys(genes)).all()


def test_group_68_keeps_inequivalent_genes_apart():
    """Pairing new indices with old symbols, as published, makes c + e the same as d + e."""
    c, d, e, f = (space_group(68).position(letter).index for letter in "cdef")
    batch = batch_of(68, [((c, 8), (e, 26)), ((d, 8), (f, 26)), ((d, 8), (e, 26)), ((c, 8), (f, 26))])
    keys = gene_keys(batch).tolist()
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert keys[0] != keys[2]


def test_group_16_merges_the_three_axes():
    """Any axis can be called a: the twelve twofold lines are one position, the eight points another."""
    points, lines = [((w, 8),) for w in range(8)], [((w, 8),) for w in range(8, 20)]
    keys = gene_keys(batch_of(16, [*points, *lines])).tolist()
    assert len(set(keys[:8])) == len(set(keys[8:])) == 1
    assert keys[0] != keys[8]
    along = {axis: space_group(16).position(letter).index for axis, letter in zip("xyz", "imq", strict=True)}
    permuted = [((along[a], 3), (along[b], 8)) for a, b in ("xy", "yz", "zx", "yx")]
    assert len(set(gene_keys(batch_of(16, permuted)).tolist())) == 1


@pytest.mark.parametrize("number", PAIRED)
def test_enantiomorphic_groups_merge_only_on_request(number):
    source = random_genes(np.random.default_rng(number), [number] * 20, elements=(1, 8), max_sites=4)
    partner, letters = mirror_image(number)
    mirrored = GeneBatch(
        space_group=np.full(20, partner, np.int16),
        elements=source.elements,
        wyckoffs=np.append(letters, np.int8(-1))[source.wyckoffs],
    )
    for keys in (gene_keys, template_keys):
        assert not set(keys(source).tolist()) & set(keys(mirrored).tolist())
        merged = keys(source, merge_enantiomorphs=True), keys(mirrored, merge_enantiomorphs=True)
        assert (merged[0] == merged[1]).all()
        assert same_partition(list(map(hash, keys(source).tolist())), merged[0].tolist())


def test_merging_leaves_all_other_groups_alone(genes):
    single = genes.take(~np.isin(genes.space_group, PAIRED))
    assert len(PAIRED) == 22
    for keys in (gene_keys, template_keys):
        assert (keys(single, merge_enantiomorphs=True) == keys(single)).all()


def test_p41_and_p43():
    pair = GeneBatch.from_lists([76, 78], [[14], [14]], [[0], [0]])
    assert len(set(gene_keys(pair).tolist())) == 2
    assert len(set(gene_keys(pair, merge_enantiomorphs=True).tolist())) == 1


def test_equivalents_are_the_whole_orbit(genes):
    described, owner = equivalents(genes)
    assert (np.diff(owner) >= 0).all()
    found: dict[int, list[Sites]] = {}
    for row, own in zip(owner.tolist(), sites_of(described), strict=True):
        found.setdefault(row, []).append(own)
    for row, (number, own) in enumerate(zip(genes.space_group.tolist(), sites_of(genes), strict=True)):
        table = relabellings(number).tolist()
        assert set(found[row]) == {tuple(sorted((p[w], z) for w, z in own)) for p in table}
        assert len(set(found[row])) == len(found[row])
        assert len(table) % len(found[row]) == 0, "the size of an orbit divides the order of the group"
    assert (described.space_group == genes.space_group[owner]).all()


def test_template_descriptions_are_the_orbit_on_canonical_positions(genes):
    described, owner = template_descriptions(genes)
    everything, whose = equivalents(genes)
    template = templates_of(genes)
    on_it = (everything.wyckoffs == template.wyckoffs[whose]).all(axis=1)
    expected = set(
        zip(whose[on_it].tolist(), np.array(sites_of(everything), dtype=object)[on_it].tolist(), strict=True)
    )
    got = list(zip(owner.tolist(), sites_of(described), strict=True))
    assert len(got) == len(set(got))
    assert set(got) == expected
    # Orbit and stabiliser again: the orbit of a gene lies over that of its template, equally over each point.
    bare, template_owner = equivalents(template)
    per_gene, per_template = Counter(whose.tolist()), Counter(template_owner.tolist())
    for row, count in Counter(owner.tolist()).items():
        assert count * per_template[row] == per_gene[row]
    assert len(bare) == sum(per_template.values())


def test_group_2_in_chunks(monkeypatch):
    """1344 relabellings: a table of genes goes through in pieces, and the pieces change nothing."""
    genes = random_genes(np.random.default_rng(5), [2, 47, 2, 1] * 15, elements=(1, 8), max_sites=5)
    whole = canonical_genes(genes), equivalents(genes), template_descriptions(genes)
    assert len(module._by_group(genes)) == 3
    monkeypatch.setattr(module, "_CHUNK_CELLS", 1344 * genes.wyckoffs.shape[1] * 4)
    assert len(module._by_group(genes)) == 10
    pieces = canonical_genes(genes), equivalents(genes), template_descriptions(genes)
    assert sites_of(whole[0]) == sites_of(pieces[0])
    for (left, left_owner), (right, right_owner) in zip(whole[1:], pieces[1:], strict=True):
        assert left_owner.tolist() == right_owner.tolist()
        assert [set(zip(left_owner.tolist(), sites_of(left), strict=True))] == [
            set(zip(right_owner.tolist(), sites_of(right), strict=True))
        ]


def test_no_genes():
    empty = random_genes(np.random.default_rng(0), [225], elements=(1,), max_sites=3).take([])
    assert len(canonical_genes(empty)) == len(gene_keys(empty)) == len(template_keys(empty)) == 0
    for describe in (equivalents, template_descriptions):
        described, owner = describe(empty)
        assert len(described) == len(owner) == 0
    assert len(GeneBatch.from_lists([], [], [])) == 0
    empty.check()


@given(
    rows=st.lists(st.tuples(st.integers(1, 230), st.lists(st.integers(1, 118), max_size=7)), max_size=8),
    data=st.data(),
)
def test_batches_hold_what_was_put_in(rows, data):
    groups = [number for number, _ in rows]
    species = [row for _, row in rows]
    letters = [
        data.draw(st.lists(st.integers(0, len(space_group(n).positions) - 1), min_size=len(z), max_size=len(z)))
        for n, z in rows
    ]
    batch = GeneBatch.from_lists(groups, species, letters)
    expected = [tuple(sorted(zip(w, z, strict=True))) for w, z in zip(letters, species, strict=True)]
    assert batch.space_group.tolist() == groups
    assert sites_of(batch) == sites_of(sorted_genes(batch)) == expected
    assert batch.num_sites.tolist() == list(map(len, species))
    atoms = [sum(space_group(n).positions[w].multiplicity for w in own) for n, own in zip(groups, letters, strict=True)]
    assert batch.multiplicities.sum(axis=1).tolist() == atoms
    fixed = [
        [w for w in own if space_group(n).positions[w].freedom == 0] for n, own in zip(groups, letters, strict=True)
    ]
    assert batch.legal().tolist() == [
        bool(own) and len(set(f)) == len(f) for own, f in zip(letters, fixed, strict=True)
    ]
    halves = GeneBatch.concatenate([batch.take(np.arange(len(batch)) < 3), batch.take(np.arange(len(batch)) >= 3)])
    assert sites_of(halves) == expected
    assert halves.space_group.tolist() == groups


@pytest.mark.parametrize(
    ("group", "elements", "wyckoffs", "said"),
    [
        (0, [1], [0], "space group 0"),
        (231, [1], [0], "space group 231"),
        (225, [1], [12], "position index 12"),
        (225, [1], [-2], "position index -2"),
        (40_000, [1], [0], "space group 40000"),
        (225, [1], [300], "position index 300"),
        (225, [119], [0], "element 119"),
        (225, [300], [0], "element 300"),
        (225, [-1], [0], "element -1"),
        (225, [0], [3], "element"),
        (225, [5], [-1], "position"),
        (225, [5, 6], [1], "2 elements for 1 positions"),
    ],
)
def test_genes_that_do_not_exist_are_refused(group, elements, wyckoffs, said):
    with pytest.raises(SymmetryError, match=f"gene 1.*{said}"):
        GeneBatch.from_lists([1, group], [[1], elements], [[0], wyckoffs])
