"""Trials: random starts for many genes, and the descent that pushes their atoms apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from aristotype.crystal import primitive_vectors
from aristotype.realize._cells import cell_vectors, combined, product_of, shape_slope
from aristotype.realize._pairs import AllPairs, NearPairs, measure
from aristotype.realize._priors import priors
from aristotype.realize._random import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aristotype.realize._atoms import Atoms, Floats, Ints
    from aristotype.realize._config import RealizeConfig

_MEASURED = 200  # rows measured at once
_SKIN = 0.6  # Angstrom beyond the reach of the repulsion within which pairs are followed
_LISTED = 5  # steps between two searches for near pairs
_STRIDE = 0.25  # Angstrom, first step of an atom; it falls to a twentieth
_STRAIN = 0.04  # first step of the logarithm of a length, or of an angle in radians
_DECAY = (0.8, 0.95)
_QUIET = 1e-3  # gradient (1/Angstrom) below which steps fade out


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Geometries of n rows; free parameters (sites, 3) are flat as in `Atoms`."""

    shape: Floats  # (n, 6) see `Priors`
    volume: Floats  # (n,) of the conventional cell, cubic Angstrom
    free: Floats  # (s, 3)

    def take(self, atoms: Atoms, rows: Ints) -> Geometry:
        """The geometries of some rows of the genes that `atoms` holds."""
        return Geometry(shape=self.shape[rows], volume=self.volume[rows], free=self.free[atoms.sites_of(rows)])

    def put(self, atoms: Atoms, rows: Ints, other: Geometry) -> None:
        """Writes the geometries of some rows in place."""
        self.shape[rows], self.volume[rows] = other.shape, other.volume
        self.free[atoms.sites_of(rows)] = other.free


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Solved trials of n genes, t of each, one after the other."""

    atoms: Atoms  # of the n * t trials

    geometry: Geometry
    closest: Floats  # (n, t) smallest distance as a fraction of the sum of radii
    energy: Floats  # (n, t)

    def best(self, min_ratio: float) -> tuple[NDArray[np.bool_], Geometry]:
        """Which genes (n,) have an accepted trial, and of those the one of lowest energy."""
        accepted = self.closest >= min_ratio
        place = np.where(accepted, self.energy, np.inf).argmin(axis=1)
        found = np.logical_or.reduce(accepted, axis=1)
        trials = self.closest.shape[1]
        return found, self.geometry.take(self.atoms, (place + trials * np.arange(len(place)))[found])


def draw(atoms: Atoms, keys: NDArray[np.uint64], round_: int, volume: Floats, config: RealizeConfig) -> Geometry:
    """Random starts, `trials * screened` a gene, from each gene's own stream."""
    data, count = priors(), config.trials * config.screened
    sites = np.bincount(atoms.site_row, minlength=len(atoms))
    normal, uniform = np.empty((len(atoms), count, 7)), []
    for row, width in enumerate(sites.tolist()):
        generator = stream(keys[row], round_)
        normal[row] = generator.standard_normal((count, 7))
        uniform.append(generator.random((count, width, 3)).reshape(-1, 3))
    group = np.repeat(atoms.group, count)
    deviate = normal[:, :, :6].reshape(-1, 6)
    shape = data.shape_mean[group] + sum(data.shape_root[group][:, :, k] * deviate[:, k, None] for k in range(6))
    spread = np.exp(config.volume_spread * normal[:, :, 6])
    return Geometry(
        shape=np.clip(shape, data.shape_low[group], data.shape_high[group]),
        volume=(volume[:, None] * spread).reshape(-1),
        free=np.concatenate(uniform),
    )


def solve(atoms: Atoms, keys: NDArray[np.uint64], round_: int, volume: Floats, config: RealizeConfig) -> Trials:
    """Draws starts for some genes, keeps the best of each `screened`, and lets their atoms repel each other."""
    count = config.trials * config.screened
    many = atoms.take(np.repeat(np.arange(len(atoms)), count))
    starts = draw(atoms, keys, round_, volume, config)
    if config.screened > 1:
        _, energy = assess(many, starts, config.target_ratio, torch.float32)
        best = energy.reshape(-1, config.screened).argmin(axis=1)
        starts = starts.take(many, best + config.screened * np.arange(len(best)))
        many = atoms.take(np.repeat(np.arange(len(atoms)), config.trials))
    found = descend(many, starts, config)
    closest, energy = assess(many, found, config.target_ratio, torch.float64)
    return Trials(
        atoms=many,
        geometry=found,
        closest=closest.reshape(-1, config.trials),
        energy=energy.reshape(-1, config.trials),
    )


def assess(atoms: Atoms, geometry: Geometry, target: float, dtype: torch.dtype) -> tuple[Floats, Floats]:
    """Smallest distance (n,) as a fraction of the sum of radii, and energy (n,) of geometries."""
    problem = _Problem(atoms, geometry, dtype)
    cells = problem.primitive_cells(problem.cells(torch.from_numpy(geometry.shape).to(dtype)))
    points = problem.points(torch.from_numpy(geometry.free).to(dtype))
    closest, energy = measure(problem.pairs, points, problem.atom_row, cells, target)
    return closest.double().numpy(), energy.double().numpy()


