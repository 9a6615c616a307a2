"""Scores of crystals: exact for cells, letters and elements; a bound for coordinates."""

from __future__ import annotations

from math import lgamma
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import gene_keys
from aristotype.models.wyckoff_augen._score import in_passes
from aristotype.models.wyckoff_augen._sequences import Descriptions, Orders, runs_of
from aristotype.models.wyckoff_augen.diffusion._batches import frame_at, noised, sequences_of
from aristotype.models.wyckoff_augen.diffusion._bound import even_noises, strata
from aristotype.models.wyckoff_augen.diffusion._frames import joined, log_images
from aristotype.models.wyckoff_augen.diffusion._sequence_network import Sequences
from aristotype.training import to_device

if TYPE_CHECKING:
    from aristotype.models.wyckoff_augen.diffusion._config import WyckoffAugenConfig
    from aristotype.models.wyckoff_augen.diffusion._network import DiffusionNetwork

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WRITTEN = ("cell", "letters", "elements")
PARTS = (*WRITTEN, "coordinates")
_SITES_A_PASS = 600


def one_order(found: Descriptions) -> Orders:
    """Each description once, with the log of the number of orders of its sites of one kind, which are all alike."""
    count, most = found.free.shape[:2]
    orders = [sum(lgamma(len(run) + 1) for run in runs) for runs in runs_of(found.genes)]
    return Orders(np.arange(count), np.tile(np.arange(most), (count, 1)), np.array(orders, float))


def log_even(found: Descriptions) -> Floats:
    """(m,) log-densities of the coordinates of descriptions by the even law."""
    rows = zip(found.genes.space_group.tolist(), found.genes.wyckoffs.tolist(), strict=True)
    return np.array([log_images(number, tuple(w for w in letters if w >= 0)) for number, letters in rows], float)


@torch.no_grad()
def log_written(
    network: DiffusionNetwork, found: Descriptions, orders: Orders, index: Ints, config: WyckoffAugenConfig
) -> dict[str, Floats]:
    """Logs (q,) of the density of cells in Angstrom and degrees, of letters and of elements."""
    weight = network.sequence.element_bias

    def evaluate(some: Descriptions, rows: Orders) -> dict[str, Tensor]:
        tensors = sequences_of(some.take(rows.description), index, config.elements, config.max_sites)
        real = {name: one.to(weight.dtype) if one.is_floating_point() else one for name, one in tensors.items()}
        return network.log_prob(to_device(Sequences(**real), weight.device))

    out = in_passes(evaluate, WRITTEN, found, orders)
    out["cell"] += found.log_measure[orders.description]
    return out


@torch.no_grad()
def log_coordinates(
    network: DiffusionNetwork, found: Descriptions, index: Ints, config: WyckoffAugenConfig
) -> tuple[Floats, Floats]:
    """How much more likely coordinates (m,) are than by the even law, at least, and errors (m,) of that.

    It is estimated at `config.levels` noises, one in each of so many equal parts of their logarithm, from random
    numbers that depend on the gene alone. It is the same for every description of a crystal. The error is that of as
    many independent noises, and larger than that of the estimate.
    """
    frames = [frame_at(found, row) for row in range(len(found))]
    out, error = np.zeros((2, len(frames)))
    moving = np.array([row for row, frame in enumerate(frames) if frame.largest > 0], np.int64)
    seeds = [int.from_bytes(key[:8], "little") for key in gene_keys(found.genes).tolist()]
    sites = found.genes.num_sites[moving] * config.levels
    passes = np.array_split(moving, max(1, int(sites.sum()) // _SITES_A_PASS)) if len(moving) else []
    for rows in passes:
        if not len(rows):
            continue
        rngs = [np.random.default_rng(seeds[row]) for row in rows.tolist()]
        levels = np.concatenate([strata(config.levels, rng) for rng in rngs])
        each = np.repeat(rows, config.levels)
        together = joined([frames[row] for row in each.tolist()])
        counts = [len(frames[row].freedom) for row in rows.tolist()]
        normals = [rng.standard_normal((config.levels * n, 3)) for rng, n in zip(rngs, counts, strict=True)]
        here = [found.free[row, :n] for row, n in zip(rows.tolist(), counts, strict=True) for _ in range(config.levels)]
        kinds = [index[found.genes.elements[row, : len(frames[row].freedom)]] for row in each.tolist()]
        batch = noised(
            together,
            np.concatenate(kinds),
            np.concatenate(here),
            even_noises(together, config.smallest_noise, levels),
            np.concatenate(normals),
            each,
            config,
        )
        found_here = network.bound(to_device(batch, network.sequence.element_bias.device)).double().cpu().numpy()
        by_level = found_here.reshape(len(rows), config.levels) - together.log_images.reshape(len(rows), -1)
        out[rows], error[rows] = by_level.mean(axis=1), by_level.std(axis=1) / np.sqrt(config.levels)
    return out, error
