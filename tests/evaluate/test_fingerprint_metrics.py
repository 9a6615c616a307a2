"""All metrics of fingerprints at once: those of the parts, and rows that have none."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.errors import InputError
from aristotype.evaluate import (
    Scaler,
    central_moment_discrepancy,
    coverage,
    fingerprint_metrics,
    mean_pairwise_distance,
)


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    structures, theirs = rng.uniform(0, 1, (12, 4)), rng.uniform(0, 1, (9, 4))
    return structures, rng.normal(50, 20, (12, 6)), theirs, rng.normal(60, 10, (9, 6))


def test_metrics_are_those_of_the_parts(sets):
    structures, compositions, theirs, others = sets
    scaler = Scaler.fit(others)
    metrics = fingerprint_metrics(*sets, scaler=scaler, composition_cutoff=3.0)
    parts = coverage(structures, scaler.transform(compositions), theirs, scaler.transform(others))
    assert {name: metrics[name] for name in metrics if name[:3] in ("cov", "ams", "amc")} == parts.metrics(
        composition_cutoff=3.0
    )
    assert metrics["cmd"].value == central_moment_discrepancy(structures, theirs)
    assert metrics["structural_diversity"].value == mean_pairwise_distance(structures)
    assert metrics["compositional_diversity"].value == mean_pairwise_distance(scaler.transform(compositions))


def test_a_structure_without_a_fingerprint_is_near_nothing_and_in_no_mean(sets):
    structures, compositions, theirs, others = sets
    scaler = Scaler.fit(others)
    base = fingerprint_metrics(*sets, scaler=scaler)
    more = fingerprint_metrics(
        np.vstack([structures, np.full((12, 4), np.nan)]),
        np.vstack([compositions, np.full((12, 6), np.nan)]),
        np.vstack([theirs, np.full((1, 4), np.nan)]),
        np.vstack([others, others[:1]]),
        scaler=scaler,
        submitted=48,
    )
    assert more["cov_precision"].value == pytest.approx(base["cov_precision"].value / 4)
    assert more["cov_recall"].value == pytest.approx(base["cov_recall"].value * 9 / 10)
    for name in ("cmd", "structural_diversity", "compositional_diversity", "amsd_recall", "amcd_precision"):
        assert more[name].value == pytest.approx(base[name].value)


def test_sets_without_fingerprints_are_refused(sets):
    structures, compositions, theirs, others = sets
    with pytest.raises(InputError, match="at least 1"):
        fingerprint_metrics(np.full_like(structures, np.nan), compositions, theirs, others, scaler=Scaler.fit(others))
    with pytest.raises(InputError, match="at least 2"):
        fingerprint_metrics(structures[:1], compositions[:1], theirs, others, scaler=Scaler.fit(others))
