"""Draws the first crystals of a folder that `aristotype generate` wrote.

python tools/draw_crystals.py out docs/images/generated.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from ase.visualize.plot import plot_atoms

from aristotype.crystal import CrystalTable, formulas


def main(folder: Path, out: Path, count: int = 10) -> None:
    """Smallest cells among the first forty crystals, so that each can be seen."""
    table = CrystalTable.read(folder / "crystals.parquet")[:40]
    atoms = table.to_atoms()
    chosen = sorted(sorted(range(len(atoms)), key=lambda row: len(atoms[row]))[4 : 4 + 2 * count : 2])
    names = formulas(table.genes())
    figure, axes = plt.subplots(2, count // 2, figsize=(11, 5))
    for axis, row in zip(axes.flat, chosen, strict=True):
        plot_atoms(atoms[row], axis, radii=0.45, rotation="12x,-18y,3z")
        axis.set_title(f"{names[row]}, group {table[row].space_group}", fontsize=9)
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
