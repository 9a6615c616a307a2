"""From genes to judged structures: realisation, relaxation, energies above hull."""

from __future__ import annotations

import numpy as np

from aristotype.calculators import load_potential
from aristotype.crystal import CrystalTable
from aristotype.evaluate import compositions, geometry, read_hull, stability
from aristotype.realize import RelaxConfig, realize, relax, relax_rows
from benchmarks.core import Clock, Context, Measurement, Outcome
from benchmarks.data import sampled
from benchmarks.speed_match import MODEL, peer_structures

GENES = 2_000
RELAXED = 48
SCALED = 120
ATOMS = (6, 14)  # as the published figure


def heights(context: Context) -> Outcome:
    """Energies above hull of 10,000 structures, their energies given."""
    table = peer_structures(context)
    hull = read_hull(context.hull)
    energy = np.random.default_rng(context.seed).normal(-5.0, 1.0, len(table))
    distance = geometry(table).min_distance
    with Clock() as clock:
        columns = stability(table.with_columns(energy=energy), hull, min_distance=distance)
    yield Measurement(
        work=f"energies above hull, {MODEL}, energies given",
        value=clock.cpu,
        unit="CPU s",
        count=f"{len(table):,} structures, {len(hull):,} entries",
        cpu_seconds=clock.cpu,
        better="less",
        seed=context.seed,
        note=f"hulls {', '.join(hull.kinds)}; {sum(map(bool, columns['hull_missing'].to_pylist()))} lack an element",
    )


def realized(context: Context) -> Outcome:
    """Genes of the shipped model to crystals, every one verified."""
    genes = sampled(context.model, context.genes, context.seed)[0][:GENES]
    realize(genes[:20], seed=context.seed, failures=[])
    lost: list = []
    with Clock() as clock:
        found = realize(genes, seed=context.seed, failures=lost)
    kept = sum(found.column("gene_kept").to_pylist())
    yield Measurement(
        work="genes realised, shipped model",
        value=len(found) / clock.cpu,
        unit="crystals a CPU second",
        count=f"{len(genes):,} genes, {len(found):,} realised, {kept:,} with the gene asked for",
        cpu_seconds=clock.cpu,
        published=5.0,
        seed=context.seed,
        note=f"{len(found) / len(genes):.2%} realised; published 2 to 5 a CPU second, some never end",
    )


def relaxed(context: Context) -> Outcome:
    """First realisations of 6 to 14 atoms relaxed with CHGNet, one thread."""
    genes = sampled(context.model, context.genes, context.seed)[0]
    atoms = compositions(genes.genes()).sum(axis=1)
    few = genes.take(np.flatnonzero((atoms >= ATOMS[0]) & (atoms <= ATOMS[1]))[:RELAXED])
    crystals = realize(few, seed=context.seed, failures=[])
    potential = load_potential("chgnet", "cpu")
    potential.predict(crystals[:1].to_atoms(primitive=True))
    for title, config in (("both stages", RelaxConfig()), ("within the symmetry", RelaxConfig(free_steps=0))):
        with Clock() as clock:
            found: CrystalTable = relax_rows(crystals, potential, config)
        ends = found.column("relax_end").to_pylist()
        yield Measurement(
            work=f"relaxation of first realisations with CHGNet, {title}",
            value=clock.cpu / len(found),
            unit="CPU s a structure",
            count=f"{len(found)} structures of {ATOMS[0]} to {ATOMS[1]} atoms, {ends.count('converged')} converged",
            cpu_seconds=clock.cpu,
            published=1.3,
            better="less",
            seed=context.seed,
            note="published: 0.8 to 1.3 for 10 atoms",
        )


def relaxed_in_processes(context: Context) -> Outcome:
    """The same structures relaxed by one process and by two: wall seconds, loading of the potential included."""
    genes = sampled(context.model, context.genes, context.seed)[0]
    crystals = realize(genes[:SCALED], seed=context.seed, failures=[])
    walls = []
    for processes in (1, 2):
        with Clock() as clock:
            found = relax(crystals, processes=processes)
        walls.append(clock.wall)
        yield Measurement(
            work=f"relaxation in {processes} process{'es' * (processes > 1)}, structures a wall second",
            value=len(found) / clock.wall,
            unit="structures/s",
            count=f"{len(found)} structures of any size, both stages",
            cpu_seconds=clock.cpu,
            seed=context.seed,
            note=f"{clock.wall:.0f} s; {walls[0] / clock.wall:.2f} times as fast as one process",
        )
