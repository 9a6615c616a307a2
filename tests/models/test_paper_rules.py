"""Masks of the paper configuration: every legal gene can be written in every order, nothing else can."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.models.wyckoff_transformer.paper._config import PaperConfig
from aristotype.models.wyckoff_transformer.paper._rules import FIELDS, NO_LETTER, FieldRules, Prefix
from aristotype.symmetry import NUM_GROUPS, tables

VOCABULARY = (3, 8, 26)


@pytest.fixture(scope="module")
def rules() -> FieldRules:
    return FieldRules(PaperConfig(elements=VOCABULARY, max_sites=6))


@pytest.fixture(scope="module")
def ordered() -> FieldRules:
    return FieldRules(PaperConfig(elements=VOCABULARY, max_sites=6, site_order="electronegativity"))


def open_letters(number: int, occupied: list[int]) -> set[int]:
    """What may still be occupied, from the tables alone."""
    freedom = tables().padded("freedom", fill=-1)[number]
    return {w for w in range(NO_LETTER) if freedom[w] > 0 or (freedom[w] == 0 and w not in occupied)}


def reachable_letters(rules: FieldRules, prefix: Prefix, element: int) -> set[int]:
    """Letters that the masks of symmetry and index let through."""
    chosen = torch.tensor([element])
    found = set()
    for symbol in rules.allowed("symmetry", prefix, chosen, None)[0].nonzero()[:, 0]:
        indices = rules.allowed("index", prefix, chosen, symbol[None])[0].nonzero()[:, 0]
        assert len(indices), "a symbol without any open position was let through"
        found |= {int(rules.letter_of[prefix.group[0], symbol, index]) for index in indices}
    return found


def prefix_of(number: int, elements: list[int], letters: list[int]) -> Prefix:
    return Prefix(
        group=torch.tensor([number]), elements=torch.tensor([elements]).long(), letters=torch.tensor([letters]).long()
    )


@pytest.mark.parametrize("number", range(1, NUM_GROUPS + 1))
def test_symbol_and_index_let_exactly_the_open_positions_through(rules, number):
    generator = np.random.default_rng(number)
    occupied: list[int] = []
    for _ in range(4):
        prefix = prefix_of(number, [0] * len(occupied), occupied)
        assert reachable_letters(rules, prefix, 1) == open_letters(number, occupied)
        occupied.append(int(generator.choice(sorted(open_letters(number, occupied)))))


@pytest.mark.parametrize("number", [1, 2, 47, 62, 166, 216, 225, 230])
def test_padding_changes_no_mask_and_no_taken_value(rules, number):
    letters = sorted(open_letters(number, []))[:2]
    plain = prefix_of(number, [2] * len(letters), letters)
    padded = Prefix(
        group=plain.group,
        elements=torch.tensor([[2] * len(letters) + [len(VOCABULARY)] * 3]),
        letters=torch.tensor([[*letters, *[NO_LETTER] * 3]]),
        padded=True,
    )
    element = torch.tensor([2])
    symbol = rules.symbols[number, letters[0]][None]
    for field in FIELDS:
        for method in (
            lambda p, field=field: rules.allowed(field, p, element, symbol),
            lambda p, field=field: rules.taken(field, p, symbol),
        ):
            assert torch.equal(method(plain), method(padded))


def test_stop_needs_a_site_and_is_all_that_is_left_at_the_limit(rules):
    assert rules.allowed_elements(prefix_of(1, [], []))[0].tolist() == [True] * 3 + [False]
    assert rules.allowed_elements(prefix_of(1, [0], [0]))[0].tolist() == [True] * 4
    assert rules.allowed_elements(prefix_of(1, [0] * 6, [0] * 6))[0].tolist() == [False] * 3 + [True]


def test_the_fixed_order_goes_by_electronegativity_then_letter(ordered):
    lithium, oxygen, iron = range(3)  # 0.98, 3.44, 1.83
    assert ordered.rank.tolist()[:3] == [0, 2, 1]
    after_iron = prefix_of(225, [iron], [2])
    assert ordered.allowed_elements(after_iron)[0].tolist() == [False, True, True, True]
    assert min(reachable_letters(ordered, after_iron, iron)) == 3  # c has no freedom and is taken
    assert min(reachable_letters(ordered, after_iron, oxygen)) == 0
    assert lithium == 0
    free = prefix_of(225, [iron], [4])
    assert min(reachable_letters(ordered, free, iron)) == 4  # e has freedom: twice is legal
