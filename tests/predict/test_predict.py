"""Predicted columns, and whether errors and coverage are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.errors import InputError, TableError, UnknownNameError
from aristotype.models import predictor_of
from aristotype.models.gene_encoder import GeneEncoder, GeneEncoderConfig
from aristotype.predict import coverage, errors_of, predict


@pytest.fixture
def encoder() -> GeneEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"width": 16, "heads": 2, "layers": 1, "elements": (11, 17)}
        return GeneEncoder(GeneEncoderConfig(**sizes, target="hardness", unit="GPa")).eval()


@pytest.fixture
def salts() -> CrystalTable:
    return CrystalTable.from_genes(GeneBatch.from_lists([225, 225], [[11, 17], [11, 35]], [[0, 1]] * 2))


def test_columns_are_those_of_the_property_and_null_where_nothing_is_known(encoder, salts):
    found = predict(salts, encoder)
    values, deviations = encoder.predict(salts.genes())
    assert found.column("hardness").to_pylist() == [values[0], None]  # bromine is not known
    assert found.column("hardness_std").to_pylist() == [deviations[0], None]
    assert deviations[0] > 0
    assert found.without_columns(["hardness", "hardness_std"]) == salts


def test_known_values_are_not_overwritten(encoder, salts):
    known = salts.with_columns(hardness=[1.0, 2.0])
    with pytest.raises(TableError, match="--as"):
        predict(known, encoder)
    assert predict(known, encoder, name="guess").column("hardness").to_pylist() == [1.0, 2.0]


def test_a_property_without_a_shipped_model_is_refused_with_the_command_that_trains_one():
    with pytest.raises(UnknownNameError, match="train property --target"):
        predictor_of("hardness")


def test_errors_are_means_over_rows_with_an_interval_around_them():
    rng = np.random.default_rng(0)
    known, noise = rng.normal(size=4000), rng.laplace(scale=0.5, size=4000)
    found = errors_of(known + noise, known)
    assert found.mae == pytest.approx(np.abs(noise).mean())
    assert found.rmse == pytest.approx(np.sqrt((noise**2).mean()))
    # Of a mean over n rows: 1.96 standard errors, and that of |Laplace| has the scale as its standard deviation.
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(4000), rel=0.15)
    assert found.low < found.mae < found.high


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_coverage_is_the_level_where_widths_are_right_and_only_there(factor):
    rng = np.random.default_rng(1)
    deviations = rng.uniform(0.1, 2.0, 20_000)
    known = rng.laplace(scale=deviations / np.sqrt(2))
    held = coverage(np.zeros(20_000), factor * deviations, known)
    for level, share in held.items():
        # P(|x| < -f s ln(1 - q)) = 1 - (1 - q)^f; the error of a share of 20,000 rows is below 0.0036.
        assert share == pytest.approx(1 - (1 - level) ** factor, abs=0.015)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(InputError, match="paired"):
        errors_of([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="not finite"):
        errors_of([np.nan], [1.0])
    with pytest.raises(InputError, match="positive"):
        coverage([1.0], [0.0], [1.0])
    with pytest.raises(InputError, match="between 0 and 1"):
        coverage([1.0], [1.0], [1.0], levels=(1.0,))
