"""Runs as a whole: what they write, how they end, and that a resumed one repeats the losses to the bit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aristotype.errors import ConfigError, OutputError, TrainingError
from aristotype.training import EMA, load_weights, read_log, train
from aristotype.training._loop import READ_EVERY
from tests.training.toy import STEPS_PER_EPOCH, ToyModel, ToySource, make_config, poison, run, send, validate

ROOT = Path(__file__).parents[2]


def spawn(task: str, out_dir: Path, *launcher: str) -> subprocess.CompletedProcess[str]:
    """Run the toy's command line in a process of its own."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, str(Path(__file__).with_name("toy.py")), task, str(out_dir)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=100)
        finally:
            with contextlib.suppress(ProcessLookupError):  # a launcher's workers outlive a launcher that was killed
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def comparable(out_dir: Path) -> list[dict]:
    """The log without wall times."""
    return [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(out_dir)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody disturbed."""
    out_dir = tmp_path_factory.mktemp("whole") / "run"
    result = run(out_dir)
    assert result.stopped == "finished"
    return out_dir


def same_weights(first: Path, second: Path, name: str = "last.safetensors") -> bool:
    return (first / name).read_bytes() == (second / name).read_bytes()


def test_the_loss_falls_and_everything_is_logged(whole):
    lines = read_log(whole)
    train_lines = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in train_lines] == list(range(1, 18))
    assert [line["epoch"] for line in train_lines] == [step // STEPS_PER_EPOCH for step in range(17)]
    assert all(line["half"] == line["loss"] / 2 for line in train_lines)
    validations = [line for line in lines if line["kind"] == "validation"]
    assert [line["step"] for line in validations] == [5, 10, 15, 17]
    assert validations[-1]["nll"] < validations[0]["nll"]
    assert json.loads((whole / "run.json").read_text())["training"]["ema_decay"] == 0.9


@pytest.mark.parametrize("task", ["kill-in-update", "kill-in-save"])
def test_a_killed_run_resumes_to_the_bit(task, whole, tmp_path):
    killed = spawn(task, tmp_path / "run")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "run" / "state.safetensors").exists()
    result = run(tmp_path / "run", resume=True)
    assert result.stopped == "finished"
    assert comparable(tmp_path / "run") == comparable(whole)
    assert same_weights(tmp_path / "run", whole)
    assert same_weights(tmp_path / "run", whole, "best.safetensors")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("log_every", [1, 4])
def test_a_signal_saves_and_says_how_to_go_on(number, log_every, tmp_path):
    run(tmp_path / "whole", log_every=log_every)
    before = signal.getsignal(number)
    stopped = run(tmp_path / "run", hooks={8: send(number)}, log_every=log_every)
    assert (stopped.stopped, stopped.step) == ("interrupted", 9)
    assert number.name in stopped.message
    assert "resume" in stopped.message
    assert signal.getsignal(number) == before
    assert run(tmp_path / "run", resume=True, log_every=log_every).stopped == "finished"
    assert comparable(tmp_path / "run") == comparable(tmp_path / "whole")
    assert same_weights(tmp_path / "run", tmp_path / "whole")


def test_a_run_killed_before_its_first_state_starts_again(whole, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"kind": "train", "step": 1, "loss": 5.0}\n{"kind": "tra')
    run(tmp_path, resume=True)
    assert comparable(tmp_path) == comparable(whole)


def test_a_finished_run_resumes_to_its_result_and_weights(tmp_path):
    model = ToyModel()
    first = run(tmp_path, model=model)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    again = ToyModel()
    second = run(tmp_path, model=again, resume=True)
    assert again.calls == 0
    assert (second.stopped, second.step, second.best) == (first.stopped, first.step, first.best)
    assert all(torch.equal(weights[name], tensor) for name, tensor in again.state_dict().items())
    saved = load_weights(tmp_path / "last.safetensors", weights)
    assert all(torch.equal(weights[name], tensor) for name, tensor in saved.items())


def test_prefetching_changes_nothing(whole, tmp_path):
    run(tmp_path, prefetch=0)
    assert comparable(tmp_path) == comparable(whole)


def test_a_part_with_a_tiny_rate_stays_where_it_was(tmp_path):
    begun = {name: p.detach().clone() for name, p in ToyModel().named_parameters()}
    run(tmp_path / "run", part_rates={"linear": 1e-12}, ema_decay=0.0, weight_decay=0.0)
    ended = load_weights(tmp_path / "run" / "last.safetensors", ToyModel().state_dict())
    assert all(torch.allclose(ended[name], begun[name], atol=1e-9) for name in begun if name.startswith("linear"))
    assert not torch.allclose(ended["embedding.weight"], begun["embedding.weight"], atol=1e-3)


def test_the_callers_random_generators_are_left_alone(tmp_path):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    model = ToyModel()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    run(tmp_path, model=model)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002


def test_other_settings_are_refused_by_name(tmp_path):
    run(tmp_path, max_steps=5)
    with pytest.raises(
        ConfigError, match=r"training\.learning_rate was 0\.05, is 0\.1; training\.max_steps was 5, is 6"
    ):
        run(tmp_path, max_steps=6, learning_rate=0.1, resume=True)
    with pytest.raises(ConfigError, match=r"data\.name was None, is 'other'"):
        settings = {"data": {"name": "other"}}
        config = make_config(max_steps=5)
        train(ToyModel(), ToySource(), validate, config, tmp_path, resume=True, settings=settings)
    assert run(tmp_path, max_steps=5, save_every=1, prefetch=0, resume=True).stopped == "finished"


def test_an_existing_run_is_not_overwritten(tmp_path):
    run(tmp_path, max_steps=2)
    with pytest.raises(OutputError, match="resume it"):
        run(tmp_path, max_steps=2)


def test_nan_stops_the_run_and_names_the_batch(tmp_path):
    with pytest.raises(TrainingError, match=r"loss nan.*epoch 1, step 7, batch 2 \(rows 12 to 17\)") as caught:
        run(tmp_path, hooks={7: poison})
    assert str(tmp_path / "state.safetensors") in str(caught.value)
    assert run(tmp_path, resume=True).stopped == "finished", "the last good state stays and can be continued"


def test_losses_read_late_as_on_a_gpu_give_the_same_log_and_the_same_error(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(READ_EVERY, "cpu", 6)
    run(tmp_path / "run", save_every=17, validate_every=17)
    trained = [[line for line in comparable(path) if line["kind"] == "train"] for path in (tmp_path / "run", whole)]
    assert trained[0] == trained[1]
    with pytest.raises(TrainingError, match=r"epoch 1, step 7, batch 2 \(rows 12 to 17\)"):
        run(tmp_path / "nan", hooks={7: poison}, save_every=17, validate_every=17)
    assert not (tmp_path / "nan" / "state.safetensors").exists()


def test_infinite_gradient_with_finite_loss_stops_the_run(tmp_path):
    class Steep(ToyModel):
        def loss(self, batch):
            loss, parts = super().loss(batch)
            return loss + (self.linear.weight.sum() * 0).sqrt() * 0, parts  # value 0, gradient 0 * inf

    with pytest.raises(TrainingError, match="gradient norm nan at epoch 0, step 0"):
        run(tmp_path, model=Steep())


def test_early_stop_after_patience(tmp_path):
    values = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    config = make_config(patience=2, validate_every=2)
    saved = []

    def on_save(model, path, record):
        saved.append((path.name, record["step"], record["metrics"]["nll"] if record["metrics"] else None))

    result = train(ToyModel(), ToySource(), lambda m: {"nll": next(values)}, config, tmp_path, on_save=on_save)
    assert (result.stopped, result.step, result.best) == ("patience", 8, {"nll": 2.0, "step": 4.0})
    assert saved == [("best", 2, 3.0), ("best", 4, 2.0), ("last", 4, 2.0), ("last", 8, 2.0)]


def test_validation_sees_averaged_weights_without_gradients(tmp_path):
    model, seen = ToyModel(), []

    def look(module):
        seen.append((module.training, torch.is_grad_enabled(), module.linear.weight.clone()))
        return {"nll": 1.0}

    train(model, ToySource(), look, make_config(max_steps=5), tmp_path)
    mirror = ToyModel()
    train(mirror, ToySource(), validate, make_config(max_steps=5, ema_decay=0.0), tmp_path / "raw")
    training, gradients, weight = seen[-1]
    assert not training
    assert not gradients
    assert torch.equal(weight, model.linear.weight), "the run ends holding what was validated"
    assert not torch.equal(weight, mirror.linear.weight), "which is not the last weights"


@pytest.mark.parametrize("metrics", [{"nll": float("nan")}, {"loss": 1.0}])
def test_validation_without_a_finite_nll_stops_the_run(metrics, tmp_path):
    with pytest.raises(TrainingError, match="finite number"):
        train(ToyModel(), ToySource(), lambda module: metrics, make_config(), tmp_path)


def test_a_source_that_ends_early_is_an_error(tmp_path):
    class Short(ToySource):
        def steps_per_epoch(self, world):
            return self.steps + 1

    with pytest.raises(TrainingError, match="gave 5 batches in epoch 0, but its steps_per_epoch promises 6"):
        run(tmp_path, source=Short())


def test_an_error_in_the_source_reaches_the_caller(tmp_path):
    class Broken(ToySource):
        def batches(self, epoch, rank, world):
            yield from super().batches(epoch, rank, world)
            raise ValueError("row 12 is odd")

        def steps_per_epoch(self, world):
            return self.steps + 1

    with pytest.raises(ValueError, match="row 12 is odd"):
        run(tmp_path, source=Broken())


def test_a_model_without_loss_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no method loss"):
        run(tmp_path, model=torch.nn.Linear(1, 1))


def test_a_full_disk_leaves_the_earlier_state(tmp_path, monkeypatch, whole):
    write, count = Path.write_bytes, []

    def full(path, content):
        count.append(path)
        if len(count) > 10:
            write(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        run(tmp_path / "run")
    monkeypatch.undo()
    assert not list((tmp_path / "run").glob(".part*"))
    assert run(tmp_path / "run", resume=True).stopped == "finished"
    assert comparable(tmp_path / "run") == comparable(whole)


def test_two_processes_do_not_share_a_folder(tmp_path):
    from aristotype._files import output_lock

    with output_lock(tmp_path / "run"), pytest.raises(OutputError, match="process"):
        run(tmp_path / "run")


def test_tensorboard_events_are_written_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard")
    run(tmp_path, tensorboard=True, max_steps=3)
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_run_needs_neither_rich_nor_tensorboard(tmp_path, monkeypatch, capsys):
    for name in ("rich", "rich.console", "rich.progress", "torch.utils.tensorboard", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run(tmp_path, tensorboard=True)
    assert "finished after 17 steps; best validation nll" in capsys.readouterr().err


def test_two_gloo_processes_equal_one_over_the_union(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = spawn("two-processes", tmp_path, *launcher)
    assert done.returncode == 0, done.stderr
    run(tmp_path / "one", dropout=0.0)
    one, two = comparable(tmp_path / "one"), comparable(tmp_path / "whole")
    for mine, theirs in zip(one, two, strict=True):
        assert mine["kind"] == theirs["kind"]
        numbers = [{name: value for name, value in line.items() if name != "kind"} for line in (mine, theirs)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-12)  # sums over rows associate differently, in float64
    template = ToyModel().state_dict()
    weights = [load_weights(tmp_path / name / "last.safetensors", template) for name in ("one", "whole")]
    for name in template:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-12, atol=1e-12)
    assert comparable(tmp_path / "resumed") == two, "a signal to one process stops both, and resuming is exact"
    for rank in (0, 1):
        text = (tmp_path / f"error-{rank}.txt").read_text(encoding="utf-8")
        assert text.startswith("TrainingError")
        assert "step 6, batch 1 of process 1 (rows 9 to 11)" in text


def test_ema_of_a_run_is_that_of_its_weights(tmp_path):
    """The saved average is the EMA law applied to the weights after each update."""
    model = ToyModel()
    mirror = ToyModel()
    ema = EMA(mirror, 0.9)

    def record(live, batch):
        if live.calls:
            mirror.load_state_dict(live.state_dict())
            ema.update()

    model.hooks = dict.fromkeys(range(6), record)
    train(model, ToySource(), validate, make_config(max_steps=6, ema_decay=0.9), tmp_path)
    five = ema.tensors()["linear.weight"]
    saved = load_weights(tmp_path / "last.safetensors", ToyModel().state_dict())["linear.weight"]
    # One update is missing from the mirror: the sixth moves the average by (1 - d_6) of its distance.
    raw = {}
    train(ToyModel(), ToySource(), validate, make_config(max_steps=6, ema_decay=0.0), tmp_path / "raw")
    raw = load_weights(tmp_path / "raw" / "last.safetensors", ToyModel().state_dict())["linear.weight"]
    torch.testing.assert_close(saved, torch.lerp(five, raw, 1 - ema.rate(6)), rtol=1e-12, atol=1e-12)
