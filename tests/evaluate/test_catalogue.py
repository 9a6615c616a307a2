"""Every metric of structures has a definition."""

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
    described,
    distribution_metrics,
    fidelity_metrics,
    fingerprint_metrics,
    symmetry_metrics,
    validity,
    validity_metrics,
)
from tests.evaluate.crystals import random_crystals


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


def test_every_metric_has_a_definition():
    assert set(every_metric()) <= set(METRICS)


def test_entries_can_be_written_and_read():
    entries = described({name: (value, 3) for name, value in every_metric().items()}, notes := [])
    assert not notes
    assert json.loads(json.dumps(entries)) == entries
    for entry in entries.values():
        assert list(entry) == ["value", "low", "high", "n", "unit", "what"]
        assert entry["n"] == 3 and "\n" not in entry["what"]


def test_a_metric_without_a_definition_is_refused():
    with pytest.raises(UnknownNameError, match="no definition of sharpness"):
        described({"sharpness": (Interval(value=1.0), 1)}, [])


def test_what_is_no_number_is_left_out_and_told():
    notes: list[str] = []
    assert described({"valid": (Interval(value=np.nan), 3)}, notes) == {}
    assert notes == ["valid cannot be computed from these structures and is left out."]
