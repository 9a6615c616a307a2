"""A model of crystals as a policy: scores are those of the model, draws follow them, and what may learn alone moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aristotype.crystal import CrystalTable, settings_of
from aristotype.errors import InputError
from aristotype.models import load
from aristotype.models.crystalformer import CrystalFormer, CrystalPolicy, Tries
from tests.models.worlds import closed_world, tiny_model, training_genes

from .networks import Certain, network


@pytest.fixture(scope="module")
def whole() -> CrystalFormer:
    """Genes of three elements in many groups, with geometry by random weights."""
    genes = tiny_model(training_genes(), max_sites=8).with_config(known_rejection=0.5)
    return CrystalFormer(genes, network(), Tries(crystals=1, sites=2)).eval()


@pytest.mark.parametrize("moved", ["genes", "geometry", "both"])
def test_scores_are_those_of_the_model_but_for_what_stays(whole, moved):
    policy = CrystalPolicy(whole, moved)
    table = policy.draw(40, seed=0)
    parts = policy.model.log_prob_parts(table)
    _, owner = settings_of(table.genes())
    geometry = parts["lattice"] + np.log(np.bincount(owner)) + parts["coordinates"]
    elements = policy.model.genes.log_elements(table.genes())
    wanted = {"genes": elements, "geometry": geometry, "both": elements + geometry}[moved]
    # The model scores geometry in double precision, the policy in single.
    assert np.allclose(policy.log_prob(table).detach().numpy(), wanted, atol=2e-3, rtol=1e-4)


def test_the_mean_score_of_elements_is_zero():
    """Probabilities of all elements on a template sum to one, whatever the weights: the gradient of the sum is zero."""
    model, everything = closed_world(25)
    total = torch.exp(model.score_elements(everything)).sum()
    found = total.item()
    assert found == pytest.approx(round(found), abs=1e-4)  # one for each template and number of elements
    weights = list(model.members.parameters())
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    one = torch.autograd.grad(model.score_elements(everything)[0], weights, allow_unused=True)
    largest = max(float(g.abs().max()) for g in one if g is not None)
    assert largest > 0.1
    assert max(float(g.abs().max()) for g in gradients if g is not None) < 1e-4 * largest


@pytest.mark.parametrize(("moved", "rows"), [("genes", 512), ("both", 40)])
def test_draws_follow_the_scores(whole, moved, rows):
    """E_p[q / p] = 1 for any other policy q of the same model, so that no factor is missing."""
    policy, other = CrystalPolicy(whole, moved), CrystalPolicy(whole, moved)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        with torch.no_grad():
            for weights in other.learning().parameters():
                weights += 0.01 * torch.randn_like(weights)
    table = policy.draw(rows, seed=1)
    with torch.no_grad():
        ratio = torch.exp(other.log_prob(table) - policy.log_prob(table)).numpy()
    assert ratio.std() > 0.05
    assert abs(ratio.mean() - 1.0) < 4 * ratio.std() / np.sqrt(len(ratio))


@pytest.mark.parametrize("moved", ["genes", "geometry", "both"])
def test_only_what_learns_gets_a_gradient(whole, moved):
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    policy = CrystalPolicy(whole, moved)
    policy.log_prob(policy.draw(20, seed=0)).sum().backward()
    reached = {name.split(".")[1] for name, w in policy.named_parameters() if w.grad is not None and w.grad.any()}
    assert reached == {"genes": {"genes"}, "geometry": {"geometry"}, "both": {"genes", "geometry"}}[moved]
    assert not any("writer" in name for name, w in policy.named_parameters() if w.grad is not None)
    with torch.no_grad():
        for weights in policy.learning().parameters():
            weights += 1.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in whole.state_dict().items())


def test_draws_with_learning_geometry_are_never_drawn_again(whole):
    table = CrystalPolicy(whole, "geometry").draw(60, seed=0)
    assert set(table.column("crystal_draws").to_pylist()) == {1}
    assert set(table.column("site_draws").to_pylist()) == {0}


def test_a_trained_policy_is_a_checkpoint_with_its_own_genes(whole, tmp_path):
    policy = CrystalPolicy(whole, "both")
    with torch.no_grad():
        for weights in policy.learning().parameters():
            weights += 0.01
    table = policy.draw(10, seed=0)
    policy.trained().save(tmp_path / "kept", card="kept", half=False)
    kept = load(tmp_path / "kept")
    assert np.allclose(kept.log_prob(table), policy.model.log_prob(table), atol=1e-4)
    assert not np.allclose(kept.log_prob(table), whole.log_prob(table), atol=1e-2)
    assert kept.train_keys() == whole.train_keys()


def test_genes_of_a_model_without_gradients_are_refused():
    model = CrystalFormer(Certain(), network())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="geometry learn alone"):
        CrystalPolicy(model, "genes")
    policy = CrystalPolicy(model, "geometry")
    genes = CrystalTable.from_genes(training_genes().take(np.arange(5)))
    assert torch.isfinite(policy.log_prob(policy.model.realize(genes, seed=0))).all()
