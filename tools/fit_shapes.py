"""Fits the shapes of cells by template: what `minima` starts from beside the priors of crystal systems.

    python tools/fit_shapes.py --data mp_20.parquet --share 0.767 --out src/aristotype/realize/shapes.safetensors

The data is a table of `aristotype data prepare`; the rows of its train split are used. For every template (space group
and letters as they are written) with a free shape and at least `MIN_CRYSTALS` crystals, the shapes (logarithms of
lengths over the cube root of the volume, angles in radians) are sorted into at most `MOST` groups by k-means, a group
for each `CRYSTALS_A_SHAPE` crystals; kept are the mean, the standard deviation and the number of crystals of each. The
standard deviation is at least `LEAST_SPREAD`, and that of few crystals is drawn towards it.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import safetensors.numpy

from aristotype.crystal import CrystalTable
from aristotype.realize._geometry import geometry_of
from aristotype.realize._shapes import letter_keys
from aristotype.symmetry import lattice_constraints

MIN_CRYSTALS = 2
CRYSTALS_A_SHAPE = 4
MOST = 4
LEAST_SPREAD = 0.015
ROUNDS = 30


def grouped(shapes: np.ndarray, number: int) -> np.ndarray:
    """Labels (n,) of k-means, begun with the shapes that are farthest from each other."""
    centres = shapes[:1]
    while len(centres) < number:
        far = np.square(shapes[:, None] - centres[None]).sum(axis=2).min(axis=1)
        centres = np.concatenate([centres, shapes[far.argmax()][None]])
    labels = np.zeros(len(shapes), int)
    for _ in range(ROUNDS):
        labels = np.square(shapes[:, None] - centres[None]).sum(axis=2).argmin(axis=1)
        centres = np.stack(
            [shapes[labels == k].mean(axis=0) if (labels == k).any() else centres[k] for k in range(number)]
        )
    return labels


def fit(table: CrystalTable) -> dict[str, np.ndarray]:
    atoms, geometry = geometry_of(table)
    by_key: dict[bytes, list[int]] = defaultdict(list)
    for row, key in enumerate(letter_keys(table.genes())):
        by_key[key].append(row)
    columns: dict[str, list] = {name: [] for name in ("keys", "shapes", "mean", "spread", "count")}
    for key, rows in sorted(by_key.items()):
        free = len(lattice_constraints(int(atoms.group[rows[0]])).names)
        if len(rows) < MIN_CRYSTALS or free == 1:
            continue
        shapes = geometry.shape[rows]
        labels = grouped(shapes, min(MOST, -(-len(rows) // CRYSTALS_A_SHAPE)))
        present = np.unique(labels)
        columns["keys"].append(np.frombuffer(key, np.uint8))
        columns["shapes"].append(len(present))
        for label in present:
            own = shapes[labels == label]
            variance = (np.square(own - own.mean(axis=0)).sum(axis=0) + 2 * LEAST_SPREAD**2) / (len(own) + 2)
            spread = np.maximum(np.sqrt(variance), LEAST_SPREAD) * (np.arange(6) < free)
            columns["mean"].append(own.mean(axis=0))
            columns["spread"].append(spread)
            columns["count"].append(len(own))
    types = {"keys": np.uint8, "shapes": np.uint8, "mean": np.float16, "spread": np.float16, "count": np.uint16}
    return {name: np.array(values).astype(types[name]) for name, values in columns.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="table with a column `split`")
    parser.add_argument("--share", type=float, required=True, help="share of the official train split in the data")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    table = CrystalTable.read(args.data)
    table = table.filter(np.array(table.column("split").to_pylist()) == "train")
    fitted = fit(table)
    note = {
        "command": f"python tools/fit_shapes.py --data {args.data.name} --share {args.share:g} "
        f"--out {args.out.as_posix()}",
        "data": f"{len(table)} crystals, {100 * args.share:.1f} % of the train split of MP-20 (Materials Project, "
        "CC BY 4.0; split of the CDVAE repository)",
    }
    args.out.write_bytes(safetensors.numpy.save(fitted, metadata=note))
    print(
        json.dumps({"templates": len(fitted["keys"]), "shapes": len(fitted["mean"]), "bytes": args.out.stat().st_size})
    )


if __name__ == "__main__":
    main()
