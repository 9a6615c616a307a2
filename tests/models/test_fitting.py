"""What every `fit` does alike: weights by seed, rows to validate on, cards, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import CrystalTable
from aristotype.errors import InputError
from aristotype.models import crystalformer, wyckoff_transformer
from aristotype.models._fitting import card_with_figures, fresh_weights, refuse_longer, validation_rows
from aristotype.models.crystalformer import paper as published_crystalformer
from aristotype.models.wyckoff_transformer import paper as published_wyckoff_transformer
from aristotype.training import TrainingConfig
from tests.models.prototypes import crystal
from tests.random_genes import random_genes


def salts(*pairs: tuple[int, int]) -> CrystalTable:
    """Crystals of the structure of rock salt."""
    rng = np.random.default_rng(0)
    return CrystalTable.from_crystals([crystal(225, (0, 1), pair, rng) for pair in pairs])


def test_weights_are_a_function_of_the_seed_alone():
    """The random numbers of the caller neither decide them nor move on."""
    made = []
    for outside in (0, 1):
        torch.manual_seed(outside)
        with fresh_weights(7):
            made.append(torch.rand(3))
        after = torch.rand(3)
        torch.manual_seed(outside)
        assert torch.equal(after, torch.rand(3))
    assert torch.equal(*made)
    with fresh_weights(8):
        assert not torch.equal(made[0], torch.rand(3))


@pytest.mark.parametrize("most", [1, 10, 1000])
def test_rows_to_validate_on_hold_known_elements_alone(most):
    rng = np.random.default_rng(0)
    genes = random_genes(rng, rng.integers(1, 231, 200).tolist(), elements=(3, 8, 26), max_sites=3)
    known = {row for row in range(len(genes)) if 26 not in genes.elements[row]}
    rows = validation_rows(genes, (3, 8), most)
    assert len(rows) == min(most, len(known))
    assert (np.diff(rows) > 0).all()
    assert known >= set(rows.tolist())
    assert (rows == validation_rows(genes, (3, 8), most)).all()


def test_figures_stand_below_the_card():
    assert card_with_figures("# Name", {"step": 2, "nll": 0.5}) == (
        "# Name\n\nFigures of the run at this step:\n\n- step: 2\n- nll: 0.5\n"
    )


def test_genes_longer_than_a_model_writes_are_refused():
    genes = salts((3, 8), (11, 17)).genes()
    refuse_longer(genes, 2)
    refuse_longer(genes.take([]), 0)
    with pytest.raises(InputError, match="holds a gene of 2 sites, and this model writes at most 1; leave out longer"):
        refuse_longer(genes, 1)


@pytest.mark.parametrize(
    ("fit", "config", "crystals"),
    [
        (wyckoff_transformer.fit, wyckoff_transformer.WyckoffTransformerConfig(), False),
        (published_wyckoff_transformer.fit_paper, published_wyckoff_transformer.PaperConfig(), False),
        (crystalformer.fit, crystalformer.GeometryConfig(), True),
        (published_crystalformer.fit_paper, published_crystalformer.PaperConfig(), True),
    ],
)
def test_a_fit_without_rows_to_validate_on_is_refused_before_it_begins(fit, config, crystals, tmp_path):
    train, val = (table if crystals else table.genes() for table in (salts((3, 8), (3, 9)), salts((11, 17), (3, 17))))
    with pytest.raises(InputError, match="has only elements of the split train; validate on others"):
        fit(config, train, val, TrainingConfig(max_steps=1, tensorboard=False), tmp_path / "run")
    assert not (tmp_path / "run").exists()
