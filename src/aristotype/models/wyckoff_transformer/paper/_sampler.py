"""Draws genes site by site and field by field, every row from its own random stream.

Rows are decoded in blocks of fixed size, so that row i depends on (seed, i) and the model alone. Rows that have stopped
are dropped, and what rows have in common is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import Conditions, CrystalTable, GeneBatch, canonical_genes
from aristotype.errors import InputError
from aristotype.models.blocks import uniforms
from aristotype.models.wyckoff_transformer.paper._model import WyckoffTransformerPaper
from aristotype.models.wyckoff_transformer.paper._rules import FIELDS, NO_LETTER, Field, Prefix

BLOCK = 1024
_GROUP = 0  # purposes of random numbers: the group, then a number for each field of each site
_FIRST_TOKEN = 1 << 31


@dataclass(frozen=True, kw_only=True)
class Start:
    """What rows begin with."""

    group_probabilities: NDArray[np.float64]  # (231,) not normalised
    first_tokens: GeneBatch | None  # row i starts from number i modulo their number

    @staticmethod
    def of(model: WyckoffTransformerPaper, conditions: Conditions, first_tokens: GeneBatch | None) -> Start:
        """Checks what is asked for.

        Raises:
            InputError: see `WyckoffTransformerPaper.stream`.
        """
        only_groups = Conditions(space_groups=conditions.space_groups)
        if conditions != only_groups or conditions.template is not None or conditions.partial is not None:
            raise InputError(
                "the paper configuration takes space groups as conditions and nothing else; for elements, formulas, "
                "numbers of sites or atoms, templates and partial crystals use the default configuration of "
                "wyckoff-transformer (model wyckoff-transformer-mp20)"
            )
        probabilities = model.group_probabilities()
        if conditions.space_groups is not None:
            kept = np.isin(np.arange(len(probabilities)), conditions.space_groups)
            probabilities = np.where(kept, probabilities, 0.0)
        if first_tokens is not None:
            _check_first_tokens(model, first_tokens, conditions)
        return Start(group_probabilities=probabilities, first_tokens=first_tokens)


def _check_first_tokens(model: WyckoffTransformerPaper, tokens: GeneBatch, conditions: Conditions) -> None:
    if conditions.space_groups is not None:
        raise InputError("first tokens bring their own space groups; leave the condition on space groups out")
    if len(tokens) == 0:
        raise InputError("there are no first tokens; give at least one gene of one site, or leave them out")
    tokens.check()
    wrong = tokens.num_sites != 1
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"first token {row} has {tokens.num_sites[row]} sites; each must be a gene of one site")
    model.check_vocabulary(tokens)


def first_tokens_of(model: WyckoffTransformerPaper, genes: GeneBatch, *, seed: int = 0) -> GeneBatch:
    """Genes of one site each: the first one in the model's order of sites, a random one where any order goes.

    For the experiment of "WyckoffTransformer: Autoregressive Generation of Crystals" (Kazeev et al., 2024): generation
    from the space groups and first tokens of test structures, `model.sample(len(genes), first_tokens=...)`.

    Raises:
        InputError: an element outside the vocabulary.
    """
    model.check_vocabulary(genes)
    if model.rules.ordered:
        rank = model.rules.rank.cpu().numpy()[model.vocabulary_index[genes.elements]]
        key = (rank * (NO_LETTER + 1) + genes.wyckoffs).astype(np.float64)
    else:
        key = uniforms(seed, np.arange(len(genes)), _FIRST_TOKEN, genes.wyckoffs.shape[1])
    site = np.where(genes.wyckoffs >= 0, key, np.inf).argmin(axis=1)[:, None]
    return GeneBatch(
        space_group=genes.space_group,
        elements=np.take_along_axis(genes.elements, site, axis=1),
        wyckoffs=np.take_along_axis(genes.wyckoffs, site, axis=1),
    )


@dataclass(kw_only=True)
class _Writing:
    """Rows of a block while they are written; those that have stopped are among `done`."""

    rows: NDArray[np.int64]  # (n,) row numbers of the run
    places: NDArray[np.int64]  # (n,) rows of the block
    group: Tensor  # (n,)
    elements: Tensor  # (n, k) vocabulary indices
    letters: Tensor  # (n, k)


def draw_blocks(model: WyckoffTransformerPaper, start: Start, seed: int) -> Iterator[GeneBatch]:
    """Endless blocks of canonical genes in row order."""
    model.eval()
    first = 0
    while True:
        with torch.no_grad():
            yield canonical_genes(_draw(model, start, seed, np.arange(first, first + BLOCK)))
        first += BLOCK


def _draw(model: WyckoffTransformerPaper, start: Start, seed: int, rows: NDArray[np.int64]) -> GeneBatch:
    """One block of genes."""
    device = model.temperatures.device
    space_group, elements, letters = _first(model, start, seed, rows)
    block = GeneBatch(
        space_group=space_group.astype(np.int16),
        elements=np.zeros((len(rows), model.config.max_sites), dtype=np.int8),
        wyckoffs=np.full((len(rows), model.config.max_sites), -1, dtype=np.int8),
    )
    vocabulary = np.array(model.config.elements, dtype=np.int8)
    writing = _Writing(
        rows=rows,
        places=np.arange(len(rows)),
        group=torch.from_numpy(space_group).to(device),
        elements=torch.from_numpy(elements).to(device),
        letters=torch.from_numpy(letters).to(device),
    )
    while len(writing.rows):
        stopped = _append_site(model, writing, seed)
        known = stopped.letters.shape[1]
        block.elements[stopped.places, :known] = vocabulary[stopped.elements.cpu().numpy()]
        block.wyckoffs[stopped.places, :known] = stopped.letters.cpu().numpy()
    longest = int(block.num_sites.max())
    return GeneBatch(
        space_group=block.space_group, elements=block.elements[:, :longest], wyckoffs=block.wyckoffs[:, :longest]
    )


def _first(
    model: WyckoffTransformerPaper, start: Start, seed: int, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Groups (n,), and elements and letters (n, 0 or 1) of the first tokens where they are given."""
    if start.first_tokens is not None:
        tokens = start.first_tokens.take(rows % len(start.first_tokens))
        site = (tokens.wyckoffs >= 0).argmax(axis=1)[:, None]
        elements = np.take_along_axis(tokens.elements, site, axis=1)
        letters = np.take_along_axis(tokens.wyckoffs, site, axis=1)
        return tokens.space_group.astype(np.int64), model.vocabulary_index[elements], letters.astype(np.int64)
    cumulative = np.cumsum(start.group_probabilities)
    group = np.searchsorted(cumulative, uniforms(seed, rows, _GROUP, 1)[:, 0] * cumulative[-1], side="right")
    nothing = np.empty((len(rows), 0), dtype=np.int64)
    return np.minimum(group, np.flatnonzero(start.group_probabilities)[-1]), nothing, nothing


