"""Fine-tuning by a reward: it rises, the price of moving holds, bad rewards are counted, a run goes on as it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.discover import EnergyAboveHull, density, finetune, reward_named, rewards_of
from aristotype.errors import ConfigError, InputError, OutputError, TrainingError, UnknownNameError
from aristotype.models import load
from aristotype.training import PolicyConfig, read_log

from .small_crystals import small_crystalformer


def lithium(table: CrystalTable) -> np.ndarray:
    """Share of the sites that hold lithium."""
    elements = table.genes().elements
    return (elements == 3).sum(axis=1) / (elements > 0).sum(axis=1)


def config(**changes) -> PolicyConfig:
    plain = {"steps": 3, "batch_size": 8, "learning_rate": 1e-2, "kl_weight": 0.05, "repeat_penalty": 0.0}
    return PolicyConfig(**{**plain, **changes})


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "last" / "model.safetensors")


def run(out, reward=lithium, moved="genes", **changes):
    resume = changes.pop("resume", False)
    return finetune(small_crystalformer(), reward, config(**changes), out, moved=moved, resume=resume)


def test_the_reward_rises_and_the_checkpoint_draws_what_was_learnt(tmp_path):
    run(tmp_path / "run", steps=12, batch_size=32, kl_weight=0.02)
    log = read_log(tmp_path / "run")
    assert [line["step"] for line in log] == list(range(1, 13))
    rewards = [line["reward"] for line in log]
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.1
    assert log[-1]["kl"] > 0.05
    before, after = (
        lithium(model.sample(400, seed=5, score=False)).mean()
        for model in (small_crystalformer(), load(tmp_path / "run" / "last"))
    )
    assert after > before + 0.1


def test_geometry_learns_too(tmp_path):
    run(tmp_path / "run", density, "geometry", steps=8, batch_size=32, learning_rate=3e-3, kl_weight=1e-3)
    log = read_log(tmp_path / "run")
    assert np.mean([line["reward"] for line in log[-3:]]) > 1.1 * np.mean([line["reward"] for line in log[:3]])
    genes = {name for name in weights(tmp_path / "run") if name.startswith("genes.members")}
    own = small_crystalformer().tensors()
    assert all(torch.equal(weights(tmp_path / "run")[name], own[name].half()) for name in genes)


def test_a_high_price_keeps_the_model_where_it_is(tmp_path):
    settings = {"steps": 8, "batch_size": 48, "learning_rate": 3e-3}
    run(tmp_path / "free", kl_weight=0.0, **settings)
    run(tmp_path / "dear", kl_weight=10.0, **settings)
    free, dear = (abs(read_log(tmp_path / name)[-1]["kl"]) for name in ("free", "dear"))
    assert dear < 0.3 * free


def test_a_run_that_goes_on_is_the_run_that_was_never_stopped(tmp_path):
    run(tmp_path / "whole", steps=4)
    run(tmp_path / "parts", steps=2)
    done = run(tmp_path / "parts", steps=4, resume=True)
    assert (done.stopped, done.steps) == ("finished", 4)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    logs = [[{**line, "seconds": 0} for line in read_log(tmp_path / name)] for name in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_another_seed_is_another_run(tmp_path):
    run(tmp_path / "a", steps=1, batch_size=32)
    run(tmp_path / "b", steps=1, batch_size=32, seed=1)
    assert read_log(tmp_path / "a")[0]["gradient_norm"] != read_log(tmp_path / "b")[0]["gradient_norm"]


def test_repeated_and_known_genes_cost(tmp_path):
    run(tmp_path / "run", lambda table: np.ones(len(table)), steps=2, batch_size=64, repeat_penalty=0.5)
    for line in read_log(tmp_path / "run"):
        assert line["reward"] == 1.0
        # The small model has few genes: most are known, and few are drawn once.
        assert line["return"] <= 1.0 - 0.5 * (1.0 - min(line["distinct"], line["novel"])) + 1e-9
        assert line["return"] >= 1.0 - 0.5 * (2.0 - line["distinct"] - line["novel"]) - 1e-9
        assert max(line["distinct"], line["novel"]) < 0.7


# Rewards that fail


def test_crystals_without_a_reward_are_counted_and_leave_the_gradient(tmp_path):
    def picky(table: CrystalTable) -> np.ndarray:
        if len(table) == 1 and table.space_group[0] == 221:
            raise ValueError("no cubes")
        if (table.space_group == 221).any():
            raise ValueError("not all of these")
        return np.where(table.space_group == 216, np.nan, lithium(table))

    done = run(tmp_path / "run", picky, batch_size=32)
    log = read_log(tmp_path / "run")
    assert done.rejected == sum(line["rejected"] for line in log) > 0
    reasons = {reason for line in log for reason in line["reasons"]}
    assert reasons == {"the reward raised ValueError: no cubes", "the reward is nan"}
    assert all(sum(line["reasons"].values()) == line["rejected"] for line in log)


def test_rejected_rows_do_not_change_what_the_others_teach():
    """The rewards of rows that stay are the same, whatever happens to the others."""
    table = small_crystalformer().sample(20, seed=0, score=False)

    def picky(rows: CrystalTable) -> np.ndarray:
        if (rows.space_group == 225).any():
            raise RuntimeError("no")
        return lithium(rows)

    found, reasons = rewards_of(table, picky)
    fails = table.space_group == 225
    assert 0 < fails.sum() < len(table)
    assert np.isnan(found[fails]).all()
    assert np.array_equal(found[~fails], lithium(table)[~fails])
    assert [bool(reason) for reason in reasons] == fails.tolist()


def test_batch_after_batch_without_rewards_ends_the_run(tmp_path):
    def broken(table: CrystalTable) -> np.ndarray:
        raise RuntimeError("out of order")

    with pytest.raises(TrainingError, match=r"2 batches in a row.*out of order"):
        run(tmp_path / "run", broken, steps=9, patience=2)
    assert len(read_log(tmp_path / "run")) == 2
    with pytest.raises(OutputError, match="resume"):
        run(tmp_path / "run")


def test_a_reward_of_another_shape_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"shape \(\)"):
        run(tmp_path / "run", lambda table: 1.0)


def test_a_reward_that_cannot_travel_is_refused_before_processes_start():
    table = small_crystalformer().sample(3, seed=0, score=False)
    with pytest.raises(InputError, match="top of a module"):
        rewards_of(table, lambda rows: lithium(rows), processes=2)


def test_an_executor_gives_the_same_rewards():
    table = small_crystalformer().sample(40, seed=0, score=False)
    with ThreadPoolExecutor(1) as pool:
        through, _ = rewards_of(table, density, executor=pool)
    assert np.array_equal(through, rewards_of(table, density)[0])
    assert rewards_of(table[:0], density)[0].shape == (0,)


# Bad input


def test_settings_of_another_run_are_named(tmp_path):
    run(tmp_path / "run")
    with pytest.raises(ConfigError, match="kl_weight"):
        run(tmp_path / "run", kl_weight=0.06, resume=True)


def test_a_model_of_genes_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="WyckoffTransformer"):
        finetune(small_crystalformer().genes, lithium, config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["beauty", "no_such_module:reward", "math:no_such", "math:pi"])
def test_unknown_rewards_are_refused(name):
    with pytest.raises(UnknownNameError, match="reward"):
        reward_named(name)


def test_energies_are_cut_off_in_order():
    with pytest.raises(ConfigError, match="larger"):
        EnergyAboveHull(lowest=0.5, highest=0.4)


def test_energies_of_another_potential_than_the_hulls_are_refused():
    with pytest.raises(InputError, match="the hull is of chgnet"):
        EnergyAboveHull(calculator="ase.calculators.emt:EMT")


def test_energies_above_hull_are_rewards_within_their_limits():
    reward = EnergyAboveHull(steps=2)
    lattice = [[5.6, 5.6, 5.6, 90.0, 90.0, 90.0]]
    gene = CrystalTable.from_genes(GeneBatch.from_lists([225], [[11, 17]], [[0, 1]]))
    salt = gene.with_columns(free=[[]], lattice=lattice)
    squeezed = salt.with_columns(id=["squeezed"], lattice=[[3.0, 3.0, 3.0, 90.0, 90.0, 90.0]])
    table = CrystalTable.concatenate([salt, squeezed])
    found = reward(table)
    assert -0.1 < found[0] <= 0.0
    assert found[1] == -reward.highest  # atoms overlap
