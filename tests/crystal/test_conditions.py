"""Conditions: what is read, what is reduced, and what is refused before any model sees it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.crystal import Conditions, GeneBatch, atomic_number, element_symbol, parse_formula
from aristotype.errors import InputError, SymmetryError

ELEMENTS = st.integers(1, 118)
COMPOSITIONS = st.dictionaries(ELEMENTS, st.integers(1, 40), min_size=1, max_size=6)


def written(counts: dict[int, int]) -> str:
    return "".join(f"{element_symbol(z)}{n if n > 1 else ''}" for z, n in counts.items())


@given(ELEMENTS)
def test_symbols_and_numbers(number):
    assert atomic_number(element_symbol(number)) == atomic_number(number) == atomic_number(np.int64(number)) == number


def test_symbols_of_the_periodic_table():
    """Against ASE's table."""
    data = pytest.importorskip("ase.data")
    assert [element_symbol(z) for z in range(1, 119)] == data.chemical_symbols[1:119]
    assert atomic_number("D") == atomic_number("T") == 1


@pytest.mark.parametrize("element", ["", "fe", "FE", "Xx", "X", "Fe2", " Fe", 0, 119, -1, 2.5, float("nan"), None])
def test_what_is_no_element_is_refused(element):
    with pytest.raises(InputError, match="not a chemical element"):
        atomic_number(element)


@given(COMPOSITIONS)
def test_formulas_round_trip(counts):
    assert parse_formula(written(counts)) == counts


@given(COMPOSITIONS, COMPOSITIONS, st.integers(1, 9), st.sampled_from(["()", "[]"]))
def test_brackets_multiply(outer, inner, times, brackets):
    expected = dict(outer)
    for number, count in inner.items():
        expected[number] = expected.get(number, 0) + times * count
    opening, closing = brackets
    assert parse_formula(f"{written(outer)}{opening}{written(inner)}{closing}{times}") == expected
    nested = parse_formula(f"({opening}{written(inner)}{closing}{times}{written(outer)})2")
    assert nested == {number: 2 * count for number, count in expected.items()}


def test_formulas_agree_with_pymatgen():
    composition = pytest.importorskip("pymatgen.core").Composition
    for text in ("LiFePO4", "Ca(OH)2", "K4[Fe(CN)6]", "Ca10(PO4)6(OH)2", "Na Cl", "C60", "U3O8", "OCa", "Fe2(SO4)3"):
        expected = {element.Z: int(count) for element, count in composition(text).items()}
        assert parse_formula(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "fe",
        "Fe2.5",
        "Fe0",
        "(Fe)0",
        "Fe)",
        "(Fe",
        "Fe(",
        "Fe()",
        "2Fe",
        "Fe-O",
        "Fe2+",
        "Na·Cl",
        "Fe₂O₃",
        "()",
        "Xx2",
    ],
)
def test_formulas_that_cannot_be_read_are_refused(text):
    with pytest.raises(InputError):
        parse_formula(text)


def test_the_place_of_the_error_is_named():
    with pytest.raises(InputError, match=r"LiFe#O.*character 5.*LiFePO4"):
        parse_formula("LiFe#O")
    with pytest.raises(InputError, match="never opened"):
        parse_formula("Fe)2")


@given(COMPOSITIONS, st.integers(1, 7))
def test_multiples_are_one_formula(counts, times):
    multiple = {element_symbol(number): count * times for number, count in counts.items()}
    formulas = {
        Conditions(formula=counts).formula,
        Conditions(formula=multiple).formula,
        Conditions(formula=written(counts)).formula,
    }
    assert len(formulas) == 1
    (formula,) = formulas
    assert np.gcd.reduce([count for _, count in formula]) == 1
    assert [number for number, _ in formula] == sorted(counts)
    assert len({count / counts[number] for number, count in formula}) == 1


def test_names_of_one_element_are_added():
    assert Conditions(formula={"D": 1, "H": 1, "O": 1}).formula == ((1, 2), (8, 1))
    assert Conditions(allowed_elements=["H", "D", 1, "O"]).allowed_elements == {1, 8}