def _append_site(model: WyckoffTransformerPaper, writing: _Writing, seed: int) -> _Writing:
    """Adds a site to every row in place, but for those that stop, which are taken out and returned."""
    known = writing.letters.shape[1]
    prefix = Prefix(group=writing.group, elements=writing.elements, letters=writing.letters)

    def draw(field: Field, rows: NDArray[np.int64], *given: Tensor) -> Tensor:
        purpose = 1 + len(FIELDS) * known + FIELDS.index(field)
        draws = torch.from_numpy(uniforms(seed, rows, purpose, 1)[:, 0])
        return _pick(model.conditional(field, prefix, *given), draws.to(writing.group.device))

    element = draw("element", writing.rows)
    stops = element == len(model.config.elements)
    stopped = _rows_of(writing, stops)
    _keep(writing, ~stops)
    if len(writing.rows):
        prefix, element = prefix.take(~stops), element[~stops]
        symbol = draw("symmetry", writing.rows, element)
        index = draw("index", writing.rows, element, symbol)
        letter = model.rules.letter_of[writing.group, symbol, index]
        writing.elements = torch.cat([writing.elements, element[:, None]], dim=1)
        writing.letters = torch.cat([writing.letters, letter[:, None]], dim=1)
    return stopped


def _rows_of(writing: _Writing, rows: Tensor) -> _Writing:
    chosen = rows.cpu().numpy()
    return _Writing(
        rows=writing.rows[chosen],
        places=writing.places[chosen],
        group=writing.group[rows],
        elements=writing.elements[rows],
        letters=writing.letters[rows],
    )


def _keep(writing: _Writing, rows: Tensor) -> None:
    kept = _rows_of(writing, rows)
    for name, value in vars(kept).items():
        setattr(writing, name, value)


def _pick(log_probs: Tensor, draws: Tensor) -> Tensor:
    """Index (n,) drawn by inversion; never one of probability zero, since its interval is empty."""
    cumulative = log_probs.double().exp().cumsum(dim=1)
    passed = cumulative <= draws[:, None] * cumulative[:, -1:]
    return passed.sum(dim=1)


def to_tables(
    model: WyckoffTransformerPaper, blocks: Iterator[GeneBatch], seed: int, score: bool
) -> Iterator[CrystalTable]:
    """Blocks of genes as tables with the columns `model`, `seed` and `log_prob`."""
    start = 0
    for genes in blocks:
        rows = range(start, start + len(genes))
        table = CrystalTable.from_genes(genes, ids=[f"{seed}-{row}" for row in rows]).with_columns(
            {
                "model": pa.array([model.name] * len(genes)),
                "seed": pa.array([seed] * len(genes), pa.int64()),
                "log_prob": pa.nulls(len(genes), pa.float64()),
            }
        )
        yield model.scored(table) if score else table
        start += len(genes)
