"""Draws genes from a WyckoffTransformer, block by block, every row from its own random stream.

Row i depends on (seed, i), the model and the conditions alone: rows are decoded in blocks of fixed size, so that a
longer run begins with the shorter one, to the bit on one machine. Under conditions on the elements every row is chosen
among `PROPOSALS` candidates that all satisfy them, with the probability that the masks left as weight
(sampling-importance-resampling, Rubin 1988): masks alone would satisfy the conditions with the wrong chemistry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import GeneBatch, canonical_genes, templates_of
from aristotype.models.blocks import uniforms
from aristotype.models.wyckoff_transformer._elements import ElementNetwork, following_on_letter, site_mask
from aristotype.models.wyckoff_transformer._memory import CONCENTRATION
from aristotype.models.wyckoff_transformer._model import WyckoffTransformer
from aristotype.models.wyckoff_transformer._partial import Known
from aristotype.models.wyckoff_transformer._plan import Plan
from aristotype.models.wyckoff_transformer._rules import ElementRule
from aristotype.models.wyckoff_transformer._writer import STOP

BLOCK = 512
PROPOSALS = 16
ATTEMPTS = (range(1, 2), range(2, 6), range(6, 25))
_ATTEMPT = 1 << 48  # attempts of a row draw from streams this far apart
_GROUP, _TEMPLATE, _LETTERS, _MEMBER, _PLACEMENT, _ELEMENTS, _CHOICE, _IMAGE, _KINDS, _KNOWN = range(10)
_TINY = 1e-300


@dataclass(kw_only=True)
class _Proposals:
    """Templates of a block on their way to genes; canonical, sorted sites."""

    group: NDArray[np.int64]  # (n,)
    letters: NDArray[np.int64]  # (n, S), -1 where there is no site
    log_weight: NDArray[np.float64]  # (n,) log of the probability that the masks left so far

    def take(self, rows: NDArray[np.int64]) -> _Proposals:
        """Some rows, as wide as all of them."""
        return _Proposals(group=self.group[rows], letters=self.letters[rows], log_weight=self.log_weight[rows])

    def templates(self) -> GeneBatch:
        """The templates as genes of hydrogen."""
        return GeneBatch(
            space_group=self.group.astype(np.int16),
            elements=(self.letters >= 0).astype(np.int8),
            wyckoffs=self.letters.astype(np.int8),
        )


@torch.no_grad()
def draw_blocks(model: WyckoffTransformer, plan: Plan, seed: int) -> Iterator[GeneBatch]:
    """Endless blocks of genes in row order, canonical, each from its own random stream."""
    model.eval()
    kept = BLOCK // PROPOSALS if plan.weighted else BLOCK
    start = 0
    while True:
        rows = np.arange(start, start + BLOCK)
        proposals = _draw_templates(model, plan, seed, rows)
        found = model.memory.find(proposals.templates())
        kinds, cost = _draw_kinds(model, plan, proposals, found, uniforms(seed, rows, _KINDS, 1)[:, 0])
        genes, log_weight = _draw_elements(model, plan, seed, rows, proposals, kinds)
        if plan.weighted:
            log_weight += cost + model.known_correction(genes, found)
            chosen = _resample(log_weight.reshape(kept, PROPOSALS), uniforms(seed, rows[::PROPOSALS], _CHOICE, 1)[:, 0])
            genes = genes.take(np.arange(kept) * PROPOSALS + chosen)
        else:
            rejection, _ = model.rejection(found, kinds)
            genes = _draw_again(model, plan, seed, rows, genes, proposals, kinds, rejection)
        yield canonical_genes(genes)
        start += BLOCK


def _draw_again(
    model: WyckoffTransformer,
    plan: Plan,
    seed: int,
    rows: NDArray[np.int64],
    genes: GeneBatch,
    proposals: _Proposals,
    kinds: NDArray[np.int64],
    rejection: NDArray[np.float64],
) -> GeneBatch:
    """Draws the elements of training genes again, with the probability (n,) that the model is calibrated to.

    After the last of `ATTEMPTS` a row keeps what it has, which leaves at most 1e-5 of a template's probability where it
    was. Attempts are drawn several at a time, since few rows need many; the first that stands is taken.
    """

    def rejected(genes: GeneBatch, stream: NDArray[np.int64], rejection: NDArray[np.float64]) -> NDArray[np.bool_]:
        out = uniforms(seed, stream, _KNOWN, 1)[:, 0] < rejection
        out[out] = model.is_known(genes.take(np.flatnonzero(out)))
        return out

    again = np.flatnonzero(rejected(genes, rows, rejection))
    for attempts in ATTEMPTS:
        if not len(again):
            break
        owner = np.repeat(again, len(attempts))
        stream = rows[owner] + np.tile(attempts, len(again)) * _ATTEMPT
        fresh, _ = _draw_elements(model, plan, seed, stream, proposals.take(owner), kinds[owner])
        stands = ~rejected(fresh, stream, rejection[owner]).reshape(len(again), len(attempts))
        taken = np.where(stands.any(axis=1), stands.argmax(axis=1), len(attempts) - 1)
        genes.elements[again] = fresh.elements[np.arange(len(again)) * len(attempts) + taken]
        again = again[~stands.any(axis=1)]
    return genes


def _resample(log_weight: NDArray[np.float64], draw: NDArray[np.float64]) -> NDArray[np.int64]:
    """One index a row, with probability proportional to the weight; any, where no proposal has a weight."""
    largest = log_weight.max(axis=1, keepdims=True)
    return _pick(np.exp(log_weight - np.where(np.isfinite(largest), largest, 0.0)), draw)


def _pick(weight: NDArray[np.float64], draw: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index (n,) drawn from unnormalised weights (n, k) by inversion; never one of weight zero."""
    total = np.cumsum(weight, axis=1)
    index = (total <= draw[:, None] * total[:, -1:]).sum(axis=1)
    last = weight.shape[1] - 1 - (weight[:, ::-1] > 0).argmax(axis=1)
    return np.minimum(index, last)


