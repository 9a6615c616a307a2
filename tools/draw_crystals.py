"""Draws the first crystals of a folder that `aristotype generate` wrote.

python tools/draw_crystals.py out docs/images/generated.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from aristotype._files import atomic_path
from aristotype.crystal import Crystal, CrystalTable
from aristotype.evaluate import crystal_title, draw_crystals


def main(folder: Path, out: Path, count: int = 10) -> None:
    """Smallest cells among the first forty crystals, so that each can be seen."""
    table = CrystalTable.read(folder / "crystals.parquet")[:40]
    crystals = sorted((row for row in table if isinstance(row, Crystal)), key=lambda crystal: crystal.num_atoms)
    chosen = crystals[4 : 4 + 2 * count : 2]
    figure = draw_crystals(chosen, [crystal_title(crystal) for crystal in chosen], columns=count // 2)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=90, facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