@given(st.sets(st.integers(1, 230), min_size=1, max_size=9))
def test_space_groups_are_a_set(groups):
    """Order and repetition mean nothing; one number is a list of one; numpy integers are integers."""
    expected = Conditions(space_groups=groups)
    assert expected.space_groups == tuple(sorted(groups))
    assert Conditions(space_groups=[*groups, *groups]) == expected
    assert Conditions(space_groups=np.array(sorted(groups, reverse=True))) == expected
    one = min(groups)
    assert Conditions(space_groups=one) == Conditions(space_groups=np.int64(one)) == Conditions(space_groups=(one,))


def test_nothing_asked_is_free():
    gene = GeneBatch.from_lists([225], [[11]], [[0]])
    assert Conditions().is_free
    for asked in (
        {"space_groups": range(1, 231)},
        {"allowed_elements": ["Fe"]},
        {"required_elements": ["Fe"]},
        {"excluded_elements": ["Fe"]},
        {"formula": "Fe"},
        {"num_sites": 1},
        {"max_atoms": 1},
        {"template": gene},
        {"partial": gene},
    ):
        assert not Conditions(**asked).is_free, asked


@given(st.sets(ELEMENTS), st.sets(ELEMENTS), st.sets(ELEMENTS), COMPOSITIONS)
def test_possible_elements(vocabulary, allowed, excluded, formula):
    assert Conditions().elements(vocabulary) == vocabulary
    assert Conditions(excluded_elements=excluded).elements(vocabulary) == vocabulary - excluded
    asked = Conditions(allowed_elements=allowed, excluded_elements=excluded)
    assert asked.elements(vocabulary) == (vocabulary & allowed) - excluded
    asked = Conditions(formula=formula, excluded_elements=excluded)
    assert asked.elements(vocabulary) == vocabulary & set(formula) - excluded


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"space_groups": []}, "empty"),
        ({"space_groups": [0]}, "space group 0"),
        ({"space_groups": 231}, "space group 231"),
        ({"space_groups": [1.5]}, "space group 1.5"),
        ({"allowed_elements": ["Qq"]}, "Qq"),
        ({"required_elements": [0]}, "0 is not"),
        ({"excluded_elements": ["fe"]}, "fe"),
        ({"formula": {}}, "at least one element"),
        ({"formula": {"Fe": 0}}, "whole counts of at least 1"),
        ({"formula": {"Fe": 1.5}}, "whole counts of at least 1"),
        ({"formula": {"Fe": float("nan")}}, "whole counts of at least 1"),
        ({"formula": {"Fe": -2, "O": 3}}, "whole counts of at least 1"),
        ({"formula": "Fe2O3,5"}, "character"),
        ({"formula_units": 2}, "need a formula"),
        ({"formula": "FeO", "formula_units": 0}, "formula units is 0"),
        ({"num_sites": 0}, "number of sites is 0"),
        ({"num_sites": 2.5}, "number of sites is 2.5"),
        ({"num_sites": float("nan")}, "number of sites is nan"),
        ({"max_atoms": -3}, "number of atoms is -3"),
        ({"template": GeneBatch.from_lists([1, 1], [[1], [1]], [[0], [0]])}, "one gene, 2 were given"),
        ({"partial": GeneBatch.from_lists([], [], [])}, "one gene, 0 were given"),
    ],
)
def test_bad_input_is_refused(asked, said):
    with pytest.raises((InputError, SymmetryError), match=said):
        Conditions(**asked)


def test_conditions_are_frozen():
    asked = Conditions(formula="FeO")
    with pytest.raises(AttributeError):
        asked.formula = None
    assert hash(asked) == hash(Conditions(formula="Fe2O2"))


@pytest.mark.parametrize("name", ["space_groups", "allowed_elements", "required_elements", "excluded_elements"])
def test_a_text_is_no_list(name):
    with pytest.raises(InputError, match=f"{name} is the text 'CO'; give a list"):
        Conditions(**{name: "CO"})