# Templates


def _draw_templates(model: WyckoffTransformer, plan: Plan, seed: int, rows: NDArray[np.int64]) -> _Proposals:
    """Space groups, then a template of each: the one asked for, a remembered one, or one that the writer makes."""
    n = len(rows)
    cumulative = np.cumsum(plan.group_probabilities)
    draw = uniforms(seed, rows, _GROUP, 1)[:, 0] * cumulative[-1]
    group = np.minimum(np.searchsorted(cumulative, draw, side="right"), plan.group_probabilities.nonzero()[0][-1])
    if plan.template is not None:
        own = plan.template.wyckoffs[0][plan.template.wyckoffs[0] >= 0].astype(np.int64)
        return _Proposals(group=group, letters=np.tile(own, (n, 1)), log_weight=np.zeros(n))
    memory = model.memory
    letters = np.full((n, model.config.max_sites), -1, dtype=np.int64)
    log_weight = np.zeros(n)
    picked = np.full(n, -1, dtype=np.int64)
    draws = uniforms(seed, rows, _TEMPLATE, 1)[:, 0]
    writes = {number: plan.conditions.is_free or plan.writable(number) for number in np.unique(group).tolist()}
    for number in np.unique(group).tolist():
        mine = np.flatnonzero(group == number)
        known = np.flatnonzero((memory.templates.space_group == number) & plan.remembered)
        weights = np.append(memory.weights[known], memory.writer_weights[number] * writes[number])
        choice = _pick(np.tile(weights, (len(mine), 1)), draws[mine])
        picked[mine] = np.append(known, -1)[choice]
        log_weight[mine] = np.log(weights.sum() / (memory.group_counts[number] + CONCENTRATION))
    remembered = np.flatnonzero(picked >= 0)
    width = memory.templates.wyckoffs.shape[1]
    letters[remembered, :width] = memory.templates.wyckoffs[picked[remembered]]
    new = np.flatnonzero(picked < 0)
    if len(new):
        images = [plan.images.of_group(number) for number in group[new].tolist()]
        which = uniforms(seed, rows[new], _IMAGE, 1)[:, 0].tolist()
        chosen = [own[int(draw * len(own))] for own, draw in zip(images, which, strict=True)]
        draws = uniforms(seed, rows[new], _LETTERS, model.config.max_sites + 1)
        written, cost = _write(model, plan, group[new], chosen, draws)
        letters[new] = written
        log_weight[new] += cost
    longest = int((letters >= 0).sum(axis=1).max())
    return _Proposals(group=group, letters=letters[:, :longest], log_weight=log_weight)


