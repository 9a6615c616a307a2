"""Every metric of structures has a definition, and every definition a metric."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aristotype.crystal import CrystalTable
from aristotype.errors import UnknownNameError
from aristotype.evaluate import (
    METRICS,
    Interval,
    Scaler,
    distribution_metrics,
    fidelity_metrics,
    fingerprint_metrics,
    summary_entries,
    symmetry_metrics,
    validity,
    validity_metrics,
)
from tests.evaluate.crystals import random_crystals

SINGLE = {"vendi", "frechet"}
"""Those of functions that give one number."""


def every_metric() -> dict[str, Interval]:
    table = random_crystals(0, (2, 62, 225))
    genes = CrystalTable.from_genes(table.genes())
    rows = np.eye(3)
    return {
        **validity_metrics(validity(table)),
        **fidelity_metrics(genes, table, table),
        **symmetry_metrics(table.genes(), table.genes(), resamples=5),
        **distribution_metrics(table, table, resamples=5),
        **fingerprint_metrics(rows, rows, rows, rows, scaler=Scaler.fit(rows)),
    }


def test_metrics_and_definitions_are_the_same_set():
    assert set(every_metric()) | SINGLE == set(METRICS)


def test_entries_can_be_written_and_read():
    entries = summary_entries(every_metric(), 3)
    assert json.loads(json.dumps(entries)) == entries
    for entry in entries.values():
        assert list(entry) == ["value", "low", "high", "n", "unit", "what"]
        assert entry["n"] == 3 and "\n" not in entry["what"]


def test_a_metric_without_a_definition_is_refused():
    with pytest.raises(UnknownNameError, match="no definition of sharpness"):
        summary_entries({"sharpness": Interval(value=1.0)}, 1)
