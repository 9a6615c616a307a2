"""Calibration finds how sure a model may be: on draws of a model, what it was when they were drawn."""

from __future__ import annotations

import pytest

from aristotype.crystal import Conditions
from aristotype.errors import ConfigError
from aristotype.models import load
from aristotype.models.wyckoff_augen import GridsConfig
from aristotype.models.wyckoff_augen._calibrate import Judged, calibrate, calibrated

from .grids.small import tiny_model


@pytest.fixture(scope="module")
def drawn():
    """A group in which a crystal has one description."""
    return tiny_model(max_sites=3).sample(300, Conditions(space_groups=[229]), seed=0, score=False)


def test_what_was_wrong_comes_right(drawn):
    model = tiny_model(max_sites=3)
    judged = Judged(model, drawn)
    wrong = model.with_config(
        cell_spread=0.4, letter_temperature=0.3, element_temperature=3.0, node_temperature=0.3, space_temperature=2.5
    )
    found = calibrated(wrong, judged)
    for name, part in (("cell_spread", "cell"), ("letter_temperature", "letters"), ("space_temperature", "space")):
        assert getattr(found.config, name) == pytest.approx(1.0, rel=0.25)
        assert judged.nll(found, part) < judged.nll(wrong, part) - 0.01
    for part in ("cell", "letters", "elements", "coordinates"):
        assert judged.nll(found, part) <= judged.nll(model, part) + 1e-3
    table = drawn[:20]
    assert (found.log_prob(table) != wrong.log_prob(table)).all()


def test_a_checkpoint_is_calibrated_in_place_and_its_card_says_so(drawn, tmp_path):
    model = tiny_model(max_sites=3).with_config(letter_temperature=2.5)
    model.save(tmp_path / "best", card="A card.\n", half=False)
    for _ in range(2):
        calibrate(tmp_path / "best", load(tmp_path / "best"), drawn[:60])
    text = (tmp_path / "best" / "README.md").read_text()
    assert text.count("- calibrated on 60 validation crystals") == 1 and text.startswith("A card.")
    assert load(tmp_path / "best").config.letter_temperature < 2.0


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"node_temperature is 0.01; it must be from 0.1 to 10"):
        GridsConfig(node_temperature=0.01)