def _write(
    model: WyckoffTransformer, plan: Plan, group: NDArray[np.int64], images: list[Known], draws: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lets the writer make one template a row, letter by letter, within the plan's masks; canonical letters, mass."""
    n, most = len(group), model.config.max_sites
    device = model.writer.stop.weight.device
    state = model.writer.start_writing(torch.from_numpy(group).to(device), most)
    letters = np.full((n, most), -1, dtype=np.int64)
    last, done, log_mass = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=bool), np.zeros(n)
    for step in range(most + 1):
        log_probabilities = state.step(step, torch.from_numpy(last).to(device)).double().cpu().numpy()
        allowed = np.isfinite(log_probabilities)  # before the exponential, which can underflow
        if not plan.conditions.is_free:
            for row in np.flatnonzero(~done):
                allowed[row] &= plan.letter_mask(int(group[row]), tuple(letters[row, :step].tolist()), images[row])
        weight = np.where(allowed, np.maximum(np.exp(log_probabilities), _TINY), 0.0)
        weight[done] = np.eye(STOP + 1)[STOP]
        log_mass += np.where(done, 0.0, np.log(weight.sum(axis=1)))
        choice = _pick(weight, draws[:, step])
        done |= choice == STOP
        if done.all():
            break
        letters[~done, step] = choice[~done]
        last = np.where(done, last, choice)
    if plan.partial:
        log_mass += [_log_ways(plan, int(number), own[own >= 0].tolist()) for number, own in zip(group, letters)]
    return _canonical_letters(group, letters), log_mass


def _log_ways(plan: Plan, number: int, letters: list[int]) -> float:
    """What corrects for known sites that one image was drawn for, where a template holds several of them."""
    return float(np.log(len(plan.images.of_group(number)) / plan.images.count_within(number, letters)))


def _canonical_letters(group: NDArray[np.int64], letters: NDArray[np.int64]) -> NDArray[np.int64]:
    genes = GeneBatch(
        space_group=group.astype(np.int16), elements=(letters >= 0).astype(np.int8), wyckoffs=letters.astype(np.int8)
    )
    return templates_of(genes).wyckoffs.astype(np.int64)


# Elements


def _draw_elements(
    model: WyckoffTransformer,
    plan: Plan,
    seed: int,
    rows: NDArray[np.int64],
    proposals: _Proposals,
    kinds: NDArray[np.int64],
) -> tuple[GeneBatch, NDArray[np.float64]]:
    """Elements for templates, each row by one member of the mixture; genes and the proposals' weights, updated."""
    n = len(rows)
    member = (uniforms(seed, rows, _MEMBER, 1)[:, 0] * len(model.members)).astype(np.int64)
    draws = uniforms(seed, rows, _ELEMENTS, proposals.letters.shape[1])
    log_weight = proposals.log_weight.copy()
    rules: list[ElementRule] | None = None
    if plan.rules_needed:
        rules, cost = _start_rules(plan, proposals, uniforms(seed, rows, _PLACEMENT, 1)[:, 0])
        log_weight += cost
    indices = np.full((n, proposals.letters.shape[1]), -1, dtype=np.int64)
    for index, network in enumerate(model.members):
        mine = np.flatnonzero(member == index)
        order = mine[np.argsort(-(proposals.letters[mine] >= 0).sum(axis=1), kind="stable")]
        own = None if rules is None else [rules[row] for row in order]
        if len(order):
            indices[order], cost = _decode(network, plan, proposals, kinds, order, draws[order], own)
            log_weight[order] += cost
    if plan.partial:
        log_weight -= _log_placements(plan, proposals, indices)
    vocabulary = np.append(np.array(model.config.elements, dtype=np.int8), np.int8(0))
    genes = GeneBatch(
        space_group=proposals.group.astype(np.int16),
        elements=vocabulary[indices],
        wyckoffs=proposals.letters.astype(np.int8),
    )
    return genes, log_weight


