"""CHGNet (Deng et al., Nature Machine Intelligence 5, 1031, 2023), several structures a call.

The published network and weights, as the package `chgnet` carries them; graphs are built here for a whole batch, and
one backward pass gives forces and stresses together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import lru_cache
from importlib.metadata import version
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.calculators._face import Prediction
from aristotype.calculators._graphs import Graphs, graphs_of

if TYPE_CHECKING:
    from ase import Atoms

ATOMS_A_PASS = 120
"""On a CPU larger passes gain nothing and leave its caches."""
_ATOMS_A_PASS_GPU = 4000


class Chgnet:
    """The pretrained network of one version."""

    def __init__(self, model: str = "0.3.0", device: str = "auto") -> None:
        self._device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self._network, weights = _loaded(model)
        self._network = self._network.to(self._device)
        self.name = f"chgnet-{model}"
        self.fingerprint = f"{self.name} {weights} chgnet {version('chgnet')}"
        self.elements = frozenset(range(1, self._network.composition_model.max_num_elements + 1))

    def energies(self, structures: Sequence[Atoms]) -> NDArray[np.float64]:
        """(n,) energies in eV of the whole cells."""
        found: NDArray[np.float64] = np.concatenate(
            [np.zeros(0), *(self._pass(structures[rows], False)[0] for rows in self._passes(structures))]
        )
        return found

    def predict(self, structures: Sequence[Atoms]) -> list[Prediction]:
        """Energies, forces and stresses."""
        out: list[Prediction] = []
        for rows in self._passes(structures):
            energy, forces, stress = self._pass(structures[rows], True)
            ends = np.cumsum([len(structure) for structure in structures[rows]])[:-1]
            out += [
                Prediction(energy=float(e), forces=f, stress=s)
                for e, f, s in zip(energy, np.split(forces, ends), stress, strict=True)
            ]
        return out

    def crystal_features(self, structures: Sequence[Atoms]) -> NDArray[np.float64]:
        """(n, 64) features of whole crystals, as the package gives them: sums over atoms, twice as large for two cells.

        They are what the last convolution gives each atom, before its energy is read out.
        """
        network = self._network
        features = [np.zeros((0, network.atom_embedding.embedding.embedding_dim))]
        for rows in self._passes(structures):
            with torch.no_grad():
                batch, _, _ = self._batch(self._graphs(structures[rows]), False)
                found = network._compute(batch, return_crystal_feas=True)["crystal_fea"]
            features.append(found.double().cpu().numpy())
        return np.concatenate(features)

    def _passes(self, structures: Sequence[Atoms]) -> list[slice]:
        """Consecutive structures whose atoms fit into one pass."""
        most = ATOMS_A_PASS if self._device.type == "cpu" else _ATOMS_A_PASS_GPU
        slices, start, atoms = [], 0, 0
        for row, structure in enumerate(structures):
            if row > start and atoms + len(structure) > most:
                slices.append(slice(start, row))
                start, atoms = row, 0
            atoms += len(structure)
        return [*slices, slice(start, len(structures))] if len(structures) else []

    def _pass(self, structures: Sequence[Atoms], slopes: bool) -> tuple[Any, Any, Any]:
        network = self._network
        graphs = self._graphs(structures)
        with torch.set_grad_enabled(slopes):
            batch, positions, strains = self._batch(graphs, slopes)
            energy = network._compute(batch)["e"]
            atoms = torch.bincount(batch.atom_owners.long(), minlength=len(structures))
            reference = network.composition_model.fc.weight[0, batch.atomic_numbers.long() - 1]
            total = energy * atoms if network.is_intensive else energy
            total = total + torch.zeros_like(total).index_add(0, batch.atom_owners.long(), reference)
            if not slopes:
                return total.double().cpu().numpy(), None, None
            by_position, by_strain = torch.autograd.grad(total.sum(), (positions, strains))
        volumes = np.abs(np.linalg.det(graphs.cells))
        return (
            total.detach().double().cpu().numpy(),
            -by_position.double().cpu().numpy(),
            by_strain.double().cpu().numpy() / volumes[:, None, None],
        )

    def _graphs(self, structures: Sequence[Atoms]) -> Graphs:
        converter = self._network.graph_converter
        return graphs_of(structures, converter.atom_graph_cutoff, converter.bond_graph_cutoff)

    def _batch(self, graphs: Graphs, slopes: bool) -> tuple[Any, Tensor, Tensor]:
        """The network's own batch, with the positions and strains that its energies depend on."""
        from chgnet.model.model import BatchedGraph

        def real(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(self._device, torch.float32)

        def whole(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(self._device)

        network = self._network
        positions = real(graphs.positions).requires_grad_(slopes)
        strains = torch.zeros(len(graphs.cells), 3, 3, device=self._device, requires_grad=slopes)
        owner, bonds, angles = whole(graphs.owner), whole(graphs.bonds), whole(graphs.angles)
        steps = torch.from_numpy(np.einsum("di,dij->dj", graphs.images, graphs.cells[graphs.owner[graphs.bonds[:, 0]]]))
        vectors = positions[bonds[:, 0]] - positions[bonds[:, 1]] - steps.to(self._device, torch.float32)
        if slopes:
            vectors = vectors + torch.einsum("di,dij->dj", vectors, strains[owner[bonds[:, 0]]])
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        unit = vectors / lengths[:, None]
        first = lengths[whole(graphs.first)]
        encoder = network.bond_basis_expansion
        bond_of = whole(graphs.bond_of)
        batch = BatchedGraph(
            atomic_numbers=whole(graphs.numbers).int(),
            bond_bases_ag=encoder.rbf_expansion_ag(first),
            bond_bases_bg=encoder.rbf_expansion_bg(first),
            angle_bases=network.angle_basis_expansion(unit[angles[:, 1]], unit[angles[:, 2]])
            if len(angles)
            else positions.new_zeros(0),
            batched_atom_graph=bonds.int(),
            batched_bond_graph=torch.stack([angles[:, 0], bond_of[angles[:, 1]], bond_of[angles[:, 2]]], dim=1).int(),
            atom_owners=owner.int(),
            directed2undirected=bond_of.int(),
            atom_positions=[positions],
            strains=[strains],
            volumes=positions.new_zeros(len(graphs.cells)),
        )
        return batch, positions, strains


@lru_cache(maxsize=2)
def _loaded(model: str) -> tuple[Any, str]:
    """The network, frozen, and a hash of its weights."""
    from chgnet.model.model import CHGNet

    with redirect_stdout(StringIO()):  # it greets
        network = CHGNet.load(model_name=model, use_device="cpu", verbose=False).eval().requires_grad_(False)
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return network, digest.hexdigest()[:16]
