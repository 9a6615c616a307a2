"""The whole evaluation: counts that agree with rows, protocols that differ, and nothing that is no number."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from aristotype.crystal import CrystalTable
from aristotype.errors import InputError, TableError, UnknownNameError
from aristotype.evaluate import METRICS, PROTOCOLS, Known, build_hull, evaluate, load_reference, protocol_named
from aristotype.models import shipped_models
from aristotype.realize import realize, relax, without_geometry
from tests.realize.test_relax import SYMMETRIC, metals

EMT = "ase.calculators.emt:EMT"
GROUPS = (225, 221, 194, 123, 166, 62, 14, 2, 136, 167, 12, 229, 1, 1)


@pytest.fixture(scope="module")
def reference() -> CrystalTable:
    table = metals(GROUPS, seed=11)
    split = ["train", "val", "test"]
    return table.with_columns(split=[split[row % 3] for row in range(len(table))])


@pytest.fixture(scope="module")
def made(reference) -> CrystalTable:
    """New alloys, the same alloys again, and some that are known."""
    fresh = metals(GROUPS, seed=12)
    copies = fresh[:4].with_columns(id=[f"copy-{row}" for row in range(4)])
    known = reference.filter([split == "train" for split in reference.column("split").to_pylist()])
    known = known.without_columns(["split"]).with_columns(id=[f"known-{row}" for row in range(len(known))])
    return relax(
        CrystalTable.concatenate([fresh, copies, known]).with_columns(origin="test"), calculator=EMT, config=SYMMETRIC
    )


@pytest.fixture(scope="module")
def hull(reference):
    from aristotype.crystal import GeneBatch

    numbers = (13, 28, 29, 46, 47, 78, 79)
    genes = GeneBatch.from_lists([225] * len(numbers), [[z] for z in numbers], [[0]] * len(numbers))
    pure = realize(CrystalTable.from_genes(genes, [f"e{z}" for z in numbers]), seed=0)
    pure = relax(pure, calculator=EMT, config=SYMMETRIC)
    alloys = relax(reference, calculator=EMT, config=SYMMETRIC)
    return build_hull([Known("alloys", alloys), Known("elements", pure)], calculator=EMT, references="own")


@pytest.fixture(scope="module", params=sorted(PROTOCOLS))
def judged(request, made, reference, hull):
    rules = protocol_named(request.param)
    if rules.hull is not None:
        assert rules.hull in hull.kinds
    return rules, *evaluate(made, reference=reference, protocol=rules, hull=hull, submitted=len(made) + 5)


def test_counts_are_those_of_the_rows(judged, made):
    rules, summary, rows = judged
    counts = summary["counts"]
    assert counts["submitted"] == len(made) + 5 and counts["built"] == len(made) == len(rows)
    assert rows.ids == made.ids and "origin" in rows.columns
    for name in set(counts) - {"submitted", "built", "unique_novel"}:
        assert counts[name] == sum(rows.column(name).to_pylist()), name
    both = zip(rows.column("unique").to_pylist(), rows.column("novel").to_pylist())
    assert counts["unique_novel"] == sum(unique and novel for unique, novel in both)
    assert ("stable" in counts) == (rules.stable is not None)


def test_the_distance_of_genes_says_what_decides_it(judged, reference):
    _, summary, rows = judged
    if "frechet_gene" not in summary["metrics"]:
        assert summary["embeddings"] == {}
        assert any("frechet_gene" in note or "compare distributions" in note for note in summary["notes"])
        return
    metric, about = summary["metrics"]["frechet_gene"], summary["embeddings"]["frechet_gene"]
    assert metric["value"] == about["distance"]["value"] >= 0
    assert metric["n"] == about["distance"]["rows"] <= len(rows)
    assert about["distance"]["reference_rows"] == sum(
        split == "test" for split in reference.column("split").to_pylist()
    )
    assert about["checkpoint"] == "gene-encoder-mp20"
    assert about["sha256"] == shipped_models()["gene-encoder-mp20"].sha256
    assert any(about["sha256"][:16] in note and "ridge" in note for note in summary["notes"])


def test_copies_are_no_duplicates_of_nothing_and_known_ones_are_known(judged):
    _, _, rows = judged
    place = {name: row for row, name in enumerate(rows.ids)}
    of, match = rows.column("duplicate_of").to_pylist(), rows.column("reference_match").to_pylist()
    for name, row in place.items():
        if name.startswith("copy-"):
            assert of[row] is not None and not rows.column("unique")[row].as_py()
    assert (np.array([of_ is None for of_ in of]) == rows.column("unique").to_numpy(zero_copy_only=False)).all()
    assert (np.array([m is None for m in match]) == rows.column("novel").to_numpy(zero_copy_only=False)).all()


def test_stability_follows_the_definition(judged):
    rules, _, rows = judged
    if rules.stable is None:
        assert "stable" not in rows.columns
        return
    height = np.array(rows.column("e_above_hull").to_pylist(), dtype=float)
    sound = np.isfinite(height) & ~np.array(rows.column("unphysical").to_pylist())
    if rules.needs_valid:
        sound &= np.array(rows.column("valid").to_pylist())
    stable = np.array(rows.column("stable").to_pylist())
    assert (stable == (sound & (height <= rules.stable))).all()
    fresh = np.array(rows.column("unique").to_pylist()) & np.array(rows.column("novel").to_pylist())
    assert (np.array(rows.column("sun").to_pylist()) == (stable & fresh)).all()
    p1 = rows.space_group == 1
    assert (np.array(rows.column("ssun").to_pylist()) == (stable & fresh & ~p1)).all()


def test_shares_are_over_what_the_protocol_says(judged):
    rules, summary, rows = judged
    over = {"submitted": summary["counts"]["submitted"], "built": len(rows), "valid": summary["counts"]["valid"]}
    found = summary["metrics"]["unique"]
    assert found["n"] == over[rules.denominator]
    assert summary["metrics"]["valid"]["n"] == summary["counts"]["submitted"]
    assert found["low"] <= found["value"] <= found["high"]


def test_a_summary_is_plain_and_every_figure_is_a_number_with_a_definition(judged):
    _, summary, _ = judged
    assert json.loads(json.dumps(summary, allow_nan=False)) == json.loads(json.dumps(summary))
    for name, metric in summary["metrics"].items():
        assert name in METRICS and metric["what"]
        assert all(math.isfinite(metric[key]) for key in ("value", "low", "high") if metric[key] is not None)
        assert metric["n"] > 0


def test_formation_energies_that_a_table_brings_are_kept_aside(made, reference, hull):
    brought = {"formation_energy": np.arange(len(made)) - 5.0, "formation_energy_std": np.full(len(made), 0.25)}
    rules = next(rule for rule in PROTOCOLS.values() if rule.stable is not None and rule.hull in (None, *hull.kinds))
    free = evaluate(made, reference=reference, protocol=rules, hull=hull)[1]
    rows = evaluate(made.with_columns(brought), reference=reference, protocol=rules, hull=hull)[1]
    assert rows.column("formation_energy").to_pylist() == free.column("formation_energy").to_pylist()
    assert rows.column("formation_energy_given").to_pylist() == brought["formation_energy"].tolist()
    assert rows.column("formation_energy_given_std").to_pylist() == brought["formation_energy_std"].tolist()
    assert "formation_energy_std" not in rows.columns  # it would read as that of the calculator


def test_without_energies_there_is_a_note_and_no_stability(made, reference):
    plain = made.without_columns(["energy"])
    summary, rows = evaluate(plain, reference=reference, protocol="wyformer")
    assert "stable" not in summary["counts"] and "stable" not in rows.columns
    assert any("no energies" in note for note in summary["notes"])


def test_rows_without_an_energy_are_not_stable_and_are_told(made, reference, hull):
    energy = made.column("energy").to_pylist()
    energy[:3] = [None] * 3
    summary, rows = evaluate(
        made.with_columns(energy=pa.array(energy, pa.float64())), reference=reference, protocol="mattergen", hull=hull
    )
    assert rows.column("stable").to_pylist()[:3] == [False] * 3
    assert any(note.startswith("3 structures have no energy") for note in summary["notes"])


def test_genes_count_as_submitted_and_not_as_built(made, reference):
    genes = without_geometry(made[:4]).with_columns(id=[f"gene-{row}" for row in range(4)])
    plain = made.without_columns(["energy"])
    summary, rows = evaluate(CrystalTable.concatenate([plain, genes]), reference=reference)
    assert summary["counts"]["submitted"] == len(made) + 4 and summary["counts"]["built"] == len(made)
    assert rows.ids == made.ids


def test_the_reference_itself_is_neither_novel_nor_far(reference):
    known = load_reference(reference, ("train",), "train").compared
    summary, _ = evaluate(
        known.without_columns(["split"]), reference=reference, protocol="cdvae", compare="train", resamples=0
    )
    assert summary["counts"]["novel"] == 0
    metrics = summary["metrics"]
    for name in ("group_jsd", "emd_density", "emd_sites", "element_jsd", "wyckoff_dimension_jsd"):
        if name in metrics:
            assert metrics[name]["value"] == pytest.approx(0.0, abs=1e-9)


def test_a_reference_without_splits_is_taken_whole(reference):
    whole = load_reference(reference.without_columns(["split"]), ("train",), "test")
    assert len(whole.known) == len(whole.compared) == len(reference)


def test_predictions_are_judged_by_their_targets(made, reference):
    truth = made[:6]
    names = [*truth.ids[:5], truth.ids[0], truth.ids[5]]
    rows = [0, 1, 2, 3, 4, 7, 8]  # the last two are of other structures
    guesses = made.take(rows).with_columns(id=[f"guess-{row}" for row in rows], target=names)
    summary, _ = evaluate(guesses.without_columns(["energy"]), reference=reference, truth=truth)
    assert summary["metrics"]["match_rate"]["value"] * 6 >= 5
    assert summary["metrics"]["metre"]["value"] >= summary["metrics"]["match_rate"]["value"]
    assert summary["metrics"]["rms"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert json.loads(json.dumps(summary, allow_nan=False)) == json.loads(json.dumps(summary))
    with pytest.raises(InputError, match="predict structures that are not among"):
        evaluate(made.without_columns(["energy"]), reference=reference, truth=truth)


def test_bad_input_is_told(made, reference, hull):
    with pytest.raises(UnknownNameError, match="no protocol is called 'nothing'"):
        evaluate(made, reference=reference, protocol="nothing")
    with pytest.raises(InputError, match="no more rows than were submitted"):
        evaluate(made, reference=reference, submitted=3, hull=hull)
    with pytest.raises(InputError, match="0 of them with a geometry"):
        evaluate(without_geometry(made), reference=reference)
    with pytest.raises(InputError, match="has the splits"):
        load_reference(reference, ("other",), "test")
    with pytest.raises(TableError, match="the column energy is of type"):
        evaluate(made.with_columns(energy="low"), reference=reference, protocol="wyformer", hull=hull)
    with pytest.raises(TableError, match="split is of type"):
        load_reference(reference.with_columns(split=3), ("train",), "test")
    with pytest.raises(InputError, match="has no rows"):
        load_reference(reference[:0], ("train",), "test")
    with pytest.raises(TableError, match="genes and have no geometry"):
        load_reference(without_geometry(reference), ("train",), "test")


def test_protocols_state_what_they_are():
    for name, rules in PROTOCOLS.items():
        told = rules.to_dict()
        assert told["name"] == name and told["source"]
        assert {"ltol", "stol", "angle", "stable", "denominator", "charges", "unphysical"} <= set(told)
