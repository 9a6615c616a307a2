"""Calibration of a trained WyckoffTransformer: what a network gets wrong as a whole, set right on held-out genes.

Everything set here acts on scores and samples alike, so that scores stay exact.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch, gene_keys
from aristotype.models.wyckoff_transformer._model import WyckoffTransformer
from aristotype.symmetry import mirror_image, tables

TEMPERATURES = tuple(round(0.8 + 0.05 * step, 2) for step in range(13))

LEAST_SHARE = 0.04
"""Splits without repeated genes say too little of how often known crystals come, and pushing training genes below this
takes from the charge balance of the others (see docs/benchmarks.md)."""
BALANCE_ROUNDS = 8
BALANCE_GENES = 20_000
"""Most genes sampled to count elements: as many as there are to compare with, if those are fewer."""
BALANCE_GAIN = 1.5
"""Above one, because the elements of a site that is sure of them answer little to a shift; falls as 1 / round."""
BALANCE_COST = 0.01
"""Most nats of held-out likelihood that a gene may lose by it."""
BALANCE_PRIOR = 20.0
"""Sites of each element added to both counts that are compared, so that rare elements stay where they are."""
LEAST_VARIANCE = 0.01
"""Of the shares of the atoms of an element's sites: some elements nearly always hold the same share."""


def calibrated(model: WyckoffTransformer, train_genes: GeneBatch, held_out: GeneBatch) -> WyckoffTransformer:
    """The model with its element temperature, element shares and share of training genes set.

    - A network that has seen its training genes many times is too sure of itself: the temperature is the one with the
      smallest mean negative log-likelihood of the held-out genes, times the configuration's `diversity`.
    - Training genes are given the share of probability with which they recur in the held-out genes, and at least
      `LEAST_SHARE` (see `WyckoffTransformer.known_correction`).
    - Every element's logit is shifted, in proportion to the site's share of the atoms too, so that elements hold as
      many of the sites and of the atoms of samples as of all these genes; unless the held-out genes lose more than
      `BALANCE_COST` by it.
    """
    plain = model.with_config(temperature=1.0, known_rejection=0.0)
    cooled = plain.with_config(temperature=best_temperature(plain, held_out) * model.config.diversity)
    share = max(LEAST_SHARE, recurrence(cooled, held_out))
    uneven = _with_share(cooled, train_genes, share)
    everything = GeneBatch.concatenate([train_genes, held_out])
    best = uneven
    for number in range(BALANCE_ROUNDS):
        shifted = _balanced(best, everything, gain=BALANCE_GAIN / (1 + number), seed=number)
        best = _with_share(shifted, train_genes, share)
    cost = uneven.log_prob(held_out).mean() - best.log_prob(held_out).mean()
    return best if cost <= BALANCE_COST else uneven


def best_temperature(model: WyckoffTransformer, held_out: GeneBatch) -> float:
    """The temperature with the smallest mean NLL of the elements: a parabola through the best three `TEMPERATURES`."""
    nats = [-float(model.with_config(temperature=t).log_elements(held_out).mean()) for t in TEMPERATURES]
    best = int(np.clip(np.argmin(nats), 1, len(nats) - 2))
    before, least, after = nats[best - 1 : best + 2]
    bend = before - 2 * least + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return TEMPERATURES[best] + float(np.clip(step, -1, 1)) * (TEMPERATURES[best + 1] - TEMPERATURES[best])


def share_moments(genes: GeneBatch, elements: tuple[int, ...]) -> NDArray[np.float64]:
    """(3, vocabulary) a mean gene's sums over the sites of each element of 1, the share of the atoms and its square."""
    row, site = np.nonzero(genes.elements)
    multiplicity = tables().padded("multiplicity", fill=0).astype(np.float64)
    atoms = multiplicity[genes.space_group[row], genes.wyckoffs[row, site]]
    share: NDArray[np.float64] = atoms / np.bincount(row, atoms, minlength=len(genes))[row]
    sums = [np.bincount(genes.elements[row, site], share**power, minlength=128) for power in range(3)]
    moments: NDArray[np.float64] = np.array(sums)[:, list(elements)] / max(1, len(genes))
    return moments


def _balanced(model: WyckoffTransformer, genes: GeneBatch, gain: float = 1.0, seed: int = 0) -> WyckoffTransformer:
    """The model with logits shifted towards the sites and the shares of the atoms that each element holds in genes.

    One Newton step of the log-linear model with the features 1 and share for each element, its covariance that of the
    genes alone.
    """
    elements = model.config.elements
    count = min(BALANCE_GENES, len(genes))
    sampled = model.sample(count, seed=seed, score=False).genes()
    wanted, found = share_moments(genes, elements), share_moments(sampled, elements)
    prior = BALANCE_PRIOR / count * wanted.sum(axis=1, keepdims=True) / wanted[0].sum()
    wanted, found = wanted + prior, found + prior
    mean, mean_found = wanted[1] / wanted[0], found[1] / found[0]
    tilt = (mean - mean_found) / np.maximum(wanted[2] / wanted[0] - mean**2, LEAST_VARIANCE)
    shift = np.log(wanted[0] / wanted[0].sum()) - np.log(found[0] / found[0].sum()) - tilt * mean_found
    shifted = model.with_config()
    step = gain * model.config.temperature
    with torch.no_grad():
        for member in shifted.members:
            member.bias.add_(torch.from_numpy(step * shift).to(member.bias))
            member.tilt.add_(torch.from_numpy(step * tilt).to(member.tilt))
    return shifted


def _with_share(model: WyckoffTransformer, train_genes: GeneBatch, share: float) -> WyckoffTransformer:
    """The model with training genes drawn again so often that they have a share of its probability."""
    model.memory.known[:] = known_mass(model, train_genes)
    return model.with_config(known_rejection=_rejection(model, share))


def known_mass(model: WyckoffTransformer, train_genes: GeneBatch) -> NDArray[np.float64]:
    """(M, K) the network's probability of all training genes, given a remembered template and k different elements."""
    genes = both_hands(train_genes)
    found = model.memory.find(genes)
    genes, found = genes.take(np.flatnonzero(found >= 0)), found[found >= 0]
    out = np.zeros(model.memory.distinct.shape)
    np.add.at(out, (found, genes.num_elements), np.exp(model.log_elements(genes)))
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
        trial = model.with_config(known_rejection=rejection)
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
