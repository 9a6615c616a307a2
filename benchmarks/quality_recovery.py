"""Are known crystals found again from their genes: minima, relaxed, and compared with the true structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype.crystal import CrystalTable, gene_keys
from aristotype.evaluate._bootstrap import share
from benchmarks import published
from benchmarks.core import Clock, Context, Outcome, Section, Skipped
from benchmarks.data import model, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Structure

    from aristotype.crystal import Proposal

CLASSES = ((0, 0, "0"), (1, 2, "1-2"), (3, 5, "3-5"), (6, 10, "6-10"), (11, 10_000, "> 10"))
"""Free coordinates of a gene: from, to, name."""
KEEP = 3
BATCH = 10  # genes relaxed side by side


def recovery(context: Context) -> Outcome:
    """Known crystals found again from their genes, from random starts, by free coordinates and trials."""
    yield _section(context, _Sources(), "random starts")


def recovery_model(context: Context) -> Outcome:
    """The same with half of the starts proposed by a model of crystals, and what the model draws without any search."""
    from aristotype.discover import GeometrySource

    val, drawer = split(context, "val"), model(context.crystal_model)
    if not getattr(drawer, "draws_geometry", False):
        raise Skipped(f"{context.crystal_model} draws no geometry: give a model of crystals as --crystal-model")
    yield _section(
        context,
        _Sources(source=GeometrySource.of(context.crystal_model), name=context.crystal_model),
        f"half of the starts from {context.crystal_model}",
    )
    yield Section(title=f"Geometry of {context.crystal_model} as it is drawn", text=_drawn(context, val, drawer))


def recovery_known(context: Context) -> Outcome:
    """The same with the geometry of known crystals reused, none of them with a gene of the validation split."""
    val, train = split(context, "val"), split(context, "train")
    known = train.filter(~np.isin(gene_keys(train.genes()), gene_keys(val.genes())))
    yield _section(context, _Sources(known=known), "known templates reused")


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """Where starts come from, beside random numbers."""

    known: CrystalTable | None = None
    source: Proposal | None = None
    name: str = ""  # of the source


def _section(context: Context, sources: _Sources, title: str) -> Section:
    val, bench = split(context, "val"), _Bench(context.seed)
    lines = []
    for low, high, name in CLASSES:
        table = _class_of(val, low, high, context)
        lines += [bench.line(name, table, trials, sources) for trials in context.trials]
    return Section(title=f"Recovery of known crystals, {title}", text=_text(lines, context, sources, bench))


def _drawn(context: Context, val: CrystalTable, drawer: Any) -> str:
    """Genes whose one geometry, as the model draws it, is the true one."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
    rows = ["| free coordinates | genes | the true one | CPU s |", "|---|---|---|---|"]
    for low, high, name in CLASSES:
        table = _class_of(val, low, high, context)
        with Clock() as clock:
            found = drawer.realize(CrystalTable.from_genes(table.genes(), table.ids), seed=context.seed)
        pairs = zip(table.to_structures(primitive=True), found.to_structures(primitive=True), strict=True)
        same = sum(bool(matcher.fit(true, one)) for true, one in pairs)
        rows.append(f"| {name} | {len(table)} | {_share(same, len(table))} | {clock.cpu:.1f} |")
    return "One crystal a gene, neither searched nor relaxed; 95 % intervals (Wilson).\n\n" + "\n".join(rows)


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One class with one number of trials."""

    name: str
    trials: int
    genes: int
    best: int  # genes whose structure of lowest energy, of those that keep the gene, is the true one
    any: int  # genes of which one of the relaxed ones is
    unrelaxed: int  # genes whose best minimum is, before it is relaxed
    minima_seconds: float
    relax_seconds: float


@dataclass
class _Bench:
    """Relaxes and compares, each distinct geometry once: trials are the same however many there are."""

    seed: int
    potential: Any = None
    relaxed: dict[tuple[str, bytes], tuple[bool, float, bool]] = field(default_factory=dict)
    failed: int = 0

    def __post_init__(self) -> None:
        from pymatgen.analysis.structure_matcher import StructureMatcher

        from aristotype.calculators import load_potential

        self.potential = load_potential("chgnet", device="cpu")
        self.matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)

    def line(self, name: str, table: CrystalTable, trials: int, sources: _Sources) -> _Line:
        from aristotype.realize import MinimaConfig, minima

        genes = CrystalTable.from_genes(table.genes(), table.ids)
        config = MinimaConfig(trials=trials, judged=2 * KEEP)
        with Clock() as search:
            found = minima(
                genes,
                seed=self.seed,
                keep=min(KEEP, trials),  # of one trial one structure, whatever else was found on the way
                config=config,
                energy=self.energy,
                known=sources.known,
                source=sources.source,
                failures=[],
            )
        true = dict(zip(table.ids, table.to_structures(primitive=True), strict=True))
        with Clock() as relaxing:
            ends = self.ends(found, true)
        owner, rank = found.column("gene").to_pylist(), found.column("rank").to_pylist()
        first = [row for row, place in enumerate(rank) if place == 1]
        structures = found.take(first).to_structures(primitive=True)
        before = [self.matcher.fit(true[owner[row]], one) for row, one in zip(first, structures, strict=True)]
        by_gene: dict[str, list[tuple[bool, float, bool]]] = {}
        for gene, end in zip(owner, ends, strict=True):
            by_gene.setdefault(gene, []).append(end)
        self.failed += len(table) - len(by_gene)
        return _Line(
            name=name,
            trials=trials,
            genes=len(table),
            best=sum(min(own)[-1] for own in by_gene.values()),
            any=sum(any(end[-1] for end in own) for own in by_gene.values()),
            unrelaxed=sum(map(bool, before)),
            minima_seconds=search.cpu,
            relax_seconds=relaxing.cpu,
        )

    def energy(self, table: CrystalTable) -> np.ndarray:
        """Single points, eV/atom."""
        structures = table.to_atoms(primitive=True)
        unknown = [not set(one.numbers.tolist()) <= self.potential.elements for one in structures]
        energies = np.full(len(structures), np.nan)
        rows = np.flatnonzero(~np.array(unknown, bool))
        counts = np.array([len(one) for one in structures])
        energies[rows] = self.potential.energies([structures[row] for row in rows]) / counts[rows]
        return energies

    def ends(self, found: CrystalTable, true: dict[str, Structure]) -> list[tuple[bool, float, bool]]:
        """For each minimum at rest: is its gene lost, eV/atom (infinite where it failed), is it the true one."""
        owner = found.column("gene").to_pylist()
        free = found.column("free").to_pylist()
        keys = [
            (gene, np.round([*cell, *values], 9).tobytes())
            for gene, cell, values in zip(owner, found.lattice, free, strict=True)
        ]
        new = [row for row, key in enumerate(keys) if key not in self.relaxed]
        for begin in range(0, len(new), BATCH):
            self._relax(found, new[begin : begin + BATCH], keys, true)
        return [self.relaxed[key] for key in keys]

    def _relax(
        self, found: CrystalTable, rows: list[int], keys: Sequence[tuple[str, bytes]], true: dict[str, Structure]
    ) -> None:
        from aristotype.realize import RelaxConfig, relax_rows

        done = relax_rows(found.take(rows), self.potential, RelaxConfig(free_steps=0))
        columns = (done.column(name).to_pylist() for name in ("gene_kept", "energy"))
        for row, kept, energy, structure in zip(rows, *columns, done.to_structures(primitive=True), strict=True):
            same = bool(self.matcher.fit(true[keys[row][0]], structure))
            self.relaxed[keys[row]] = (not kept, np.inf if energy is None else energy, same)


def _class_of(table: CrystalTable, low: int, high: int, context: Context) -> CrystalTable:
    """Random crystals of one class."""
    freedom = table.ragged("free")[1]
    rows = np.flatnonzero((freedom >= low) & (freedom <= high))
    chosen = np.random.default_rng(context.seed).permutation(rows)[: context.per_class]
    return table.take(np.sort(chosen))


def _text(lines: list[_Line], context: Context, sources: _Sources, bench: _Bench) -> str:
    head = (
        "| free coordinates | trials | genes | recovered (lowest energy) | one of three | unrelaxed, best minimum | "
        "published, one trial | CPU s: minima | CPU s: relaxation |\n|---|---|---|---|---|---|---|---|---|"
    )
    rows = [
        f"| {line.name} | {line.trials} | {line.genes} | {_share(line.best, line.genes)} | "
        f"{_share(line.any, line.genes)} | {line.unrelaxed / line.genes:.2f} | "
        f"{published.RECOVERED[line.name] if line.trials == 1 else '-'} | {line.minima_seconds:.0f} | "
        f"{line.relax_seconds:.0f} |"
        for line in lines
    ]
    reused = ""
    if sources.known is not None:
        count = len(sources.known)
        reused = f"Reused from {count:,} crystals of the train part, those left out whose gene is in mp_20_val. "
    elif sources.source is not None:
        reused = f"{sources.name} proposes half of the starts that a trial looks at. "
    return (
        f"Genes of mp_20_val, drawn with seed {context.seed}; the best {KEEP} distinct minima a gene (of 1 trial 1) "
        f"by single points of {bench.potential.name} are relaxed within their symmetry. {reused}Recovered: "
        "StructureMatcher (ltol .2, stol .3, angle 5) fits the relaxed structure of lowest energy, of those that kept "
        "their gene, to the true one; 95 % intervals (Wilson). "
        f"Relaxations that fewer trials had done already are not done, nor counted, again. {bench.failed} searches "
        "gave no geometry.\n\n" + "\n".join([head, *rows])
    )


def _share(successes: int, count: int) -> str:
    found = share(successes, count)
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"
