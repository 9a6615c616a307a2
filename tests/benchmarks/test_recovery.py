"""The benchmark of recovery on three crystals that are well known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aristotype.crystal import CrystalTable
from benchmarks import published, quality_recovery
from benchmarks.core import Context
from tests.realize.structures import perovskite, pyrite, rutile, spinel


def test_every_number_of_free_coordinates_has_one_class_and_a_published_share():
    numbers = np.arange(100)
    inside = [(numbers >= low) & (numbers <= high) for low, high, _ in quality_recovery.CLASSES]
    assert (np.sum(inside, axis=0) == 1).all()
    assert {name for _, _, name in quality_recovery.CLASSES} == set(published.RECOVERED)


@pytest.mark.slow
def test_known_crystals_are_found_again(monkeypatch):
    """One trial each; the train part holds the template of one of them, with other elements."""
    splits = {
        "val": CrystalTable.concatenate([rutile("r", 22, 8), pyrite("p"), spinel("s"), perovskite("g", 64, 26)]),
        "train": CrystalTable.concatenate([rutile("other", 50, 8), pyrite("same")]),
    }
    monkeypatch.setattr(quality_recovery, "split", lambda context, name: splits[name])
    monkeypatch.setattr(quality_recovery, "CLASSES", ((1, 2, "1-2"),))
    context = dataclasses.replace(Context(), per_class=10, trials=(1,))
    (alone,), (reused,) = quality_recovery.recovery(context), quality_recovery.recovery_known(context)
    searched, drawn = quality_recovery.recovery_model(context)
    for section in (alone, reused, searched):
        assert "| 1-2 | 1 | 3 | 1.00 (0.44-1.00) | 1.00 (0.44-1.00) |" in section.text
    assert "Reused from 1 crystals" in reused.text
    assert "crystalformer-mp20 proposes half" in searched.text
    assert "| 1-2 | 3 | " in drawn.text
