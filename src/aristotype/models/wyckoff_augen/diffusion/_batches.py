"""Sequences of equal numbers of sites as tensors, and noise on the coordinates of those that have any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.models.wyckoff_augen._arrays import cell_features, told_of
from aristotype.models.wyckoff_augen._batches import allowed_of, of_length
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders
from aristotype.models.wyckoff_augen.diffusion._bound import Noises, learnt_noises
from aristotype.models.wyckoff_augen.diffusion._config import DiffusionConfig
from aristotype.models.wyckoff_augen.diffusion._frames import Frame, Frames, frame_of, joined
from aristotype.models.wyckoff_augen.diffusion._graph import Graph, graph_of
from aristotype.models.wyckoff_augen.diffusion._kernel import pull, shaken
from aristotype.models.wyckoff_augen.diffusion._sequence_network import Sequences

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Noised:
    """m crystals with noise on their sites, and what is to be learnt of it."""

    graph: Graph
    target: Tensor  # (N, 3) noise times the gradient of the log of the law of noisy coordinates
    weight: Tensor  # (m,) one over the density of the logarithm of the noise
    log_images: Tensor  # (m,) log-density of the even law
    row: Tensor  # (m,) which crystal of the batch it is


@dataclass(frozen=True, kw_only=True)
class Batch(Sequences):
    """n sequences of S sites each, those with coordinates with noise on them."""

    noised: Noised | None  # None where nothing moves
    rows: Tensor  # (n,) of the training table
    mean_rows: float = 1.0  # sequences of an average batch

    def describe(self) -> str:
        """Rows of the training table, for error messages."""
        shown = ", ".join(str(row) for row in self.rows[:8].tolist())
        more = " ..." if len(self.rows) > 8 else ""
        return f"rows {shown}{more} ({len(self.rows)} crystals of {self.wyckoffs.shape[1]} sites)"


def sequences_of(found: Descriptions, index: Ints, max_sites: int) -> dict[str, Tensor]:
    """The fields of `Sequences` for descriptions of one number of sites.

    Args:
        found: n descriptions without padding.
        index: (128,) place of each element in the vocabulary.
        max_sites: most sites of a crystal.
    """
    group = found.genes.space_group.astype(np.int64)
    letters = found.genes.wyckoffs.astype(np.int64)
    elements = index[found.genes.elements]
    allowed = allowed_of(group, letters, elements, int(index.max()) + 1, max_sites)
    count, length = letters.shape
    orders = Orders(np.arange(count), np.tile(np.arange(length), (count, 1)), np.zeros(count))
    arrays = {
        "group": group,
        "wyckoffs": letters,
        "elements": elements,
        "cell_features": cell_features(found.cell, found.lattice),
        "told": told_of(found, orders),
        "space": allowed.space,
        "cell": found.cell.astype(np.float32),
        "acute": found.acute,
        "letters_allowed": allowed.letters,
        "elements_allowed": allowed.elements,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def frame_at(found: Descriptions, row: int) -> Frame:
    """The frame of a description."""
    letters = [letter for letter in found.genes.wyckoffs[row].tolist() if letter >= 0]
    return frame_of(int(found.genes.space_group[row]), letters, found.lattice[row])


def noised(
    frames: Frames,
    elements: Ints,
    free: Floats,
    noises: Noises,
    normals: Floats,
    rows: Ints,
    config: DiffusionConfig,
) -> Noised:
    """Crystals with noise.

    Args:
        frames: of m crystals with N sites.
        elements: (N,) indices in the vocabulary.
        free: (N, 3) parameters.
        noises: of the m crystals.
        normals: (N, 3) standard normal numbers.
        rows: (m,) what `Noised.row` says.
        config: cutoff and neighbours.
    """
    moved = shaken(frames, free, noises.noise, normals)
    noise = noises.noise[frames.crystal]
    law = pull(frames, free, moved, np.where(noise < frames.flat, noise, 0.0))
    return Noised(
        graph=graph_of(frames, elements, moved, noises.noise, config.cutoff, config.neighbours),
        target=torch.from_numpy(law.score.astype(np.float32)),
        weight=torch.from_numpy(noises.weight.astype(np.float32)),
        log_images=torch.from_numpy(frames.log_images.astype(np.float32)),
        row=torch.from_numpy(rows),
    )


def noised_to_learn(
    some: Descriptions, frames: Sequence[Frame], elements: Ints, config: DiffusionConfig, rng: np.random.Generator
) -> Noised | None:
    """Those of n descriptions that have something that moves, at noises to learn from."""
    moving = np.array([row for row, frame in enumerate(frames) if frame.largest > 0], np.int64)
    if not len(moving):
        return None
    together = joined([frames[row] for row in moving.tolist()])
    normals = rng.standard_normal((len(together.crystal), 3))
    noises = learnt_noises(together, config.smallest_noise, rng)
    free = some.free[moving].reshape(-1, 3)
    return noised(together, elements[moving].ravel(), free, noises, normals, moving, config)


def maker_of_batches(
    found: Descriptions, index: Ints, config: DiffusionConfig, seed: int
) -> Callable[[Ints, float], Batch]:
    """What makes training batches, from rows of one length (see `CrystalSource`).

    Noise is drawn by a generator of the rows. What stays of a crystal is kept, some 10 kB each.
    """
    known: dict[int, Frame] = {}

    def make(rows: Ints, mean_rows: float) -> Batch:
        rng = np.random.default_rng([seed, len(rows), *rows[:8].tolist()])
        some = of_length(found, rows)
        for place, row in enumerate(rows.tolist()):
            if row not in known:
                known[row] = frame_at(some, place)
        frames = [known[row] for row in rows.tolist()]
        return Batch(
            **sequences_of(some, index, config.max_sites),
            noised=noised_to_learn(some, frames, index[some.genes.elements], config, rng),
            rows=torch.from_numpy(some.owner),
            mean_rows=mean_rows,
        )

    return make
