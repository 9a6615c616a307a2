"""`aristotype finetune` as a user calls it: to a checkpoint, killed and resumed, refused."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aristotype.crystal import CrystalTable
from aristotype.models import load
from aristotype.training import read_log
from tests.discover.small_crystals import small_crystalformer

BRIEF = ["--reward", "density", "--batch", "8", "--rate", "0.003", "--kl", "0.001", "--repeat-penalty", "0"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A checkpoint folder of a small model of crystals."""
    folder = tmp_path_factory.mktemp("model") / "small"
    small_crystalformer().save(folder, card="# small\n\nTrained on 76.7 % of nothing.\n")
    return folder


def learnt(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "last" / "model.safetensors")


def test_a_run_raises_its_reward_and_ends_in_a_model_to_generate_with(invoke, model, tmp_path):
    out = tmp_path / "run"
    steps = ["--steps", "10", "--batch", "32", "--what", "both", "--rate", "0.005"]
    result = invoke("finetune", "--model", model, "--out", out, *BRIEF, *steps)
    assert result.exit_code == 0, result.output
    assert "finished after 10 steps" in result.output
    rewards = [line["reward"] for line in read_log(out)]
    assert np.mean(rewards[-3:]) > 1.1 * np.mean(rewards[:3])
    card = (out / "last" / "README.md").read_text()
    assert "fine-tuned by policy gradient towards density" in card
    assert "> Trained on 76.7 % of nothing." in card
    assert "- kl_weight: 0.001" in card
    assert load(out / "last").sample(5, seed=0).column("log_prob").to_numpy().shape == (5,)
    made = tmp_path / "made"
    result = invoke("generate", "--model", out / "last", "-n", "3", "--keep-forced", "--out", made)
    assert result.exit_code == 0, result.output
    assert not CrystalTable.read(made / "crystals.parquet").is_gene.any()


def test_a_killed_run_goes_on_as_if_it_had_not_been(invoke, spawn, model, tmp_path):
    asked = ["--model", model, *BRIEF, "--steps", "6"]
    killed = spawn("finetune", *asked, "--out", tmp_path / "killed")
    begin = time.monotonic()
    while len(read_log(tmp_path / "killed")) < 2:
        assert time.monotonic() - begin < 300, killed.communicate()
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed" / "last").exists()
    refused = invoke("finetune", *asked, "--out", tmp_path / "killed")
    assert refused.exit_code == 2
    assert "--resume" in refused.output
    other = invoke("finetune", *asked, "--out", tmp_path / "killed", "--resume", "--updates", "3")
    assert other.exit_code == 2
    assert "policy.updates" in other.output
    for name, more in (("killed", ["--resume"]), ("whole", [])):
        assert invoke("finetune", *asked, "--out", tmp_path / name, *more).exit_code == 0
    one, two = learnt(tmp_path / "killed"), learnt(tmp_path / "whole")
    assert all(torch.equal(one[name], two[name]) for name in {*one, *two})
    logs = [[{**line, "seconds": 0} for line in read_log(tmp_path / name)] for name in ("killed", "whole")]
    assert logs[0] == logs[1]


def test_rewards_of_your_own_are_named_by_module(invoke, model, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def picky(table):\n"
        "    return np.where(table.space_group == 221, np.nan, 1.0)\n"
        "def broken(table):\n"
        "    raise RuntimeError('out of order')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    asked = ["finetune", "--model", model, *BRIEF, "--steps", "4", "--reward"]
    result = invoke(*asked, "mine:picky", "--out", tmp_path / "picky")
    assert result.exit_code == 0, result.output
    assert "had no usable reward" in result.output
    log = (tmp_path / "picky" / "log.jsonl").read_text().splitlines()
    assert json.loads(log[0])["reasons"]["the reward is nan"] > 0
    result = invoke(*asked, "mine:broken", "--out", tmp_path / "broken")
    assert result.exit_code == 2
    assert "out of order" in result.output
    assert not (tmp_path / "broken" / "last").exists()
    assert "--force" in invoke(*asked, "mine:picky", "--out", tmp_path / "broken").output
    assert invoke(*asked, "mine:picky", "--out", tmp_path / "broken", "--force").exit_code == 0
    assert (tmp_path / "broken" / "last").exists()


def test_a_dry_run_writes_nothing(invoke, model, tmp_path):
    result = invoke("finetune", "--model", model, *BRIEF, "--steps", "50", "--out", tmp_path / "run", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "50 batches of 8 crystals, at most" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--reward", "beauty"], "e-above-hull, density, or module:callable"),
        (["--reward", "density", "--hull", "hull.parquet"], "--hull is for the reward e-above-hull"),
        (["--hull", "nowhere.parquet"], "is no file"),
        (["--ceiling", "0"], "the second must be the larger one"),
        (["--steps", "0"], "steps is 0"),
        (["--batch", "1"], "batch_size is 1"),
        (["--kl", "-1"], "kl_weight is -1"),
        (["--model", "wyckoff-transformer-mp20", "--reward", "density"], "only a model of crystals"),
        (["--model", "nowhere", "--reward", "density"], "there is no model"),
    ],
)
def test_bad_input_is_told_and_nothing_written(invoke, tmp_path, arguments, told):
    result = invoke("finetune", "--out", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []
