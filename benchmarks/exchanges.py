"""How well a likelihood of exchanges ranks those that lead from known crystals to held-out ones.

A question is a held-out gene that one exchange makes of a known one: given the known crystal and the element that
leaves it, which element comes in? Answers are all elements of the train part that are not in the known crystal; ties
share the mean of their ranks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.models.baselines import ExchangeLikelihood, Fillings, element_lists, series_of
from benchmarks.core import Clock, Context, Outcome, Section, Skipped
from benchmarks.data import split

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NUMBERS = 119


class Questions(NamedTuple):
    """m questions."""

    parent: Ints  # (m,) known gene
    old: Ints  # (m,) element that leaves
    new: Ints  # (m,) element that comes in


def exchanges(context: Context) -> Outcome:
    """The learnt likelihood beside pymatgen's, on the exchanges that lead to the validation and test splits."""
    train = split(context, "train").genes()
    with Clock() as clock:
        learnt = ExchangeLikelihood.learnt(Fillings.of(train))
    held = np.bincount(element_lists(train).ravel(), minlength=NUMBERS).astype(float)
    held[0] = 0.0
    tables = {
        "ours, learnt from the train part": learnt.joint,
        "frequency of the new element alone": np.broadcast_to(held, (NUMBERS, NUMBERS)),
    }
    tables |= pymatgen_tables()
    common = (tables["pymatgen, summed over oxidation states"].sum(axis=1) > 0) & (held > 0)
    lines = []
    for name in ("val", "test"):
        asked = questions(train, split(context, name).genes(), np.random.default_rng(context.seed))
        both = common[asked.old] & common[asked.new]
        asked = Questions(*(part[both] for part in asked))
        for title, table in tables.items():
            ranks = ranked(np.where(common, table, 0.0), train, asked, common)
            top = " | ".join(f"{100 * np.mean(ranks <= size):.1f} %" for size in (1, 5, 10))
            lines.append(
                f"| mp_20_{name}, {len(ranks):,} | {title} | {np.mean(1 / ranks):.3f} | {np.median(ranks):g} | {top} |"
            )
    shares = ", ".join(f"{100 * share:.1f} %" for share in learnt.num_exchanged)
    text = (
        f"Seed {context.seed}; one known relative drawn for each place of a held-out gene. Elements that pymatgen's "
        f"table lacks are left out for all. Ours took {clock.cpu:.2f} CPU s to learn from {len(train):,} genes; "
        f"exchanges of 1, 2, 3 elements at once: {shares}.\n\n"
        "| questions | likelihood | mean reciprocal rank | median rank | first | first 5 | first 10 |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(lines)
    )
    yield Section(title="Exchanges that lead to held-out crystals, ranked", text=text)


def questions(known: GeneBatch, held_out: GeneBatch, rng: np.random.Generator) -> Questions:
    """One question for each place of a held-out gene that one exchange makes of known ones, drawn among them."""
    fillings = Fillings.of(GeneBatch.concatenate([known, held_out]))
    is_known = fillings.owner < len(known)
    new_gene = ~np.isin(fillings.gene[fillings.owner], fillings.gene[: len(known)])
    # One filling of each held-out gene, since they all ask the same.
    asking = new_gene & (np.arange(len(is_known)) == fillings.first[fillings.owner])
    found = []
    for place in range(fillings.elements.shape[1]):
        rows, series = series_of(fillings, (place,))
        relatives, members = rows[is_known[rows]], series[is_known[rows]]
        order = np.argsort(members, kind="stable")
        relatives, members = relatives[order], members[order]
        asked, wanted = rows[asking[rows]], series[asking[rows]]
        first, last = (np.searchsorted(members, wanted, side=side) for side in ("left", "right"))
        asked, first, last = (part[last > first] for part in (asked, first, last))
        chosen = relatives[first + (rng.random(len(asked)) * (last - first)).astype(np.int64)]
        elements = fillings.elements[:, place]
        found.append(np.column_stack([fillings.owner[chosen], elements[chosen], elements[asked]]))
    return Questions(*np.concatenate(found).T)


def ranked(table: Floats, known: GeneBatch, asked: Questions, candidates: NDArray[np.bool_]) -> Floats:
    """(m,) rank of the true new element among the candidates by a table (119, 119), 1 for the likeliest."""
    values = table[asked.old].astype(float)
    values[:, ~candidates] = -1.0
    np.put_along_axis(values, element_lists(known)[asked.parent], -1.0, axis=1)
    true = table[asked.old, asked.new][:, None]
    return 1.0 + (values > true).sum(axis=1) + ((values == true).sum(axis=1) - 1) / 2


def pymatgen_tables() -> dict[str, Floats]:
    """The likelihood of Hautier et al. as pymatgen ships it, between elements: its pairs are of ions."""
    try:
        from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability
    except ImportError as error:
        raise Skipped(f"it compares with pymatgen, which could not be imported: {error}") from error
    theirs = SubstitutionProbability()
    summed, same = np.zeros((NUMBERS, NUMBERS)), np.zeros((NUMBERS, NUMBERS))
    ions = sorted(theirs.species, key=str)
    for one in ions:
        for other in ions:
            value = theirs.prob(one, other)
            summed[one.Z, other.Z] += value
            if one.oxi_state == other.oxi_state:
                same[one.Z, other.Z] = max(same[one.Z, other.Z], value)
    return {
        "pymatgen, summed over oxidation states": summed,
        "pymatgen, likeliest pair of one oxidation state": same,
    }
