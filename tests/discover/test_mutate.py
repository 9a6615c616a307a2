"""Chains from a given crystal: what they keep, that they are reproducible, right, and refuse what makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, formulas, template_keys
from aristotype.discover import ChainConfig, Guide, mutate
from aristotype.errors import InfeasibleConditionsError, InputError, TableError
from aristotype.evaluate import geometry

from .toy_crystals import MIDDLE, WIDTH, ToyModel, length, rock_salt

SALT = rock_salt(1, 5.6, [11, 17], ids=["salt"])
SPINEL = CrystalTable.from_arrays(
    space_group=[227],
    num_sites=[3],
    elements=[11, 3, 8],
    wyckoffs=[0, 3, 4],
    free=[0.26],
    lattice=[[8.3, 8.3, 8.3, 90, 90, 90]],
    ids=["spinel"],
)


class AnyCrystal(ToyModel):
    """All crystals alike."""

    def log_prob(self, table: CrystalTable) -> np.ndarray:
        return -0.01 * table.lattice[:, 0]


def config(**changes) -> ChainConfig:
    return ChainConfig(**{"steps": 30, **changes})


def test_the_tables_tell_what_the_chains_did():
    starts = CrystalTable.concatenate([SALT, rock_salt(1, 5.2, [3, 17], ids=["other"])])
    result = mutate(ToyModel(), starts, chains=3, substitutes=["K", "O"], config=config())
    table, trace = result.table, result.trace.to_pandas()
    assert len(table) == 12
    assert len(trace) == 6 * 31
    assert np.allclose(table.column("log_prob").to_numpy(), ToyModel().log_prob(table))
    assert (trace.groupby(["start", "chain"]).size() == 31).all()
    for row in table.arrow.to_pylist():
        own = trace[(trace.start == row["start"]) & (trace.chain == row["chain"])].reset_index(drop=True)
        step = row["step"]
        assert own.log_prob[step] == pytest.approx(row["log_prob"])
        assert row["score"] == pytest.approx(own.score.max() if row["kind"] == "best" else own.score[30])
        assert row["accepted"] == pytest.approx(own.accepted[1:].mean())
    tried = sum(move["tried"] for move in result.summary["moves"].values())
    accepted = sum(move["accepted"] for move in result.summary["moves"].values())
    assert (tried, accepted) == (6 * 30, trace.accepted.sum())
    for move in result.summary["moves"].values():
        assert move["accepted"] + sum(move["not_accepted"].values()) == move["tried"]


def test_chains_do_not_depend_on_how_many_there_are_nor_on_later_steps():
    few = mutate(ToyModel(), SALT, chains=2, substitutes=["K"], config=config(steps=10)).trace.to_pandas()
    many = mutate(ToyModel(), SALT, chains=5, substitutes=["K"], config=config(steps=25)).trace.to_pandas()
    again = many[(many.chain < 2) & (many.step <= 10)].reset_index(drop=True)
    assert again.equals(few)
    other = mutate(ToyModel(), SALT, chains=2, substitutes=["K"], config=config(steps=10, seed=1)).trace.to_pandas()
    assert not other.equals(few)


@pytest.mark.parametrize("by", ["element", "orbit"])
@pytest.mark.parametrize("keep", ["formula", "elements", "nothing"])
def test_what_is_kept_is_kept(by, keep):
    hot = config(steps=60, closest=0.3, displacement=0.05)
    result = mutate(AnyCrystal(), SPINEL, chains=6, substitutes=["Li", "Na", "O"], by=by, keep=keep, config=hot)
    table = result.table
    assert (template_keys(table.genes()) == template_keys(SPINEL.genes())[0]).all()
    assert (geometry(table).closeness >= 0.3).all()
    found = set(formulas(table.genes()))
    elements = [set(row) for row in table.column("elements").to_pylist()]
    if keep == "formula":
        assert found == set(formulas(SPINEL.genes()))
    elif keep == "elements":
        assert all(kinds == {3, 8, 11} for kinds in elements)
        assert len(found) > 1
    else:
        assert any(kinds != {3, 8, 11} for kinds in elements)
    cells = table.lattice
    assert (cells[:, :3] == cells[:, :1]).all()
    assert np.ptp(cells[:, 0]) > 0


def test_elements_are_visited_as_often_as_the_shipped_model_says():
    """Rock salt at one geometry: the chains' shares are the model's probabilities, renormalised."""
    import aristotype

    shipped = aristotype.load("crystalformer-mp20")
    known: dict[tuple[int, ...], float] = {}

    class Remembered(ToyModel):
        def log_prob(self, table: CrystalTable) -> np.ndarray:
            keys = [tuple(row) for row in table.column("elements").to_pylist()]
            new = [row for row, key in enumerate(keys) if key not in known and keys.index(key) == row]
            if new:
                known.update(zip([keys[row] for row in new], shipped.log_prob(table.take(new)), strict=True))
            return np.array([known[key] for key in keys])

        vocabulary = shipped.vocabulary

    substitutes = {"Na": ["K", "Ag"], "Cl": ["Br"]}
    # A temperature of 3 spreads the probability.
    hot = config(steps=40, temperature=3.0)
    moves = ["substitute"]
    result = mutate(Remembered(), SALT, chains=1500, substitutes=substitutes, moves=moves, config=hot)
    last = result.table.filter(np.array(result.table.column("kind").to_pylist()) == "last")
    assert (last.lattice[:, 0] == 5.6).all()  # where cells do not move they do not grow either
    shares = {key: np.exp(value / 3.0) for key, value in known.items()}
    total = sum(shares.values())
    assert len(shares) == 6
    found = [tuple(row) for row in last.column("elements").to_pylist()]
    for key, weight in shares.items():
        wanted = weight / total
        assert abs(found.count(key) / 1500 - wanted) < 4.5 * np.sqrt(wanted * (1 - wanted) / 1500)


def test_a_property_shifts_the_distribution_as_it_should():
    """A Gaussian times a Gaussian is one: mean and width are known."""
    from scipy.stats import kstest

    guides = [Guide(name="length", property=length, weight=1 / (2 * 0.2**2), target=6.2)]
    steps = config(steps=60, strain=0.03)
    result = mutate(ToyModel(), SALT, chains=1500, moves=["strain"], guides=guides, config=steps)
    last = result.table.filter(np.array(result.table.column("kind").to_pylist()) == "last")
    precision = 1 / WIDTH**2 + 1 / 0.2**2
    mean = (MIDDLE / WIDTH**2 + 6.2 / 0.2**2) / precision
    assert kstest((last.column("length").to_numpy() - mean) * np.sqrt(precision), "norm").pvalue > 1e-4


def test_a_cold_chain_climbs():
    cold = config(steps=150, temperature=1.0, final_temperature=0.001)
    result = mutate(ToyModel(), rock_salt(1, 5.0, [11, 17]), chains=4, moves=["strain"], config=cold)
    last = result.table.lattice[4:, 0]
    assert last == pytest.approx([MIDDLE] * 4, abs=0.05)


WRONG = [
    ({"chains": 0}, InputError, "0 chains are asked for; ask for 1"),
    ({"substitutes": {"K": ["Na"]}}, InputError, "K is to be replaced and is in no start"),
    ({"substitutes": ["Xx"]}, InputError, "'Xx' is not a chemical element"),
    ({"substitutes": ["Au"]}, InputError, "Au is not among the 5 elements that the model knows"),
    ({"substitutes": ["Na"], "moves": ["substitute"], "keep": "formula"}, InfeasibleConditionsError, "formula is kept"),
    ({"substitutes": {"Na": ["Na"]}, "moves": ["substitute"]}, InfeasibleConditionsError, "only its own"),
    ({"moves": ["displace"]}, InfeasibleConditionsError, "no position has a free coordinate"),
    ({"moves": ["jump"]}, InputError, "there is no move 'jump'"),
    ({"moves": []}, InfeasibleConditionsError, "no move is asked for"),
    ({"formula": "KCl"}, InfeasibleConditionsError, "the formula KCl is asked for"),
    ({"config": config(closest=1.2)}, InputError, "the limit is 1.2"),
    (
        {"guides": [Guide(name="score", property=length, weight=1.0)]},
        InputError,
        "a property is called 'score', and so is another column",
    ),
]


@pytest.mark.parametrize(("changes", "error", "message"), WRONG)
def test_what_makes_no_sense_is_refused_before_anything_is_scored(changes, error, message):
    model = ToyModel()
    with pytest.raises(error, match=message):
        mutate(model, SALT, **{"config": config(), **changes})
    assert model.scored == 0


def test_starts_that_cannot_be_are_refused():
    gene = CrystalTable.from_genes(SALT.genes())
    with pytest.raises(TableError, match="genes and have no geometry"):
        mutate(ToyModel(), gene)
    with pytest.raises(InputError, match="no crystal to start from"):
        mutate(ToyModel(), SALT[:0])
    forced = rock_salt(1, 5.6, [11, 17], group=216)
    with pytest.raises(InputError, match="higher symmetry at every geometry; encode its structure again"):
        mutate(ToyModel(), forced)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "0 steps"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"final_temperature": 0.0}, "temperature is 0"),
        ({"displacement": 0.0}, "displacement is 0"),
        ({"strain": np.nan}, "strain is nan"),
        ({"closest": -1.0}, "least distance is -1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        ChainConfig(**changes)