def _log_placements(plan: Plan, proposals: _Proposals, elements: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log of the number of placements of the known sites that each finished gene holds: it can be drawn through any."""
    counts = []
    for number, letters, own in zip(proposals.group.tolist(), proposals.letters, elements, strict=True):
        there = letters >= 0
        counts.append(plan.images.count_within(number, letters[there].tolist(), own[there].tolist()))
    return np.log(counts)


def _start_rules(
    plan: Plan, proposals: _Proposals, draws: NDArray[np.float64]
) -> tuple[list[ElementRule], NDArray[np.float64]]:
    """A rule a row, with a random placement of the known sites; log of the number of placements."""
    rules, cost = [], np.zeros(len(draws))
    for row, draw in enumerate(draws.tolist()):
        number = int(proposals.group[row])
        letters = tuple(proposals.letters[row][proposals.letters[row] >= 0].tolist())
        places = plan.placements(number, letters)
        known: Known = places[int(draw * len(places))]
        cost[row] = np.log(len(places))
        rules.append(plan.rule(number, letters, known))
    return rules, cost


def _draw_kinds(
    model: WyckoffTransformer,
    plan: Plan,
    proposals: _Proposals,
    found: NDArray[np.int64],
    draws: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The number of different elements of each row, within what the conditions leave possible; log mass."""
    sites = (proposals.letters >= 0).sum(axis=1)
    weight = model.memory.distinct_probabilities(found, sites, len(plan.vocabulary))
    fewest, most = plan.distinct_elements(sites)
    number = np.arange(weight.shape[1])
    weight = np.where((number >= fewest) & (number <= most[:, None]), weight, 0.0)
    return _pick(weight, draws), np.log(weight.sum(axis=1))


def _decode(
    network: ElementNetwork,
    plan: Plan,
    proposals: _Proposals,
    kinds: NDArray[np.int64],
    order: NDArray[np.int64],
    draws: NDArray[np.float64],
    rules: list[ElementRule] | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Writes elements site by site for rows sorted by decreasing length.

    Returns vocabulary indices, -1 where there is no site, and the log mass of each row: -inf where the conditions left
    nothing that also has the number of different elements drawn, so that the row satisfies the conditions alone.
    """
    letters = proposals.letters[order]
    sites = (letters >= 0).sum(axis=1)
    masks = _KindsMask(torch.from_numpy(letters), torch.from_numpy(kinds[order]), torch.from_numpy(plan.vocabulary))
    device = network.start.device
    state = network.start_decoding(
        torch.from_numpy(proposals.group[order]).to(device),
        torch.from_numpy(np.maximum(letters[:, : sites.max()], 0)).to(device),
        torch.from_numpy(kinds[order]).to(device),
        torch.from_numpy(sites).to(device),
    )
    chosen = np.full(letters.shape, -1, dtype=np.int64)
    log_mass = np.zeros(len(order))
    last: Tensor | None = None
    for site in range(int(sites.max())):
        active = int((sites > site).sum())
        logits = state.step(site, active, None if last is None else last[:active]).float()
        probabilities = torch.softmax(logits, dim=-1).double().cpu().numpy()
        free, allowed = masks.at(site, active)
        if rules is not None:
            ruled = np.stack([rules[row].allowed() for row in range(active)])
            allowed = allowed & ruled
            stuck = ~allowed.any(axis=1)
            allowed[stuck] = ruled[stuck]
            log_mass[:active][stuck] = -np.inf
        weight = np.where(allowed, np.maximum(probabilities, _TINY), 0.0)
        log_mass[:active] += np.log(weight.sum(axis=1)) - np.log(np.maximum((probabilities * free).sum(axis=1), _TINY))
        chosen[:active, site] = _pick(weight, draws[:active, site])
        for row, rule in enumerate(rules[:active] if rules is not None else []):
            rule.choose(int(chosen[row, site]))
        last = masks.choose(chosen[:active, site]).to(device)
    return chosen, log_mass


class _KindsMask:
    """Follows rows from site to site: which elements lead to exactly the wanted number of different ones."""

    def __init__(self, letters: Tensor, kinds: Tensor, vocabulary: Tensor) -> None:
        self._letters = letters
        self._kinds = kinds
        self._vocabulary = vocabulary
        self._everything = bool(vocabulary.all())
        self._sites = (letters >= 0).sum(dim=1)
        self._following = following_on_letter(letters)
        self._used = torch.zeros(len(letters), len(vocabulary), dtype=torch.bool)
        self._last = torch.zeros(len(letters), dtype=torch.long)

    def at(self, site: int, rows: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(rows, vocabulary) what the model may put on a site, and what the allowed elements leave of it."""
        used = self._used[:rows]
        same = self._letters[:rows, site] == self._letters[:rows, site - 1] if site else torch.tensor(False)
        lowest = torch.where(same, self._last[:rows], 0)
        needed = self._kinds[:rows] - used.sum(dim=1)
        asked = (lowest, used, self._following[:rows, site], self._sites[:rows] - 1 - site, needed)
        free = site_mask(*asked).numpy()
        return free, free if self._everything else site_mask(*asked, self._vocabulary).numpy()

    def choose(self, elements: NDArray[np.int64]) -> Tensor:
        """Notes what was put on the current site of the first rows; returns it as a tensor."""
        chosen = torch.from_numpy(elements)
        rows = len(elements)
        self._used[:rows].scatter_(1, chosen[:, None], True)
        self._last[:rows] = chosen
        return chosen
