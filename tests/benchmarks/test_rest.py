"""Energies of crystals as drawn and at rest: what a picture of them says, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks import quality_rest
from benchmarks.core import Skipped


def test_a_histogram_counts_what_is_beyond_it():
    figure = quality_rest._histogram(np.array([0.0, 0.05, 2.0, np.inf]), np.array([0.0, 0.02, 0.03, 0.5]))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["as drawn, 50% up to 0.1; 2 beyond", "at rest, 75% up to 0.1"]


def test_a_model_of_genes_is_not_asked_for_crystals(tiny):
    with pytest.raises(Skipped, match="draws genes without geometry"):
        list(quality_rest.at_rest(dataclasses.replace(tiny, crystal_model="tiny")))
