"""Fits the potential by which `minima` finds geometries, from known crystals alone; no energies are needed.

    python tools/fit_potential.py denoise --data mp_20.parquet --steps 9000 --out potential.safetensors
    python tools/fit_potential.py mine --data mp_20.parquet --crystals 2400 --out minima.parquet
    python tools/fit_potential.py contrast --data mp_20.parquet --minima minima.parquet --steps 4000 \\
        --out potential.safetensors

The data is a table of `aristotype data prepare`; the rows of its train split are used.

* `denoise`: crystals are displaced and strained at random, and the potential learns to point back: its gradient is to
  be `STIFFNESS` times the displacement, whatever its size (score matching, Vincent, Neural Computation 23, 1661, 2011,
  with one stiffness for all amplitudes, so that the valley of a crystal is wide and round).
* `mine`: with the potential that ships, minima of genes of known crystals, by `aristotype.realize.minima`.
* `contrast`: goes on with `denoise`, and lifts mined minima that are not the known crystal (StructureMatcher, ltol .2,
  stol .3, angle 5) above it by a logistic loss of the difference of energies.
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

SHIPPED = Path(__file__).parents[1] / "src/aristotype/realize/potential.safetensors"
LIST_REACH = 7.0  # Angstrom, beyond the reach of the functions by what a displacement can bring
NUMBERS = 97
FUNCTIONS, WIDTH, HIDDEN, UNITS, KNOTS = 8, 32, 64, 16, 13
LEAST, MOST = 0.03, 0.40  # Angstrom, amplitudes of displacements
STRAIN = 0.3  # strain for one Angstrom of displacement
ARM = 2.0  # Angstrom: the stiffness of a strain is that of a displacement times its square
CRYSTALS, GENES = 40, 14  # in a batch
MARGIN, SHARPNESS, CONTRAST = 0.06, 8.0, 0.5
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

    def read(self, weights: dict[str, Tensor]) -> None:
        """Takes over shipped weights; what elements have in common stays in their free embeddings from here on."""
        with torch.no_grad():
            self.embed.weight.zero_()
            self.embed.bias.zero_()
            self.free.copy_(weights["embedding"])
            for name, tensor in self.layers.named_parameters():
                tensor.copy_(weights[name.replace(":", ".")])


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


class Contrast:
    """Known crystals and mined minima of their genes that are something else."""

    def __init__(self, known: Crystals, rows: dict[str, int], minima: CrystalTable) -> None:
        wrong = ~np.array(minima.column("same").to_pylist(), bool)
        minima = minima.filter(wrong)
        self.known, self.minima = known, Crystals(minima)
        owner = np.array([rows[name] for name in minima.column("gene").to_pylist()])
        order = np.argsort(owner, kind="stable")
        self.genes, starts = np.unique(owner[order], return_index=True)
        self.groups = np.split(order, starts[1:])

    def loss(self, network: Network, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """Logistic loss, and share of minima that lie above the known crystal."""
        groups = [self.groups[place] for place in places]
        owner = torch.from_numpy(np.repeat(np.arange(len(places)), [len(group) for group in groups]))
        low = self._an_atom(network, self.known, self.genes[places])[owner]
        high = self._an_atom(network, self.minima, np.concatenate(groups))
        weight = 1.0 / torch.bincount(owner)[owner]
        loss = nn.functional.softplus(SHARPNESS * (low - high + MARGIN))
        return (loss * weight).sum() / len(places), (low < high).float().mean()

    @staticmethod
    def _an_atom(network: Network, crystals: Crystals, rows: np.ndarray) -> Tensor:
        batch = Batch.of(crystals, rows)
        energy, _ = energies(network, batch, batch.arrows())
        return batch.total(energy) / batch.atoms


def fit(network: Network, known: Crystals, contrast: Contrast | None, options: argparse.Namespace) -> dict[str, float]:
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
        extra = [0.0, 0.0]
        if contrast is not None:
            lifted, above = contrast.loss(network, np.sort(rng.choice(len(contrast.genes), GENES, replace=False)))
            loss = loss + CONTRAST * lifted
            extra = [lifted.item(), above.item()]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        seen.append([*losses.tolist(), *extra])
        if (step + 1) % 500 == 0:
            print(step + 1, round(time.process_time() - begin), np.round(np.mean(seen[-500:], axis=0), 3), flush=True)
    means = np.mean(seen[-max(1, options.steps // 10) :], axis=0)
    names = ("displacement", "strain", "contrast", "above")
    return {name: round(float(mean), 4) for name, mean in zip(names, means, strict=True)}


def mine(table: CrystalTable, options: argparse.Namespace) -> None:
    """Minima of the genes of random crystals with free parameters, with a column `same`."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from aristotype.realize import MinimaConfig, minima

    rng = np.random.default_rng(options.seed)
    freedom = table.ragged("free")[1]
    rows = rng.permutation(np.flatnonzero(freedom))[: options.crystals]
    chosen = table.take(np.sort(rows))
    genes = CrystalTable.from_genes(chosen.genes(), chosen.ids)
    config = MinimaConfig(trials=options.trials, steps=60, verify=False)
    found = minima(genes, seed=options.seed, keep=4, config=config, failures=[])
    known = dict(zip(chosen.ids, chosen.to_structures(primitive=True), strict=True))
    matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
    pairs = zip(found.column("gene").to_pylist(), found.to_structures(primitive=True), strict=True)
    same = [bool(matcher.fit(known[name], structure)) for name, structure in pairs]
    print(json.dumps({"genes": len(genes), "minima": len(found), "same": sum(same)}))
    found.with_columns(same=same).write(options.out, force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("denoise", "mine", "contrast"))
    parser.add_argument("--data", type=Path, required=True, help="table with a column `split`")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crystals", type=int, default=2400, help="mine: genes")
    parser.add_argument("--trials", type=int, default=6, help="mine: trials a gene")
    parser.add_argument("--minima", type=Path, help="contrast: what `mine` wrote")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    table = CrystalTable.read(options.data)
    table = table.filter(np.array(table.column("split").to_pylist()) == "train")
    if options.stage == "mine":
        mine(table, options)
        return
    known, network, contrast, history = Crystals(table), Network(), None, ""
    if options.stage == "contrast":
        with safetensors.safe_open(SHIPPED, "pt") as shipped:
            history = shipped.metadata()["command"] + "; "
            network.read({name: shipped.get_tensor(name) for name in shipped.keys()})  # noqa: SIM118 (no mapping)
        contrast = Contrast(known, {name: row for row, name in enumerate(table.ids)}, CrystalTable.read(options.minima))
    result = fit(network, known, contrast, options)
    more = f" --minima {options.minima.name}" if options.minima else ""
    note = {
        "command": f"{history}tools/fit_potential.py {options.stage} --data {options.data.name}{more} "
        f"--steps {options.steps} --rate {options.rate:g} --seed {options.seed}",
        "data": f"{len(table)} crystals of the train part at hand",
        "result": json.dumps(result),
    }
    weights = {name: tensor.detach().float().contiguous() for name, tensor in network.weights().items()}
    options.out.write_bytes(safetensors.torch.save(weights, metadata=note))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
