"""The two baselines: what they make of known crystals, how often, and what conditions let through."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from functools import cache
from itertools import combinations, islice, permutations, product
from math import comb, gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.crystal import (
    Conditions,
    CrystalTable,
    GeneBatch,
    atomic_number,
    decode,
    gene_keys,
    sorted_genes,
    template_keys,
)
from aristotype.errors import InfeasibleConditionsError, InputError, TableError
from aristotype.models.baselines import Decoration, IonExchange, _model
from aristotype.models.baselines._draw import draw_products
from aristotype.models.baselines._options import possible_options
from aristotype.symmetry import cell_matrix
from tests.models.prototypes import (
    ANIONS,
    CATIONS,
    VOLUMES,
    anything,
    crystal,
    decoration,
    even,
    ion_exchange,
    known_crystals,
)
from tests.models.test_conditional import atoms_of, holds, sites_of
from tests.models.test_exchanges import exchanges_between

BOTH = pytest.mark.parametrize("make", [ion_exchange, decoration])


def sampled(make, n: int, conditions: Conditions | None = None, *, seed: int = 0, balanced=anything) -> CrystalTable:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "only .* crystals")
        return make(balanced).sample(n, conditions, seed=seed)


def exchanged(text: str) -> dict[int, int]:
    """The column `exchange` as {old: new}."""
    pairs = (re.fullmatch(r"([A-Z][a-z]?)->([A-Z][a-z]?)", part) for part in text.split(", "))
    return {atomic_number(pair[1]): atomic_number(pair[2]) for pair in pairs}


def parents_of(table: CrystalTable) -> CrystalTable:
    """The known crystal of each row, under the row's own id."""
    place = {name: row for row, name in enumerate(known_crystals().ids)}
    rows = [known_crystals()[place[name]] for name in table.column("parent").to_pylist()]
    return CrystalTable.from_crystals(rows_with_ids(rows))


def rows_with_ids(rows):
    from dataclasses import replace

    return [replace(row, id=str(number)) for number, row in enumerate(rows)]


# ---- what a product is


@BOTH
def test_a_product_is_its_parent_with_the_exchanges_that_it_tells(make):
    table = sampled(make, 300)
    genes, parents = table.genes(), parents_of(table)
    for row, (parent, text) in enumerate(zip(parents, table.column("exchange").to_pylist())):
        moves = exchanged(text)
        assert moves.keys() <= set(parent.elements)
        assert all(old != new for old, new in moves.items())
        told = GeneBatch.from_lists(
            [parent.space_group], [[moves.get(z, z) for z in parent.elements]], [parent.wyckoffs]
        )
        assert gene_keys(told).tolist() == gene_keys(genes.take([row])).tolist()
        assert len(set(told.elements[0])) == len(set(parent.elements))
        if make is ion_exchange:
            assert not set(moves.values()) & set(parent.elements)
            assert len(moves) <= 3


@BOTH
def test_products_are_legal_distinct_and_none_is_its_parent(make):
    table = sampled(make, 1000)
    genes, parents = table.genes(), parents_of(table).genes()
    assert genes.legal().all()
    assert (sorted_genes(genes).elements == genes.elements).all()
    keys = gene_keys(genes, merge_enantiomorphs=True).tolist()
    assert len(set(keys)) == len(keys) > 500
    assert all(a != b for a, b in zip(keys, gene_keys(parents, merge_enantiomorphs=True).tolist()))
    assert (genes.space_group == parents.space_group).all()
    assert template_keys(genes).tolist() == template_keys(parents).tolist()


@BOTH
def test_every_product_is_charge_balanced(make):
    table = sampled(make, 300, balanced=even)
    assert even(table.genes()).all()
    assert table.column("tries").to_numpy().max() > 1


