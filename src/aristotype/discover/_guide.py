"""Property guidance: crystals from p(C) times the exponential of weighted properties, by Metropolis sampling.

Chains begin with draws of the model. Whole new draws and moves within the template take turns. A draw costs and gains
nothing by its likelihood, since the model proposes it as often as the target holds it: what counts is the property.
Annealing divides the properties' part alone, so that a hot chain draws from the model.

Draws follow the log-probability exactly where the conditions are none but space groups. With others they follow the
model's conditional distribution approximately (see "Conditions" in docs/models.md); moves follow it exactly.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable
from aristotype.discover._chain_crystals import ChainCrystals
from aristotype.discover._chain_judge import CrystalJudge, Rule
from aristotype.discover._chain_result import ChainConfig, ChainsResult, chains_result, check_chains
from aristotype.discover._describe import describe_conditions
from aristotype.discover._metropolis import Proposal, metropolis
from aristotype.discover._moves import Displace, Exchange, Strain, Substitute
from aristotype.discover._mutate import element_volumes, refuse_gene_models
from aristotype.discover._properties import check_guides
from aristotype.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aristotype.discover._metropolis import Move
    from aristotype.discover._properties import Guide

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOVES = {"draw": 1.0, "substitute": 0.5, "exchange": 0.25, "displace": 1.0, "strain": 1.0}
"""Kinds of moves, with the weight of each."""
_PACK = 8
"""Chains that share a stream of draws: a chain's own draws do not depend on how many chains there are."""
PATIENCE = 200
"""Draws of a chain that cannot be its start after which the run ends."""
OUTSIDE = "outside the conditions"


class GuidedModel(Protocol):
    """The part of a model of crystals that guidance needs."""

    name: str

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that it knows."""
        ...

    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Blocks of crystals without end."""
        ...

    def log_prob(self, table: CrystalTable) -> Floats:
        """Log-probability density (n,) in nats."""
        ...


