"""Writing elements: every mask is exact, and cached steps are the whole pass."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.models.blocks._formula import ElementAssignment, FormulaTarget
from aristotype.models.blocks._limits import (
    TOO_MANY,
    fewest_atoms,
    primitive_multiplicities,
    without_freedom,
)
from aristotype.models.wyckoff_transformer import _model as model_module
from aristotype.models.wyckoff_transformer._elements import assignment_mask, following_on_letter, site_mask
from aristotype.models.wyckoff_transformer._rules import FormulaRule, OpenRule
from aristotype.symmetry import space_group
from tests.models.worlds import VOCABULARY, model_of_all_groups, tiny_model, training_genes
from tests.random_genes import GROUPS, random_genes

LETTERS = st.lists(st.integers(0, 3), min_size=1, max_size=5).map(lambda letters: tuple(sorted(letters)))
SIZE = 4


def assignments(letters: tuple[int, ...], size: int = SIZE) -> list[tuple[int, ...]]:
    """Every assignment of elements to sites that does not decrease on a letter."""
    pairs = list(enumerate(pairwise(letters)))
    return [
        elements
        for elements in product(range(size), repeat=len(letters))
        if all(a != b or elements[i] <= elements[i + 1] for i, (a, b) in pairs)
    ]


def follow(rule, letters, complete: set[tuple[int, ...]], rng: np.random.Generator) -> None:
    """Walks a rule down one random path and compares what it allows with what can be completed."""
    chosen: tuple[int, ...] = ()
    for site in range(len(letters)):
        expected = sorted({full[site] for full in complete if full[:site] == chosen})
        assert np.flatnonzero(rule.allowed()).tolist() == expected
        chosen += (int(rng.choice(expected)),)
        rule.choose(chosen[-1])


@given(LETTERS, st.sets(st.integers(0, SIZE - 1), min_size=1), st.data())
@settings(max_examples=300)
def test_open_rules_are_exact(letters, vocabulary, data):
    """Allowed, required and known elements together, by enumeration."""
    required = frozenset(data.draw(st.lists(st.sampled_from(sorted(vocabulary)), max_size=3)))
    known: dict[int, tuple[int, ...]] = {}
    for letter in sorted(set(letters)):
        own = data.draw(st.lists(st.sampled_from(sorted(vocabulary)), max_size=2))
        if own:
            known[letter] = tuple(sorted(own))
    complete = {
        elements
        for elements in assignments(letters)
        if set(elements) <= vocabulary
        and required <= set(elements)
        and all(Counter(own) <= on_letter(letters, elements, letter) for letter, own in known.items())
    }
    assert OpenRule.feasible(letters, required, known) == bool(complete)
    if complete:
        mask = np.isin(np.arange(SIZE), list(vocabulary))
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        follow(OpenRule(letters, mask, required, known), letters, complete, rng)


def on_letter(letters: tuple[int, ...], elements: tuple[int, ...], letter: int) -> Counter[int]:
    return Counter(element for own, element in zip(letters, elements, strict=True) if own == letter)


@given(LETTERS, st.data())
@settings(max_examples=300)
def test_formula_rules_are_exact(letters, data):
    """An exact composition with known sites, by enumeration; half the compositions can be reached."""
    size = 3
    atoms = [data.draw(st.integers(1, 4)) for _ in range(4)]
    of_site = tuple(atoms[letter] for letter in letters)
    everything = assignments(letters, size)
    if data.draw(st.booleans()):
        goal = composition(data.draw(st.sampled_from(everything)), of_site, size)
    else:
        goal = tuple(data.draw(st.integers(0, 6)) for _ in range(size))
    letter = data.draw(st.sampled_from(letters))
    pending = {letter: tuple(sorted(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=2))))}
    pending = pending if data.draw(st.booleans()) else {}
    complete = {
        elements
        for elements in everything
        if composition(elements, of_site, size) == goal
        and all(Counter(own) <= on_letter(letters, elements, place) for place, own in pending.items())
    }
    if any(len(own) > letters.count(place) for place, own in pending.items()):
        return  # refused before, where the places of known sites are found
    assignment = ElementAssignment(letters, of_site, goal, pending)
    assert assignment.feasible == bool(complete)
    if complete:
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        follow(FormulaRule(assignment, tuple(range(size)), size), letters, complete, rng)


def composition(elements: tuple[int, ...], atoms: tuple[int, ...], size: int) -> tuple[int, ...]:
    return tuple(sum(a for e, a in zip(elements, atoms, strict=True) if e == element) for element in range(size))


@given(LETTERS, st.integers(1, 4), st.sets(st.integers(0, SIZE - 1), min_size=1), st.integers(0, 99))
@settings(max_examples=300)
def test_masks_for_the_number_of_elements_are_exact(letters, kinds, vocabulary, seed):
    """What the sampler follows site by site, and what training masks at once, by enumeration."""
    complete = {e for e in assignments(letters) if len(set(e)) == kinds and set(e) <= vocabulary}
    if not complete:
        return
    rng = np.random.default_rng(seed)
    path = sorted(complete)[int(rng.integers(len(complete)))]
    mask = torch.tensor([element in vocabulary for element in range(SIZE)])
    following = following_on_letter(torch.tensor([letters]))[0]
    for site, letter in enumerate(letters):
        used = torch.tensor([element in path[:site] for element in range(SIZE)])
        lowest = path[site - 1] if site and letters[site - 1] == letter else 0
        remaining = torch.tensor(len(letters) - 1 - site)
        needed = kinds - used.sum()
        found = site_mask(torch.tensor(lowest), used, following[site], remaining, needed, mask)
        expected = sorted({full[site] for full in complete if full[:site] == path[:site]})
        assert found.nonzero()[:, 0].tolist() == expected
    if len(vocabulary) == SIZE:
        present = torch.nn.functional.one_hot(torch.tensor([path]), SIZE).bool()
        at_once = assignment_mask(torch.tensor([letters]), torch.tensor([path]), present, torch.tensor([kinds]))[0]
        for site in range(len(letters)):
            expected = sorted({full[site] for full in complete if full[:site] == path[:site]})
            assert at_once[site].nonzero()[:, 0].tolist() == expected


@given(st.integers(1, 230), st.data())
@settings(max_examples=60)
def test_fewest_atoms_by_enumeration(number, data):
    atoms, fixed = primitive_multiplicities(number), without_freedom(number)
    lowest = data.draw(st.integers(max(0, len(atoms) - 6), len(atoms)))
    wanted = tuple(sorted(data.draw(st.lists(st.integers(max(0, lowest - 1), len(atoms) - 1), max_size=2))))
    letters = [w for w in range(lowest, len(atoms)) for _ in range(1 if fixed[w] else 3)]
    found = fewest_atoms(number, lowest, wanted, 3)
    for sites in range(4):
        legal = [c for c in combinations(letters, sites) if not Counter(wanted) - Counter(c)]
        expected = min((sum(atoms[w] for w in chosen) for chosen in legal), default=None)
        assert (None if found[sites] >= TOO_MANY else found[sites]) == expected


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=4),
    st.lists(st.integers(1, 5), min_size=1, max_size=2),
    st.sampled_from([(None, False), (2, False), (3, False), (2, True), (3, True)]),
)
@settings(max_examples=200)
def test_letters_towards_a_formula_are_exact(positions, counts, limit):
    """Every letter that can follow a prefix, in any, exactly so many, or at most so many sites, by enumeration."""
    atoms, fixed = zip(*positions, strict=True)
    sites, at_most = limit
    target = FormulaTarget(tuple(counts), atoms, fixed, sites, at_most=at_most)
    most = sites or sum(counts)
    complete = set()
    for length in range(1 if sites is None or at_most else sites, most + 1):
        for letters in nondecreasing(len(atoms), length):
            if all(not fixed[w] or letters.count(w) == 1 for w in letters) and any(
                composition(e, tuple(atoms[w] for w in letters), len(counts)) == tuple(counts)
                for e in product(range(len(counts)), repeat=length)
            ):
                complete.add(letters)
    assert target.feasible == bool(complete)
    for prefix in {letters[:i] for letters in complete for i in range(len(letters) + 1)}:
        reached = target.start()
        for letter in prefix:
            reached = target.after(reached, letter)
        assert target.can_stop(reached) == (prefix in complete)
        lowest = 0 if not prefix else prefix[-1] + fixed[prefix[-1]]
        for letter in range(lowest, len(atoms)):
            expected = any(letters[: len(prefix) + 1] == (*prefix, letter) for letters in complete)
            assert target.can_go_on(target.after(reached, letter), letter + fixed[letter]) == expected


def nondecreasing(letters: int, length: int) -> list[tuple[int, ...]]:
    return [p for p in product(range(letters), repeat=length) if all(a <= b for a, b in pairwise(p))]


@torch.no_grad()
@pytest.mark.parametrize("member", [0, 1])
def test_decoding_step_by_step_is_the_whole_pass(member):
    """Genes of one to fifteen sites together, longest first, against each alone at once."""
    model = tiny_model(training_genes(), max_sites=16)
    network = model.members[member]
    genes = random_genes(np.random.default_rng(6), [n for n in GROUPS if n % 5 == 0], elements=VOCABULARY, max_sites=15)
    genes = genes.take(np.argsort(-genes.num_sites, kind="stable"))
    sites = torch.from_numpy(genes.num_sites)
    group = torch.from_numpy(genes.space_group.astype(np.int64))
    wyckoffs = torch.from_numpy(genes.wyckoffs.astype(np.int64))
    elements = torch.from_numpy(np.searchsorted(VOCABULARY, genes.elements))
    kinds = torch.from_numpy(genes.num_elements)
    assert sites[0] > 12
    assert sites[-1] == 1
    state = network.start_decoding(group, wyckoffs.clamp(min=0), kinds, sites)
    stepwise = torch.zeros(*wyckoffs.shape, len(VOCABULARY))
    for site in range(wyckoffs.shape[1]):
        active = int((sites > site).sum())
        stepwise[:active, site] = state.step(site, active, elements[:active, site - 1] if site else None)
    for row, length in enumerate(sites.tolist()):
        own = slice(row, row + 1)
        at_once = network(group[own], wyckoffs[own, :length], elements[own, :length], kinds[own])
        assert (at_once[0] - stepwise[row, :length]).abs().max() < 1e-4 * max(1.0, float(at_once.abs().max()))


def test_numbers_of_elements_have_a_distribution():
    """For templates remembered and never seen: all numbers from one to the sites are possible, nothing else."""
    memory = model_of_all_groups().memory
    found = np.append(np.arange(len(memory)), [-1, -1, -1])
    sites = np.append(memory.templates.num_sites, [1, 5, 30])
    probabilities = memory.distinct_probabilities(found, sites, 3)
    assert np.allclose(probabilities.sum(axis=1), 1)
    number = np.arange(probabilities.shape[1])
    assert ((probabilities > 0) == ((number >= 1) & (number <= np.minimum(sites, 3)[:, None]))).all()


def test_numbers_of_elements_are_counted():
    genes = training_genes()
    assert genes.num_elements.tolist() == [len(set(row) - {0}) for row in genes.elements.tolist()]


def test_scores_do_not_depend_on_how_passes_are_cut(monkeypatch):
    model, genes = model_of_all_groups(), training_genes()
    expected = model.log_elements(genes)
    monkeypatch.setattr(model_module, "_TOKENS_A_PASS", 7)
    assert np.abs(model.log_elements(genes) - expected).max() < 2e-5


def test_positions_of_the_limits():
    """Atoms of the primitive cell: F centring divides by four."""
    assert primitive_multiplicities(225)[0] == 1
    assert primitive_multiplicities(225)[-1] == 48
    assert without_freedom(225) == tuple(p.freedom == 0 for p in space_group(225).positions)