@BOTH
def test_atoms_stand_where_those_of_the_parent_stand_in_a_cell_of_the_volume_of_the_new_elements(make):
    table = sampled(make, 200)
    for made, parent, text in zip(table, parents_of(table), table.column("exchange").to_pylist()):
        moves = exchanged(text)
        new, old = decode(made), decode(parent)
        numbers = np.array([moves.get(int(z), int(z)) for z in old.numbers])
        one, other = (
            sorted(map(tuple, np.column_stack([n, np.round(c % 1.0, 9) % 1.0]).tolist()))
            for n, c in ((new.numbers, new.coords), (numbers, old.coords))
        )
        assert one == other
        scale = (VOLUMES[numbers].sum() / VOLUMES[old.numbers].sum()) ** (1 / 3)
        np.testing.assert_allclose(cell_matrix(made.lattice), scale * cell_matrix(parent.lattice), rtol=1e-9)


@BOTH
def test_the_log_likelihood_is_that_of_the_exchanges(make):
    model, table = make(), sampled(make, 300)
    for text, value in zip(table.column("exchange").to_pylist(), table.column("log_likelihood").to_pylist()):
        nats = sum(np.log(model.likelihood.conditional[old, new]) for old, new in exchanged(text).items())
        assert value == pytest.approx(nats)


def test_the_columns_say_where_a_product_comes_from():
    table = sampled(ion_exchange, 5, seed=3)
    added = ("model", "seed", "log_prob", "parent", "exchange", "log_likelihood", "tries")
    assert table.columns[-len(added) :] == added
    assert set(table.column("model").to_pylist()) == {"ion-exchange"}
    assert set(table.column("seed").to_pylist()) == {3}
    assert table.column("log_prob").null_count == 5
    assert all(name.startswith("3-") for name in table.ids)


def test_a_decoration_gets_the_geometry_of_the_known_crystal_with_the_fewest_other_elements():
    """By renaming elements in all ways, for every known crystal of the same prototype."""
    table = sampled(decoration, 60)
    known = known_crystals().genes()
    for row, text in enumerate(table.column("exchange").to_pylist()):
        both = GeneBatch.concatenate([table.genes().take([row]), known])
        same = np.flatnonzero(np.array(template_keys(both).tolist()) == template_keys(both).tolist()[0])[1:]
        apart = [exchanges_between(both, int(other), 0) for other in same]
        assert len(exchanged(text)) == min(d for d in apart if d)


# ---- the stream


@BOTH
def test_the_same_seed_gives_the_same_rows_however_many(make, monkeypatch):
    whole = sampled(make, 400, seed=5)
    assert sampled(make, 400, seed=5) == whole
    assert sampled(make, 50, seed=5) == whole[:50]
    assert sampled(make, 400, seed=6).column("exchange") != whole.column("exchange")
    monkeypatch.setattr(_model, "BLOCK", 7)
    assert sampled(make, 60, seed=5) == whole[:60]


@BOTH
def test_no_gene_comes_twice_in_a_stream_and_rows_keep_their_order(make):
    rows = [int(name.partition("-")[2]) for table in islice(make().stream(seed=0), 5) for name in table.ids]
    assert rows == sorted(set(rows))
    keys = [
        key
        for table in islice(make().stream(seed=0), 5)
        for key in gene_keys(table.genes(), merge_enantiomorphs=True).tolist()
    ]
    assert len(set(keys)) == len(keys) == len(rows)


@BOTH
def test_the_known_genes_are_those_of_the_table(make):
    expected = set(gene_keys(known_crystals().genes(), merge_enantiomorphs=True).tolist())
    assert make().train_keys() == expected


# ---- proportions


@cache
def small_model() -> IonExchange:
    """Fifty known crystals, so that all products can be written out."""
    return IonExchange(known_crystals()[:50], volumes=VOLUMES, balanced=anything)


