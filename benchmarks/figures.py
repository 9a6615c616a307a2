"""Pictures of the distributions of space groups, elements and sites, generated against test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.errors import OutputError
from aristotype.evaluate import jensen_shannon, num_elements, wasserstein
from benchmarks.core import Context, Outcome, Section
from benchmarks.data import sampled, split

MAX_BYTES = 100_000
GENERATED, REAL = "#c4561e", "#4a6a8a"
# First group of each crystal system, and its name in the picture.
SYSTEMS = {3: "monocl.", 16: "orthorhombic", 75: "tetragonal", 143: "trigonal", 168: "hexag.", 195: "cubic"}


def figures(context: Context) -> Outcome:
    """Draws three pictures into the folder of images."""
    table, _ = sampled(context.model, context.genes, context.seed)
    genes = table.genes()
    paths = draw(genes.take(genes.legal()), split(context, "test").genes(), context.images)
    lines = [f"- {path} ({path.stat().st_size / 1000:.0f} kB)" for path in paths]
    yield Section(
        title=f"Figures of `{context.model}`, {len(genes):,} genes, seed {context.seed}", text="\n".join(lines)
    )


def draw(generated: GeneBatch, reference: GeneBatch, folder: Path) -> list[Path]:
    """Writes `space_groups.png`, `num_elements.png` and `num_sites.png`.

    Raises:
        OutputError: a picture is larger than it may be in the repository, or cannot be written.
    """
    from matplotlib.figure import Figure

    groups = Figure(figsize=(9.0, 3.2), layout="constrained")
    _space_groups(groups.subplots(), *(_shares(g.space_group.astype(int), 231) for g in (generated, reference)))
    elements = Figure(figsize=(4.4, 3.0), layout="constrained")
    _bars(elements.subplots(), num_elements(generated), num_elements(reference), "distinct elements")
    sites = Figure(figsize=(4.4, 3.0), layout="constrained")
    _bars(sites.subplots(), generated.num_sites, reference.num_sites, "symmetry-inequivalent sites")
    pictures = {"space_groups": groups, "num_elements": elements, "num_sites": sites}
    return [save(figure, folder / f"{name}.png") for name, figure in pictures.items()]


def _shares(numbers: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    return np.bincount(numbers, minlength=width) / max(1, len(numbers))


def _space_groups(axes: Any, generated: NDArray[np.float64], real: NDArray[np.float64]) -> None:
    """Generated above the line, real mirrored below it, on a root scale that shows rare groups too."""
    numbers = np.arange(231)
    axes.bar(numbers, np.sqrt(generated), width=1.0, color=GENERATED, label="generated")
    axes.bar(numbers, -np.sqrt(real), width=1.0, color=REAL, label="MP-20 test")
    axes.axhline(0, color="black", linewidth=0.6)
    ticks = np.array([-0.16, -0.04, -0.01, 0.0, 0.01, 0.04, 0.16])
    axes.set_yticks(np.sign(ticks) * np.sqrt(np.abs(ticks)), [f"{abs(t):.0%}" for t in ticks])
    for first, name in SYSTEMS.items():
        axes.axvline(first - 0.5, color="grey", linewidth=0.5, linestyle=":")
        axes.text(first + 0.5, 0.98, name, fontsize=7, va="top", transform=axes.get_xaxis_transform())
    axes.set(xlim=(0, 231), xlabel="space group", ylabel="share (root scale)")
    axes.set_title(f"Jensen-Shannon divergence {float(jensen_shannon(generated, real)):.4f} bits", fontsize=9)
    axes.legend(loc="lower left", fontsize=8, frameon=False)


def _bars(axes: Any, generated: NDArray[np.int64], real: NDArray[np.int64], label: str) -> None:
    width = int(max(generated.max(), real.max())) + 1
    ours, theirs = _shares(generated, width), _shares(real, width)
    numbers = np.arange(width)
    axes.bar(numbers - 0.2, ours, width=0.4, color=GENERATED, label="generated")
    axes.bar(numbers + 0.2, theirs, width=0.4, color=REAL, label="MP-20 test")
    axes.set(xlabel=label, ylabel="share", xlim=(0.3, width - 0.3))
    axes.set_title(f"earth mover's distance {float(wasserstein(ours, theirs)):.3f}", fontsize=9)
    axes.legend(fontsize=8, frameon=False)


def save(figure: Any, path: Path) -> Path:
    """Writes a picture that is to go into the repository.

    Raises:
        OutputError: it is larger than it may be there, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # No date and no version in the file: the same figures give the same bytes.
        figure.savefig(path, dpi=110, metadata={"Software": None})
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}; choose another folder with --images") from error
    if path.stat().st_size > MAX_BYTES:
        raise OutputError(f"{path} has {path.stat().st_size:,} bytes, at most {MAX_BYTES:,} go into the repository")
    return path
