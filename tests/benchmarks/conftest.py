"""A tiny model and tiny splits in the place of the shipped ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aristotype.models
from aristotype.crystal import Conditions, CrystalTable, GeneBatch
from aristotype.errors import InputError, UnknownNameError
from aristotype.symmetry import space_group
from benchmarks import data
from benchmarks.core import Context

# Rock salt, fluorite, perovskite, rutile, LiFePO4, one in P1, one with two free sites.
GENES = GeneBatch.from_lists(
    [225, 225, 221, 136, 62, 1, 62],
    [[11, 17], [20, 9], [38, 22, 8], [22, 8], [3, 26, 15, 8, 8, 8], [3, 8], [12, 8]],
    [[0, 1], [0, 2], [1, 0, 2], [0, 5], [0, 2, 2, 2, 2, 3], [0, 0], [2, 3]],
)


class TinyModel:
    """Repeats a handful of genes: unconditional ones in turn, else the ones that meet the conditions."""

    UNKNOWN = 94

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = True) -> CrystalTable:
        rows = np.arange(len(GENES))
        if conditions is not None and conditions.space_groups and not conditions.formula:
            (number,) = conditions.space_groups
            general = len(space_group(number).positions) - 1
            return CrystalTable.from_genes(GeneBatch.from_lists([number] * n, [[8]] * n, [[general]] * n))
        if conditions is not None and conditions.formula:
            wanted = {number for number, _ in conditions.formula}
            rows = np.array([row for row in rows if set(GENES.elements[row][GENES.elements[row] > 0]) == wanted], int)
        if not len(rows):
            return CrystalTable.from_genes(GENES.take(rows))
        return CrystalTable.from_genes(GENES.take(rows[(seed + np.arange(n)) % len(rows)]))

    def log_prob(self, table: CrystalTable) -> np.ndarray:
        genes = table.genes()
        if (genes.elements == self.UNKNOWN).any():
            raise InputError("an element outside the vocabulary")
        return -2.0 * genes.num_sites.astype(float)


def load(name: str) -> TinyModel:
    if name != "tiny":
        raise UnknownNameError(f"there is no model {name!r}")
    return TinyModel()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Context:
    """A context whose model and splits are tiny."""
    splits = {"train": slice(0, 4), "val": slice(0, 7), "test": slice(2, 7)}
    monkeypatch.setattr(aristotype.models, "load", load)
    monkeypatch.setattr(data, "_split", lambda folder, dataset, name: CrystalTable.from_genes(GENES)[splits[name]])
    for cached in (data.model, data.sampled):
        cached.cache_clear()
    yield Context(
        data=tmp_path, model="tiny", paper_model="tiny", mpts_model="tiny", genes=50, images=tmp_path / "images"
    )
    for cached in (data.model, data.sampled):
        cached.cache_clear()
