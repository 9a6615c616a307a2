"""Conditions from the command line: lists, prototype labels, files."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.cli._conditions import build_conditions, parse_label, read_template
from aristotype.crystal import (
    Conditions,
    CrystalTable,
    GeneBatch,
    gene_keys,
    protostructure_labels,
    prototype_labels,
    template_keys,
)
from aristotype.errors import AristotypeError, InputError, SymmetryError, TableError
from aristotype.symmetry import tables


@st.composite
def genes(draw) -> GeneBatch:
    """One legal gene of any group."""
    number = draw(st.integers(1, 230))
    freedom = tables().padded("freedom")[number]
    count = int(tables().num_positions[number])
    letters = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=5))
    letters = [w for place, w in enumerate(letters) if freedom[w] or w not in letters[:place]]
    species = draw(st.lists(st.integers(1, 100), min_size=len(letters), max_size=len(letters)))
    return GeneBatch.from_lists([number], [species], [letters])


@pytest.mark.parametrize(
    ("text", "ends"), [("gap=1:2.5", (1.0, 2.5)), ("runs/a=b/best=:-2", (-inf, -2.0)), ("gap=1e-1:", (0.1, inf))]
)
def test_targets_are_ranges(text, ends):
    (target,) = build_conditions(targets=[text]).targets
    assert (target.low, target.high) == ends
    assert target.property == text.rpartition("=")[0]


@pytest.mark.parametrize("text", ["gap", "gap=2", "=1:2", "gap=a:2", "gap=2:1", "gap=:", "gap=1:2:3", "gap=nan:1"])
def test_targets_that_are_no_ranges_are_refused(text):
    with pytest.raises(InputError, match=r"NAME=LOW:HIGH|must be below|without a limit"):
        build_conditions(targets=[text])


@settings(max_examples=100)
@given(gene=genes())
def test_a_label_gives_back_its_gene(gene):
    again = parse_label(protostructure_labels(gene)[0])
    assert gene_keys(again).tolist() == gene_keys(gene).tolist()


@settings(max_examples=100)
@given(gene=genes())
def test_a_prototype_gives_back_its_template(gene):
    label = prototype_labels(gene)[0]
    again = parse_label(label)
    assert template_keys(again).tolist() == template_keys(gene).tolist()


@pytest.mark.parametrize("label", ["A2B_tP6_136_f_a", "A2B_tP6_136_f_a-001", "A2B_tP6_136_f_a:O-Ti"])
def test_labels_are_read_as_aflow_writes_them(label):
    rutile = GeneBatch.from_lists([136], [[8, 22]], [[5, 0]])
    assert template_keys(parse_label(label)).tolist() == template_keys(rutile).tolist()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("rutile", "neither a file that exists nor a prototype label"),
        ("A2B_tP6_x_f_a", "neither a file"),
        ("A2B_tP6_136_f_?", "for Wyckoff letters"),
        ("A2B_tP6_136_z_a", "has the letter z, and space group 136 has a to k"),
        ("A2B_tP6_136_2a_f", "without freedom twice"),
        ("A3B_tP6_136_f_a", "says A3B, and its letters give A2B"),
        ("A2B_tP6_136_f_a:O", "letters of 2 elements and names 1"),
        ("A2B_tP6_136_f_a:O-Xx", "not a chemical element"),
        ("A2B_tP6_136_f_a\udcff", "for Wyckoff letters"),
    ],
)
def test_labels_that_cannot_be_read_say_why(label, message):
    with pytest.raises(InputError, match=message):
        parse_label(label)


def test_a_label_of_no_space_group_is_refused():
    with pytest.raises(SymmetryError, match="231"):
        parse_label("A2B_tP6_231_f_a")


def test_lists_have_commas_or_come_several_times():
    one = build_conditions(space_group=["225,216"], elements=["Li,O"], require=["Li"], exclude=["Tl,Pb"])
    two = build_conditions(space_group=["225", "216"], elements=["Li", " O"], require=["Li"], exclude=["Tl", "Pb"])
    assert one == two
    assert one == Conditions(
        space_groups=[216, 225], allowed_elements=["Li", "O"], required_elements=["Li"], excluded_elements=["Tl", "Pb"]
    )


def test_every_option_has_its_place():
    asked = build_conditions(formula="LiFePO4", z=4, sites=6, max_atoms=28)
    assert asked == Conditions(formula="LiFePO4", formula_units=4, num_sites=6, max_atoms=28)
    assert build_conditions() == Conditions()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space_group": ["225,"]}, "empty entry"),
        ({"space_group": ["Fm-3m"]}, "numbers from 1 to 230"),
        ({"space_group": ["231"]}, "231"),
        ({"elements": ["Li,,O"]}, "empty entry"),
        ({"elements": ["Qq"]}, "Qq"),
        ({"require": ["li"]}, "li"),
        ({"exclude": ["Tl;Pb"]}, "Tl;Pb"),
        ({"formula": "Li0.5O"}, "Li0.5O"),
        ({"z": 2}, "formula"),
    ],
)
def test_what_cannot_be_read_is_named(options, message):
    with pytest.raises(AristotypeError, match=message):
        build_conditions(**options)


def test_files_with_one_crystal_serve_as_templates_and_partials(tmp_path):
    rutile = GeneBatch.from_lists([136], [[8, 22]], [[5, 0]])
    path = tmp_path / "one.parquet"
    CrystalTable.from_genes(rutile).write(path)
    for found in (read_template(str(path)), build_conditions(partial=path).partial):
        assert gene_keys(found).tolist() == gene_keys(rutile).tolist()
    two = tmp_path / "two.parquet"
    CrystalTable.from_genes(GeneBatch.concatenate([rutile, rutile])).write(two)
    with pytest.raises(InputError, match="holds 2 crystals"):
        read_template(str(two))
    with pytest.raises(InputError, match="does not exist"):
        build_conditions(partial=tmp_path / "none.cif")
    with pytest.raises(TableError, match=r"none\.parquet"):
        build_conditions(partial=tmp_path / "none.parquet")
