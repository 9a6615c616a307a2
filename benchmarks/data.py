"""Data and models for the benchmarks, each read once a run; what is not at hand skips the benchmark with a reason."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from aristotype.crystal import CrystalTable
from aristotype.discover import draws_geometry
from aristotype.errors import AristotypeError
from benchmarks.core import Clock, Context, Skipped

DATASET = "mp_20"


def split(context: Context, name: str, dataset: str = DATASET) -> CrystalTable:
    """A split of a dataset, encoded at 0.1 Angstrom.

    Raises:
        Skipped: it is not at hand.
    """
    return _split(data_folder(context), dataset, name)


def data_folder(context: Context) -> Path:
    """The folder with data files.

    Raises:
        Skipped: none was given, or it does not exist.
    """
    if context.data is None:
        raise Skipped("it needs data, and there is no data folder: give --data DIR or set ARISTOTYPE_DATA")
    if not context.data.is_dir():
        raise Skipped(f"it needs data, and {context.data} is no folder: correct --data or ARISTOTYPE_DATA")
    return context.data


@lru_cache(maxsize=8)
def _split(folder: Path, dataset: str, name: str) -> CrystalTable:
    from aristotype.datasets import load_dataset

    try:
        return load_dataset(dataset, name, source=folder)
    except AristotypeError as error:
        raise Skipped(f"the {name} split of {dataset} could not be read: {error}") from error


def random_rows(table: CrystalTable, count: int, seed: int) -> CrystalTable:
    """At most `count` random rows, in their order."""
    rows = np.random.default_rng(seed).permutation(len(table))[:count]
    return table.take(np.sort(rows))


@lru_cache(maxsize=4)
def model(name: str) -> Any:
    """A model by shipped name or checkpoint folder.

    Raises:
        Skipped: there is none of that name, or it cannot be read.
    """
    try:
        from aristotype.models import load

        return load(name)
    except (AristotypeError, ImportError) as error:
        raise Skipped(f"the model {name} could not be loaded: {error}") from error


@lru_cache(maxsize=2)
def encoder(name: str) -> Any:
    """A gene encoder by shipped name or checkpoint folder.

    Raises:
        Skipped: there is none of that name, or it cannot be read.
    """
    from aristotype.models import load_encoder

    try:
        return load_encoder(name)
    except AristotypeError as error:
        raise Skipped(f"the encoder {name} could not be loaded: {error}") from error


def crystal_model(context: Context) -> Any:
    """The model of crystals that was asked for.

    Raises:
        Skipped: as for `model`, or it draws genes without geometry.
    """
    found = model(context.crystal_model)
    if not draws_geometry(found):
        raise Skipped(f"the model {context.crystal_model} draws genes without geometry")
    return found


def composed_model(context: Context) -> Any:
    """The model of crystals that was asked for, one that stands on a gene model.

    Raises:
        Skipped: as for `crystal_model`, or it has no gene model.
    """
    found = crystal_model(context)
    if not hasattr(found, "genes"):
        raise Skipped(
            f"the model {context.crystal_model} draws genes and geometry at once; take the default configuration"
        )
    return found


@lru_cache(maxsize=2)
def sampled(name: str, count: int, seed: int) -> tuple[CrystalTable, Clock]:
    """Unconditional genes of a model, drawn once a run, and what they cost.

    Raises:
        Skipped: as for `model`.
    """
    generator = model(name)
    generator.sample(64, None, seed=seed + 1, score=False)  # memory is reserved and caches are filled
    with Clock() as clock:
        table = generator.sample(count, None, seed=seed, score=False)
    return table, clock