def smallest_ratio(atoms: Atoms, geometry: Geometry) -> Floats:
    """Smallest distance (n,) of two atoms as a fraction of the sum of their radii."""
    chunks = np.array_split(np.arange(len(atoms)), -(-len(atoms) // _MEASURED) or 1)
    parts = [
        assess(atoms.take(rows), geometry.take(atoms, rows), 1.0, torch.float64)[0] for rows in chunks if len(rows)
    ]
    return np.concatenate([np.zeros(0), *parts])


def empty_geometry(atoms: Atoms) -> Geometry:
    """Room for the geometries of some genes."""
    count = len(atoms)
    return Geometry(shape=np.zeros((count, 6)), volume=np.zeros(count), free=np.zeros((len(atoms.site_row), 3)))


class _Problem:
    """The arrays of some rows as tensors."""

    def __init__(self, atoms: Atoms, geometry: Geometry, dtype: torch.dtype) -> None:
        data = priors()

        def tensor(array: Floats) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)

        self.basis, self.fixed = tensor(data.basis[atoms.group]), tensor(data.fixed[atoms.group])
        self.low, self.high = tensor(data.shape_low[atoms.group]), tensor(data.shape_high[atoms.group])
        self.volume = tensor(geometry.volume)
        numbers, place = np.unique(atoms.group, return_inverse=True)
        self.primitive = tensor(np.stack([primitive_vectors(n) for n in numbers.tolist()])[place])
        self.linear, self.origin = tensor(atoms.linear), tensor(atoms.origin)
        self.representative = self.linear[torch.from_numpy(atoms.site_atom)]
        self.atom_row, self.atom_site = torch.from_numpy(atoms.atom_row), torch.from_numpy(atoms.atom_site)
        self.site_row = torch.from_numpy(atoms.site_row)
        self.pairs = AllPairs.of(atoms, data.radii, dtype)

    def cells(self, shape: Tensor) -> Tensor:
        """Vectors (n, 3, 3) of the conventional cells."""
        return cell_vectors(shape, self.volume, self.basis, self.fixed)

    def primitive_cells(self, cells: Tensor) -> Tensor:
        """Vectors (n, 3, 3) of the primitive cells, from those of the conventional ones."""
        return product_of(self.primitive, cells)

    def shape_slope(self, cells: Tensor, shape: Tensor, by_primitive: Tensor) -> Tensor:
        """Derivatives (n, 6) by the shape, from those by the vectors of the primitive cells."""
        by_cell = product_of(self.primitive.transpose(1, 2), by_primitive)
        return shape_slope(cells, shape, self.basis, self.fixed, by_cell)

    def points(self, free: Tensor) -> Tensor:
        """Primitive coordinates (a, 3) of all atoms."""
        return combined(free[self.atom_site][:, :, None], self.linear.transpose(1, 2)) + self.origin

    def free_slope(self, force: Tensor, cells: Tensor) -> Tensor:
        """Derivatives (s, 3) of a site's energy by its free parameters, from forces (s, 3) on its representative."""
        by_point = combined(force[:, :, None], cells[self.site_row].transpose(1, 2))
        return combined(by_point[:, :, None], self.representative)

    def free_length(self, cells: Tensor) -> Tensor:
        """Angstrom (s, 3) that an atom moves for one unit of each free parameter; 1 beyond the freedom."""
        columns = self.representative.transpose(1, 2)  # (s, free, 3)
        moved = product_of(columns, cells[self.site_row])
        squared = moved[:, :, 0] * moved[:, :, 0] + moved[:, :, 1] * moved[:, :, 1] + moved[:, :, 2] * moved[:, :, 2]
        return torch.where(squared > 0, torch.sqrt(squared), torch.ones_like(squared))


class _Adam:
    """Moments of a gradient (Kingma and Ba, 2015, algorithm 1), a step for every row alike."""

    def __init__(self, like: Tensor) -> None:
        self._mean, self._square, self._count = torch.zeros_like(like), torch.zeros_like(like), 0

    def direction(self, gradient: Tensor) -> Tensor:
        """Step of length about 1 in each coordinate."""
        self._count += 1
        first, second = _DECAY
        self._mean = first * self._mean + (1.0 - first) * gradient
        self._square = second * self._square + (1.0 - second) * (gradient * gradient)
        size = torch.sqrt(self._square / (1.0 - second**self._count))
        return self._mean / (1.0 - first**self._count) / (size + _QUIET)


def descend(atoms: Atoms, geometry: Geometry, config: RealizeConfig) -> Geometry:
    """Moves atoms and shapes of cells, volumes kept, down the energy of overlap; in single precision."""
    problem = _Problem(atoms, geometry, torch.float32)
    shape, free = (torch.from_numpy(a).float() for a in (geometry.shape, geometry.free))
    length = problem.free_length(problem.primitive_cells(problem.cells(shape)))
    on_free, on_shape = _Adam(free), _Adam(shape)
    near = None
    for step in range(config.steps):
        conventional, points = problem.cells(shape), problem.points(free)
        cells = problem.primitive_cells(conventional)
        if near is None or step % _LISTED == 0:
            near = NearPairs.among(problem.pairs, points, problem.atom_row, cells, config.target_ratio, _SKIN)
        force, by_cell = near.gradients(points, cells)
        fade = 0.05 + 0.475 * (1.0 + math.cos(math.pi * step / config.steps))
        slope = problem.free_slope(force, cells) / length
        free = free - fade * _STRIDE * on_free.direction(slope) / length
        shape = shape - fade * _STRAIN * on_shape.direction(problem.shape_slope(conventional, shape, by_cell))
        shape = torch.minimum(torch.maximum(shape, problem.low), problem.high)
    return Geometry(shape=shape.double().numpy(), volume=geometry.volume, free=free.double().numpy())
