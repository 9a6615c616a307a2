"""Starts that a source proposes, for example a model of crystals, in place of random ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aristotype.crystal import CrystalTable, described_as
from aristotype.realize._geometry import geometry_of

if TYPE_CHECKING:
    from aristotype.crystal import Proposal
    from aristotype.realize._atoms import Ints
    from aristotype.realize._minima_config import MinimaConfig
    from aristotype.realize._solve import Geometry

_SEEDS = 1 << 63
"""Seeds of sources are from 0 to below this number."""


class Proposed(NamedTuple):
    """Starts for some genes: which of the `trials * screened` starts a gene, gene after gene, and their geometry."""

    places: Ints  # (k,)
    geometry: Geometry  # of the genes of these starts


def proposed(source: Proposal, genes: CrystalTable, seed: int, config: MinimaConfig) -> Proposed:
    """The first starts of every trial from a source; where it gives nothing, starts stay random.

    Args:
        source: is asked for rows named `<id>/<trial>.<start>`, so that it can draw each anew.
        genes: n genes.
        seed: of the search.
        config: settings.

    Raises:
        TableError: the source gives a crystal of another gene.
    """
    each = math.ceil(config.proposed * config.screened)
    trial, start = (grid.reshape(-1) for grid in np.mgrid[: config.trials, :each])
    row = np.repeat(np.arange(len(genes)), len(trial))
    names = [f"{name}/{t}.{s}" for name in genes.ids for t, s in zip(trial.tolist(), start.tolist(), strict=True)]
    place = row * config.trials * config.screened + np.tile(trial * config.screened + start, len(genes))
    asked = genes.genes().take(row)
    given = source(CrystalTable.from_genes(asked, names), seed=seed % _SEEDS)
    number = {name: index for index, name in enumerate(names)}
    kept = np.array([number[name] for name in given.ids], np.int64)
    _, geometry = geometry_of(described_as(given, asked.take(kept)))
    return Proposed(place[kept], geometry)
