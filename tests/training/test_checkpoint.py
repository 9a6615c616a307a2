"""Checkpoint folders: what is saved comes back, and anything else is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.errors import CheckpointError, OutputError
from aristotype.training import fit_to_template, load_checkpoint, load_weights, save_checkpoint, save_weights

STATE = {
    "linear.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
    "mask": torch.tensor([0.0, -torch.inf]),
    "table": torch.arange(4),
    "flag": torch.tensor([True, False]),
    "exact": torch.tensor([1 / 3], dtype=torch.float64),
}
CONFIG = {"model": {"width": 3, "names": ["a", "b"], "rate": 0.1}, "kind": "toy"}


@pytest.fixture
def saved(tmp_path):
    save_checkpoint(tmp_path / "model", CONFIG, STATE, "# Card\n", half=False)
    return tmp_path / "model"


def test_round_trip(saved):
    config, tensors = load_checkpoint(saved)
    assert config == CONFIG
    assert tensors.keys() == STATE.keys()
    assert all(torch.equal(tensors[name], STATE[name]) and tensors[name].dtype == STATE[name].dtype for name in STATE)
    assert (saved / "README.md").read_text(encoding="utf-8") == "# Card\n"
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model"]


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(-60000, 60000, width=32), min_size=1, max_size=8))
def test_half_storage_is_within_half_a_unit_of_float16(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("half") / "model"
    state = {"w": torch.tensor(values)}
    save_checkpoint(folder, {}, state, "", half=True)
    _, tensors = load_checkpoint(folder)
    assert tensors["w"].dtype == torch.float32
    # float16 keeps 11 significant bits, and steps of 2**-24 below its normal range.
    torch.testing.assert_close(tensors["w"], state["w"], rtol=2.0**-11, atol=2.0**-25)


def test_half_storage_leaves_other_types_alone(tmp_path):
    save_checkpoint(tmp_path / "m", {}, STATE, "", half=True)
    _, tensors = load_checkpoint(tmp_path / "m")
    for name in ("mask", "table", "flag", "exact"):
        assert torch.equal(tensors[name], STATE[name])


def test_tied_weights_are_saved_under_both_names(tmp_path):
    weight = torch.ones(2, 2)
    save_checkpoint(tmp_path / "m", {}, {"a": weight, "b": weight.T}, "")
    assert load_checkpoint(tmp_path / "m")[1].keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("tensor", "half", "message"),
    [(torch.tensor([torch.nan]), False, "w holds NaN"), (torch.tensor([1e5]), True, "w exceeds 65504")],
)
def test_weights_that_cannot_be_stored_are_refused(tensor, half, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(tmp_path / "m", {}, {"w": tensor}, "", half=half)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_truncation_is_noticed(saved, name, keep):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(CheckpointError, match="truncated"):
        load_checkpoint(saved)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_the_weights_is_noticed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tampered") / "model"
    save_checkpoint(folder, CONFIG, STATE, "")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="sha256"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(saved)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "format version 99, this release reads 2"),
        ({"extra": 1}, r"unknown keys \['extra'\]"),
        ({"weights": {"sha256": "0"}}, r"missing keys \['half'\]"),
        ({"weights": None}, r"missing keys \['half', 'sha256'\]"),
    ],
)
def test_another_format_is_refused(saved, change, message):
    record = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(record | change))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(saved)


def test_a_changed_configuration_is_refused(saved):
    record = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(record | {"config": {**record["config"], "width": 77}}))
    with pytest.raises(CheckpointError, match="not the one that was saved"):
        load_checkpoint(saved)


def test_json_of_something_else_is_refused(saved):
    (saved / "config.json").write_text("[1, 2]")
    with pytest.raises(CheckpointError, match="not an aristotype checkpoint"):
        load_checkpoint(saved)


def test_a_template_names_every_fault(tmp_path):
    sha = save_weights(tmp_path / "w.safetensors", STATE, half=True)
    template = {"linear.weight": torch.zeros(3, 2), "table": torch.zeros(4, dtype=torch.int64), "new": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        load_weights(tmp_path / "w.safetensors", template, sha256=sha)
    for part in ("missing new", "unexpected mask", "linear.weight has shape (2, 3), the model has (3, 2)"):
        assert part in str(caught.value)


def test_a_template_gives_back_its_types(tmp_path):
    path = tmp_path / "w.safetensors"
    sha = save_weights(path, STATE, half=True)
    tensors = load_weights(path, STATE, sha256=sha)
    assert all(tensors[name].dtype == STATE[name].dtype for name in STATE)
    assert fit_to_template(STATE, STATE).keys() == STATE.keys()
    with pytest.raises(CheckpointError, match="sha256"):
        load_weights(path, STATE, sha256="0" * 64)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="truncated"):
        load_weights(path, STATE)


def test_a_full_disk_leaves_the_earlier_checkpoint(saved, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"No space left on device.*earlier one is unchanged"):
        save_checkpoint(saved, {"other": 1}, {"w": torch.ones(1)}, "other")
    with pytest.raises(OutputError, match="No space left on device"):
        save_weights(saved.parent / "w.safetensors", STATE, half=False)
    monkeypatch.undo()
    assert load_checkpoint(saved)[0] == CONFIG
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model"]


@pytest.mark.parametrize("survived", range(4))
def test_a_kill_at_any_step_of_a_replacement_leaves_one_whole_checkpoint(saved, monkeypatch, survived):
    """Dying before rename 0, before rename 1, or after both: the old or the new checkpoint loads, never half of one."""
    replace, done = Path.replace, []

    def dying(path, target):
        if len(done) == survived:
            raise KeyboardInterrupt
        done.append(target)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", dying)
    monkeypatch.setattr("aristotype.training._checkpoint.shutil.rmtree", lambda *a, **k: None)  # the dead clean nothing
    if survived < 2:
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(saved, {"new": 1}, STATE, "")
    else:
        save_checkpoint(saved, {"new": 1}, STATE, "")
    monkeypatch.undo()
    assert load_checkpoint(saved)[0] == (CONFIG if survived < 2 else {"new": 1})
    save_checkpoint(saved, {"newer": 1}, STATE, "")
    assert load_checkpoint(saved)[0] == {"newer": 1}
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model"], "what the dead left is gone"


def test_a_folder_that_is_no_checkpoint_is_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(OutputError, match="not a checkpoint"):
        save_checkpoint(tmp_path / "thesis", {}, STATE, "")
    assert (tmp_path / "thesis" / "chapter.tex").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows paths are text")
def test_a_path_that_is_not_utf8_is_printable_in_messages(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff"))
    with pytest.raises(CheckpointError, match=r"m\\xff") as caught:
        load_checkpoint(path)
    str(caught.value).encode("utf-8")
    save_checkpoint(path, CONFIG, STATE, "")
    assert load_checkpoint(path)[0] == CONFIG
