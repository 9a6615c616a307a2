"""Fits the priors of the first realisation: volumes of elements and shapes of cells.

    python tools/fit_volumes.py --data mp_20_train_part.parquet --share 0.767 --out src/aristotype/realize/priors.json

The data is a Parquet file with the columns `lattice` (9 floats), `atomic_numbers` and `frac_coords`. What is fitted:

* One volume an element: non-negative least squares of the primitive cell volume on its composition, rows divided by
  their volume so that relative errors count. Where fewer than `MIN_CRYSTALS` crystals hold an element, or its volume
  comes out as zero, the volume is `scale * radius**3`, the scale being the median over the fitted elements.
* Mean and standard deviation of the free cell parameters of the conventional cell for every crystal system and
  centring: logarithm of lengths over the cube root of the volume, angles in degrees. Where fewer than `MIN_CRYSTALS`
  crystals have the pair, those of all centrings of the system stand in.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import nnls

from aristotype.crystal import CrystalTable, centring_orders, covalent_radii, encode_arrays
from aristotype.symmetry import NUM_GROUPS, cell_matrix, lattice_constraints, space_group

MIN_CRYSTALS = 10
MAX_NUMBER = 118


def read(path: Path) -> CrystalTable:
    rows = pq.read_table(path, columns=["lattice", "atomic_numbers", "frac_coords"]).to_pydict()
    lattices = [np.reshape(value, (3, 3)) for value in rows["lattice"]]
    coords = [np.reshape(value, (-1, 3)) for value in rows["frac_coords"]]
    return encode_arrays(lattices, rows["atomic_numbers"], coords, failures=[], max_gap=None)


def compositions(table: CrystalTable) -> np.ndarray:
    """(n, 119) atoms of each element in the primitive cell."""
    genes = table.genes()
    counts = np.zeros((len(genes), MAX_NUMBER + 1))
    rows = np.repeat(np.arange(len(genes)), genes.elements.shape[1]).reshape(genes.elements.shape)
    np.add.at(counts, (rows, genes.elements), genes.multiplicities / centring_orders()[genes.space_group][:, None])
    counts[:, 0] = 0
    return counts


def fit_volumes(counts: np.ndarray, volume: np.ndarray) -> tuple[dict[str, float], list[int], dict[str, float]]:
    """Volumes by atomic number, those that are fallbacks, and how well they do."""
    known = np.flatnonzero((counts > 0).sum(axis=0) >= MIN_CRYSTALS)
    usable = counts[:, known].sum(axis=1) == counts.sum(axis=1)
    design = counts[usable][:, known]
    fitted, _ = nnls(design / volume[usable, None], np.ones(usable.sum()))
    volumes = {int(z): float(v) for z, v in zip(known, fitted, strict=True) if v > 0}
    radius = covalent_radii()
    scale = float(np.median([v / radius[z] ** 3 for z, v in volumes.items() if radius[z] > 0]))
    fallback = [z for z in range(1, MAX_NUMBER + 1) if radius[z] > 0 and z not in volumes]
    volumes |= {z: max(scale * radius[z] ** 3, min(volumes.values())) for z in fallback}
    error = np.log(design @ fitted / volume[usable])
    quality = {
        "crystals": int(usable.sum()),
        "median_relative_error": round(float(np.median(np.abs(np.expm1(error)))), 4),
        "log_mean": round(float(error.mean()), 4),
        "log_std": round(float(error.std()), 4),
        "fallback_scale": round(scale, 4),
    }
    return {str(z): round(volumes[z], 3) for z in sorted(volumes)}, fallback, quality


def square_root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric square root of a covariance matrix, singular ones included."""
    values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T + 0.0


def fit_shapes(table: CrystalTable) -> dict[str, dict[str, list | int]]:
    """Mean and root of the covariance of the free cell parameters, by "system centring"."""
    lattice, numbers = table.lattice, table.space_group
    volume = np.linalg.det(cell_matrix(lattice))
    lattice[:, :3] = np.log(lattice[:, :3] / np.cbrt(volume)[:, None])
    groups = [space_group(number) for number in range(1, NUM_GROUPS + 1)]
    of_row = [groups[number - 1] for number in numbers]
    system = np.array([group.crystal_system for group in of_row])
    centring = np.array([group.centring for group in of_row])
    out = {}
    for name, symbol in sorted({(group.crystal_system, group.centring) for group in groups}):
        rows = (system == name) & (centring == symbol)
        used = rows if rows.sum() >= MIN_CRYSTALS else system == name
        number = next(group.number for group in groups if group.crystal_system == name)
        places = lattice_constraints(number).basis.argmax(axis=0)
        free = lattice[used][:, places]
        out[f"{name} {symbol}"] = {
            "crystals": int(rows.sum()),
            "mean": np.round(free.mean(axis=0), 4).tolist(),
            "root": np.round(square_root(np.cov(free.T, ddof=0)), 4).tolist(),
        }
    return out


def written(priors: dict) -> str:
    """JSON with one line an entry of the outer two levels."""
    blocks = []
    for key, value in priors.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            blocks.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            blocks.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="structures to fit on")
    parser.add_argument(
        "--share", type=float, required=True, help="share of the official MP-20 train split in the data"
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    table = read(args.data)
    volume = np.linalg.det(cell_matrix(table.lattice))
    volume /= centring_orders()[table.space_group]
    volumes, fallback, quality = fit_volumes(compositions(table), volume)
    priors = {
        "provenance": {
            "command": f"python tools/fit_volumes.py --data {args.data.name} --share {args.share:g} "
            f"--out {args.out.as_posix()}",
            "data": f"{args.data.name}: {len(table)} crystals, {100 * args.share:.1f} % of the train split of MP-20 "
            "(Materials Project, CC BY 4.0; split of the CDVAE repository)",
            "volumes": "non-negative least squares of the cell volume on the composition, cubic Angstrom an atom",
            "fallback": f"elements with fewer than {MIN_CRYSTALS} crystals or without a positive fitted volume: "
            "fallback_scale * radius**3, the scale being the median over fitted elements; at least the smallest fitted",
        },
        "quality": quality,
        "fallback_elements": fallback,
        "volumes": volumes,
        "shapes": fit_shapes(table),
    }
    args.out.write_text(written(priors), encoding="utf-8")
    print(json.dumps(quality))


if __name__ == "__main__":
    main()
