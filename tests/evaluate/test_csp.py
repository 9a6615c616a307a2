"""Structure prediction: the definitions of the papers, written out with pymatgen, and their laws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aristotype.errors import InputError
from aristotype.evaluate import CSP_MATCHER, Matcher, csp_distances, csp_metrics
from tests.evaluate.disguises import disguised, families, random_cell, structure, table_of


def task(seed: int, targets: int = 8, tries: int = 3):
    """Truths of a few formulas, and predictions of each that go from good to hopeless."""
    rng = np.random.default_rng(seed)
    formulas = [[11, 17], [3, 3, 8], [22, 8, 8]]
    truths = [random_cell(rng, formulas[row % 3]) for row in range(targets)]
    owner = np.repeat(np.arange(targets), tries)
    predictions = [
        disguised(rng, truths[row], move=rng.uniform(0, 1.5), strain=rng.uniform(0, 0.5), size=1.1) for row in owner
    ]
    order = rng.permutation(len(owner))
    return [predictions[row] for row in order], truths, owner[order]


def values(distances) -> dict[str, float]:
    return {name: figure["value"] for name, figure in csp_metrics(distances).items()}


def test_figures_are_those_of_the_definitions_written_out():
    from pymatgen.analysis.structure_matcher import StructureMatcher

    predictions, truths, targets = task(seed=0)
    theirs = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)
    table = np.full((len(truths), len(predictions)), np.nan)
    for row, truth in enumerate(truths):
        for column, prediction in enumerate(predictions):
            answer = theirs.get_rms_dist(structure(prediction), structure(truth))
            table[row, column] = np.nan if answer is None else answer[0]
    own = np.where(targets == np.arange(len(truths))[:, None], table, np.nan)
    own_best, best = (np.nan_to_num(one, nan=np.inf).min(axis=1) for one in (own, table))
    found = values(csp_distances(predictions, truths, targets=targets))
    matched = own_best < np.inf
    assert 0 < matched.sum() < len(truths)
    assert found["match_rate"] == pytest.approx(matched.mean())
    assert found["rms"] == pytest.approx(own_best[matched].mean(), abs=1e-9)
    assert found["metre"] == pytest.approx((best < np.inf).mean())
    assert found["crmse"] == pytest.approx(np.minimum(best, 0.5).mean(), abs=1e-9)
    assert found["crmse_own"] == pytest.approx(np.minimum(own_best, 0.5).mean(), abs=1e-9)


def test_perfect_predictions_are_perfect():
    _, truths, _ = task(seed=1)
    found = values(csp_distances(truths, truths))
    shares = {name: value for name, value in found.items() if name.startswith(("match", "metre"))}
    assert len(shares) == 4 and set(shares.values()) == {1.0}
    others = [value for name, value in found.items() if name not in shares]
    np.testing.assert_allclose(others, 0, atol=1e-5)  # pymatgen ends its search at 1e-5


def test_more_predictions_never_match_less():
    predictions, truths, targets = task(seed=2)
    rates = [csp_distances(predictions, truths, targets=targets, k=k) for k in (1, 2, 3, None)]
    for fewer, more in pairwise(rates):
        for one, other in ((fewer.paired, more.paired), (fewer.everyone, more.everyone)):
            assert (np.nan_to_num(other, nan=np.inf) <= np.nan_to_num(one, nan=np.inf)).all()
    np.testing.assert_array_equal(rates[2].paired, rates[3].paired)
    assert np.isfinite(rates[0].paired).sum() < np.isfinite(rates[2].paired).sum()


def test_the_first_predictions_of_a_target_count():
    predictions, truths, targets = task(seed=3)
    chosen = [np.flatnonzero(targets == row)[0] for row in range(len(truths))]
    one = csp_distances(predictions, truths, targets=targets, k=1)
    other = csp_distances([predictions[row] for row in chosen], truths)
    np.testing.assert_array_equal(one.paired, other.paired)


def test_everyone_is_compared_whatever_the_targets():
    predictions, truths, targets = task(seed=4)
    one = csp_distances(predictions, truths, targets=targets)
    other = csp_distances(predictions[::-1], truths, targets=np.roll(targets, 5))
    np.testing.assert_allclose(one.everyone, other.everyone, rtol=0, atol=1e-9)
    matched = np.isfinite(one.paired)
    assert (one.everyone[matched] <= one.paired[matched]).all()


def test_one_structure_repeated_reaches_one_target():
    # Polymorphs of one formula: repeating one of them matches one target, however often it is given.
    rng = np.random.default_rng(5)
    truths: list = []
    while len(truths) < 5:
        cell = random_cell(rng, [22, 8, 8])
        if np.isnan(CSP_MATCHER.rms([cell], truths, [(0, row) for row in range(len(truths))])).all():
            truths.append(cell)
    distances = csp_distances([truths[4]] * 20, truths, targets=[row % 5 for row in range(20)])
    assert np.flatnonzero(np.isfinite(distances.everyone)).tolist() == [4]
    assert values(distances)["metre"] == pytest.approx(0.2)


def test_repeated_targets_change_no_figure_of_distinct_ones():
    predictions, truths, targets = task(seed=6)
    before = values(csp_distances(predictions, truths, targets=targets))
    again = [disguised(np.random.default_rng(7), truths[0], move=0.0, strain=0.0, size=1.0)] * 3
    # The copies get no predictions, so that the figures over all targets fall.
    after = values(csp_distances(predictions, truths + again, targets=targets))
    for name in (name for name in before if name.endswith("_distinct")):
        assert after[name] == pytest.approx(before[name], abs=1e-12), name
    assert after["match_rate"] < before["match_rate"]


def test_predictions_that_are_not_valid_match_nothing():
    predictions, truths, targets = task(seed=8)
    mask = targets % 2 == 0
    distances = csp_distances(predictions, truths, targets=targets, valid=mask)
    assert np.isnan(distances.paired[1::2]).all()
    whole = csp_distances(predictions, truths, targets=targets)
    np.testing.assert_array_equal(distances.paired[::2], whole.paired[::2])
    none = values(csp_distances(predictions, truths, targets=targets, valid=np.zeros(len(predictions), bool)))
    assert none["match_rate"] == 0 and none["crmse"] == CSP_MATCHER.stol and "rms" not in none


def test_tables_and_structures_have_the_same_figures():
    truths = [random_cell(np.random.default_rng(seed), [22, 8, 8]) for seed in range(4)]
    predictions = [disguised(np.random.default_rng(9), cell, move=0.1, strain=0.02, size=1.0) for cell in truths]
    one = csp_distances(table_of(predictions), table_of(truths))
    other = csp_distances(predictions, truths)
    # Tables hold structures as their symmetry at 0.01 Angstrom makes them: a shift of a thousandth of the unit.
    np.testing.assert_allclose(one.paired, other.paired, rtol=0, atol=5e-3)
    assert np.isfinite(one.paired).any()


def test_every_figure_has_its_interval_around_it():
    predictions, truths, targets = task(seed=10, targets=20)
    for name, figure in csp_metrics(csp_distances(predictions, truths, targets=targets)).items():
        # Wilson's limit of a share of 1 is 1 in exact arithmetic only.
        assert figure["low"] - 1e-12 <= figure["value"] <= figure["high"] + 1e-12, name
        assert figure["n"] <= 20 and figure["what"]


def test_lengths_that_do_not_fit_are_refused():
    cells = families(seed=0, count=1, members=3)
    with pytest.raises(InputError, match="2 predictions for 3 targets"):
        csp_distances(cells[:2], cells)
    with pytest.raises(InputError, match="1 targets for 2 predictions"):
        csp_distances(cells[:2], cells, targets=[0])
    with pytest.raises(InputError, match="target 3 of 3 does not exist"):
        csp_distances(cells[:2], cells, targets=[0, 3])
    with pytest.raises(InputError, match="k is 0"):
        csp_distances(cells, cells, k=0)
    with pytest.raises(InputError, match="`valid` has 1 values for 3"):
        csp_distances(cells, cells, valid=[True])


def test_no_target_gives_no_figure():
    assert csp_metrics(csp_distances([], [])) == {}
    assert Matcher() != CSP_MATCHER
