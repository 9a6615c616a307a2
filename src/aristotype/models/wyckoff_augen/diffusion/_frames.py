"""What stays of a crystal while its sites move: cell, letters, and how parameters become atoms.

A frame belongs to one crystal; `Frames` are those of several, site after site and atom after atom in flat arrays, so
that crystals of any sizes are worked on together. Cartesian axes are those of `cell_matrix`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import primitive_images, primitive_vectors, reduce_cells
from aristotype.models.blocks import image_maps, primitive_multiplicities
from aristotype.models.wyckoff_augen.diffusion._ragged import spread, starts
from aristotype.symmetry import GRID, cell_matrix, space_group

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FLAT = 0.6
"""Noise over the longest period of a site's subspace at which the wrapped law is even, to one part in 600."""
SITE_TOLD = 6


class PositionMaps(NamedTuple):
    """A position's maps on parameters, padded with zeros to three of them."""

    freedom: int
    basis: Floats  # (3, 3) step in the conventional cell of each parameter
    atoms: Floats  # (k, 3, 3) from parameters to images in the primitive cell, that which stands for the site first
    origins: Floats  # (k, 3)
    rotations: Floats  # (k, 3, 3) an operation that gives the image
    images: Floats  # (m, 3, 3) between parameters of one orbit; none where there is no freedom
    shifts: Floats  # (m, 3)


@lru_cache(maxsize=4096)
def position_maps(number: int, letter: int) -> PositionMaps:
    """The maps of a position."""
    group = space_group(number)
    position = group.positions[letter]
    f = position.freedom
    places = primitive_images(number, letter)
    linear, origin = position.orbit_linear[places], position.orbit_origin[places]
    made = group.rotations @ position.linear
    start = (group.rotations @ position.origin + group.translations) % GRID
    same = (made[None] == linear[:, None]).all(axis=(2, 3)) & (start[None] == origin[:, None] % GRID).all(axis=2)
    assert same.any(axis=1).all(), "an operation gives each image"
    maps = image_maps(number, letter)
    count = len(maps.linear) if f else 0
    images = np.zeros((count, 3, 3))
    images[:, :f, :f] = maps.linear[:count]
    shifts = np.zeros((count, 3))
    shifts[:, :f] = maps.shift[:count] / GRID
    return PositionMaps(
        freedom=f,
        basis=np.pad(position.linear.T, ((0, 3 - f), (0, 0))).astype(float),
        atoms=np.pad(linear, ((0, 0), (0, 0), (0, 3 - f))).astype(float),
        origins=origin / GRID,
        rotations=group.rotations[same.argmax(axis=1)].astype(float),
        images=images,
        shifts=shifts,
    )


class Frame(NamedTuple):
    """One crystal of S sites and M atoms in its reduced primitive cell."""

    number: int
    letters: tuple[int, ...]
    freedom: Ints  # (S,)
    steps: Floats  # (S, 3, 3) Cartesian step of each parameter, in Angstrom
    dual: Floats  # (S, 3, 3) from Cartesian steps to parameters
    flat: Floats  # (S,) noise in Angstrom from which the wrapped law is even; 0 without freedom
    log_volume: Floats  # (S,) log of the volume of the subspace's period, in Angstrom to the freedom
    told: NDArray[np.float32]  # (S, SITE_TOLD) what the network is told of each site
    atom_site: Ints  # (M,)
    atoms: Floats  # (M, 3, 3) from parameters to the reduced primitive cell
    origins: Floats  # (M, 3)
    rotations: NDArray[np.float32]  # (M, 3, 3) of Cartesian rows, from the site to its image
    cell: Floats  # (3, 3) reduced primitive
    thickness: Floats  # (3,) lattice planes an Angstrom
    polar: Floats  # (3, 3) onto the directions in which the origin floats
    log_images: float  # log of the number of images of all parameters, with a site on the origin where that floats

    @property
    def largest(self) -> float:
        """Noise at which nothing is left to know; 0 where nothing moves."""
        return float(self.flat.max(initial=0.0))


def frame_of(number: int, letters: Sequence[int], lattice: Floats) -> Frame:
    """The frame of a crystal.

    Args:
        number: space group.
        letters: of its S sites, at least one.
        lattice: (6,) Angstrom and degrees.
    """
    maps = [position_maps(number, letter) for letter in letters]
    conventional, vectors = cell_matrix(lattice), primitive_vectors(number)
    change = reduce_cells((vectors @ conventional)[None])[0]
    cell, into = change @ vectors @ conventional, np.linalg.inv(change @ vectors)
    freedom = np.array([one.freedom for one in maps])
    steps = np.stack([one.basis for one in maps]) @ conventional
    dual = np.asarray(np.linalg.pinv(steps), float)
    flat = np.array([_FLAT * _longest_period(one, f) for one, f in zip(dual, freedom.tolist(), strict=True)])
    axes = np.flatnonzero(space_group(number).polar_axes)
    if len(axes):
        flat[:] = flat.max()  # they move together: where one is known, so are all
    inverse = np.linalg.inv(conventional)
    rotations = np.concatenate([one.rotations for one in maps])
    counts = np.array([len(one.atoms) for one in maps])
    floating = conventional[axes]
    volume = abs(float(np.linalg.det(cell))) / counts.sum()
    return Frame(
        number=number,
        letters=tuple(letters),
        freedom=freedom,
        steps=steps,
        dual=dual,
        flat=flat,
        log_volume=np.array([_log_volume(one, f) for one, f in zip(steps, freedom.tolist(), strict=True)]),
        told=_told(number, letters, freedom, volume),
        atom_site=np.repeat(np.arange(len(maps)), counts),
        atoms=np.einsum("mij,ik->mkj", np.concatenate([one.atoms for one in maps]), into),
        origins=np.concatenate([one.origins for one in maps]) @ into,
        rotations=(inverse @ rotations.transpose(0, 2, 1) @ conventional).astype(np.float32),
        cell=cell,
        thickness=np.linalg.norm(np.linalg.inv(cell), axis=0),
        polar=np.linalg.pinv(floating) @ floating if len(axes) else np.zeros((3, 3)),
        log_images=log_images(number, tuple(letters)),
    )


