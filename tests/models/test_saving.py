"""Checkpoints and names: what is saved comes back, and what is damaged or foreign is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aristotype.crystal import Conditions, GeneBatch, gene_keys
from aristotype.errors import CheckpointError, UnknownNameError
from aristotype.models import GeneModel, _registry, load, load_encoder, shipped_models
from aristotype.models.gene_encoder import FAMILY as ENCODER_FAMILY
from aristotype.models.wyckoff_transformer import WyckoffTransformer
from aristotype.training import save_checkpoint
from tests.models.worlds import model_of_all_groups, training_genes


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    model_of_all_groups().save(folder, card="# Tiny\n\nRandom weights.\n")
    return folder


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def put_config(folder: Path, config: object) -> None:
    """As another release would have written it: the hash is right."""
    record = json.loads((folder / "config.json").read_text())
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps({**record, "config": config, "config_sha256": digest}))


def change_settings(folder: Path, **changes) -> None:
    record = json.loads((folder / "config.json").read_text())
    put_config(folder, record["config"] | changes)


def test_a_loaded_model_scores_as_the_saved_one(saved, tmp_path):
    """To the rounding of 16-bit weights, a relative 2^-11 each, or exactly where they are kept in 32 bits."""
    model, genes = model_of_all_groups(), training_genes()
    expected = model.log_prob(genes)
    assert np.abs(load(saved).log_prob(genes) - expected).max() < 0.05
    model.save(tmp_path / "full", half=False)
    assert (load(tmp_path / "full").log_prob(genes) == expected).all()


def test_the_sums_kept_with_a_checkpoint_are_those_of_its_weights(saved, tmp_path, monkeypatch):
    """Scores of remembered templates are read, not computed; training and foreign weights forget them."""
    model, genes = load(saved), training_genes()
    kept = model.log_writer(genes)
    with monkeypatch.context() as patched:
        patched.setattr(model.writer, "log_prob", lambda *_: pytest.fail("computed again"))
        assert (model.log_writer(genes.take(np.arange(len(genes)))) == kept).all()
    model.train()
    assert np.abs(model.log_writer(genes) - kept).max() < 1e-6
    with torch.no_grad():
        changed = {k: v + torch.randn_like(v) if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(changed)
    assert np.abs(model.log_writer(genes) - kept).max() > 1e-3


def test_loading_twice_gives_the_same_genes(saved):
    asked = Conditions(required_elements=["Li"], num_sites=2)
    first, second = load(saved), load(saved)
    assert first.sample(40, seed=3) == second.sample(40, seed=3)
    assert first.sample(4, asked, seed=3) == second.sample(4, asked, seed=3)


def test_saving_a_loaded_model_changes_nothing(saved, tmp_path):
    load(saved).save(tmp_path / "again", card="# Tiny\n\nRandom weights.\n")
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_a_loaded_model_is_ready(saved):
    model = load(str(saved))
    assert isinstance(model, WyckoffTransformer)
    assert isinstance(model, GeneModel)
    assert model.name == "tiny"
    assert not model.training
    assert model.sample(1, seed=0).column("model").to_pylist() == ["tiny"]
    assert not [path for path in saved.iterdir() if path.suffix in (".pkl", ".pt", ".pth")]


def test_keys_of_the_training_genes_come_along(saved):
    expected = set(gene_keys(training_genes(), merge_enantiomorphs=True).tolist())
    assert load(saved).train_keys() == model_of_all_groups().train_keys() == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tables_sha256": "0" * 64}, "symmetry tables 000000000000"),
        ({"canonical_version": 99}, "canonical version 99"),
        ({"canonical_version": None}, "canonical version None"),
        ({"model": {"width": 15}}, "configuration is not one of this release"),
        ({"model": {"wings": 2}}, "wings"),
        ({"model": {}}, "does not fit the model"),
        ({"family": "crystal-former"}, "family crystal-former default, which this release does not know"),
        ({"variant": "huge"}, "wyckoff-transformer huge"),
    ],
)
def test_checkpoints_of_something_else_are_refused(copy, changes, said):
    change_settings(copy, **changes)
    with pytest.raises(CheckpointError, match=said):
        load(copy)


def test_a_configuration_that_is_no_table_is_refused(copy):
    put_config(copy, [1, 2])
    with pytest.raises(CheckpointError, match="no table"):
        load(copy)


def test_settings_that_are_missing_are_refused(copy):
    record = json.loads((copy / "config.json").read_text())
    for name in ("tables_sha256", "canonical_version", "model", "family"):
        less = {key: value for key, value in record["config"].items() if key != name}
        put_config(copy, less)
        with pytest.raises(CheckpointError):
            load(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("keep", [0, 0.5, None])
def test_damaged_folders_are_refused(copy, name, keep):
    """Empty, cut in half, and gone."""
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if keep is not None:
        (copy / name).write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(CheckpointError):
        load(copy)


def test_a_flipped_bit_is_found(copy):
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="changed or truncated"):
        load(copy)


@pytest.mark.parametrize("dropped", ["memory.counts", "writer.stop.weight", "members.1.bias"])
def test_tensors_that_are_missing_are_named(tmp_path, dropped):
    model = model_of_all_groups()
    tensors = {name: tensor for name, tensor in model.tensors().items() if name != dropped}
    save_checkpoint(tmp_path / "less", model.settings(), tensors, "")
    with pytest.raises(CheckpointError, match=dropped):
        load(tmp_path / "less")


def test_weights_that_are_not_numbers_are_not_saved(tmp_path):
    model = WyckoffTransformer(model_of_all_groups().config, model_of_all_groups().memory)
    with torch.no_grad():
        model.writer.stop.bias.fill_(float("nan"))
    with pytest.raises(CheckpointError):
        model.save(tmp_path / "nan")
    assert not (tmp_path / "nan").exists()


def test_unknown_names_list_the_known(monkeypatch, saved):
    monkeypatch.setattr(_registry, "shipped_models", lambda: {"alpha": None, "beta": None})
    with pytest.raises(UnknownNameError, match=r"'gamma'.*alpha, beta.*folder"):
        load("gamma")
    with pytest.raises(UnknownNameError):
        load(saved / "config.json")


def test_folders_that_are_no_checkpoint_are_refused(tmp_path):
    with pytest.raises(CheckpointError):
        load(tmp_path)


def test_shipped_models_load():
    """Each by its name, small enough to ship, sampling legal genes."""
    shipped = shipped_models()
    if not shipped:
        pytest.skip("no checkpoint is in the package yet")
    for name, info in shipped.items():
        assert info.megabytes <= 10
        assert info.description
        assert len(info.sha256) == 64
        if info.family == ENCODER_FAMILY:
            assert load_encoder(name).name == name
            continue
        model = load(name)
        assert model.name == name
        genes: GeneBatch = model.sample(4, seed=0, score=False).genes()
        assert genes.legal().all()
