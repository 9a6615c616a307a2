"""Property targets for any model: draws are kept with the probability that their properties are in range.

A model draws p(gene); a predictor says P(property in range | gene), a Laplace distribution of calibrated width. Keeping
a draw with that probability is Bayes' rule by rejection: what is kept follows p(gene | property in range), exactly as
far as the predictor is right, whatever the model. A target's strength raises that probability to a power, as the scale
of classifier guidance does (Dhariwal and Nichol, arXiv:2105.05233). The price is the share of draws that are not kept,
which is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import Conditions, CrystalTable, GeneBatch, PropertyTarget
from aristotype.errors import InputError
from aristotype.models.blocks import uniforms

if TYPE_CHECKING:
    from aristotype.models.gene_encoder import GeneEncoder

    Floats = NDArray[np.float64]
    Stream = Callable[..., Iterator[CrystalTable]]

MOST_BLOCKS = 200
"""Blocks of a model's stream in a row without a row that is kept, after which the targets are given up."""
_KEPT = (1 << 32) - 1  # purpose of the random numbers that decide; models take theirs from 0 on


def meets_targets(stream: Stream) -> Stream:
    """A model's `stream` that heeds `Conditions.targets`; the model has `scored(table)`, which fills in scores.

    Rows keep their ids, which tell the draw. The columns `<property>` and `<property>_std` are what was predicted, and
    `draws` is how many draws it took since the row before. A block may be empty.

    Raises:
        UnknownNameError: there is no such predictor.
        InputError: two targets of one property, or nothing was kept of `MOST_BLOCKS` blocks in a row.
    """

    @wraps(stream)
    def steered(
        self: Any, conditions: Conditions | None = None, *, seed: int, score: bool = False, **options: Any
    ) -> Iterator[CrystalTable]:
        if conditions is None or not conditions.targets:
            return stream(self, conditions, seed=seed, score=score, **options)
        judges = _judges(conditions.targets)
        blocks = stream(self, conditions.without_targets(), seed=seed, score=False, **options)
        kept = _kept(blocks, judges, seed)
        return map(self.scored, kept) if score else kept

    return steered


def probability_in_range(values: Floats, deviations: Floats, low: float, high: float) -> Floats:
    """(n,) probability of Laplace distributions (median and standard deviation (n,)) between two ends; 0 for NaN."""
    scale = deviations / math.sqrt(2)

    def below(end: float) -> Floats:
        if math.isinf(end):
            return np.full(len(values), float(end > 0))
        away = np.abs(end - values) / scale
        tail = 0.5 * np.exp(-away)
        return np.where(end < values, tail, 1 - tail)

    return np.nan_to_num(below(high) - below(low), nan=0.0)


@dataclass(frozen=True)
class _Judge:
    """A target and what predicts it."""

    target: PropertyTarget
    encoder: GeneEncoder

    @property
    def name(self) -> str:
        """The property."""
        return self.encoder.config.target

    def __call__(self, genes: GeneBatch) -> tuple[Floats, Floats, Floats]:
        """Value, standard deviation and chance of being kept (n,); NaN, NaN, 0 where nothing is predicted."""
        values, deviations = self.encoder.predict(genes)
        chance = probability_in_range(values, deviations, self.target.low, self.target.high)
        return values, deviations, chance**self.target.strength


def _judges(targets: Sequence[PropertyTarget]) -> list[_Judge]:
    from aristotype.models._registry import predictor_of

    judges = [_Judge(target, predictor_of(target.property)) for target in targets]
    names = [judge.name for judge in judges]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is a target {names.count(name)} times; give one range for each property")
    return judges


def _kept(blocks: Iterator[CrystalTable], judges: list[_Judge], seed: int) -> Iterator[CrystalTable]:
    row = waiting = idle = 0
    best: tuple[float, list[float]] = (-1.0, [])
    for block in blocks:
        chance, columns = np.ones(len(block)), {}
        genes = block.genes()
        found = [judge(genes) for judge in judges]
        for judge, (values, deviations, probability) in zip(judges, found, strict=True):
            chance *= probability
            columns[judge.name] = pa.array(values, pa.float64(), from_pandas=True)
            columns[f"{judge.name}_std"] = pa.array(deviations, pa.float64(), from_pandas=True)
        kept = np.flatnonzero(uniforms(seed, np.arange(row, row + len(block)), _KEPT, 1)[:, 0] < chance)
        row += len(block)
        draws = np.diff(kept, prepend=-1 - waiting)
        waiting = len(block) - 1 - kept[-1] if len(kept) else waiting + len(block)
        if len(block) and chance.max() > best[0]:
            place = int(chance.argmax())
            best = float(chance[place]), [float(values[place]) for values, _, _ in found]
        idle = 0 if len(kept) else idle + 1
        if idle == MOST_BLOCKS:
            raise InputError(_hopeless(judges, waiting, *best))
        yield block.take(kept).with_columns({**{k: v.take(pa.array(kept)) for k, v in columns.items()}, "draws": draws})


def _hopeless(judges: list[_Judge], draws: int, chance: float, values: list[float]) -> str:
    asked = ", ".join(
        f"{judge.name} from {judge.target.low:g} to {judge.target.high:g} {judge.encoder.config.unit}".rstrip()
        for judge in judges
    )
    nearest = ", ".join(f"{value:.4g}" for value in values)
    return (
        f"none of {draws:,} draws was kept for {asked}: the nearest has {nearest} and would be kept with probability "
        f"{chance:.2g}; widen the range, lower the strength, or loosen the other conditions"
    )