@cache
def every_exchange() -> tuple[GeneBatch, dict[bytes, float]]:
    """All products of the small model once, and by key their probabilities, from what the model is said to do."""
    model = small_model()
    likely, numbers, known = model.likelihood.conditional, model.likelihood.num_exchanged, model.known.genes
    rows, elements, weights = [], [], []
    for row in range(len(known)):
        own = known.elements[row][known.wyckoffs[row] >= 0].tolist()
        kinds = sorted(set(own))
        shares = numbers[: len(kinds)] / numbers[: len(kinds)].sum()
        others = [z for z in (*CATIONS, *ANIONS) if z not in kinds]
        for size in range(1, len(shares) + 1):
            for old, new in product(combinations(kinds, size), permutations(others, size)):
                moves = dict(zip(old, new))
                weight = shares[size - 1] / comb(len(kinds), size) * np.prod([likely[pair] for pair in moves.items()])
                if weight > 0:
                    rows.append(row)
                    elements.append([moves.get(z, z) for z in own])
                    weights.append(weight)
    parents = known.take(rows)
    letters = [w[w >= 0].tolist() for w in parents.wyckoffs]
    genes = GeneBatch.from_lists(parents.space_group.tolist(), elements, letters)
    mass: dict[bytes, float] = defaultdict(float)
    place: dict[bytes, int] = {}
    for row, key in enumerate(gene_keys(genes).tolist()):
        mass[key] += float(weights[row])
        place[key] = row
    return genes.take(list(place.values())), {key: mass[key] for key in place}


def possible_exchanges(asked: dict[str, Any]) -> dict[bytes, float]:
    """Probabilities of the products that conditions allow, by key."""
    genes, weights = every_exchange()
    mass = {key: weight for row, (key, weight) in enumerate(weights.items()) if holds(asked, genes, row)}
    return {key: weight / sum(mass.values()) for key, weight in mass.items()}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"space_groups": [225], "required_elements": [12, 8]},
        {"allowed_elements": [3, 11, 8, 17, 26], "max_atoms": 6},
        {"formula": {11: 1, 9: 3, 12: 1}},
    ],
    ids=["free", "required", "allowed", "formula"],
)
def test_exchanges_come_as_often_as_the_likelihood_says(asked):
    """Restricted and renormalised under conditions; 20,000 draws, before repeated ones are left out."""
    model, expected = small_model(), possible_exchanges(asked)
    options = possible_options(model.known, Conditions(**asked), *model._probabilities())
    rows = np.arange(20_000)
    products = draw_products(model.known, options, anything, seed=1, rows=rows, fresh=True)
    assert len(products.row) == len(rows)
    genes = model.known.genes.take(products.parent)
    elements = _model.exchanged_elements(model.known, products.parent, products.kinds)
    drawn = GeneBatch(space_group=genes.space_group, elements=elements, wyckoffs=genes.wyckoffs)
    found = Counter(gene_keys(drawn).tolist())
    assert set(found) <= set(expected)
    shares = np.array(list(expected.values()))
    counts = np.array([found[key] for key in expected])
    chance = np.random.default_rng(0).multinomial(len(rows), shares, size=20) / len(rows)
    noise = np.abs(chance - shares).sum(axis=1).max() / 2
    assert np.abs(counts / len(rows) - shares).sum() / 2 <= 1.2 * noise


@pytest.mark.parametrize("elements", ["uniform", "frequency"])
def test_decoration_keeps_the_shares_of_prototypes_whatever_is_balanced(elements):
    """Also where only one composition in two passes; and within a prototype elements come by their shares."""
    model = decoration(even, elements)
    options = possible_options(model.known, Conditions(), *model._probabilities())
    products = draw_products(model.known, options, even, seed=2, rows=np.arange(20_000), fresh=False)
    # A row is lost if 32 tries are odd: an even number of sites of one element leaves no other parity.
    fillings = model.known.fillings
    shares = np.bincount(fillings.prototype) / len(model.known)
    counts = np.bincount(fillings.prototype[products.parent], minlength=len(shares)) / len(products.row)
    chance = np.random.default_rng(0).multinomial(len(products.row), shares, size=20) / len(products.row)
    assert np.abs(counts - shares).sum() / 2 < 1.2 * np.abs(chance - shares).sum(axis=1).max() / 2


def test_uniform_decoration_draws_all_elements_alike_and_frequency_as_often_as_known():
    held = Counter(z for row in known_crystals() for z in set(row.elements))
    for elements in ("uniform", "frequency"):
        model = decoration(anything, elements)
        expected = {z: 1.0 if elements == "uniform" else count for z, count in held.items()}
        for z, weight in expected.items():
            assert model.shares[z] == pytest.approx(weight / sum(expected.values()))
        assert model.shares.sum() == pytest.approx(1)


