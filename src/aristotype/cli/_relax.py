"""`aristotype relax`: crystals to their nearest minimum of the energy."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from aristotype._files import output_lock, printable, refuse_overwrite
from aristotype._shards import Shards
from aristotype.cli import _types as types
from aristotype.cli._console import SOME_FAILED, list_failures, progress, say, seconds_text
from aristotype.cli._input import Crystals, read_input, write_failures
from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

EXAMPLES = """[bold]Examples[/bold]

aristotype relax out --out relaxed.parquet --processes 2

aristotype relax structures/*.cif --calculator sevennet --fmax 0.02 --out relaxed.parquet

aristotype relax genes_realised.parquet --repeats 6 --out best.parquet
"""


def relax(
    paths: Crystals,
    out: types.OutFile,
    calculator: types.Calculator = "chgnet",
    device: types.Device = "auto",
    fmax: Annotated[float, typer.Option("--fmax", help="Largest force left (eV/Angstrom), virial included.")] = 0.05,
    steps: Annotated[int, typer.Option("--steps", help="Most evaluations within the symmetry.")] = 200,
    free_steps: Annotated[
        int, typer.Option("--free-steps", help="Most evaluations afterwards, everything free; 0 keeps the symmetry.")
    ] = 50,
    seconds: Annotated[float, typer.Option("--seconds", help="Most time of one structure.")] = 600.0,
    repeats: Annotated[
        int,
        typer.Option(
            "--repeats", help="Most trials of a gene, until the two lowest energies agree within 0.01 eV/atom."
        ),
    ] = 1,
    lowest: Annotated[
        bool, typer.Option("--lowest", help="Of the minima of a gene (realize --minima) keep the lowest in energy.")
    ] = False,
    seed: types.Seed = 0,
    processes: types.Processes = 1,
    force: types.Force = False,
    dry_run: types.DryRun = False,
) -> None:
    """Relax crystals with an interatomic potential: within their symmetry, then with everything free.

    Every row comes out, with energies, forces left, steps, space group before and what became of it (relax_end). What
    was interrupted goes on where it was when the same command is run again.
    """
    from aristotype.realize import RelaxConfig, lowest_of_each, relax_failures, relax_seconds
    from aristotype.realize import relax as relax_table

    config = RelaxConfig(
        fmax=fmax, steps=steps, free_steps=free_steps, seconds=seconds, repeats=repeats, seed=seed
    )  # before anything is read: a wrong setting is told at once
    refuse_overwrite(out, force or dry_run)
    found = read_input(paths, processes=processes)
    if lowest and "gene" not in found.table.columns:
        raise InputError(
            f"--lowest asks for minima of genes, and {printable(paths[0])} has no column gene; `aristotype realize "
            "--minima` writes one"
        )
    if dry_run:
        left = relax_seconds(found.table, calculator, config, device) / processes
        say(f"{len(found.table):,} crystals to relax, about {seconds_text(left)}")
        return
    with output_lock(out):
        refuse_overwrite(out, force)
        shards = Shards(out)
        with progress("relax", len(found.table)) as update:
            relaxed = relax_table(
                found.table,
                calculator=calculator,
                config=config,
                device=device,
                processes=processes,
                shards=shards,
                progress=lambda done, total: update(done, ""),
            )
        relaxed = lowest_of_each(relaxed) if lowest else relaxed
        relaxed.write(out, force=True)
        shards.remove()
    _show(relaxed, str(printable(out)))
    failures = found.failures + [(row.id, row.reason) for row in relax_failures(relaxed)]
    report = write_failures(failures, out)
    if failures:
        list_failures(failures, str(printable(report)))
        raise typer.Exit(SOME_FAILED)


def _show(relaxed: CrystalTable, where: str) -> None:
    """What became of the rows."""
    import numpy as np

    from aristotype.realize import relax_failures

    ends = Counter(relaxed.column("relax_end").to_pylist())
    failed = len(relax_failures(relaxed))
    drop = (relaxed.column("energy_start").to_numpy() - relaxed.column("energy").to_numpy()).astype(float)
    told = [f"{ends[name]:,} {name}" for name in ("converged", "stuck", "steps", "seconds") if ends[name]]
    told += [f"{failed:,} failed"] * bool(failed)
    say(f"{len(relaxed):,} crystals in {where}: {', '.join(told)}")
    if np.isfinite(drop).any():
        kept = sum(map(bool, relaxed.column("gene_kept").to_pylist()))
        say(f"  energy fell by {np.nanmedian(drop):.3f} eV/atom (median); {kept:,} of {len(relaxed):,} kept their gene")
