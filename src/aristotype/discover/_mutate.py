"""Structure mutation: Metropolis sampling on a model's log-probability, from a given crystal, in its template.

The use of Cao, Luo, Lv and Wang (arXiv:2403.15734): element substitution within a mask and moves of coordinates, guided
by likelihood. At temperature 1 a chain draws from the model's distribution, restricted to the crystals that the moves
reach: those of one space group and one set of occupied positions, without overlaps, within the mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable, atomic_number, element_symbol, parse_formula
from aristotype.discover._chain_crystals import ChainCrystals
from aristotype.discover._chain_judge import FORCED, OVERLAP, CrystalJudge, Rule, closeness
from aristotype.discover._chain_result import MOST_CHAINS, ChainConfig, ChainsResult, chains_result, check_chains
from aristotype.discover._generate import draws_geometry
from aristotype.discover._metropolis import metropolis
from aristotype.discover._moves import Displace, Exchange, Strain, Substitute
from aristotype.discover._properties import check_guides
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.symmetry import forced, lattice_constraints

if TYPE_CHECKING:
    from collections.abc import Callable

    from aristotype.discover._chain_judge import CrystalModel
    from aristotype.discover._metropolis import Move
    from aristotype.discover._properties import Guide

Bools = NDArray[np.bool_]
Element = str | int
Substitutes = Iterable[Element] | Mapping[Element, Iterable[Element]]
By = Literal["element", "orbit"]
Keep = Literal["nothing", "elements", "formula"]
MOVES = ("substitute", "exchange", "displace", "strain")
"""Kinds of moves within a template."""


def mutate(
    model: CrystalModel,
    starts: CrystalTable,
    *,
    chains: int = 8,
    substitutes: Substitutes | None = None,
    by: By = "element",
    keep: Keep = "nothing",
    formula: str | None = None,
    moves: Iterable[str] | None = None,
    guides: Sequence[Guide] = (),
    config: ChainConfig | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ChainsResult:
    """Runs chains from crystals.

    The log-target of a step is (log_prob + what the properties add) / temperature. A chain depends on the seed, its
    start, its number and the temperatures: not on how many chains there are, nor, at one temperature, on later steps.
    (The last bits of a score may differ with what is scored beside it.)

    Args:
        model: of crystals, as `aristotype.load` gives it.
        starts: n crystals.
        chains: of each start.
        substitutes: elements that sites may hold besides that which they begin with: a set for all, or by the element
            at the start. None for no substitution, but all elements of the start where `keep` is "elements".
        by: whether all sites that begin with one element change together, or each orbit by itself.
        keep: the formula, the set of elements, or neither.
        formula: that of all starts, as a check; it is kept.
        moves: some of `MOVES`; by default all that can change anything.
        guides: properties to draw towards.
        config: steps, temperatures and lengths of steps.
        progress: called with the steps done and the share of proposals accepted.

    Raises:
        TableError: a start is a gene.
        InputError: the model draws no geometry, a number is out of range, an element is outside the model's vocabulary,
            a start overlaps, or a property gives no value for it.
        InfeasibleConditionsError: nothing may change, or the kept formula and the substitutes contradict.
    """
    config = config or ChainConfig()
    check_chains(chains)
    check_guides(guides)
    refuse_gene_models(model)
    if not len(starts):
        raise InputError("there is no crystal to start from; give at least one")
    begin = ChainCrystals.from_table(starts)
    keep = _checked_formula(starts, formula, keep)
    _check_starts(starts, begin, config)
    allowed = allowed_elements(begin, substitutes, keep)
    check_vocabulary(model, begin, allowed)
    kinds = _moves(begin, allowed, substitutes is not None, by, keep, moves, config)
    rows = np.repeat(np.arange(len(starts)), chains)
    first = begin.take(rows)
    judge = CrystalJudge(model=model, guides=guides, closest=config.closest, rules=_rules(first, keep))
    weights = np.array([1.0, *(guide.weight for guide in guides)])
    run = metropolis(
        first,
        kinds,
        judge,
        coefficients=weights / config.temperatures()[:, None],
        goal=weights,
        seed=config.seed,
        streams=rows * MOST_CHAINS + np.tile(np.arange(chains), len(starts)),
        progress=progress,
    )
    extra = {"by": by, "keep": keep, "starts": starts.ids, "substitutes": _told(begin, allowed)}
    names = [starts.ids[row] for row in rows.tolist()]
    return chains_result(
        run, guides, config, starts=names, numbers=np.tile(np.arange(chains), len(starts)).tolist(), extra=extra
    )


def allowed_elements(begin: ChainCrystals, substitutes: Substitutes | None, keep: Keep) -> Bools:
    """(119, 119) whether a site that began with an element (row) may hold another (column); its own always.

    Raises:
        InputError: there is no such element, or one to be replaced is in no start.
    """
    allowed = np.eye(119, dtype=bool)
    there = np.unique(begin.elements[begin.elements > 0]).tolist()
    if isinstance(substitutes, Mapping):
        for key, values in substitutes.items():
            old = atomic_number(key)
            if old not in there:
                held = ", ".join(map(element_symbol, there))
                raise InputError(
                    f"{element_symbol(old)} is to be replaced and is in no start (they hold {held}); name one of these"
                )
            allowed[old, [atomic_number(value) for value in values]] = True
    elif substitutes is not None:
        allowed[np.ix_(there, [atomic_number(value) for value in substitutes])] = True
    elif keep != "nothing":
        allowed[np.ix_(there, there)] = True
    return allowed


def refuse_gene_models(model: object) -> None:
    """Refuses models whose log-probability is that of genes, not of crystals.

    Raises:
        InputError: it is one.
    """
    if not draws_geometry(model):
        name = getattr(model, "name", type(model).__name__)
        raise InputError(f"{name} draws genes without geometry; take a model of crystals, such as crystalformer-mp20")


def check_vocabulary(model: CrystalModel, begin: ChainCrystals, allowed: Bools) -> None:
    """Refuses elements that the model does not know before anything is drawn.

    Raises:
        InputError: naming the element.
    """
    there = np.unique(begin.elements[begin.elements > 0])
    unknown = sorted(set(np.flatnonzero(allowed[there].any(axis=0)).tolist()) - model.vocabulary)
    if unknown:
        raise InputError(
            f"{element_symbol(unknown[0])} is not among the {len(model.vocabulary)} elements that the model knows; "
            "leave it out of the start and of its substitutes, or train on data that holds it"
        )


def _checked_formula(starts: CrystalTable, formula: str | None, keep: Keep) -> Keep:
    """What is kept, the formula if one is given."""
    if formula is None:
        return keep
    counts = parse_formula(formula)
    wanted = np.zeros(119, np.int64)
    wanted[list(counts)] = list(counts.values())
    wanted //= np.gcd.reduce(wanted[wanted > 0])
    made = ChainCrystals.from_table(starts).composition()
    reduced = made // np.gcd.reduce(made, axis=1)[:, None]
    wrong = (reduced != wanted).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        sites = str(CrystalTable.from_genes(starts.genes())[row])
        raise InfeasibleConditionsError(
            f"the formula {formula} is asked for and the template is that of {starts.ids[row]!r}, {sites}: moves keep "
            "the number of atoms of every position, so start from a crystal of that formula, or leave the formula out"
        )
    return "formula"


def _check_starts(starts: CrystalTable, begin: ChainCrystals, config: ChainConfig) -> None:
    """Refuses starts that no chain may visit, with a remedy for each."""
    close = closeness(starts)
    if (close < config.closest).any():
        row = int(close.argmin())
        raise InputError(
            f"{OVERLAP} in {starts.ids[row]!r}: two are at {close[row]:.2f} of the sum of their covalent radii, the "
            f"limit is {config.closest:g}; relax the crystal, or lower the limit (closest)"
        )
    more = forced(begin.group, begin.elements, begin.letters)
    if more.any():
        row = int(more.argmax())
        raise InputError(
            f"{starts.ids[row]!r} is of space group {begin.group[row]} and has {FORCED}; encode its structure again, "
            "so that it gets its own group"
        )


def _moves(
    begin: ChainCrystals,
    allowed: Bools,
    asked: bool,
    by: By,
    keep: Keep,
    wanted: Iterable[str] | None,
    config: ChainConfig,
) -> dict[str, tuple[float, Move[ChainCrystals]]]:
    """The kinds of moves that can change something."""
    together = by == "element"
    names = list(MOVES) if wanted is None else list(dict.fromkeys(wanted))
    options = (allowed[begin.origin].sum(axis=2) > 1) & (begin.letters >= 0)
    # Where cells move, they grow with the elements; where they do not, they stay for good.
    volumes = element_volumes() if "strain" in names else None
    known: dict[str, Move[ChainCrystals]] = {
        "substitute": Substitute(allowed, together, volumes),
        "exchange": Exchange(allowed, together, volumes),
        "displace": Displace(config.displacement),
        "strain": Strain(config.strain),
    }
    can = {
        "substitute": bool(options.any()) and keep != "formula",
        "exchange": _some_may_exchange(begin, allowed, together),
        "displace": bool((begin.genes().freedoms > 0).any()),
        "strain": all(len(lattice_constraints(int(number)).names) for number in begin.group),
    }
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"there is no move {unknown[0]!r}; there are {', '.join(MOVES)}")
    chosen = [name for name in names if can[name]]
    idle = [name for name in names if not can[name]]
    if not chosen or (wanted is not None and idle):
        raise InfeasibleConditionsError(_why_idle(idle, asked, keep))
    return {name: (1.0, known[name]) for name in chosen}


def _some_may_exchange(begin: ChainCrystals, allowed: Bools, together: bool) -> bool:
    """Whether two sets of sites of one start may hold two elements both."""
    for row in begin.origin:
        kinds = row[row > 0].tolist()
        kinds = sorted(set(kinds)) if together else kinds
        shared = allowed[kinds].astype(int) @ allowed[kinds].T.astype(int)
        if (shared[~np.eye(len(kinds), dtype=bool)] > 1).any():
            return True
    return False


def element_volumes() -> NDArray[np.float64]:
    """(119,) volume of an atom of each element in cubic Angstrom, the median where it is not known."""
    from aristotype.realize import priors

    volumes = priors().volumes
    return np.where(np.isfinite(volumes), volumes, np.nanmedian(volumes))


def _why_idle(idle: Sequence[str], asked: bool, keep: Keep) -> str:
    reasons = {
        "substitute": "the formula is kept, and any substitution changes it"
        if keep == "formula"
        else "the allowed elements leave every site only its own"
        if asked
        else "no elements to substitute are given",
        "exchange": "no two sites may exchange their elements",
        "displace": "no position has a free coordinate",
        "strain": "the cell has no free parameter",
    }
    told = "; ".join(f"{name}: {reasons[name]}" for name in idle)
    return f"nothing may change ({told or 'no move is asked for'}); allow more elements, or other moves"


def _rules(first: ChainCrystals, keep: Keep) -> list[Rule]:
    """What chains from n crystals must keep."""
    if keep == "nothing":
        return []
    wanted = first.composition()
    if keep == "formula":
        return [Rule(reason="another formula", holds=lambda c, rows: (c.composition() == wanted[rows]).all(axis=1))]
    return [
        Rule(
            reason="another set of elements",
            holds=lambda c, rows: ((c.composition() > 0) == (wanted[rows] > 0)).all(axis=1),
        )
    ]


def _told(begin: ChainCrystals, allowed: Bools) -> dict[str, list[str]]:
    """Substitutes by element, as symbols."""
    there = np.unique(begin.elements[begin.elements > 0]).tolist()
    return {
        element_symbol(old): [element_symbol(new) for new in np.flatnonzero(allowed[old]).tolist() if new != old]
        for old in there
    }
