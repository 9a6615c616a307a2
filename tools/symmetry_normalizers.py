"""Normalizers of one group in exact integer arithmetic, and what they do to the Wyckoff positions.

The affine normalizer is searched for directly: every unimodular integer matrix that could carry the standard setting
into itself, every translation on the grid of 1/24. For triclinic and monoclinic groups it is infinite; the entries
searched contain a generating set, and the permutations that it induces on the positions are closed under multiplication
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from symmetry_positions import Position
from symmetry_sources import Operations, crystal_system

_GRID = np.array(list(product(range(24), repeat=3)), dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Normalizer:
    """Relabellings (each row sends the index of a position to another index) and coset representatives.

    `linear`, `translation` (24ths): the operations that keep a generic metric's reduced cell in its gauge (triclinic
    and monoclinic), or permute the axes together with it (all others), one a coset of the group and of its floating
    origin.
    """

    affine: np.ndarray
    euclidean: np.ndarray
    linear: np.ndarray
    translation: np.ndarray
    polar_axes: np.ndarray  # (3,) 1 where the origin floats along the axis


def normalizer(number: int, ops: Operations, positions: list[Position]) -> Normalizer:
    """Computes the affine and the Euclidean normalizer (of a generic metric of the crystal family)."""
    polar = polar_axes(ops)
    pairs = [
        (linear, shift) for linear in candidate_matrices(number) for shift in translations_for(linear, ops, ops, polar)
    ]
    relabellings = {tuple(relabelling(w, t, ops, positions)) for w, t in pairs}
    kept = [(w, t) for w, t in pairs if keeps_reduced_cell(number, w)]
    linear, translation = coset_representatives(kept, ops, polar)
    metric_kept = {tuple(relabelling(w, t, ops, positions)) for w, t in kept if keeps_generic_metric(number, w)}
    return Normalizer(
        affine=closure(relabellings),
        euclidean=closure(metric_kept),
        linear=linear,
        translation=translation,
        polar_axes=polar,
    )


def polar_axes(ops: Operations) -> np.ndarray:
    """Axes along which every operation of the group leaves the coordinate as it is: the origin floats there."""
    rotations, _ = ops
    fixed = [(rotations[:, axis, :] == np.eye(3, dtype=np.int64)[axis]).all() for axis in range(3)]
    return np.array(fixed, dtype=np.int64)


def candidate_matrices(number: int) -> list[np.ndarray]:
    """Unimodular integer matrices that may carry the standard setting of a group into itself."""
    system = crystal_system(number)
    if system == 1:
        blocks = [np.array(v).reshape(2, 2) for v in product(range(-2, 3), repeat=4)]
        matrices = []
        for block in blocks:
            if abs(round(float(np.linalg.det(block)))) == 1:
                for sign in (1, -1):
                    full = np.zeros((3, 3), np.int64)
                    full[np.ix_((0, 2), (0, 2))] = block
                    full[1, 1] = sign
                    matrices.append(full)
        return matrices
    every = np.array(list(product((-1, 0, 1), repeat=9)), dtype=np.int64).reshape(-1, 3, 3)
    return list(every[np.abs(np.rint(np.linalg.det(every))) == 1])


def translations_for(linear: np.ndarray, source: Operations, target: Operations, polar: np.ndarray) -> np.ndarray:
    """All w on the grid such that (linear, w) carries one group onto another, zero along floating axes.

    For every operation (R, t) of the source, (W, w)(R, t)(W, w)^-1 = (R', W t + w - R' w) must be in the target.
    """
    rotations, shifts = source
    inverse = np.rint(np.linalg.inv(linear)).astype(np.int64)
    conjugated = linear @ rotations @ inverse
    lookup: dict[bytes, list[np.ndarray]] = {}
    for rotation, shift in zip(*target, strict=True):
        lookup.setdefault(rotation.tobytes(), []).append(shift)
    if any(r.tobytes() not in lookup for r in conjugated):
        return np.empty((0, 3), np.int64)
    grid = _GRID[(_GRID[:, polar == 1] == 0).all(axis=1)]
    for rotation, shift in zip(conjugated, shifts @ linear.T, strict=True):
        allowed = np.array(lookup[rotation.tobytes()])
        moved = (shift + grid - grid @ rotation.T) % 24
        fits = (moved[:, None, :] == allowed[None]).all(axis=2).any(axis=1)
        grid = grid[fits]
        if not len(grid):
            break
    return grid


def relabelling(linear: np.ndarray, shift: np.ndarray, ops: Operations, positions: list[Position]) -> list[int]:
    """Where a normalizer operation sends each position."""
    return [carried_to(linear @ p.linear, linear @ p.origin + shift, p, ops, positions) for p in positions]


def carried_to(
    linear: np.ndarray, origin: np.ndarray, source: Position, ops: Operations, targets: list[Position]
) -> int:
    """Index of the position, alike in multiplicity and freedom, on which an affine subspace lies."""
    rotations, shifts = ops
    for index, target in enumerate(targets):
        if (target.multiplicity, target.freedom) != (source.multiplicity, source.freedom):
            continue
        rows = target.inverse[target.freedom :]
        flat = (rows @ (rotations @ linear) == 0).all(axis=(1, 2))
        offset = ((rotations @ origin + shifts - target.origin) @ rows.T) % 24 == 0
        if (flat & offset.all(axis=1)).any():
            return index
    raise SystemExit("a normalizer operation carries a position to none of the group's")


def closure(permutations: set[tuple[int, ...]]) -> np.ndarray:
    """Closes a set of permutations under multiplication; identity first, the others in lexicographic order."""
    found = set(permutations)
    frontier = set(permutations)
    while frontier:
        new = {tuple(p[i] for i in q) for p in frontier for q in permutations} - found
        found |= new
        frontier = new
    identity = tuple(range(len(next(iter(found)))))
    return np.array([identity, *sorted(found - {identity})], dtype=np.int64)


def keeps_generic_metric(number: int, linear: np.ndarray) -> bool:
    """Whether a matrix is an isometry of the generic cell of the crystal family."""
    gram = generic_gram(number)
    return bool(np.allclose(linear.T @ gram @ linear, gram))


def generic_gram(number: int) -> np.ndarray:
    """Metric tensor of a cell with nothing special beyond its crystal family."""
    a, b, c, d, e, f = 1.0, 1.37, 2.11, 0.13, 0.27, 0.41
    system = crystal_system(number)
    if system == 0:
        return np.array([[a, d, e], [d, b, f], [e, f, c]])
    if system == 1:
        return np.array([[a, 0, e], [0, b, 0], [e, 0, c]])
    if system == 2:
        return np.diag([a, b, c])
    if system == 3:
        return np.diag([a, a, c])
    if system == 6:
        return np.eye(3)
    return np.array([[a, -a / 2, 0], [-a / 2, a, 0], [0, 0, c]])


def keeps_reduced_cell(number: int, linear: np.ndarray) -> bool:
    """Whether a matrix is left over once the cell is reduced: isometries only, and all where no reduction is needed."""
    return crystal_system(number) > 1 or keeps_generic_metric(number, linear)


def coset_representatives(
    pairs: list[tuple[np.ndarray, np.ndarray]], ops: Operations, polar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One operation a coset N/G, identity first; translations along floating axes do not count."""
    rotations, shifts = ops
    fixed = polar == 0
    seen: set[bytes] = set()
    kept = []
    ordered = sorted(
        pairs,
        key=lambda p: (
            np.abs(p[0] - np.eye(3)).sum(),
            p[0].tolist() != np.eye(3).tolist(),
            p[1].sum(),
            p[1].tolist(),
            p[0].tolist(),
        ),
    )
    for linear, shift in ordered:
        key = np.concatenate([linear.ravel(), (shift * fixed) % 24]).tobytes()
        if key in seen:
            continue
        kept.append((linear, shift))
        products = np.concatenate(
            [(rotations @ linear).reshape(-1, 9), ((rotations @ shift + shifts) * fixed) % 24], axis=1
        )
        seen.update(row.tobytes() for row in products)
    return np.array([w for w, _ in kept]), np.array([t for _, t in kept])


def enantiomorph_map(
    number: int, ops: list[Operations], positions: list[list[Position]]
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray] | None:
    """The mirror image of a group that has no improper operation and is not its own image: (partner, letters, W, w)."""
    partner = _PARTNER.get(number)
    if partner is None:
        return None
    source, target = ops[number - 1], ops[partner - 1]
    polar = polar_axes(source)
    for linear in candidate_matrices(number):
        if round(float(np.linalg.det(linear))) == 1:
            continue
        shifts = translations_for(linear, source, target, polar)
        if len(shifts):
            sites = positions[number - 1]
            letters = [
                carried_to(linear @ p.linear, linear @ p.origin + shifts[0], p, target, positions[partner - 1])
                for p in sites
            ]
            return partner, np.array(letters, np.int8), linear.astype(np.int8), shifts[0].astype(np.int8)
    raise SystemExit(f"group {number} has no improper map to {partner}")


_PAIRS = (
    (76, 78),
    (91, 95),
    (92, 96),
    (144, 145),
    (151, 153),
    (152, 154),
    (169, 170),
    (171, 172),
    (178, 179),
    (180, 181),
    (212, 213),
)
_PARTNER = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
