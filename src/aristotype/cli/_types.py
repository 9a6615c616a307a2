"""Every option that more than one command may take, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_CONDITIONS = "Conditions"

OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.", show_default=False)]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace what an earlier run wrote there.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same crystals.")]
Processes = Annotated[int, typer.Option("--processes", min=1, help="Worker processes.")]
Calculator = Annotated[
    str,
    typer.Option("--calculator", help="chgnet, sevennet, or module:factory of an ASE calculator."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count and estimate the time; write nothing.")]
Tolerance = Annotated[
    float, typer.Option("--tolerance", help="Distance (Angstrom) up to which positions count as symmetric.")
]
MaxInputAtoms = Annotated[int, typer.Option("--max-atoms", help="Largest input cell.")]
MaxGap = Annotated[float, typer.Option("--max-gap", help="Widest slab (Angstrom) without atoms; inf for no limit.")]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME|SHARES",
        help="Split of rows that do not say theirs: train, val or test, or shares such as 0.8,0.1,0.1.",
    ),
]

Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="MODEL",
        help="A model of crystals that proposes half of the starts of the search: crystalformer-mp20 or augen-mp20.",
        show_default=False,
    ),
]

SpaceGroups = Annotated[
    list[str] | None,
    typer.Option("--space-group", metavar="N,N", help="Only these space groups.", rich_help_panel=_CONDITIONS),
]
Elements = Annotated[
    list[str] | None,
    typer.Option("--elements", metavar="Li,O", help="Only these elements.", rich_help_panel=_CONDITIONS),
]
Require = Annotated[
    list[str] | None,
    typer.Option("--require", metavar="Li", help="Each of these elements.", rich_help_panel=_CONDITIONS),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="Tl,Pb", help="None of these elements.", rich_help_panel=_CONDITIONS),
]
Formula = Annotated[
    str | None,
    typer.Option("--formula", metavar="LiFePO4", help="Any multiple of this formula.", rich_help_panel=_CONDITIONS),
]
FormulaUnits = Annotated[
    int | None,
    typer.Option("--z", min=1, help="Formula units in the primitive cell.", rich_help_panel=_CONDITIONS),
]
Sites = Annotated[
    int | None, typer.Option("--sites", min=1, help="Symmetry-inequivalent sites.", rich_help_panel=_CONDITIONS)
]
MaxAtoms = Annotated[
    int | None,
    typer.Option("--max-atoms", min=1, help="Most atoms in the primitive cell.", rich_help_panel=_CONDITIONS),
]
Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="LABEL|FILE",
        help="Positions to fill: a prototype label such as A2B_tP6_136_f_a, or a structure file or table with one row.",
        rich_help_panel=_CONDITIONS,
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="NAME=LOW:HIGH",
        help="Range of a predicted property, such as formation_energy=:-2; for NAME also a folder of `train property`.",
        rich_help_panel=_CONDITIONS,
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        "--strength",
        help="Of targets: above 1 prefers genes that are surely in range, and keeps fewer.",
        rich_help_panel=_CONDITIONS,
    ),
]
PartialCrystal = Annotated[
    Path | None,
    typer.Option(
        "--partial-crystal",
        metavar="FILE",
        help="Sites that must be where they are, in this cell: a structure file or a table with one row.",
        rich_help_panel=_CONDITIONS,
    ),
]
FreeCell = Annotated[
    bool,
    typer.Option("--free-cell", help="The cell of the partial crystal is not known.", rich_help_panel=_CONDITIONS),
]
Partial = Annotated[
    Path | None,
    typer.Option(
        "--partial",
        metavar="FILE",
        help="Sites that must be there: a structure file or a table with one row.",
        rich_help_panel=_CONDITIONS,
    ),
]
