"""Configuration from TOML and overrides, and back."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aristotype.errors import ConfigError
from aristotype.training import TrainingConfig, build_config, load_config, to_dict, to_toml

TRAINING = TrainingConfig(max_steps=100, learning_rate=0.5)


@dataclass(frozen=True, kw_only=True)
class Model:
    width: int = 64
    dropout: float = 0.0
    order: Literal["any", "canonical"] = "any"
    layers: tuple[int, ...] = (1, 2)
    betas: tuple[float, float] = (0.9, 0.99)
    limit: int | None = None
    name: str = "x"
    tied: bool = True
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Whole:
    data: str
    model: Model = Model()
    training: TrainingConfig = TRAINING
    spare: Model | None = None


models = st.builds(
    Model,
    width=st.integers(),
    dropout=st.floats(allow_nan=False),
    order=st.sampled_from(["any", "canonical"]),
    layers=st.lists(st.integers(0, 9)).map(tuple),
    limit=st.none() | st.integers(),
    name=st.text(st.characters(exclude_categories=["Cs"])),
    tied=st.booleans(),
    shares=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.floats(-1e300, 1e300), max_size=3),
)
wholes = st.builds(Whole, data=st.text(st.characters(codec="utf-8")), model=models, spare=st.none() | models)


@settings(deadline=None)
@given(wholes)
def test_toml_and_dict_round_trip(config):
    assert build_config(Whole, to_dict(config)) == config
    assert build_config(Whole, tomllib.loads(to_toml(config))) == config


@settings(deadline=None)
@given(wholes)
def test_no_override_and_no_value_give_the_base(config):
    assert build_config(Whole, base=config) == config


def test_file_and_overrides(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('data = "mp_20"\n[model]\nwidth = 8\n[training]\nepochs = 3\n', encoding="utf-8")
    overrides = ["model.width=16", "model.layers=[3, 4, 5]", "training.learning_rate=1e-3", "model.order=canonical"]
    config = load_config(Whole, path, overrides)
    assert config.model == Model(width=16, layers=(3, 4, 5), order="canonical")
    assert config.training == TrainingConfig(max_steps=100, epochs=3, learning_rate=1e-3)


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("name=12", "name", "12"),
        ('name="a b"', "name", "a b"),
        ("name=a=b", "name", "a=b"),
        ("limit=5", "limit", 5),
        ("limit=none", "limit", None),
        ("width=1e3", "width", 1000),
        ("dropout=1", "dropout", 1.0),
        ("tied=false", "tied", False),
        ("shares.a=0.5", "shares", {"a": 0.5}),
    ],
)
def test_the_field_says_how_an_override_is_read(override, name, value):
    found = getattr(build_config(Model, overrides=[override], base=Model(limit=1)), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=3", r"unknown configuration key model\.widht; did you mean width\?.*known here: betas, dropout"),
        ("modle.width=3", r"unknown configuration key modle; did you mean model\?"),
        ("model.width=3.5", r"model\.width is 3\.5; it must be int"),
        ("model.width=true", r"model\.width is True; it must be int"),
        ("model.width=wide", r"model\.width is 'wide'; it must be int"),
        ("model.tied=1", r"model\.tied is 1; it must be bool"),
        ("model.order=canonicl", r"one of any, canonical; did you mean canonical\?"),
        ("model.layers=3", r"must be a list of int"),
        ("model.layers=[1, x]", r"must be a list of int"),
        ("model.layers=[1, 2.5]", r"model\.layers\[1\] is 2\.5; it must be int"),
        ("model.betas=[0.5]", r"has 1 values; it must have 2"),
        ("model.limit=x", r"model\.limit is 'x'"),
        ("model=3", r"it is a table with the keys width"),
        ("training.learning_rate=-1", r"learning_rate is -1\.0; it must be positive"),
        ("width", r"not of the form key=value"),
        ("=3", r"not of the form key=value"),
        ("data.x=3", r"data is the value 'd', it has no keys"),
    ],
)
def test_what_does_not_fit_is_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        build_config(Whole, {"data": "d"}, [override])


def test_a_field_without_value_is_named():
    with pytest.raises(ConfigError, match="data has no value and no default"):
        build_config(Whole)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(Whole, tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_bytes(b"a = = 3")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(Whole, tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(Whole, tmp_path / "binary.toml")


def test_the_class_of_a_nested_value_may_be_anything_with_any():
    @dataclass(frozen=True)
    class Loose:
        extra: Any = None

    assert build_config(Loose, overrides=["extra=[1, 2]"]).extra == [1, 2]
