"""What the conditions leave possible: known crystals, places whose elements are exchanged, elements that must come in.

An option is one way to meet the conditions up to what is drawn freely from a masked table. Its weight is the
probability of all that it fixes, times the mass that the mask leaves; so drawing options by weight and then the rest is
the unconditioned draw, restricted and renormalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import comb

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Conditions, element_symbol, reduced_formula, template_keys
from aristotype.errors import InfeasibleConditionsError, InputError
from aristotype.models.baselines._known import KnownCrystals
from aristotype.models.baselines._likelihood import NUMBERS

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """o options of up to K exchanges each.

    Attributes:
        parent: (o,) known crystal.
        places: (o, K) index of the element among those of the parent, -1 where there is no further exchange.
        forced: (o, K) element that comes in, 0 where it is drawn.
        cumulative: (o,) running sum of the weights.
        table: (119, 119) running sums over new elements, by old element, of what is drawn.
    """

    parent: Ints
    places: Ints
    forced: Ints
    cumulative: Floats
    table: Floats


def possible_options(
    known: KnownCrystals,
    conditions: Conditions,
    probability: Floats,
    num_exchanged: Floats | None,
) -> Options:
    """All options under the conditions.

    Args:
        known: n crystals, each equally likely to be the parent.
        conditions: hard constraints.
        probability: (119, 119) of a new element (column) for an old one (row).
        num_exchanged: probabilities that 1, 2, ... elements are exchanged, for others than those of the parent; None
            for all elements at once, whatever they are.

    Raises:
        InfeasibleConditionsError: no option is left; the message names the condition that left none.
        InputError: a condition that baselines do not know, or an element that no known crystal holds.
    """
    allowed = _allowed(known, conditions)
    required = sorted(conditions.required_elements | {number for number, _ in conditions.formula or ()})
    rows = _possible_parents(known, conditions)
    masked = np.where(allowed, probability, 0.0)
    masked[:, required] = 0.0
    found = list(_of_each_size(known, conditions, rows, allowed, np.array(required, np.int64), num_exchanged))
    parent, places, forced, weight = (_joined([part[i] for part in found]) for i in range(4))
    old = np.where(places >= 0, np.take_along_axis(known.kinds[parent], np.maximum(places, 0), axis=1), 0)
    drawn = np.where(forced > 0, probability[old, forced], masked.sum(axis=1)[old])
    weight = weight * np.where(places >= 0, drawn, 1.0).prod(axis=1)
    kept = weight > 0
    if not kept.any():
        raise InfeasibleConditionsError(
            f"none of the {len(rows):,} known crystals that fit the other conditions becomes one with the elements "
            f"asked for by {_manner(num_exchanged)}; loosen the conditions on elements"
        )
    return Options(
        parent=parent[kept],
        places=places[kept],
        forced=forced[kept],
        cumulative=np.cumsum(weight[kept]),
        table=np.cumsum(masked, axis=1),
    )


def _manner(num_exchanged: Floats | None) -> str:
    if num_exchanged is None:
        return "decoration"
    most = int(np.flatnonzero(num_exchanged)[-1]) + 1
    return f"at most {most} exchange{'s' * (most > 1)} (more at once is unseen among known crystals)"


def _joined(parts: Sequence[NDArray]) -> NDArray:
    """One array from several, -1 padded to the widest where they have columns."""
    width = max((part.shape[1] for part in parts if part.ndim == 2), default=0)
    wide = [np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=-1) if p.ndim == 2 else p for p in parts]
    return np.concatenate(wide)


def _allowed(known: KnownCrystals, conditions: Conditions) -> Bools:
    """(119,) elements that may be there at all.

    Raises:
        InfeasibleConditionsError: an element is required and not allowed, or none is allowed.
        InputError: no known crystal holds an element that is required, or there is a partial crystal.
    """
    if conditions.partial is not None:
        raise InputError(
            "baselines exchange elements and take no partial crystal; leave it out, or use `aristotype generate`"
        )
    possible = conditions.elements(known.vocabulary.tolist())
    for kind, wanted in (
        ("required", conditions.required_elements),
        ("in the formula", frozenset(number for number, _ in conditions.formula or ())),
    ):
        unknown = wanted - set(known.vocabulary.tolist())
        if unknown:
            raise InputError(
                f"{_symbols(unknown)} is {kind} but in none of the {len(known):,} known crystals; choose among the "
                f"{len(known.vocabulary)} elements that are, or give a table that holds it"
            )
        if wanted - possible:
            raise InfeasibleConditionsError(
                f"{_symbols(wanted - possible)} is {kind} but excluded or not among the allowed elements"
            )
    if not possible:
        raise InfeasibleConditionsError(
            f"the conditions leave none of the {len(known.vocabulary)} known elements; allow at least one of them"
        )
    mask = np.zeros(NUMBERS, bool)
    mask[list(possible)] = True
    return mask


def _symbols(numbers: frozenset[int]) -> str:
    return ", ".join(element_symbol(number) for number in sorted(numbers))


def _possible_parents(known: KnownCrystals, conditions: Conditions) -> Ints:
    """Known crystals that meet what no exchange of elements changes.

    Raises:
        InfeasibleConditionsError: there is none; the message names the first condition that left none.
    """
    rows = np.arange(len(known))
    for name, passed in _parent_checks(known, conditions):
        before, rows = len(rows), rows[passed[rows]]
        if not len(rows):
            raise InfeasibleConditionsError(
                f"none of the {before:,} known crystals that fit so far has {name}, and baselines keep what they "
                "start from; loosen that condition, or use `aristotype generate`"
            )
    return rows


def _parent_checks(known: KnownCrystals, conditions: Conditions) -> Iterator[tuple[str, Bools]]:
    if conditions.space_groups is not None:
        groups = conditions.space_groups
        shown = ", ".join(map(str, groups[:8])) + (", ..." if len(groups) > 8 else "")
        yield f"the space group {shown}", np.isin(known.genes.space_group, groups)
    if conditions.template is not None:
        key = template_keys(conditions.template).tolist()[0]
        yield "the positions of the template", np.array([own == key for own in known.templates])
    if conditions.num_sites is not None:
        yield f"{conditions.num_sites} sites", known.genes.num_sites == conditions.num_sites
    if conditions.max_atoms is not None:
        yield f"at most {conditions.max_atoms} atoms in the primitive cell", known.num_atoms <= conditions.max_atoms
    if conditions.formula is not None:
        name = reduced_formula(dict(conditions.formula))
        yield f"the proportions of {name}", _same_proportions(known, [count for _, count in conditions.formula])
    if conditions.formula_units is not None:
        yield f"{conditions.formula_units} formula units in the primitive cell", known.units == conditions.formula_units
    if conditions.required_elements:
        count = len(conditions.required_elements)
        yield f"{count} different elements", known.num_kinds >= count


def _same_proportions(known: KnownCrystals, counts: Sequence[int]) -> Bools:
    """(n,) whether the reduced counts are these, in some order."""
    width = known.kinds.shape[1]
    if len(counts) > width:
        return np.zeros(len(known), bool)
    own = np.sort(known.atoms // known.units[:, None], axis=1)
    asked = np.sort(np.pad(np.array(counts, np.int64), (width - len(counts), 0)))
    return (own == asked).all(axis=1)


def _of_each_size(
    known: KnownCrystals,
    conditions: Conditions,
    rows: Ints,
    allowed: Bools,
    required: Ints,
    num_exchanged: Floats | None,
) -> Iterator[tuple[Ints, Ints, Ints, Floats]]:
    """Options as (parent, places, forced, probability of the choice of places), by number of elements and places."""
    for kinds in np.unique(known.num_kinds[rows]).tolist():
        own = rows[known.num_kinds[rows] == kinds]
        if num_exchanged is None:
            sizes = {kinds: 1.0}
        else:
            shares = num_exchanged[:kinds]
            sizes = {k + 1: share / shares.sum() for k, share in enumerate(shares.tolist()) if share > 0}
        for size, share in sizes.items():
            for chosen in combinations(range(kinds), size):
                probability = share / comb(kinds, size)
                fresh = num_exchanged is not None
                for parent, forced in _completions(known, conditions, own, chosen, allowed, required, fresh):
                    places = np.broadcast_to(np.array(chosen, np.int64), (len(parent), size))
                    yield parent, places, forced, np.full(len(parent), probability)
    yield np.empty(0, np.int64), np.empty((0, 0), np.int64), np.empty((0, 0), np.int64), np.empty(0)


def _completions(
    known: KnownCrystals,
    conditions: Conditions,
    rows: Ints,
    chosen: tuple[int, ...],
    allowed: Bools,
    required: Ints,
    fresh: bool,
) -> Iterator[tuple[Ints, Ints]]:
    """Parents (p,) and forced elements (p, k) for the chosen places: every way to bring in what is required.

    Args:
        known: all known crystals.
        conditions: hard constraints.
        rows: (r,) parents, all with the same number of elements.
        chosen: places that are exchanged.
        allowed: (119,) elements that may be there.
        required: (q,) elements that must be there in the end.
        fresh: whether what comes in must be new to the parent.
    """
    kept = [place for place in range(int(known.num_kinds[rows[0]])) if place not in chosen]
    rows = rows[allowed[known.kinds[rows][:, kept]].all(axis=1)]
    drawn = allowed.copy()
    drawn[required] = False
    taken = drawn[known.kinds[rows][:, : known.kinds.shape[1] if fresh else 0]].sum(axis=1)
    missing = ~(known.kinds[rows][:, kept, None] == required).any(axis=1)
    counts = missing.sum(axis=1)
    for count in range(len(chosen) + 1):
        # As many elements are left to draw as there are places for them; what comes in is distinct.
        here = (counts == count) & (drawn.sum() - taken >= len(chosen) - count)
        own = rows[here]
        if not len(own):
            continue
        first = np.argsort(~missing[here], axis=1, kind="stable")[:, :count]
        for places in permutations(range(len(chosen)), count):
            forced = np.zeros((len(own), len(chosen)), np.int64)
            forced[:, list(places)] = required[first]
            good = np.ones(len(own), bool)
            if fresh and count:
                seen = (forced[:, :, None] == known.kinds[own][:, None, :]) & (forced[:, :, None] > 0)
                good = ~seen.any(axis=(1, 2))
            if conditions.formula is not None:
                good &= _has_formula(known, conditions, own, chosen, forced)
            yield own[good], forced[good]


def _has_formula(
    known: KnownCrystals, conditions: Conditions, rows: Ints, chosen: tuple[int, ...], forced: Ints
) -> Bools:
    """(r,) whether all elements are forced or kept, with the counts of the formula."""
    wanted = np.full(NUMBERS, -1, np.int64)
    for number, count in conditions.formula or ():
        wanted[number] = count
    elements = known.kinds[rows].copy()
    elements[:, list(chosen)] = forced
    counts = known.atoms[rows] // known.units[rows][:, None]
    there = known.kinds[rows] > 0
    wrong = there & (wanted[elements] != counts)
    return ~wrong.any(axis=1)
