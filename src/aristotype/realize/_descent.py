"""Quasi-Newton descent of many structures side by side: one call of the potential moves them all.

Each structure has its own coordinates, inverse curvature and end; the potential sees those that still move, together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms as AseAtoms

    from aristotype.calculators import Prediction

Floats = NDArray[np.float64]
_CURVATURE = 20.0  # eV/Angstrom^2, of every coordinate before anything is known
_LEAST_CURVATURE = 1.0
_LONGEST = 0.25  # Angstrom that a coordinate may move in a step
_RISE = 1e-5  # eV/atom by which a step may raise the energy: single precision
_SHRINK = 0.35
_MOST_REJECTED = 8


class Coordinates(Protocol):
    """What may move in a structure: numbers in Angstrom, scaled so that all are about equally stiff."""

    start: Floats  # (k,)

    def structure(self, x: Floats) -> AseAtoms:
        """The structure at some coordinates."""
        ...

    def slope(self, x: Floats, found: Prediction) -> Floats:
        """(k,) derivatives of the energy."""
        ...

    def residual(self, x: Floats, found: Prediction) -> float:
        """Largest force that can be followed in eV/Angstrom, stress included as virial over the number of atoms."""
        ...


@dataclass(kw_only=True)
class Walker:
    """One structure on its way."""

    coordinates: Coordinates
    x: Floats
    atoms: int
    trial: Floats
    curvature: Floats
    found: Prediction | None = None
    first: float = np.nan  # energy in eV at the start
    slope: Floats = field(default_factory=lambda: np.zeros(0))
    steps: int = 0
    rejected: int = 0
    residual: float = np.inf
    seconds: float = 0.0
    end: str = ""  # one of `ENDS`, or a reason of failure; empty while it moves

    @property
    def sound(self) -> bool:
        """Whether there is a state to go on from."""
        return self.end in ENDS


ENDS = ("converged", "steps", "stuck", "seconds")
"""At rest; at a limit; no step lowered the energy any more."""
Evaluate = Callable[["Sequence[AseAtoms]"], "list[Prediction]"]
Refuse = Callable[["AseAtoms", "Prediction"], str]
"""Why a state is not physical, or nothing."""


def descend_together(
    problems: Sequence[Coordinates],
    evaluate: Evaluate,
    refusals: Sequence[Refuse],
    *,
    fmax: float,
    steps: int,
    seconds: float,
) -> list[Walker]:
    """Follows the forces of several structures to their minima.

    Args:
        problems: what may move in each.
        evaluate: energies, forces and stresses of several structures.
        refusals: for each, why a state is not physical. A step that leads to such a state is shortened.
        fmax: residual below which a structure is converged.
        steps: most evaluations of a structure.
        seconds: most time of a structure; a call counts for each by its atoms.
    """
    walkers = [
        Walker(
            coordinates=problem,
            x=problem.start,
            trial=problem.start,
            atoms=len(problem.structure(problem.start)),
            curvature=np.eye(len(problem.start)) * _CURVATURE,
        )
        for problem in problems
    ]
    moving = list(zip(walkers, refusals, strict=True))
    while moving:
        begin = time.perf_counter()
        structures = [walker.coordinates.structure(walker.trial) for walker, _ in moving]
        predictions = evaluate(structures)
        an_atom = (time.perf_counter() - begin) / sum(map(len, structures))
        for (walker, refuse), structure, found in zip(moving, structures, predictions, strict=True):
            walker.seconds += an_atom * walker.atoms
            walker.steps += 1
            _receive(walker, found, refuse(structure, found), fmax)
            if not walker.end and (walker.steps >= steps or walker.seconds > seconds):
                walker.end = "steps" if walker.steps >= steps else "seconds"
        moving = [pair for pair in moving if not pair[0].end]
    return walkers


def _receive(walker: Walker, found: Prediction, wrong: str, fmax: float) -> None:
    """Takes or refuses a step, and chooses the next one."""
    if walker.found is None and wrong:
        walker.end = wrong
        return
    if walker.found is not None and (wrong or found.energy > walker.found.energy + _RISE * walker.atoms):
        walker.rejected += 1
        walker.trial = walker.x + _SHRINK * (walker.trial - walker.x)
        if walker.rejected > _MOST_REJECTED:
            walker.end = wrong or "stuck"
        return
    slope = walker.coordinates.slope(walker.trial, found)
    if walker.found is None:
        walker.first = found.energy
    else:
        _learn(walker, walker.trial - walker.x, slope - walker.slope)
    walker.x, walker.found, walker.slope, walker.rejected = walker.trial, found, slope, 0
    walker.residual = walker.coordinates.residual(walker.x, found)
    if walker.residual < fmax or not len(walker.x):
        walker.end = "converged"
    else:
        walker.trial = walker.x + _step(walker)


def _learn(walker: Walker, moved: Floats, turned: Floats) -> None:
    """The update of Broyden, Fletcher, Goldfarb and Shanno; a negative curvature is learnt too, and followed down."""
    push = walker.curvature @ moved
    along, before = float(moved @ turned), float(moved @ push)
    least = 1e-8 * float(moved @ moved)
    if abs(along) > least and abs(before) > least:
        walker.curvature += np.outer(turned, turned) / along - np.outer(push, push) / before


def _step(walker: Walker) -> Floats:
    values, vectors = np.linalg.eigh(walker.curvature)
    step: Floats = -vectors @ ((vectors.T @ walker.slope) / np.maximum(np.abs(values), _LEAST_CURVATURE))
    longest = float(np.abs(step).max(initial=0.0))
    return step * (_LONGEST / longest) if longest > _LONGEST else step
