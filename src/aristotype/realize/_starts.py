"""Starts of trials: shapes from the template, free parameters at random, the best of several by the cheap energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aristotype.realize._minimise import cheap_energies, minimise
from aristotype.realize._random import stream
from aristotype.realize._shapes import drawn_shapes, shape_limits
from aristotype.realize._solve import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aristotype.realize._atoms import Atoms, Floats, Ints
    from aristotype.realize._minima_config import MinimaConfig
    from aristotype.realize._proposed import Proposed

_PURPOSE = 1 << 33
"""Streams of random numbers from here on are for these starts, one a trial."""


def drawn(
    atoms: Atoms, keys: NDArray[np.uint64], letters: Sequence[bytes], volume: Floats, config: MinimaConfig
) -> Geometry:
    """Random starts, `trials * screened` a gene; trial i of a gene is the same however many trials there are.

    Args:
        atoms: of n genes.
        keys: (n, 2) of the genes' random streams.
        letters: n keys of templates, see `letter_keys`.
        volume: (n,) expected volumes of the conventional cells.
        config: settings.
    """
    trials, each = config.trials, config.screened
    sites = np.bincount(atoms.site_row, minlength=len(atoms))
    shape, spread, free = np.empty((len(atoms), trials * each, 6)), np.empty((len(atoms), trials * each)), []
    for row, (width, key) in enumerate(zip(sites.tolist(), letters, strict=True)):
        normal, choice = np.empty((trials, each, 7)), np.empty((trials, each))
        for trial in range(trials):
            generator = stream(keys[row], _PURPOSE + trial)
            normal[trial] = generator.standard_normal((each, 7))
            choice[trial] = generator.random(each)
            free.append(generator.random((each, width, 3)).reshape(-1, 3))
        flat = normal.reshape(-1, 7)
        shape[row] = drawn_shapes(int(atoms.group[row]), key, flat[:, :6], choice.reshape(-1))
        spread[row] = np.exp(config.volume_spread * flat[:, 6])
    low, high = shape_limits(np.repeat(atoms.group, trials * each))
    return Geometry(
        shape=np.clip(shape.reshape(-1, 6), low, high),
        volume=(volume[:, None] * spread).reshape(-1),
        free=np.concatenate([np.zeros((0, 3)), *free]),
    )


def heats(
    atoms: Atoms,
    keys: NDArray[np.uint64],
    letters: Sequence[bytes],
    volume: Floats,
    config: MinimaConfig,
    *,
    held: bool,
    others: Proposed | None = None,
) -> tuple[Atoms, Geometry, NDArray[np.bool_]]:
    """The start of each trial, `trials` a gene: the best of several after a look, and after a short descent.

    Args:
        atoms: of n genes.
        keys: as in `drawn`.
        letters: as in `drawn`.
        volume: as in `drawn`.
        config: settings.
        held: whether shapes of cells stay as they are.
        others: starts that take the place of random ones.

    Returns:
        the trials, their starts, and which of them (n * trials,) are from `others`.
    """
    starts = drawn(atoms, keys, letters, volume, config)
    many = _repeated(atoms, config.trials * config.screened)
    given = np.zeros(len(many), bool)
    if others is not None:
        starts.put(many, others.places, others.geometry)
        given[others.places] = True
    if config.raced < config.screened:
        best = _best(cheap_energies(many, starts), config.screened, config.raced)
        starts, given = starts.take(many, best), given[best]
        many = _repeated(atoms, config.trials * config.raced)
    if config.raced > 1:
        ends = minimise(many, starts, config.heat, held=held)
        best = _best(ends.energy, config.raced, 1)
        starts, given = ends.geometry.take(many, best), given[best]
        many = _repeated(atoms, config.trials)
    return many, starts, given


def _repeated(atoms: Atoms, times: int) -> Atoms:
    return atoms.take(np.repeat(np.arange(len(atoms)), times))


def _best(energy: Floats, of: int, kept: int) -> Ints:
    """Places of the `kept` lowest energies of each `of`, the lowest first."""
    order = np.argsort(energy.reshape(-1, of), axis=1, kind="stable")[:, :kept]
    return (order + of * np.arange(len(order))[:, None]).reshape(-1)
