"""`aristotype train` as a user calls it: fresh, resumed, from a checkpoint, on two processes, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from aristotype.cli._train import resolve_settings
from aristotype.crystal import CrystalTable
from aristotype.errors import ConfigError, UnknownNameError
from aristotype.models import load
from aristotype.models.wyckoff_transformer import WyckoffTransformerConfig
from aristotype.training import read_toml

from .conftest import SRC, TINY, handful

CONFIGS = SRC / "aristotype" / "models" / "configs"
SMALL = [f"--set=model.{name}={value}" for name, value in (TINY | {"members": 1}).items()]
BRIEF = [
    f"--set=training.{text}" for text in ("epochs=2", "batch_size=64", "threads=1", "tensorboard=false", "device=cpu")
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARISTOTYPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARISTOTYPE_DATA", raising=False)


@pytest.fixture
def train(invoke, table_file):
    return lambda *arguments: invoke("train", "wyckoff-transformer", "--data", table_file, *arguments)


def test_a_run_ends_with_a_model_that_generates(train, invoke, tmp_path):
    out = tmp_path / "run"
    result = train("--out", out, *SMALL, *BRIEF)
    assert result.exit_code == 0, result.output
    assert {"best", "last", "config.toml", "run.json", "log.jsonl"} <= {path.name for path in out.iterdir()}
    card = (out / "best" / "README.md").read_text()
    assert "handful train (163 rows)" in card
    assert "batch_size = 64" in card
    assert load(out / "best").config.width == TINY["width"]
    generated = invoke("generate", "--model", out / "best", "-n", "3", "--genes-only", "--out", tmp_path / "out")
    assert generated.exit_code == 0, generated.output


@pytest.mark.parametrize("family", ["wyckoffdiff", "wyckoffdiff-paper"])
def test_diffusion_is_trained_continued_and_drawn_from(invoke, table_file, tmp_path, family):
    small = [f"--set=model.{text}" for text in ("width=16", "layers=1", "heads=2", "timesteps=20", "steps=5")]
    out = tmp_path / "run"
    command = ("train", family, "--data", table_file, "--out", out, *small, *BRIEF)
    result = invoke(*command, "--set=training.max_steps=3")
    assert result.exit_code == 0, result.output
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert all(0 < line["nll"] < 1e4 for line in log if "nll" in line)
    assert any("nll_error" in line for line in log)
    more = ("train", family, "--data", table_file, "--from", out / "best", "--out", tmp_path / "more", *BRIEF)
    assert invoke(*more, "--set=training.max_steps=1").exit_code == 0
    drawn = tmp_path / "out"
    asked = ("--elements", "Na,K,Cl,O", "-n", "3", "--genes-only", "--keep-forced")
    result = invoke("generate", "--model", out / "best", *asked, "--out", drawn)
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(drawn / "crystals.parquet")
    assert set(table.genes().elements[table.genes().elements > 0].tolist()) <= {8, 11, 17, 19}
    assert table.column("log_prob_kind").to_pylist() == ["bound"] * 3


def test_the_published_configuration_is_trained_the_same_way(invoke, table_file, tmp_path):
    """With its own settings, calibrated when the run ends; fine-tuned by its own name only."""
    sizes = ("element_width=4", "symmetry_width=4", "index_width=4", "width=16", "heads=2", "layers=1", "max_sites=8")
    small = [f"--set=model.{text}" for text in sizes]
    command = ("train", "wyckoff-transformer-paper", "--data", table_file)
    out = tmp_path / "run"
    result = invoke(*command, "--out", out, *small, *BRIEF)
    assert result.exit_code == 0, result.output
    assert read_toml(out / "config.toml")["model"]["site_order"] == "any"
    assert "nll calibrated" in (out / "best" / "README.md").read_text()
    generated = invoke("generate", "--model", out / "best", "-n", "3", "--genes-only", "--out", tmp_path / "out")
    assert generated.exit_code == 0, generated.output
    tuned = invoke(*command, "--from", out / "best", "--out", tmp_path / "tuned", *BRIEF)
    assert tuned.exit_code == 0, tuned.output
    other = invoke(
        "train", "wyckoff-transformer", "--data", table_file, "--from", out / "best", "--out", tmp_path / "x"
    )
    assert other.exit_code != 0
    assert "WyckoffTransformerPaper" in other.stderr


def test_the_seed_decides_the_run(train, tmp_path):
    lines = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert train("--out", tmp_path / name, *SMALL, *BRIEF, f"--set=training.seed={seed}").exit_code == 0
        rows = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        lines.append([row["nll"] for row in rows if "nll" in row])
    assert lines[0] == lines[1] != lines[2]


def test_settings_come_from_defaults_then_file_then_single_values(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[model]\nwidth = 96\nheads = 4\n[training]\nepochs = 3\n")
    found = resolve_settings("wyckoff-transformer", "mp_20", config, ["training.epochs=5"])
    shipped = {name: read_toml(CONFIGS / f"{name}.toml") for name in ("mp20", "mpts52", "finetune")}
    assert (found.model.width, found.model.heads, found.training.epochs) == (96, 4, 5)
    assert found.model.dropout == shipped["mp20"]["model"]["dropout"]
    assert found.training.batch_size == shipped["mp20"]["training"]["batch_size"]
    other = resolve_settings("wyckoff-transformer", "mpts_52", None, [])
    assert other.training.epochs == shipped["mpts52"]["training"]["epochs"]
    checkpoint = replace(found.model, temperature=1.2)
    tuned = resolve_settings("wyckoff-transformer", "mp_20", None, ["model.dropout=0.3"], checkpoint)
    assert tuned.model == replace(checkpoint, dropout=0.3)
    assert tuned.training.learning_rate == shipped["finetune"]["training"]["learning_rate"]


def test_the_written_configuration_makes_the_same_run(train, tmp_path):
    assert train("--out", tmp_path / "a", *SMALL, *BRIEF).exit_code == 0
    assert train("--out", tmp_path / "b", "--config", tmp_path / "a/config.toml").exit_code == 0
    assert (tmp_path / "a/config.toml").read_text() == (tmp_path / "b/config.toml").read_text()
    a, b = (load(tmp_path / name / "best") for name in "ab")
    genes = handful()
    assert a.log_prob(genes).tolist() == b.log_prob(genes).tolist()


def test_fine_tuning_goes_on_with_a_checkpoint(train, tiny_model, tmp_path):
    result = train("--from", tiny_model, "--out", tmp_path / "run", *BRIEF)
    assert result.exit_code == 0, result.output
    tuned, start = load(tmp_path / "run/best").config, load(tiny_model).config
    # What is calibrated on held-out genes after a run is its own.
    calibrated = {name: getattr(start, name) for name in ("temperature", "known_rejection")}
    assert replace(tuned, **calibrated) == start
    assert "fine-tuned from" in (tmp_path / "run/best/README.md").read_text()
    sized = train("--from", tiny_model, "--out", tmp_path / "other", "--set", "model.width=32")
    assert sized.exit_code == 2
    assert "model.width is 32, and 16 in the checkpoint" in sized.stderr


def test_fine_tuning_may_change_how_the_model_learns(train, tiny_model, tmp_path):
    result = train("--from", tiny_model, "--out", tmp_path / "run", *BRIEF, "--set=model.substitution=0.5")
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "run/best").config.substitution == 0.5
    assert load(tiny_model).config.substitution != 0.5


def test_a_run_is_never_overwritten_and_goes_on_when_asked(train, tmp_path):
    out = tmp_path / "run"
    assert train("--out", out, *SMALL, *BRIEF).exit_code == 0
    again = train("--out", out, *SMALL, *BRIEF)
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    assert train("--out", out, *SMALL, *BRIEF, "--resume").exit_code == 0
    other = train("--out", out, *SMALL, *BRIEF, "--set=training.epochs=3", "--resume")
    assert other.exit_code == 2
    assert "training.epochs was 2, is 3" in other.stderr
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    assert train("--out", tmp_path / "home", *SMALL, *BRIEF).exit_code == 2
    assert "holds no run.json" in train("--out", tmp_path / "home", *SMALL, *BRIEF, "--force").stderr
    assert (tmp_path / "home" / "thesis.tex").exists()


def test_a_run_is_replaced_when_asked(train, tmp_path):
    out = tmp_path / "run"
    assert train("--out", out, *SMALL, *BRIEF).exit_code == 0
    both = train("--out", out, *SMALL, *BRIEF, "--force", "--resume")
    assert both.exit_code == 2
    assert "leave one of them out" in both.stderr
    (out / "best" / "left.txt").write_text("of the run before")
    assert train("--out", out, *SMALL, *BRIEF, "--set=training.epochs=1", "--force").exit_code == 0
    assert "epochs = 1" in (out / "config.toml").read_text()
    assert not (out / "best" / "left.txt").exists()
    # Stopped before the first step: the settings alone are there.
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.toml").write_text("")
    assert "--resume" in train("--out", tmp_path / "begun", *SMALL, *BRIEF).stderr
    assert train("--out", tmp_path / "begun", *SMALL, *BRIEF, "--force").exit_code == 0


def test_a_dry_run_counts_and_writes_nothing(train, tmp_path):
    result = train("--out", tmp_path / "run", *SMALL, *BRIEF, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "about 6 steps" in result.stdout
    assert "nll" not in result.output
    assert not (tmp_path / "run").exists()


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.epoch=3"], "did you mean epochs"),
        (["--set", "nonsense=3"], "unknown configuration key nonsense"),
        (["--set", "training.epochs"], "not of the form key=value"),
        (["--set", "training.epochs=many"], "training.epochs"),
        (["--set", "training.learning_rate=-1"], "learning_rate"),
        (["--set", "model.width=100"], "heads"),
        (["--config", "nowhere.toml"], "cannot read the configuration nowhere.toml"),
        (["--from", "nonsense"], "no model 'nonsense'"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(train, tmp_path, arguments, message):
    result = train("--out", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_unknown_families_and_data_are_refused(invoke, table_file, tmp_path):
    with pytest.raises(UnknownNameError, match="wyckoff-transformer"):
        resolve_settings("nonsense", "mp_20", None, [])
    with pytest.raises(ConfigError, match=r"model\.width"):
        resolve_settings("wyckoff-transformer", "mp_20", None, ["model.width=64"], WyckoffTransformerConfig())
    result = invoke("train", "wyckoff-transformer", "--data", "nowhere.parquet", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "nowhere.parquet" in result.stderr


def test_data_without_a_validation_split_says_how_to_make_one(invoke, tmp_path):
    CrystalTable.from_genes(handful()).write(tmp_path / "plain.parquet")
    result = invoke("train", "wyckoff-transformer", "--data", tmp_path / "plain.parquet", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "data prepare FILE --split" in result.stderr


# ---- in processes of their own


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_saves_the_run_and_says_how_to_go_on(spawn, table_file, tmp_path):
    out = tmp_path / "run"
    arguments = ["--out", out, *SMALL, *BRIEF, "--set=training.epochs=100000", "--set=training.validate_every=50"]
    process = spawn("train", "wyckoff-transformer", "--data", table_file, *arguments)
    deadline = time.monotonic() + 120
    while not (out / "state.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "resume" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs gloo over TCP, which Windows builds lack")
def test_torchrun_shares_one_run(table_file, tmp_path):
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "aristotype",
    ]
    command = [
        "train",
        "wyckoff-transformer",
        "--data",
        str(table_file),
        "--out",
        str(tmp_path / "run"),
        *SMALL,
        *BRIEF,
    ]
    environment = os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, *command], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["processes"] == 2
    assert done.stdout.count("The best checkpoint is") == 1
    assert load(tmp_path / "run/best")
