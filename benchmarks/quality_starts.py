"""Starting structures of a structure search: a model of crystals beside random symmetric structures of pyxtal.

The compositions are fixed before anything is seen: four textbook crystals, and two that the seed draws among the
validation crystals whose formula is not in the train part. Every structure is relaxed within its symmetry, and its
energy compared with the lowest that a known crystal of its formula reaches in the same relaxation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.calculators import Potential, load_potential
from aristotype.crystal import (
    CrystalTable,
    Failure,
    compositions,
    element_symbol,
    encode,
    formulas,
    parse_formula,
    reduced_formula,
)
from aristotype.discover import StartGenerator
from aristotype.realize import RelaxConfig, relax_failures, relax_rows
from benchmarks.core import Clock, Context, Outcome, Section, Skipped
from benchmarks.data import crystal_model, split
from benchmarks.intervals import median_text, number_text, share_text

Floats = NDArray[np.float64]
TEXTBOOK = (("Ca2C2O6", 167), ("SrTiO3", 221), ("Ti4O8", 60), ("MnAlCu2", 225))
"""Content of the primitive cell and group: calcite, a perovskite, TiO2 of the kind of columbite, a Heusler compound."""
HELD_OUT = 2
ATOMS = (5, 12)  # in the primitive cell of compositions that are drawn
COUNT = 50
WITHIN = 0.05  # eV/atom above the best known crystal
ATTEMPTS = 10  # random structures tried for each that is wanted, before it is given up
BATCH = 10  # structures relaxed side by side
ENCODED = 0.01  # Angstrom
RELAX = RelaxConfig(free_steps=0, steps=100)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A composition whose structure is looked for."""

    formula: str  # content of the primitive cell
    group: int
    trained: int  # crystals of that formula in the train part
    best: float  # eV/atom, lowest of the known crystals


@dataclass(frozen=True, kw_only=True)
class Starts:
    """Structures of one source, and what they took."""

    table: CrystalTable
    tries: int
    kept: int  # of the tries, those without overlaps
    seconds: float


