"""Every benchmark on a tiny model, and the command line."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.evaluate import GENE_ROWS, METRICS
from benchmarks import __main__ as command
from benchmarks import data, figures, published, scores, speed_conditions, speed_metrics, suite
from benchmarks.core import Clock, Context, Measurement, Section, Skipped
from benchmarks.quality_nll import by_sites
from tests.benchmarks.conftest import GENES, TinyModel
from tests.evaluate.crystals import random_crystals

NEED_DATA = [
    *("encode", "log-prob", "train", "metrics", "match", "heights", "hull-rest"),
    *("quality", "temperature", "nll", "mpts", "baselines", "exchanges", "ceiling", "report", "figures"),
    *("frechet-gene", "properties", "properties-chgnet", "ranking"),
]


def run(name: str, context: Context) -> list[Measurement | Section]:
    return list(suite.BENCHMARKS[name](context))


@pytest.mark.parametrize("name", ["sample", "sample-paper", "log-prob", "groups"])
def test_rates_of_the_tiny_model_are_measured(tiny, name, monkeypatch):
    monkeypatch.setattr(speed_conditions, "FORMULAS", ("NaCl", "TiO2"))
    (measured,) = run(name, tiny)
    assert measured.value > 0
    assert measured.published in (186.0, 190.0, 76.0)
    assert measured.seed == tiny.seed


def test_formulas_of_the_tiny_model_are_counted(tiny, monkeypatch):
    # The tiny model answers Li2FePO4 with LiFePO4: not exact, and said so.
    monkeypatch.setattr(speed_conditions, "FORMULAS", ("NaCl", "TiO2", "Li2FePO4"))
    monkeypatch.setattr(speed_conditions, "ONE_GROUP", ("LiFePO4", 62))
    any_group, one_group = run("formula", tiny)
    assert any_group.count == "3 formulas, 48 of 48 genes, 32 exact"
    assert one_group.count == "16 genes, 16 exact"


def test_formulas_are_compared_reduced():
    table = CrystalTable.from_genes(GENES)
    assert speed_conditions.has_formula(table, "TiO2") == 1
    assert speed_conditions.has_formula(table, "Ti3O6") == 1
    assert speed_conditions.has_formula(table, "TiO") == 0


def test_quality_prints_every_row_with_the_published_column(tiny):
    table, floor = run("quality", tiny)
    assert "| metric | ours | published | ceiling (mp_20_val) |" in table.text
    shown = [row.label for row in GENE_ROWS if f"| {row.label} |" in table.text]
    # All of them: what lacks in a sample of 50 is published.
    assert len(shown) == len(GENE_ROWS)
    assert "95th percentile" in floor.text
    assert set(published.QUALITY) <= {row.key for row in GENE_ROWS}


def test_the_row_of_mpts_is_measured_against_its_validation_split(tiny):
    (section,) = run("mpts", tiny)
    assert "| metric | ours | train part |" in section.text
    assert "NLL of the validation split: 5.43 ±" in section.text
    with pytest.raises(Skipped, match="--mpts-model"):
        run("mpts", dataclasses.replace(tiny, mpts_model=None))


def test_likelihoods_are_averaged_and_broken_down(tiny):
    summary, sites = run("nll", tiny)
    assert "| mp_20_val, all | 7 | 5.43 ±" in summary.text
    assert "| 2 | 3 | 4.00 | 13.9 |" in sites.text
    assert "| 6 | 1 | 12.00 | 20.3 |" in sites.text


def test_number_of_sites_beyond_the_published_table_has_its_row():
    text = by_sites(np.array([1.0, 2.0, 3.0, np.inf]), np.array([1, 7, 25, 2]))
    assert "| 21 and more | 1 | 3.00 | - |" in text
    assert "| 7-8 | 1 | 2.00 | 21.1 |" in text
    assert "| 2 |" not in text  # it has no probability


def test_a_gene_outside_the_vocabulary_costs_its_own_row_only():
    strange = GeneBatch.from_lists([225], [[TinyModel.UNKNOWN, 8]], [[0, 1]])
    table = CrystalTable.from_genes(GeneBatch.concatenate([GENES, strange, GENES]))
    values = scores.scored(TinyModel(), table)
    assert np.flatnonzero(np.isinf(values)).tolist() == [7]
    np.testing.assert_array_equal(values[:7], values[8:])


def test_figures_are_small_and_repeat_to_the_byte(tiny, tmp_path):
    (section,) = run("figures", tiny)
    paths = sorted((tmp_path / "images").iterdir())
    assert [path.name for path in paths] == ["num_elements.png", "num_sites.png", "space_groups.png"]
    assert "space_groups.png" in section.text
    first = [path.read_bytes() for path in paths]
    assert all(content.startswith(b"\x89PNG") and len(content) < figures.MAX_BYTES for content in first)
    run("figures", tiny)
    assert [path.read_bytes() for path in paths] == first


def test_a_run_of_finetuning_is_drawn_from_its_log(tiny, tmp_path):
    line = {"kind": "policy", "reward": -0.2, "reward_spread": 0.1, "rows": 7, "rejected": 1, "kl": 0.5}
    line |= {"distinct": 1.0, "novel": 0.9, "group_entropy": 3.5, "element_entropy": 4.0}
    empty = {"kind": "policy", "step": 8, "reward": None, "rejected": 8}  # nothing was learnt from this batch
    lines = [{**line, "step": step + 1, "reward": -0.2 + 0.01 * step} for step in range(7)]
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in [*lines, empty]))
    (section,) = run("finetune", dataclasses.replace(tiny, run=str(tmp_path)))
    assert "| 1 to 5 | -0.180 | 0.500 | 1.000 | 0.900 | 3.500 | 4.000 | 5 |" in section.text
    assert "| 6 to 7 | -0.145 |" in section.text
    assert (tiny.images / "finetune.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(Skipped, match="--run DIR"):
        run("finetune", tiny)


@pytest.mark.parametrize("name", NEED_DATA)
def test_without_data_a_benchmark_is_skipped_and_says_what_to_do(tiny, name):
    with pytest.raises(Skipped, match="--data DIR"):
        run(name, dataclasses.replace(tiny, data=None))


@pytest.mark.parametrize("name", ["sample", "sample-paper", "memory", "groups", "formula", "log-prob", "quality"])
def test_without_the_model_a_benchmark_is_skipped(tiny, name):
    with pytest.raises(Skipped, match="there is no model 'lost'"):
        run(name, dataclasses.replace(tiny, model="lost", paper_model="lost"))


def test_metrics_of_structures_are_those_that_have_a_definition():
    table = random_crystals(0, (2, 14, 62, 194, 225))
    metrics, times = speed_metrics.measured(table, random_crystals(1, (5, 62, 225)), submitted=6, seed=0)
    assert set(metrics) < set(METRICS)
    assert metrics["valid_volume"].value == 5 / 6
    assert all(clock.cpu >= 0 for clock in times.values())


def test_a_model_without_a_loss_is_not_trained(tiny):
    with pytest.raises(Skipped, match="no loss"):
        run("train", tiny)


def test_a_sample_is_drawn_once(tiny):
    first = data.sampled("tiny", 50, 0)
    assert data.sampled("tiny", 50, 0) is first
    assert isinstance(first[1], Clock)


def test_the_command_prints_tables_skips_and_failures(tiny, monkeypatch, capsys):
    def broken(context: Context) -> list[Measurement]:
        raise RuntimeError("it broke")

    monkeypatch.setattr(command, "_set_threads", lambda threads: None)
    monkeypatch.setitem(suite.BENCHMARKS, "broken", broken)
    monkeypatch.delenv("ARISTOTYPE_DATA", raising=False)
    assert command.main(["sample", "quality", "broken", "--model", "tiny", "--genes", "20"]) == 1
    printed = capsys.readouterr().out
    assert "genes sampled, shipped default" in printed
    assert "`quality`: it needs data" in printed
    assert "`broken`: RuntimeError: it broke" in printed
    assert "Command: `python -m benchmarks sample quality broken --model tiny --genes 20`" in printed


def test_the_command_refuses_unknown_names_and_lists_the_known(monkeypatch, capsys):
    monkeypatch.setattr(command, "_set_threads", lambda threads: None)
    assert command.main(["nonsense"]) == 2
    assert "there are import, help" in capsys.readouterr().err
    assert command.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(suite.BENCHMARKS)


def test_start_up_is_measured_in_fresh_interpreters(tiny, monkeypatch):
    from benchmarks import speed_start

    monkeypatch.setattr(speed_start, "REPEATS", 1)
    (measured,) = run("import", tiny)
    assert 0 < measured.value < 5
    (measured,) = run("symmetry", tiny)
    assert 0 < measured.value < 1000
