"""Fits the potential by which `minima` finds geometries, from known crystals alone; no energies are needed.

    python tools/fit_potential.py --data mp_20.parquet --steps 12000 --out src/aristotype/realize/potential.safetensors

The data is a table of `aristotype data prepare`; the rows of its train split are used. Crystals are displaced and
strained at random, and the potential learns to point back: its gradient is to be `STIFFNESS` times the displacement,
whatever its size (score matching, Vincent, Neural Computation 23, 1661, 2011, with one stiffness for all amplitudes, so
that the valley of a crystal is wide and round).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from aristotype.crystal import CrystalTable, decode_table
from aristotype.realize._potential import STIFFNESS, pair_functions, site_energies, tabulated
from aristotype.realize._priors import priors

LIST_REACH = 7.0  # Angstrom, beyond the reach of the functions by what a displacement can bring
NUMBERS = 97
FUNCTIONS, WIDTH, HIDDEN, UNITS, KNOTS = 8, 32, 64, 16, 13
LEAST, MOST = 0.03, 0.40  # Angstrom, amplitudes of displacements
STRAIN = 0.3  # strain for one Angstrom of displacement
ARM = 2.0  # Angstrom: the stiffness of a strain is that of a displacement times its square
CRYSTALS = 40  # in a batch
BOUND = 5.0  # of the loss of one crystal


class Crystals:
    """Crystals with their pairs of atoms, each pair once."""

    def __init__(self, table: CrystalTable) -> None:
        from pymatgen.optimization.neighbors import find_points_in_spheres

        atoms = decode_table(table, primitive=True)
        self.offsets, self.numbers, self.lattices = atoms.offsets, atoms.numbers, atoms.lattices
        self.positions = np.concatenate([cell.coords @ cell.lattice for cell in atoms.cells()])
        parts = []
        for lattice, begin, end in zip(atoms.lattices, atoms.offsets[:-1], atoms.offsets[1:], strict=True):
            points = np.ascontiguousarray(self.positions[begin:end])
            i, j, shift, _ = find_points_in_spheres(
                points, points, r=LIST_REACH, pbc=np.ones(3, np.int64), lattice=np.ascontiguousarray(lattice), tol=1e-8
            )
            once = (i < j) | ((i == j) & (np.sign(shift) @ [9, 3, 1] > 0))
            parts.append((i[once] + begin, j[once] + begin, shift[once].astype(np.int8)))
        self.first, self.second, self.shift = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.pairs = np.cumsum([0, *(len(part[0]) for part in parts)])

    def __len__(self) -> int:
        return len(self.lattices)


@dataclass
class Batch:
    """Some crystals as tensors."""

    numbers: Tensor
    positions: Tensor
    first: Tensor
    second: Tensor
    shift: Tensor  # Angstrom
    pair_row: Tensor
    atom_row: Tensor
    atoms: Tensor  # (n,)

    @classmethod
    def of(cls, crystals: Crystals, rows: np.ndarray) -> Self:
        def spans(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            counts = ends[rows + 1] - ends[rows]
            row = np.repeat(np.arange(len(rows)), counts)
            return row, np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - ends[rows], counts)

        pair_row, pairs = spans(crystals.pairs)
        atom_row, atoms = spans(crystals.offsets)
        counts = np.bincount(atom_row, minlength=len(rows))
        move = (np.cumsum(counts) - counts - crystals.offsets[rows])[pair_row]
        shift = np.einsum("pi,pij->pj", crystals.shift[pairs].astype(float), crystals.lattices[rows[pair_row]])
        return cls(
            numbers=torch.from_numpy(crystals.numbers[atoms]),
            positions=torch.from_numpy(crystals.positions[atoms]).float(),
            first=torch.from_numpy(crystals.first[pairs] + move),
            second=torch.from_numpy(crystals.second[pairs] + move),
            shift=torch.from_numpy(shift).float(),
            pair_row=torch.from_numpy(pair_row),
            atom_row=torch.from_numpy(atom_row),
            atoms=torch.from_numpy(counts).float(),
        )

    def arrows(self) -> Tensor:
        return self.positions[self.second] - self.positions[self.first] + self.shift

    def total(self, values: Tensor) -> Tensor:
        """Sums (n, ...) over the atoms of each crystal."""
        return torch.zeros(len(self.atoms), *values.shape[1:]).index_add(0, self.atom_row, values)


class Network(nn.Module):
    """The network whose tables are the potential; see `tabulated`."""

    def __init__(self) -> None:
        super().__init__()
        described = described_elements()
        self.register_buffer("described", described)
        self.register_buffer("radii", torch.from_numpy(np.nan_to_num(priors().radii[:NUMBERS])).float())
        self.free = nn.Parameter(0.1 * torch.randn(NUMBERS, WIDTH))
        self.embed = nn.Linear(described.shape[1], WIDTH)
        self.layers = nn.ModuleDict(
            {
                "pair:0": nn.Linear(2 * WIDTH + 1, HIDDEN),
                "pair:1": nn.Linear(HIDDEN, HIDDEN),
                "pair:2": nn.Linear(HIDDEN, KNOTS * FUNCTIONS),
                "site": nn.Linear(WIDTH, HIDDEN),
                "into": nn.Linear(HIDDEN, (FUNCTIONS - 1) * UNITS),
                "bias": nn.Linear(HIDDEN, UNITS),
                "out": nn.Linear(HIDDEN, UNITS),
            }
        )
        with torch.no_grad():
            self.layers["pair:2"].weight *= 0.3
            self.layers["out"].weight *= 0.5

    def weights(self) -> dict[str, Tensor]:
        named = {name.replace(":", "."): tensor for name, tensor in self.layers.named_parameters()}
        return {"embedding": self.embed(self.described) + self.free, "radii": self.radii, **named}


def described_elements() -> Tensor:
    """(97, k) what the periodic table says of an element: sizes, electronegativity, group and period."""
    from pymatgen.core import Element

    data = priors()
    out = np.zeros((NUMBERS, 30))
    for number in range(1, NUMBERS):
        element = Element.from_Z(number)
        negativity = element.data.get("X")
        negativity = negativity if isinstance(negativity, (int, float)) and negativity == negativity else 1.3
        out[number, :4] = (
            data.radii[number] - 1.4,
            negativity - 1.8,
            (element.row - 4) / 2,
            np.cbrt(data.volumes[number]) - 2.6,
        )
        out[number, 3 + min(element.group, 18)] = 1.0
        out[number, 21 + min(element.row, 7)] = 1.0
    return torch.from_numpy(out).float()


def energies(network: Network, batch: Batch, arrows: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (atoms,), and derivatives (pairs, 3) of the total by the arrows from first to second atoms."""
    elements = torch.unique(batch.numbers)
    potential = tabulated(network.weights(), elements)
    distance = torch.sqrt(arrows.square().sum(dim=1) + 1e-8)
    numbers = batch.numbers
    value, slope = pair_functions(potential, numbers[batch.first], numbers[batch.second], distance)
    density = torch.zeros(len(numbers), value.shape[1]).index_add(0, batch.first, value)
    density = density.index_add(0, batch.second, value)
    energy, response = site_energies(potential, density, numbers)
    pull = ((response[batch.first] + response[batch.second]) * slope).sum(dim=1) / distance
    return energy, pull[:, None] * arrows


