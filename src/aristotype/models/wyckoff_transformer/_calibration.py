"""Calibration of a trained WyckoffTransformer: what a network gets wrong as a whole, set right on held-out genes.

Everything set here acts on scores and samples alike, so that scores stay exact.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, gene_keys
from aristotype.models.wyckoff_transformer._memory import num_distinct
from aristotype.models.wyckoff_transformer._model import WyckoffTransformer
from aristotype.symmetry import mirror_image

TEMPERATURES = tuple(round(0.9 + 0.05 * step, 2) for step in range(9))


LEAST_SHARE = 0.04
"""Splits without repeated genes say too little of how often known crystals come, and pushing training genes below this
takes from the charge balance of the others (see docs/benchmarks.md)."""
BALANCE_ROUNDS = 2
BALANCE_GENES = 20_000
BALANCE_COST = 0.01
"""Most nats of held-out likelihood that a gene may lose by the shift."""
BALANCE_PRIOR = 20.0
"""Sites of each element added to both counts that are compared, so that rare elements stay where they are."""


def calibrated(model: WyckoffTransformer, train_genes: GeneBatch, held_out: GeneBatch) -> WyckoffTransformer:
    """The model with its element temperature, element shares and share of training genes set.

    - A network that has seen its training genes many times is too sure of itself: the temperature is the one with the
      smallest mean negative log-likelihood of the held-out genes, times the configuration's `diversity`.
    - Training genes are given the share of probability with which they recur in the held-out genes, and at least
      `LEAST_SHARE` (see `WyckoffTransformer.known_correction`).
    - Every element's logit is shifted so that the sampled sites hold each element as often as those of all these genes,
      unless the held-out genes lose more than `BALANCE_COST` by it.
    """
    plain = _with(model, temperature=1.0, known_rejection=0.0)
    cooled = min(
        (_with(plain, temperature=t) for t in TEMPERATURES), key=lambda m: -float(m.log_elements(held_out).mean())
    )
    cooled = _with(cooled, temperature=cooled.config.temperature * model.config.diversity)
    share = max(LEAST_SHARE, recurrence(cooled, held_out))
    best = _with_share(cooled, train_genes, share)
    everything = GeneBatch.concatenate([train_genes, held_out])
    for number in range(BALANCE_ROUNDS):
        shifted = _with_share(_balanced(best, everything, seed=number), train_genes, share)
        if best.log_prob(held_out).mean() - shifted.log_prob(held_out).mean() > BALANCE_COST:
            break
        best = shifted
    return best


def element_shares(genes: GeneBatch, elements: tuple[int, ...]) -> NDArray[np.float64]:
    """(vocabulary,) share of the sites that hold each element, with a prior so that rare elements do not run away."""
    counts = np.bincount(genes.elements[genes.elements > 0], minlength=128)[list(elements)]
    sites = counts * (BALANCE_GENES / max(1, len(genes))) + BALANCE_PRIOR
    shares: NDArray[np.float64] = sites / sites.sum()
    return shares


def _balanced(model: WyckoffTransformer, genes: GeneBatch, seed: int = 0) -> WyckoffTransformer:
    """The model with every element's logit shifted by the log of its share in genes over that in samples."""
    elements = model.config.elements
    sampled = model.sample(BALANCE_GENES, seed=seed, score=False).genes()
    shift = np.log(element_shares(genes, elements) / element_shares(sampled, elements))
    shifted = _with(model)
    with torch.no_grad():
        for member in shifted.members:
            member.bias.add_(torch.from_numpy(shift * model.config.temperature).to(member.bias))
    return shifted


def _with_share(model: WyckoffTransformer, train_genes: GeneBatch, share: float) -> WyckoffTransformer:
    """The model with training genes drawn again so often that they have a share of its probability."""
    model.memory.known[:] = known_mass(model, train_genes)
    return _with(model, known_rejection=_rejection(model, share))


def known_mass(model: WyckoffTransformer, train_genes: GeneBatch) -> NDArray[np.float64]:
    """(M, K) the network's probability of all training genes, given a remembered template and k different elements."""
    genes = both_hands(train_genes)
    found = model.memory.find(genes)
    genes, found = genes.take(np.flatnonzero(found >= 0)), found[found >= 0]
    out = np.zeros(model.memory.distinct.shape)
    np.add.at(out, (found, num_distinct(genes)), np.exp(model.log_elements(genes)))
    return np.minimum(out, 1.0)


def _rejection(model: WyckoffTransformer, share: float) -> float:
    """The rejection with which training genes have a share of the model's probability, by bisection."""
    memory = model.memory
    rows, kinds = np.indices(memory.known.shape)
    templates = memory.templates
    groups = memory.group_probabilities(model.config.group_smoothing)[templates.space_group]
    given = np.exp(memory.log_prob(templates, np.arange(len(memory)), model.log_writer(templates)))
    counts = memory.distinct_probabilities(np.arange(len(memory)), templates.num_sites, len(model.config.elements))
    width = min(counts.shape[1], memory.known.shape[1])
    weight = np.zeros(memory.known.shape)
    weight[:, :width] = (groups * given)[:, None] * counts[:, :width]

    def recurring(rejection: float) -> float:
        trial = _with(model, known_rejection=rejection)
        rejected, mass = trial.rejection(rows.ravel(), kinds.ravel())
        return float((weight.ravel() * mass * (1 - rejected) / (1 - rejected * mass)).sum())

    low, high = 0.0, 0.999
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if recurring(middle) > share else (low, middle)
    return low


def recurrence(model: WyckoffTransformer, genes: GeneBatch) -> float:
    """Share of genes that are training genes of the model."""
    return float(model.is_known(genes).mean())


def both_hands(genes: GeneBatch) -> GeneBatch:
    """Each different gene once, and its mirror image where that is in another group (11 enantiomorphic pairs)."""
    wyckoffs, group = genes.wyckoffs.copy(), genes.space_group.copy()
    for number in np.unique(group).tolist():
        partner, letters = mirror_image(number)
        rows = genes.space_group == number
        group[rows] = partner
        wyckoffs[rows] = np.append(letters, np.int8(-1))[genes.wyckoffs[rows]]
    mirrored = GeneBatch(space_group=group, elements=genes.elements, wyckoffs=wyckoffs)
    both = GeneBatch.concatenate([genes, mirrored])
    _, first = np.unique(np.array([key.hex() for key in gene_keys(both).tolist()]), return_index=True)
    return both.take(np.sort(first))


def _with(model: WyckoffTransformer, **changes: float) -> WyckoffTransformer:
    """The same weights under another configuration."""
    settings = model.settings()
    settings["model"].update(changes)
    return WyckoffTransformer.from_checkpoint(settings, model.tensors())
