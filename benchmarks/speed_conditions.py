"""Sampling under conditions: given groups, exact formulas."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np

from aristotype.crystal import Conditions, CrystalTable, parse_formula
from aristotype.evaluate import compositions
from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome
from benchmarks.data import model

GROUPS = 10
GENES_A_GROUP = 100
CANDIDATES = 16
# Known compounds from two to five elements, simple and long.
FORMULAS = ("NaCl", "TiO2", "SrTiO3", "CuInSe2", "LiFePO4", "Mg2SiO4", "Y3Al5O12", "KAlSi3O8", "Na3Bi", "La2CuO4")
ONE_GROUP = ("CaTiO3", 62)  # four formula units, 20 atoms: as many as a primitive cell of MP-20 has


def given_groups(context: Context) -> Outcome:
    """Random groups, drawn with the seed from all 230."""
    generator = model(context.model)
    groups = np.sort(np.random.default_rng(context.seed).choice(np.arange(1, 231), GROUPS, replace=False)).tolist()
    generator.sample(8, Conditions(space_groups=groups[:1]), seed=context.seed + 1, score=False)
    genes = []
    with Clock() as clock:
        for number in groups:
            given = Conditions(space_groups=[number])
            table = generator.sample(GENES_A_GROUP, given, seed=context.seed, score=False)
            genes.append((number, table.genes()))
    right = sum(int((batch.legal() & (batch.space_group == number)).sum()) for number, batch in genes)
    asked = GROUPS * GENES_A_GROUP
    yield Measurement(
        work=f"genes given one of {GROUPS} random groups",
        value=right / clock.cpu,
        unit="legal genes of the group a CPU second",
        count=f"{asked:,} asked for, {right:,} legal in the group",
        cpu_seconds=clock.cpu,
        published=published.GIVEN_GROUP_PER_SECOND,
        seed=context.seed,
        note=f"{right / asked:.1%} legal (published {published.GIVEN_GROUP_LEGAL:.1%}); groups "
        + ", ".join(map(str, groups)),
    )


def exact_formula(context: Context) -> Outcome:
    """Candidates of an exact formula, in any group and in one."""
    generator = model(context.model)
    generator.sample(2, Conditions(formula="CsCl"), seed=context.seed, score=False)
    clocks, exact, returned = [], 0, 0
    for formula in FORMULAS:
        table, clock = _timed(generator, Conditions(formula=formula), context.seed)
        clocks.append(clock.cpu)
        returned += len(table)
        exact += has_formula(table, formula)
    worst = int(np.argmax(clocks))
    yield Measurement(
        work=f"exact formula, any group, {CANDIDATES} candidates",
        value=median(clocks),
        unit="CPU s",
        count=f"{len(FORMULAS)} formulas, {returned} of {CANDIDATES * len(FORMULAS)} genes, {exact} exact",
        cpu_seconds=sum(clocks),
        published=published.FORMULA_SECONDS_ANY_GROUP,
        better="less",
        seed=context.seed,
        note=f"median; longest {clocks[worst]:.2f} s ({FORMULAS[worst]})",
    )
    one, number = ONE_GROUP
    table, clock = _timed(generator, Conditions(formula=one, space_groups=[number]), context.seed)
    yield Measurement(
        work=f"exact formula, one group ({one} in {number}), {CANDIDATES} candidates",
        value=clock.cpu,
        unit="CPU s",
        count=f"{len(table)} genes, {has_formula(table, one)} exact",
        cpu_seconds=clock.cpu,
        published=published.FORMULA_SECONDS_ONE_GROUP,
        better="less",
        seed=context.seed,
    )


def _timed(generator: Any, conditions: Conditions, seed: int) -> tuple[CrystalTable, Clock]:
    with Clock() as clock:
        table = generator.sample(CANDIDATES, conditions, seed=seed, score=False)
    return table, clock


def has_formula(table: CrystalTable, formula: str) -> int:
    """How many genes have exactly this reduced formula."""
    wanted = np.zeros(119, dtype=np.int64)
    for number, count in parse_formula(formula).items():
        wanted[number] = count
    atoms = compositions(table.genes())
    reduced = atoms // np.maximum(1, np.gcd.reduce(atoms, axis=1, keepdims=True))
    return int((reduced == wanted // np.gcd.reduce(wanted)).all(axis=1).sum())
