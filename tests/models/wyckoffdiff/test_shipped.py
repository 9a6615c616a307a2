"""The checkpoint that ships."""

from __future__ import annotations

from aristotype.crystal import Conditions, GeneBatch, compositions
from aristotype.models import load, shipped_models

MODEL = "wyckoffdiff-mp20"


def test_its_genes_are_legal_and_like_crystals():
    model = load(MODEL)
    genes = model.sample(40, seed=0, score=False).genes()
    assert genes.legal().all()
    assert 2 < genes.num_sites.mean() < 8
    salts = GeneBatch.from_lists([225, 225], [[11, 17], [11, 36]], [[0, 1], [0, 1]])
    sodium_chloride, sodium_krypton = -model.log_prob(salts)
    assert 5 < sodium_chloride < 14
    assert sodium_krypton > sodium_chloride + 1


def test_it_writes_a_formula_in_a_group():
    genes = load(MODEL).sample(3, Conditions(formula="CaTiO3", space_groups=[221]), seed=0, score=False).genes()
    for held in compositions(genes):
        units = held[20]
        assert held == {20: units, 22: units, 8: 3 * units}
    assert (genes.space_group == 221).all()


def test_its_card_says_what_it_was_trained_on():
    info = shipped_models()[MODEL]
    card = (info.path / "README.md").read_text()
    assert "76.7 %" in card
    assert info.megabytes < 10
    assert "_ %" not in card
    assert 20_000 < len(load(MODEL).train_keys()) <= 20_808
