"""Sequences of equal numbers of sites as tensors, and noise on the coordinates of those that have any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aristotype.models.wyckoff_augen._atoms import primitive_atoms
from aristotype.models.wyckoff_augen._balance import END, balances_along
from aristotype.models.wyckoff_augen._rules import allowed_of
from aristotype.models.wyckoff_augen._sequences import Descriptions, of_length
from aristotype.models.wyckoff_augen.diffusion._bound import Noises, learnt_noises
from aristotype.models.wyckoff_augen.diffusion._config import WyckoffAugenConfig
from aristotype.models.wyckoff_augen.diffusion._frames import Frame, Frames, frame_of, joined
from aristotype.models.wyckoff_augen.diffusion._graph import Graph, graph_of
from aristotype.models.wyckoff_augen.diffusion._kernel import pull, shaken
from aristotype.models.wyckoff_augen.diffusion._sequence_network import Sequences, told

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


def sequences_of(
    found: Descriptions, index: Ints, vocabulary: tuple[int, ...], max_sites: int, hints: Sequence[Hints] | None = None
) -> dict[str, Tensor]:
    """The fields of `Sequences` for descriptions of one number of sites.

    Args:
        found: n descriptions without padding.
        index: (128,) place of each element in the vocabulary.
        vocabulary: atomic numbers.
        max_sites: most sites of a crystal.
        hints: n of them; None where they are to be found out.
    """
    group = found.genes.space_group.astype(np.int64)
    letters = found.genes.wyckoffs.astype(np.int64)
    elements = index[found.genes.elements]
    allowed = allowed_of(group, letters, elements, len(vocabulary), max_sites)
    known = [hints_at(found, row, index, vocabulary) for row in range(len(group))] if hints is None else hints
    by_letter = np.stack([one.letters for one in known])
    arrays = {
        "group": group,
        "wyckoffs": letters,
        "elements": elements,
        "atoms": primitive_atoms(found.genes.space_group, found.genes.wyckoffs).astype(np.float32),
        "space": allowed.space,
        "cell": found.cell.astype(np.float32),
        "acute": found.acute,
        "letters_allowed": allowed.letters,
        "elements_allowed": allowed.elements,
        "letters_balance": by_letter.astype(np.float32),
        "elements_balance": np.stack([one.elements for one in known]).astype(np.float32),
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    balanced = tensors["letters_balance"][:, :, END, 0]
    return {**tensors, "told": _told(tensors["atoms"], tensors["elements"], tensors["space"], balanced)}


class Hints(NamedTuple):
    """Which letters, with some element, and which elements would balance (see `_balance`)."""

    letters: NDArray[np.bool_]  # (S + 1, 28, DEPTH)
    elements: NDArray[np.bool_]  # (S, E, DEPTH)


def hints_at(found: Descriptions, row: int, index: Ints, vocabulary: tuple[int, ...]) -> Hints:
    """Those of a description without padding."""
    one = slice(row, row + 1)
    group, letters = found.genes.space_group[one], found.genes.wyckoffs[one]
    elements = index[found.genes.elements[one]]
    space = np.zeros((1, len(vocabulary)), bool)
    space[0, elements[0]] = True
    atoms = primitive_atoms(group, letters)
    every = balances_along(group.astype(np.int64), space, elements, atoms, vocabulary)[0]
    return Hints(every.any(axis=2), every[np.arange(letters.shape[1]), letters[0].astype(np.int64)])


def _told(atoms: Tensor, elements: Tensor, space: Tensor, balanced: Tensor) -> Tensor:
    """(n, S + 1, TOLD) what is told before each site and after the last."""
    sites = torch.arange(atoms.shape[1] + 1.0).expand(len(atoms), -1)
    seen = functional.one_hot(elements, space.shape[1]).cumsum(dim=1) > 0
    unused = space.sum(dim=1, keepdim=True) - functional.pad(seen.sum(dim=2), (1, 0))
    return told(sites, functional.pad(atoms.cumsum(dim=1), (1, 0)), unused, balanced)


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
    config: WyckoffAugenConfig,
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
    some: Descriptions, frames: Sequence[Frame], elements: Ints, config: WyckoffAugenConfig, rng: np.random.Generator
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
    found: Descriptions, index: Ints, config: WyckoffAugenConfig, seed: int
) -> Callable[[Ints, float], Batch]:
    """What makes training batches, from rows of one length (see `CrystalSource`).

    Noise is drawn by a generator of the rows. What stays of a crystal is kept, some 10 kB each.
    """
    known: dict[int, tuple[Frame, Hints]] = {}

    def make(rows: Ints, mean_rows: float) -> Batch:
        rng = np.random.default_rng([seed, len(rows), *rows[:8].tolist()])
        some = of_length(found, rows)
        for place, row in enumerate(rows.tolist()):
            if row not in known:
                known[row] = frame_at(some, place), hints_at(some, place, index, config.elements)
        frames, hints = zip(*(known[row] for row in rows.tolist()), strict=True)
        return Batch(
            **sequences_of(some, index, config.elements, config.max_sites, hints),
            noised=noised_to_learn(some, frames, index[some.genes.elements], config, rng),
            rows=torch.from_numpy(some.owner),
            mean_rows=mean_rows,
        )

    return make
