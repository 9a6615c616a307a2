"""What the `fit` of every family does alike: fresh weights, validation rows, cards, refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aristotype.crystal import GeneBatch
from aristotype.errors import InputError

SITES_A_ROW = 4.6
"""Sites of an average crystal of MP-20: turns a batch size in rows into one in sites."""
TOKENS_A_ROW = SITES_A_ROW + 1
"""Tokens of an average gene of MP-20: its sites and its end."""


@contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Weights that are made inside are a function of the seed, and of nothing else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def refuse_longer(genes: GeneBatch, most: int, *, what: str = "gene", remedy: str = "leave out longer genes") -> None:
    """Refuses training genes of more sites than a model writes, `most`.

    Raises:
        InputError: naming the longest.
    """
    longest = int(genes.num_sites.max(initial=0))
    if longest > most:
        raise InputError(
            f"the training table holds a {what} of {longest} sites, and this model writes at most {most}; {remedy}"
        )


def validation_rows(genes: GeneBatch, elements: tuple[int, ...], most: int) -> NDArray[np.int64]:
    """Rows to validate on: at most `most` of those with elements of a vocabulary alone, drawn with seed 0, in order.

    Raises:
        InputError: there is none.
    """
    known = np.isin(genes.elements, (0, *elements)).all(axis=1)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(known))[:most]
    if not len(rows):
        raise InputError("no crystal of the split val has only elements of the split train; validate on others")
    return np.sort(rows)


def card_with_figures(card: str, figures: Mapping[str, Any], of: str = "the run at this step") -> str:
    """The text of a model card, and below it the figures of the run."""
    lines = "\n".join(f"- {name}: {value}" for name, value in figures.items())
    return f"{card}\n\nFigures of {of}:\n\n{lines}\n"
