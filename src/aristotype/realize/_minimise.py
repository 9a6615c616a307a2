"""Descent of many trials down the cheap energy: free parameters, shapes of cells and volumes, all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from aristotype.realize._cells import cell_vectors, product_of
from aristotype.realize._distinct import fingerprints
from aristotype.realize._geometry import joined
from aristotype.realize._neighbours import Candidates, Neighbours
from aristotype.realize._potential import REACH, Reading, evaluate, pair_potential
from aristotype.realize._shapes import shape_limits
from aristotype.realize._solve import Geometry, _Adam, _Problem, assess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.realize._atoms import Atoms, Floats, Ints

_SKIN = 0.7  # Angstrom beyond the reach within which pairs are followed
_LISTED = 6  # steps between two searches for neighbours
_STRIDE = 0.25  # Angstrom, first step of an atom; it falls to a fiftieth
_STRAIN = 0.04  # first step of the logarithm of a length, or of an angle in radians
_SWELL = 0.06  # first step of the logarithm of the volume
_LAST = 0.02
_PAIRS = 100_000  # pairs of a site and an atom, each with 27 images or more, looked through at once


class _Cheap:
    """The cheap energy of some rows as a function of shapes, volumes and free parameters."""

    def __init__(self, atoms: Atoms, geometry: Geometry, dtype: torch.dtype) -> None:
        self.problem = _Problem(atoms, geometry, dtype)
        self.candidates = Candidates.of(atoms)
        self.potential = pair_potential(dtype)
        self.elements = torch.from_numpy(atoms.site_element)
        self.weight = torch.from_numpy(atoms.site_weight)
        self.sites = torch.from_numpy(np.bincount(atoms.site_row, minlength=len(atoms)))

    def conventional(self, shape: Tensor, volume: Tensor) -> Tensor:
        """Vectors (n, 3, 3) of the conventional cells."""
        return cell_vectors(shape, volume, self.problem.basis, self.problem.fixed)

    def primitive(self, conventional: Tensor) -> Tensor:
        """Vectors (n, 3, 3) of the primitive cells."""
        return product_of(self.problem.primitive, conventional)

    def near(self, points: Tensor, cells: Tensor, skin: float) -> Neighbours:
        """Neighbours as far as the energy reaches, and some further."""
        return Neighbours.within(REACH + skin, self.candidates, points, self.problem.atom_row, cells)

    def read(self, near: Neighbours, points: Tensor, cells: Tensor) -> Reading:
        """Energies and slopes."""
        return evaluate(
            self.potential,
            near,
            points,
            cells,
            elements=self.elements,
            atom_site=self.problem.atom_site,
            weight=self.weight,
            site_row_counts=self.sites,
        )


@dataclass(frozen=True, kw_only=True)
class Minima:
    """Where trials ended."""

    geometry: Geometry
    energy: Floats  # (n,) cheap energy an atom
    closest: Floats  # (n,) smallest distance as a fraction of the sum of radii
    prints: list[Floats]  # of each its fingerprint, see `fingerprints`


def minimise(atoms: Atoms, geometry: Geometry, steps: int, *, held: bool = False) -> Minima:
    """Moves atoms and cells down the cheap energy, shapes of cells only where they are not held."""
    ends, energies, closest, prints = [], [np.zeros(0)], [np.zeros(0)], []
    for rows in _parts(atoms):
        few = atoms.take(rows)
        end = _descended(few, geometry.take(atoms, rows), steps, held)
        energy, near, distance = _at_rest(few, end)
        ends.append(end)
        energies.append(energy)
        closest.append(assess(few, end, 1.0, torch.float64)[0])
        prints += fingerprints(few, near, distance)
    return Minima(
        geometry=joined(ends), energy=np.concatenate(energies), closest=np.concatenate(closest), prints=prints
    )


def _parts(atoms: Atoms) -> Iterator[Ints]:
    """Rows in groups whose pairs of atoms fit into memory; results do not depend on them."""
    sites = np.bincount(atoms.site_row, minlength=len(atoms))
    pairs = np.cumsum(sites * np.bincount(atoms.atom_row, minlength=len(atoms)))
    if len(atoms):
        yield from np.split(np.arange(len(atoms)), np.flatnonzero(np.diff(pairs // _PAIRS)) + 1)


def _descended(atoms: Atoms, geometry: Geometry, steps: int, held: bool) -> Geometry:
    """Where the descent ends; in single precision."""
    cheap = _Cheap(atoms, geometry, torch.float32)
    problem = cheap.problem
    shape, free = (torch.from_numpy(a).float() for a in (geometry.shape, geometry.free))
    swell = torch.log(torch.from_numpy(geometry.volume)).float()[:, None]
    length = problem.free_length(cheap.primitive(cheap.conventional(shape, torch.exp(swell[:, 0]))))
    on_free, on_shape, on_swell = _Adam(free), _Adam(shape), _Adam(swell)
    low, high = (torch.from_numpy(limit).float() for limit in shape_limits(atoms.group))
    near = None
    for step in range(steps):
        conventional, points = cheap.conventional(shape, torch.exp(swell[:, 0])), problem.points(free)
        cells = cheap.primitive(conventional)
        if near is None or step % _LISTED == 0:
            near = cheap.near(points, cells, _SKIN)
        found = cheap.read(near, points, cells)
        fade = _LAST + (1.0 - _LAST) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        slope = problem.free_slope(found.on_site, cells) / length
        free = free - fade * _STRIDE * on_free.direction(slope) / length
        if not held:
            by_shape = problem.shape_slope(conventional, shape, found.on_cell)
            shape = shape - fade * _STRAIN * on_shape.direction(by_shape)
            shape = torch.minimum(torch.maximum(shape, low), high)
        swell = swell - fade * _SWELL * on_swell.direction(volume_slope(cells, found.on_cell)[:, None])
    return Geometry(
        shape=shape.double().numpy(), volume=np.exp(swell[:, 0].double().numpy()), free=free.double().numpy()
    )


def volume_slope(cells: Tensor, by_cell: Tensor) -> Tensor:
    """Derivative (n,) of an energy by the logarithm of the volume, shapes kept."""
    work = (cells * by_cell).reshape(-1, 9)
    total = work[:, 0]
    for k in range(1, 9):
        total = total + work[:, k]
    return total / 3.0


def cheap_energies(atoms: Atoms, geometry: Geometry) -> Floats:
    """Cheap energy (n,) an atom of geometries."""
    parts = [_at_rest(atoms.take(rows), geometry.take(atoms, rows))[0] for rows in _parts(atoms)]
    return np.concatenate([np.zeros(0), *parts])


def _at_rest(atoms: Atoms, geometry: Geometry) -> tuple[Floats, Neighbours, Floats]:
    """Energies (n,) an atom, neighbours within `REACH`, and their distances (q,) in Angstrom."""
    cheap = _Cheap(atoms, geometry, torch.float32)
    volume = torch.from_numpy(geometry.volume).float()
    cells = cheap.primitive(cheap.conventional(torch.from_numpy(geometry.shape).float(), volume))
    points = cheap.problem.points(torch.from_numpy(geometry.free).float())
    near = cheap.near(points, cells, 0.0)
    found = cheap.read(near, points, cells)
    per_cell = np.bincount(atoms.atom_row, minlength=len(atoms))
    return found.energy.double().numpy() / per_cell, near, found.distance.double().numpy()