def _longest_period(dual: Floats, freedom: int) -> float:
    """One over the length of the shortest vector of the dual lattice, in Angstrom; 0 without freedom."""
    if not freedom:
        return 0.0
    vectors = _neighbours(freedom) @ dual.T[:freedom]
    return 1.0 / float(np.sqrt(np.square(vectors).sum(axis=1).min()))


@lru_cache(maxsize=8)
def _neighbours(freedom: int) -> Floats:
    """Integer vectors (k, freedom) of -2 to 2, without the zero."""
    every = np.array(list(product(range(-2, 3), repeat=freedom)), float)
    return every[(every != 0).any(axis=1)]


def _log_volume(steps: Floats, freedom: int) -> float:
    here = steps[:freedom]
    return 0.5 * float(np.linalg.slogdet(here @ here.T)[1]) if freedom else 0.0


@lru_cache(maxsize=4096)
def log_images(number: int, letters: tuple[int, ...]) -> float:
    """Log of the number of images of the parameters of all sites, the log-density of the even law.

    The first site holds the origin of a polar group: what its images change along the axes is the description.
    """
    polar = any(space_group(number).polar_axes)
    counts = [len(image_maps(number, letter, polar and site == 0).linear) for site, letter in enumerate(letters)]
    return float(np.log(counts).sum())


def _told(number: int, letters: Sequence[int], freedom: Ints, volume: float) -> NDArray[np.float32]:
    """What does not change with the description: atoms of the site, its freedom, volume an atom."""
    atoms = np.array(primitive_multiplicities(number), float)[list(letters)]
    most = np.array(primitive_multiplicities(number), float)[-1]
    out = np.zeros((len(letters), SITE_TOLD), np.float32)
    out[:, 0], out[:, 1] = np.log(atoms) / 2.0, np.log(most / atoms) / 2.0
    out[np.arange(len(letters)), 1 + freedom.clip(1)] = freedom > 0  # columns 2, 3 and 4
    out[:, 5] = np.log(volume) - 2.9
    return out


class Frames(NamedTuple):
    """n frames, N sites, M atoms."""

    each: tuple[Frame, ...]
    crystal: Ints  # (N,) of each site
    freedom: Ints  # (N,)
    steps: Floats  # (N, 3, 3)
    dual: Floats  # (N, 3, 3)
    flat: Floats  # (N,)
    log_volume: Floats  # (N,)
    first_atom: Ints  # (N,) the atom that stands for the site
    atom_site: Ints  # (M,) of N
    atoms: Floats  # (M, 3, 3)
    origins: Floats  # (M, 3)
    cell: Floats  # (n, 3, 3)
    thickness: Floats  # (n, 3)
    pair_site: Ints  # (P,) every site with every atom of its crystal
    pair_atom: Ints  # (P,)
    image_site: Ints  # (Q,) the site of each image of parameters
    images: Floats  # (Q, 3, 3)
    shifts: Floats  # (Q, 3)
    largest: Floats  # (n,)
    log_images: Floats  # (n,)


def joined(each: Sequence[Frame]) -> Frames:
    """Frames of at least one crystal as flat arrays."""
    sites, atoms = (np.array([len(getattr(one, name)) for one in each]) for name in ("freedom", "atom_site"))
    crystal, _ = spread(sites)
    atom_site = np.concatenate([one.atom_site + start for one, start in zip(each, starts(sites), strict=True)])
    pair_site, pair_place = spread(atoms[crystal])
    maps = [position_maps(one.number, letter) for one in each for letter in one.letters]
    image_site, _ = spread(np.array([len(one.images) for one in maps]))
    return Frames(
        each=tuple(each),
        crystal=crystal,
        **{name: np.concatenate([getattr(one, name) for one in each]) for name in _JOINED},
        first_atom=np.unique(atom_site, return_index=True)[1],
        atom_site=atom_site,
        cell=np.stack([one.cell for one in each]),
        thickness=np.stack([one.thickness for one in each]),
        pair_site=pair_site,
        pair_atom=starts(atoms)[crystal[pair_site]] + pair_place,
        image_site=image_site,
        images=np.concatenate([one.images for one in maps]),
        shifts=np.concatenate([one.shifts for one in maps]),
        largest=np.array([one.largest for one in each]),
        log_images=np.array([one.log_images for one in each]),
    )


_JOINED = ("freedom", "steps", "dual", "flat", "log_volume", "atoms", "origins")