def denoising_loss(network: Network, batch: Batch, generator: torch.Generator) -> Tensor:
    """(n, 2) squared errors of displacement and strain that the gradients tell, over their variances."""
    count = len(batch.atoms)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    size = torch.rand(count, generator=generator) * (MOST - LEAST) + LEAST
    moved = normal(len(batch.numbers), 3) * size[batch.atom_row, None]
    moved = moved - (batch.total(moved) / batch.atoms[:, None])[batch.atom_row]
    strain = normal(count, 3, 3) * (STRAIN * size)[:, None, None]
    strain = (strain + strain.transpose(1, 2)) / 2
    strain = strain + torch.eye(3) * (0.5 * STRAIN * size * normal(count))[:, None, None]
    arrows = batch.arrows()
    arrows = arrows + torch.einsum("pi,pij->pj", arrows, strain[batch.pair_row])
    arrows = arrows + moved[batch.second] - moved[batch.first]
    _, pull = energies(network, batch, arrows)
    told = torch.zeros_like(moved).index_add(0, batch.second, pull).index_add(0, batch.first, -pull) / STIFFNESS
    work = (arrows[:, :, None] * pull[:, None, :]).reshape(-1, 9)
    strained = torch.zeros(count, 9).index_add(0, batch.pair_row, work).reshape(-1, 3, 3)
    strained = strained / (STIFFNESS * ARM**2 * batch.atoms[:, None, None])
    off = batch.total((told - moved).square().sum(dim=1)) / (3 * batch.atoms * size.square())
    off_strain = (strained - strain).square().mean(dim=(1, 2)) / (STRAIN * size).square()
    return torch.stack([off, off_strain], dim=1)


def bounded(loss: Tensor) -> Tensor:
    return torch.tanh(loss / BOUND) * BOUND


def fit(network: Network, known: Crystals, options: argparse.Namespace) -> dict[str, float]:
    """Trains in place; returns the means of the losses over the last tenth."""
    generator = torch.Generator().manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-4)
    seen: list[list[float]] = []
    begin = time.process_time()
    for step in range(options.steps):
        for group in optimizer.param_groups:
            rate = math.cos(0.5 * math.pi * step / options.steps)
            group["lr"] = options.rate * min(1.0, (step + 1) / 100) * max(0.02, rate)
        rows = np.sort(rng.choice(len(known), CRYSTALS, replace=False))
        losses = bounded(denoising_loss(network, Batch.of(known, rows), generator)).mean(dim=0)
        loss = losses[0] + 0.7 * losses[1]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        seen.append(losses.tolist())
        if (step + 1) % 500 == 0:
            print(step + 1, round(time.process_time() - begin), np.round(np.mean(seen[-500:], axis=0), 3), flush=True)
    means = np.mean(seen[-max(1, options.steps // 10) :], axis=0)
    return {name: round(float(mean), 4) for name, mean in zip(("displacement", "strain"), means, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="table with a column `split`")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    table = CrystalTable.read(options.data)
    table = table.filter(np.array(table.column("split").to_pylist()) == "train")
    network = Network()
    result = fit(network, Crystals(table), options)
    note = {
        "command": f"python tools/fit_potential.py --data {options.data.name} --steps {options.steps} "
        f"--rate {options.rate:g} --seed {options.seed}",
        "data": f"{len(table)} crystals of the train part of MP-20 at hand (Materials Project, CC BY 4.0; split of the "
        "CDVAE repository)",
        "result": json.dumps(result),
    }
    weights = {name: tensor.detach().float().contiguous() for name, tensor in network.weights().items()}
    options.out.write_bytes(safetensors.torch.save(weights, metadata=note))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