# ---- conditions


@st.composite
def conditions_of_a_known_crystal(draw: st.DrawFn) -> dict[str, Any]:
    """Conditions that a known crystal meets up to its elements, and elements of the vocabulary."""
    genes = known_crystals().genes()
    row = draw(st.integers(0, len(genes) - 1))
    number, sites = int(genes.space_group[row]), sites_of(genes, row)
    atoms = atoms_of(number, sites)
    units = gcd(*atoms.values())
    elements = st.sampled_from((*CATIONS, *ANIONS))
    pool = draw(st.lists(elements, min_size=len(atoms), max_size=len(atoms), unique=True))
    possible: dict[str, Any] = {
        "space_groups": lambda: [number, draw(st.sampled_from([225, 62, 1]))],
        "allowed_elements": lambda: [*pool, *draw(st.lists(elements, max_size=5))],
        "required_elements": lambda: pool[: draw(st.integers(0, 2))],
        "excluded_elements": lambda: draw(st.lists(elements.filter(lambda z: z not in pool), max_size=2)),
        "num_sites": lambda: sum(sites.values()),
        "max_atoms": lambda: sum(atoms.values()) + draw(st.integers(0, 4)),
        "template": lambda: genes.take([row]),
        "formula": lambda: dict(zip(pool, (count // units for count in atoms.values()))),
    }
    asked = {name: make() for name, make in possible.items() if draw(st.integers(0, 3)) == 0}
    if "formula" in asked and draw(st.booleans()):
        asked["formula_units"] = units
    return asked


@BOTH
@given(asked=conditions_of_a_known_crystal(), seed=st.integers(0, 2**40))
@settings(max_examples=60)
def test_conditions_never_leak(make, asked, seed):
    """What is refused is tested beside this."""
    try:
        stream = make().stream(Conditions(**asked), seed=seed)
    except InfeasibleConditionsError:
        return
    genes = CrystalTable.concatenate(list(islice(stream, 2)))[:20].genes()
    assert all(holds(asked, genes, row) for row in range(len(genes)))


@given(asked=conditions_of_a_known_crystal())
@settings(max_examples=20)
def test_exactly_what_no_exchange_can_reach_is_refused(asked):
    """Against all products: some satisfies the conditions if and only if they are not refused."""
    reachable = possible_exchanges(asked)
    try:
        table = small_model().sample(1, Conditions(**asked), seed=0)
    except InfeasibleConditionsError:
        assert not reachable
    else:
        assert set(gene_keys(table.genes()).tolist()) <= set(reachable)


PEROVSKITE = GeneBatch.from_lists([221], [[1, 1, 1]], [[0, 1, 2]])


@BOTH
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"space_groups": 230}, "none of the .* has the space group 230"),
        ({"space_groups": 225, "num_sites": 9}, "none of the .* has 9 sites"),
        ({"max_atoms": 1}, "at most 1 atoms"),
        ({"template": GeneBatch.from_lists([230], [[3]], [[0]])}, "positions of the template"),
        ({"formula": "Li7O2"}, "proportions of Li7O2"),
        ({"formula": "LiCl", "formula_units": 3}, "3 formula units"),
        ({"formula": {3: 1, 11: 2, 12: 3, 20: 4, 22: 5, 26: 6, 8: 7}}, "proportions"),
        ({"required_elements": [3, 11, 12, 20, 22]}, "5 different elements"),
        ({"required_elements": ["Li"], "excluded_elements": ["Li"]}, "Li is required but excluded"),
        ({"formula": "LiCl", "excluded_elements": ["Cl"]}, "Cl is in the formula but excluded"),
        ({"allowed_elements": ["Au"]}, "none of the 9 known elements"),
        ({"allowed_elements": ["Li", "Cl"], "template": PEROVSKITE}, "becomes one with the elements asked for"),
        (
            {"formula": "CaTiO3", "template": PEROVSKITE, "allowed_elements": ["Ca", "Ti", "O"], "num_sites": 4},
            "4 sites",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(make, asked, said):
    with pytest.raises(InfeasibleConditionsError, match=said):
        sampled(make, 1, Conditions(**asked))


@BOTH
def test_a_formula_that_is_not_balanced_is_refused_before_anything_is_drawn(make):
    with pytest.raises(InfeasibleConditionsError, match="NaCl is not charge balanced"):
        make(lambda genes: np.zeros(len(genes), bool)).stream(Conditions(formula="NaCl"), seed=0)


@BOTH
def test_nothing_balanced_is_an_end_and_not_a_loop(make):
    with pytest.raises(InfeasibleConditionsError, match=r"all of 12,800 draws"):
        sampled(make, 1, Conditions(space_groups=225), balanced=nothing)


def nothing(genes: GeneBatch) -> np.ndarray:
    return np.zeros(len(genes), bool)


@BOTH
def test_fewer_than_asked_for_is_a_warning(make):
    with pytest.warns(UserWarning, match=r"only \d+ of 500 crystals"):
        table = make().sample(500, Conditions(formula="CaTiO3"), seed=0)
    assert 0 < len(table) < 500


# ---- bad input


@BOTH
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": -1, "seed": 0}, "-1 crystals"),
        ({"n": 1, "seed": -1}, "seed is -1"),
        ({"n": 1, "seed": 1 << 63}, "seed is"),
        ({"n": 1, "seed": 0, "conditions": Conditions(required_elements=["Au"])}, "Au is required but in none"),
        ({"n": 1, "seed": 0, "conditions": Conditions(formula="AuCl")}, "Au is in the formula but in none"),
        (
            {"n": 1, "seed": 0, "conditions": Conditions(partial=GeneBatch.from_lists([225], [[3]], [[0]]))},
            "no partial crystal",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(make, arguments, said):
    with pytest.raises(InputError, match=said):
        make().sample(**arguments)


@pytest.mark.parametrize("kind", [IonExchange, Decoration])
def test_tables_that_cannot_be_used_are_refused(kind):
    table = known_crystals()
    with pytest.raises(TableError, match="no geometry"):
        kind(CrystalTable.from_genes(table.genes()), volumes=VOLUMES, balanced=anything)
    with pytest.raises(InputError, match="empty"):
        kind(table[:0], volumes=VOLUMES, balanced=anything)
    with pytest.raises(InputError, match="no exchange can be learnt"):
        kind(table[:1], volumes=VOLUMES, balanced=anything)
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        kind(table, volumes=VOLUMES[:3], balanced=anything)
    with pytest.raises(InputError, match="element 8 has no volume"):
        kind(table, volumes=np.where(np.arange(119) == 8, np.nan, VOLUMES), balanced=anything)


def test_an_unknown_way_to_draw_elements_is_refused():
    with pytest.raises(InputError, match="'uniform' or 'frequency'"):
        Decoration(known_crystals(), volumes=VOLUMES, balanced=anything, elements="all")


def test_as_many_elements_are_exchanged_at_once_as_known_relatives_differ_by():
    """The halides are a series, so that one exchange is all that is seen; decoration needs no relatives."""
    rng = np.random.default_rng(0)
    halides = [crystal(225, (0, 1), pair, rng) for pair in product((3, 11, 12, 20, 22, 26), (9, 17))]
    elpasolite = crystal(225, (0, 1, 2, 4), (11, 12, 22, 9), rng)
    table = CrystalTable.from_crystals([*halides, elpasolite])
    model = IonExchange(table, volumes=VOLUMES, balanced=anything)
    asked = {"template": table[-1:].genes(), "required_elements": ["Li"]}
    assert len(model.sample(1, Conditions(**asked), seed=0))
    asked["required_elements"].append("Ca")
    with pytest.raises(InfeasibleConditionsError, match="at most 1 exchange "):
        model.sample(1, Conditions(**asked), seed=0)
    assert len(Decoration(table, volumes=VOLUMES, balanced=anything).sample(1, Conditions(**asked), seed=0))