def guide(
    model: GuidedModel,
    guides: Sequence[Guide],
    conditions: Conditions | None = None,
    *,
    chains: int = 8,
    screen: int = 1,
    moves: Mapping[str, float] | None = None,
    config: ChainConfig | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ChainsResult:
    """Draws crystals that a model finds likely and that have the properties asked for.

    The log-target of a step is log_prob + (what the properties add) / temperature; the best crystal of a chain is the
    one to which they add most. A chain depends on the seed, its number and the temperatures: not on how many chains
    there are, nor, at one temperature, on later steps. (The last bits of a score may differ with what is beside it.)

    Args:
        model: of crystals, as `aristotype.load` gives it.
        guides: properties, at least one.
        conditions: what all crystals satisfy.
        chains: how many.
        screen: draws for each chain, of which it begins with the one to which the properties add most.
        moves: weights of the kinds of moves, by names of `MOVES`; by default those, and no move that the conditions
            forbid.
        config: steps, temperatures and lengths of steps.
        progress: called with the steps done and the share of proposals accepted.

    Raises:
        InputError: the model draws no geometry, there is no property, a number is out of range, no draw can be a start,
            or a property is no array of numbers.
        InfeasibleConditionsError: nothing satisfies the conditions.
    """
    config, conditions = config or ChainConfig(), conditions or Conditions()
    check_chains(chains)
    check_guides(guides)
    if screen < 1:
        raise InputError(f"{screen} draws are to be screened for each chain; ask for at least 1")
    if not guides:
        raise InputError("no property is given to guide by; give at least one, or use generate")
    refuse_gene_models(model)
    if conditions.targets:
        raise InputError("targets among the conditions are for `generate`; give chains properties to guide by instead")
    if conditions.partial_crystal is not None:
        raise InputError("sites that must stay where they are leave no density to guide by; give a partial gene")
    judge = CrystalJudge(model=model, guides=guides, closest=config.closest, rules=_rules(conditions))
    draws = _Draws(_exact(model), conditions, config.seed, chains, len(guides))
    kinds = _kinds(draws, _possible(model, conditions), conditions, moves, config)
    weights = np.array([guide.weight for guide in guides])
    first = _starts(draws, judge, chains, screen, np.array([0.0, *weights]))
    coefficients = np.concatenate([np.ones((config.steps, 1)), weights / config.temperatures()[:, None]], axis=1)
    run = metropolis(
        first,
        kinds,
        judge,
        coefficients=coefficients,
        goal=np.array([0.0, *weights]),
        seed=config.seed,
        streams=np.arange(chains),
        progress=progress,
    )
    extra = {"model": model.name, "screen": screen, "conditions": describe_conditions(conditions)}
    names = [model.name] * chains
    return chains_result(run, guides, config, starts=names, numbers=list(range(chains)), extra=extra)


class _Draws:
    """The move to a whole new crystal; each chain has draws of its own, in order."""

    def __init__(self, model: GuidedModel, conditions: Conditions, seed: int, chains: int, guides: int) -> None:
        asked = None if conditions.is_free else conditions
        packs = range(-(-chains // _PACK))
        self._streams = [model.stream(asked, seed=_pack_seed(seed, pack)) for pack in packs]
        self._waiting: list[deque[ChainCrystals]] = [deque() for _ in range(len(packs) * _PACK)]
        self._density = np.array([1.0] + [0.0] * guides)

    def next(self, chains: Iterable[int]) -> ChainCrystals:
        """The next draw of some chains."""
        found = []
        for chain in chains:
            while not self._waiting[chain]:
                self._fetch(chain // _PACK)
            found.append(self._waiting[chain].popleft())
        out = found[0].take(np.zeros(len(found), np.int64))
        for row, one in enumerate(found):
            out = out.replaced(np.array([row]), one)
        return out

    def _fetch(self, pack: int) -> None:
        """A block of a pack's stream, dealt out to its chains in turn."""
        try:
            block = next(self._streams[pack])
        except StopIteration:
            raise InputError("the model's stream of crystals has ended; ask for fewer steps or chains") from None
        crystals = ChainCrystals.from_table(block)
        whole = len(crystals) // _PACK * _PACK
        for row in range(whole):
            self._waiting[pack * _PACK + row % _PACK].append(crystals.take(np.array([row])))

    def __call__(self, batch: ChainCrystals, draws: Floats) -> Proposal[ChainCrystals]:
        """Propose; see `Move`."""
        return Proposal(
            batch=self.next(range(len(batch))),
            log_correction=np.zeros(len(batch)),
            ruled_out=np.full(len(batch), "", object),
            density=self._density,
        )


def _pack_seed(seed: int, pack: int) -> int:
    """A seed of its own for each pack, below 2^63."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {pack}".encode(), digest_size=8).digest(), "little") >> 1


def _exact(model: GuidedModel) -> GuidedModel:
    """The model with draws that follow its log-probability, where it can be told to: overlaps are not drawn again."""
    without: Callable[[], GuidedModel] | None = getattr(model, "without_redraws", None)
    return model if without is None else without()


def _starts(draws: _Draws, judge: CrystalJudge, chains: int, screen: int, goal: Floats) -> ChainCrystals:
    """The best by terms @ goal of each chain's first draws that are not ruled out, `screen` of them or more.

    Raises:
        InputError: there is none among `PATIENCE` draws, or `screen` if that is more.
    """
    out, best = draws.next(range(chains)), np.full(chains, -np.inf)
    reasons: Counter[str] = Counter()
    for turn in range(max(screen, PATIENCE)):
        rows = np.arange(chains) if turn < screen else np.flatnonzero(best == -np.inf)
        if not len(rows):
            return out
        new = draws.next(rows.tolist()) if turn else out
        found = judge(new, rows)
        fit = (found.ruled_out == "") & np.isfinite(found.terms).all(axis=1)
        reasons.update(found.ruled_out[~fit].tolist())
        better = np.flatnonzero(fit)
        better = better[found.terms[better] @ goal > best[rows[better]]]
        out = out.replaced(rows[better], new.take(better))
        best[rows[better]] = found.terms[better] @ goal
    if (best > -np.inf).all():
        return out
    told = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
    raise InputError(
        f"none of {max(screen, PATIENCE)} draws can be the start of chain {int(best.argmin())}. Of the draws of all "
        f"chains: {told}. Loosen the conditions or the limits, or correct the property that fails"
    )


def _possible(model: GuidedModel, conditions: Conditions) -> NDArray[np.bool_]:
    """(119,) elements that the model knows and the conditions allow."""
    out = np.zeros(119, bool)
    out[list(conditions.elements(model.vocabulary))] = True
    return out


def _kinds(
    draws: _Draws,
    elements: NDArray[np.bool_],
    conditions: Conditions,
    moves: Mapping[str, float] | None,
    config: ChainConfig,
) -> dict[str, tuple[float, Move[ChainCrystals]]]:
    """The kinds of moves that the conditions leave and that are asked for, with their weights."""
    allowed = np.tile(elements, (119, 1))
    kinds: dict[str, Move[ChainCrystals]] = {
        "draw": draws,
        "substitute": Substitute(allowed, False, element_volumes()),
        "exchange": Exchange(allowed, False, element_volumes()),
        "displace": Displace(config.displacement),
        "strain": Strain(config.strain),
    }
    if conditions.partial is not None or elements.sum() < 2:
        del kinds["substitute"], kinds["exchange"]
    elif conditions.formula is not None:
        del kinds["substitute"]  # each would change the formula
    wanted = {name: MOVES[name] for name in kinds} if moves is None else moves
    for name, weight in wanted.items():
        if name not in MOVES:
            raise InputError(f"there is no move {name!r}; there are {', '.join(MOVES)}")
        if name not in kinds:
            raise InputError(f"the move {name} cannot be made under these conditions; there are {', '.join(kinds)}")
        if not (np.isfinite(weight) and weight > 0):
            raise InputError(f"the weight of the move {name} is {weight}; it must be above 0")
    return {name: (weight, kinds[name]) for name, weight in wanted.items()}


def _rules(conditions: Conditions) -> list[Rule]:
    """What moves of elements could break: everything else stays in a template, and draws satisfy it all."""

    def holds(crystals: ChainCrystals, rows: Ints) -> NDArray[np.bool_]:
        made = crystals.composition()
        out = np.ones(len(made), bool)
        if conditions.required_elements:
            out &= (made[:, list(conditions.required_elements)] > 0).all(axis=1)
        if conditions.formula is not None:
            wanted = np.zeros(119, np.int64)
            for number, count in conditions.formula:
                wanted[number] = count
            out &= (made * wanted.sum() == wanted * made.sum(axis=1)[:, None]).all(axis=1)
        return out

    if conditions.required_elements or conditions.formula is not None:
        return [Rule(reason=OUTSIDE, holds=holds)]
    return []