Source = Callable[[str, int | None, int], Starts]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Starts of one source relaxed."""

    source: str
    task: Task
    free: bool  # any space group
    starts: Starts
    energy: Floats  # (COUNT,) eV/atom above the best known crystal, infinite where there is none
    seconds: float


def starts(context: Context) -> Outcome:
    """Structures of a model and of pyxtal at equal count, relaxed: how low they come, and at what cost."""
    sources: dict[str, Source] = {"model": partial(_drawn, crystal_model(context)), "pyxtal": _random_source()}
    potential = load_potential("chgnet", "cpu")
    results = []
    for task in tasks(context, potential):
        for free in (False, True):
            for name, source in sources.items():
                found = source(task.formula, None if free else task.group, context.seed)
                with Clock() as clock:
                    energy = relaxed_energies(found.table, potential)
                lost = np.full(max(0, COUNT - len(energy)), np.inf)
                energy = np.concatenate([energy - task.best, lost])
                results.append(
                    Result(source=name, task=task, free=free, starts=found, energy=energy, seconds=clock.cpu)
                )
    yield Section(title=f"Starting structures of `{context.crystal_model}` and of pyxtal", text=_text(results, context))


def tasks(context: Context, potential: Potential) -> Iterator[Task]:
    """The textbook compositions and those that are drawn."""
    tables = {name: split(context, name) for name in ("train", "val", "test")}
    names = {name: np.array(formulas(table.genes()), object) for name, table in tables.items()}
    wanted = [*TEXTBOOK, *_held_out(tables["val"], names["val"], set(names["train"]), context.seed)]
    for formula, group in wanted:
        reduced = reduced_formula(parse_formula(formula))
        known = [table.filter(names[name] == reduced) for name, table in tables.items()]
        energies = np.concatenate([relaxed_energies(table, potential) for table in known if len(table)] or [[]])
        if not np.isfinite(energies).any():
            raise Skipped(f"no crystal of {formula} is known that could be relaxed; choose another composition")
        yield Task(formula=formula, group=group, trained=len(known[0]), best=float(energies.min()))


def _held_out(val: CrystalTable, names: NDArray[np.object_], trained: set[str], seed: int) -> list[tuple[str, int]]:
    """Content of the primitive cell and group of random validation crystals whose formula is not in the train part."""
    counts = compositions(val.genes())
    atoms = np.array([sum(count.values()) for count in counts])
    fit = (atoms >= ATOMS[0]) & (atoms <= ATOMS[1]) & ~np.isin(names, list(trained))
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(fit))[:HELD_OUT]
    return [
        ("".join(f"{element_symbol(z)}{n}" for z, n in counts[row].items()), int(val.space_group[row])) for row in rows
    ]


def relaxed_energies(table: CrystalTable, potential: Potential) -> Floats:
    """(n,) eV/atom after relaxation within the symmetry, infinite where it failed."""
    out = np.full(len(table), np.inf)
    for start in range(0, len(table), BATCH):
        found = relax_rows(table[start : start + BATCH], potential, RELAX)
        energy = found.column("energy").to_numpy().astype(float)
        energy[[failure.index for failure in relax_failures(found)]] = np.inf
        out[start : start + len(found)] = energy
    return out


def _drawn(model: Any, formula: str, group: int | None, seed: int) -> Starts:
    """Structures of the model, those with overlaps left out."""
    generator = StartGenerator(model, formula, space_groups=None if group is None else [group], seed=seed)
    with Clock() as clock:
        table = generator.take(COUNT)
    kept = generator.drawn - sum(generator.left_out.values())
    return Starts(table=table, tries=generator.drawn, kept=kept, seconds=clock.cpu)


def _random_source() -> Source:
    try:
        import pyxtal  # noqa: F401
    except ImportError as error:
        raise Skipped(f"it compares with pyxtal, which could not be imported: {error}") from error
    return _random


def _random(formula: str, group: int | None, seed: int) -> Starts:
    """Random symmetric structures; of any group, each group that can hold the composition is as likely, P1 left out."""
    from pyxtal.symmetry import Group

    counts = parse_formula(formula)
    species, numbers = [element_symbol(number) for number in counts], list(counts.values())
    rng = np.random.default_rng(seed)
    parts: list[CrystalTable] = []
    tries = 0
    with Clock() as clock:
        groups = [group] if group is not None else [n for n in range(2, 231) if _holds(Group(n), numbers)]
        while len(parts) < COUNT and tries < ATTEMPTS * COUNT:
            found = _one_random(int(rng.choice(groups)), species, numbers, int(rng.integers(2**31)), f"{seed}-{tries}")
            tries += 1
            parts += [] if found is None else [found]
    if not parts:
        raise Skipped(f"pyxtal made no structure of {formula} in {tries} tries; choose another composition")
    return Starts(table=CrystalTable.concatenate(parts), tries=tries, kept=len(parts), seconds=clock.cpu)


def _holds(group: Any, numbers: list[int]) -> bool:
    """Whether a primitive cell of the group holds so many atoms of each element."""
    return bool(group.check_compatible([number * group.cellsize() for number in numbers])[0])


def _one_random(group: int, species: list[str], numbers: list[int], seed: int, name: str) -> CrystalTable | None:
    """One structure of pyxtal, None where it gives up or makes what is no crystal."""
    from pyxtal import pyxtal
    from pyxtal.msg import Error

    crystal = pyxtal()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            crystal.from_random(3, group, species, numbers, conventional=False, random_state=seed)
    except (RuntimeError, Error):
        return None
    lost: list[Failure] = []
    table = encode([crystal.to_ase()], tolerance=ENCODED, ids=[name], failures=lost)
    return None if lost else table


def _text(results: list[Result], context: Context) -> str:
    head = (
        "| composition | group | start | failed tries | lowest | median | within .05 | starts, CPU s | relaxation |"
        "\n|---|---|---|---|---|---|---|---|---|"
    )
    known = "; ".join(
        f"{task.formula} {task.group} ({task.trained} of that formula in the train part)"
        for task in dict.fromkeys(result.task for result in results)
    )
    return (
        f"{COUNT} structures a line, seed {context.seed}, each relaxed with CHGNet within its symmetry (at most "
        f"{RELAX.steps} steps); energies in eV/atom above the known crystal of that formula that is lowest after the "
        f"same relaxation, below zero where something lower was found. *Failed tries*: the model's that overlap, "
        "pyxtal's that it gave up. Intervals are 95 %: bootstrap for medians, Wilson for shares. Groups of known "
        f"crystals: {known}. The train part is 76.7 % of mp_20 train.\n\n"
        + "\n".join([head, *map(_line, results)])
        + "\n\n"
        + _summary(results)
    )


def _line(result: Result) -> str:
    tries = result.starts.tries
    lowest = number_text(result.energy.min())
    return (
        f"| {result.task.formula} | {'any' if result.free else result.task.group} | {result.source} | "
        f"{(tries - result.starts.kept) / tries:.0%} | {lowest} | {median_text(result.energy)} | "
        f"{share_text(result.energy <= WITHIN, 0)} | {result.starts.seconds:.1f} | "
        f"{result.seconds:.0f} |"
    )


def _summary(results: list[Result]) -> str:
    """All compositions together."""
    head = "| group | start | within .05 | lowest within .05 | CPU s, all |\n|---|---|---|---|---|"
    lines = []
    for free in (False, True):
        for source in dict.fromkeys(result.source for result in results):
            own = [result for result in results if (result.free, result.source) == (free, source)]
            energy = np.concatenate([result.energy for result in own])
            found = sum(bool(result.energy.min() <= WITHIN) for result in own)
            seconds = sum(result.starts.seconds + result.seconds for result in own)
            lines.append(
                f"| {'any' if free else 'known'} | {source} | {share_text(energy <= WITHIN)} "
                f"| {found} of {len(own)} | {seconds:.0f} |"
            )
    return "\n".join([head, *lines])
