"""Sampling under conditions: nothing outside them, exactly the feasible ones accepted, the model's own proportions."""

from __future__ import annotations

from collections import Counter
from math import gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aristotype.crystal import Conditions, GeneBatch, template_keys
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models.wyckoff_transformer import _sampler as sampler
from aristotype.symmetry import relabellings, space_group
from tests.models.worlds import VOCABULARY, closed_world, frequencies, model_of_all_groups
from tests.random_genes import random_genes

Sites = Counter[tuple[int, int]]  # (letter, element)


def sites_of(genes: GeneBatch, row: int) -> Sites:
    there = genes.wyckoffs[row] >= 0
    return Counter(zip(genes.wyckoffs[row][there].tolist(), genes.elements[row][there].tolist(), strict=True))


def atoms_of(number: int, sites: Sites) -> Counter[int]:
    """Atoms of each element in the primitive cell."""
    group = space_group(number)
    atoms: Counter[int] = Counter()
    for (letter, element), count in sites.items():
        atoms[element] += count * (group.positions[letter].multiplicity // group.centring_order)
    return atoms


def reduced(atoms: Counter[int]) -> tuple[int, dict[int, int]]:
    units = gcd(*atoms.values())
    return units, {element: count // units for element, count in atoms.items()}


def holds(asked: dict[str, Any], genes: GeneBatch, row: int) -> bool:
    """Whether a gene satisfies conditions: written from their meaning, with no use of the sampler's masks."""
    number, sites = int(genes.space_group[row]), sites_of(genes, row)
    atoms = atoms_of(number, sites)
    units, formula = reduced(atoms)
    elements = set(atoms)
    template, partial = asked.get("template"), asked.get("partial")
    if partial is not None:
        known = sites_of(partial, 0)
        images = (Counter({(p[w], z): c for (w, z), c in known.items()}) for p in relabellings(number).tolist())
        if number != partial.space_group[0] or not any(image <= sites for image in images):
            return False
    return (
        number in asked.get("space_groups", [number])
        and elements <= set(asked.get("allowed_elements", elements))
        and set(asked.get("required_elements", [])) <= elements
        and not set(asked.get("excluded_elements", [])) & elements
        and formula == asked.get("formula", formula)
        and units == asked.get("formula_units", units)
        and sum(sites.values()) == asked.get("num_sites", sum(sites.values()))
        and sum(atoms.values()) <= asked.get("max_atoms", sum(atoms.values()))
        and (template is None or template_keys(template)[0] == template_keys(genes.take([row]))[0])
    )


@st.composite
def satisfied_conditions(draw: st.DrawFn) -> dict[str, Any]:
    """Any combination of conditions that a random gene of a random group satisfies."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    number = draw(st.integers(1, 230))
    gene = random_genes(rng, [number], elements=VOCABULARY, max_sites=4)
    sites = sites_of(gene, 0)
    atoms = atoms_of(number, sites)
    units, formula = reduced(atoms)
    total = sum(atoms.values())
    asked: dict[str, Any] = {"space_groups": sorted({number, *draw(st.lists(st.integers(1, 230), max_size=3))})}
    others = sorted(set(VOCABULARY) - set(atoms))
    known = draw(st.lists(st.sampled_from(sorted(sites.elements())), min_size=1, max_size=3))
    known = list((Counter(known) & sites).elements())
    possible = {
        "allowed_elements": sorted(set(atoms) | set(draw(st.lists(st.sampled_from(VOCABULARY))))),
        "required_elements": draw(st.lists(st.sampled_from(sorted(atoms)), min_size=1)),
        "excluded_elements": others,
        "num_sites": sum(sites.values()),
        "max_atoms": total + draw(st.integers(0, 20)),
        "template": gene,
        "partial": GeneBatch.from_lists([number], [[z for _, z in known]], [[w for w, _ in known]]),
    }
    asked |= {name: value for name, value in possible.items() if draw(st.booleans())}
    if total <= 48 and draw(st.booleans()):
        asked["formula"] = formula
        asked |= {"formula_units": units} if draw(st.booleans()) else {"max_atoms": total}
    return asked


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Four rows of eight proposals at a time; what must hold, holds whatever the size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "BLOCK", 32)
        patch.setattr(sampler, "PROPOSALS", 8)
        yield


@given(satisfied_conditions(), st.integers(0, 2**32))
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_conditions_hold_on_every_gene(asked, seed):
    """Feasible by construction, so that a refusal fails too."""
    genes = model_of_all_groups().sample(4, Conditions(**asked), seed=seed, score=False).genes()
    genes.check()
    assert len(genes) == 4
    assert genes.legal().all()
    for row in range(4):
        assert holds(asked, genes, row), (genes.space_group[row], sites_of(genes, row))


WORLDS = [(1, 3), (2, 2), (16, 2), (25, 2), (47, 2), (68, 2), (167, 3), (216, 2), (225, 2)]


@st.composite
def any_conditions(draw: st.DrawFn) -> tuple[int, int, dict[str, Any]]:
    """Conditions on a closed world, satisfied or not."""
    number, most = draw(st.sampled_from(WORLDS))
    letters = st.integers(0, len(space_group(number).positions) - 1)
    elements = st.sampled_from((3, 8))

    def gene() -> GeneBatch:
        sites = draw(st.lists(st.tuples(letters, elements), min_size=1, max_size=most))
        return GeneBatch.from_lists([number], [[z for _, z in sites]], [[w for w, _ in sites]])

    possible = {
        "allowed_elements": lambda: draw(st.lists(elements, min_size=1)),
        "required_elements": lambda: draw(st.lists(elements)),
        "excluded_elements": lambda: draw(st.lists(elements, max_size=1)),
        "num_sites": lambda: draw(st.integers(1, most + 1)),
        "max_atoms": lambda: draw(st.integers(1, 30)),
        "template": gene,
        "partial": gene,
    }
    asked = {name: make() for name, make in possible.items() if draw(st.integers(0, 3)) == 0}
    if draw(st.booleans()):
        atoms = {z: draw(st.integers(0, 6)) for z in (3, 8)}
        present = Counter({z: count for z, count in atoms.items() if count})
        if present:
            asked["formula"] = reduced(present)[1]
            asked |= {"formula_units": draw(st.integers(1, 8))} if draw(st.booleans()) else {"max_atoms": 30}
    return number, most, {"space_groups": [number], **asked}


@given(any_conditions())
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_exactly_the_feasible_is_accepted(case):
    """Against all genes of a world: some gene satisfies the conditions if and only if they are not refused."""
    number, most, asked = case
    model, everything = closed_world(number, most)
    feasible = any(holds(asked, everything, row) for row in range(len(everything)))
    try:
        genes = model.sample(4, Conditions(**asked), seed=0, score=False).genes()
    except InfeasibleConditionsError:
        assert not feasible
    else:
        assert feasible
        assert all(holds(asked, genes, row) for row in range(len(genes)))


PROPORTIONS = [
    (16, {"required_elements": [8]}),
    (47, {"allowed_elements": [3]}),
    (2, {"num_sites": 2}),
    (47, {"formula": {3: 1, 8: 2}, "max_atoms": 12}),
    (225, {"partial": GeneBatch.from_lists([225], [[3]], [[4]])}),
    (16, {"partial": GeneBatch.from_lists([16], [[3]], [[8]])}),
    (2, {"partial": GeneBatch.from_lists([2], [[3]], [[0]])}),
    (216, {"template": GeneBatch.from_lists([216], [[3, 3]], [[0, 4]]), "required_elements": [8]}),
    (225, {"max_atoms": 6}),
]


@pytest.mark.parametrize(("number", "asked"), PROPORTIONS)
def test_conditions_keep_the_proportions_of_the_model(number, asked, monkeypatch):
    """p(gene) restricted and renormalised, as the number of proposals grows.

    With 64 proposals a row the total-variation distance is below 0.03 and what 400 exact draws show (up to 0.1).
    """
    monkeypatch.setattr(sampler, "BLOCK", 2048)
    monkeypatch.setattr(sampler, "PROPOSALS", 64)
    model, everything = closed_world(number)
    asked = {"space_groups": [number], **asked}
    kept = np.array([holds(asked, everything, row) for row in range(len(everything))])
    assert 1 < kept.sum() < len(everything)
    expected = np.where(kept, np.exp(model.log_prob(everything)), 0)
    expected /= expected.sum()
    rows = 400
    counts = frequencies(model.sample(rows, Conditions(**asked), seed=1, score=False).genes(), everything)
    chance = np.random.default_rng(0).multinomial(rows, expected, size=20) / rows
    noise = np.abs(chance - expected).sum(axis=1).max() / 2
    assert np.abs(counts / rows - expected).sum() / 2 < noise + 0.03


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"space_groups": 225, "formula": "Li5Fe4", "formula_units": 1}, "composition Li5Fe4 with 1 formula units"),
        ({"space_groups": 230, "num_sites": 3, "max_atoms": 10}, "at most 10 atoms"),
        ({"space_groups": 230, "max_atoms": 1}, "space group 230"),
        ({"formula": "LiO", "formula_units": 3, "max_atoms": 5}, "at most 5 atoms"),
        ({"num_sites": 9}, "9 sites.*at most 8"),
        ({"required_elements": ["Li"], "excluded_elements": ["Li"]}, "Li is required but excluded"),
        ({"required_elements": ["Li"], "allowed_elements": ["O"]}, "Li is required but"),
        ({"formula": "LiO", "excluded_elements": ["O"]}, "O is in the formula but"),
        ({"formula": "LiO", "required_elements": ["Fe"]}, "Fe is required but"),
        ({"excluded_elements": ["Li", "O", "Fe"]}, "none of the model's 3 elements"),
        ({"allowed_elements": ["Cu"]}, "none of the model's 3 elements"),
        ({"required_elements": ["Li", "O", "Fe"], "num_sites": 2}, "3 required elements"),
        ({"template": GeneBatch.from_lists([2], [[3]], [[0]]), "space_groups": 1}, "template is of space group 2"),
        (
            {"partial": GeneBatch.from_lists([2], [[3]], [[0]]), "space_groups": 1},
            "partial crystal is of space group 2",
        ),
        ({"partial": GeneBatch.from_lists([2], [[3, 8]], [[0, 0]])}, "position 0 of space group 2 twice"),
        ({"template": GeneBatch.from_lists([2], [[3, 8]], [[0, 0]])}, "the template"),
        ({"partial": GeneBatch.from_lists([2], [[3]], [[0]]), "excluded_elements": ["Li"]}, "partial crystal holds"),
        ({"partial": GeneBatch.from_lists([1], [[3] * 9], [[0] * 9])}, "9 known sites.*at most 8"),
        ({"formula": "Li", "formula_units": 9, "space_groups": 1}, "9 formula units"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(asked, said):
    with pytest.raises(InfeasibleConditionsError, match=said):
        model_of_all_groups().stream(Conditions(**asked), seed=0)


@pytest.mark.parametrize("asked", [{"required_elements": ["Cu"]}, {"formula": "CuO"}])
def test_elements_that_the_model_does_not_know_are_named(asked):
    with pytest.raises(InputError, match=r"Cu .*3 elements"):
        model_of_all_groups().stream(Conditions(**asked), seed=0)


def test_unknown_elements_that_nothing_needs_are_ignored():
    model = model_of_all_groups()
    genes = model.sample(8, Conditions(allowed_elements=["Cu", "Li"], excluded_elements=["U"]), seed=0).genes()
    assert set(np.unique(genes.elements)) <= {0, 3}


def test_formulas_too_large_to_plan_are_refused():
    """Tables over all partial compositions would not fit in memory."""
    with pytest.raises(InputError, match=r"takes [0-9,]* bytes, over 4,000,000"):
        model_of_all_groups().stream(Conditions(formula="Li999O998Fe997"), seed=0)


def test_formulas_that_need_more_sites_than_can_be_written():
    """P1 holds one atom a site: eight sites are the limit of this model, eight atoms that of P1."""
    model = model_of_all_groups()
    genes = model.sample(4, Conditions(space_groups=1, formula="Li3O5", formula_units=1), seed=0).genes()
    assert (genes.num_sites == 8).all()
    with pytest.raises(InfeasibleConditionsError):
        model.stream(Conditions(space_groups=1, formula="Li4O5", formula_units=1), seed=0)
    centred = model.sample(4, Conditions(space_groups=2, formula="LiO", formula_units=8), seed=0).genes()
    assert (centred.num_sites == 8).all()
