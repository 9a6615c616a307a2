"""Starts of trials: shapes from the template, free parameters at random, the best of several by the cheap energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aristotype.realize._minimise import cheap_energies
from aristotype.realize._random import stream
from aristotype.realize._shapes import drawn_shapes, shape_limits
from aristotype.realize._solve import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aristotype.realize._atoms import Atoms, Floats
    from aristotype.realize._minima_config import MinimaConfig

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


def screened(
    atoms: Atoms, keys: NDArray[np.uint64], letters: Sequence[bytes], volume: Floats, config: MinimaConfig
) -> tuple[Atoms, Geometry]:
    """The start of lowest cheap energy of each trial, `trials` a gene."""
    starts = drawn(atoms, keys, letters, volume, config)
    trials = atoms.take(np.repeat(np.arange(len(atoms)), config.trials))
    if config.screened == 1:
        return trials, starts
    many = atoms.take(np.repeat(np.arange(len(atoms)), config.trials * config.screened))
    energy = cheap_energies(many, starts)
    best = energy.reshape(-1, config.screened).argmin(axis=1) + config.screened * np.arange(len(trials))
    return trials, starts.take(many, best)
