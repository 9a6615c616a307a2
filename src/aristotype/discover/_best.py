"""Best of n: more draws for one crystal, of which the likeliest or the most rewarded is kept.

The compute goes into drawing and judging instead of a larger model (Snell et al., arXiv:2408.03314). What is kept no
longer follows the model: it is better by what judges, and less varied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable
from aristotype.discover._generate import CLOSEST, draws_geometry
from aristotype.discover._rewards import Reward, rewards_of
from aristotype.discover._score import sized, typicality
from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.crystal import Conditions

LIKELIHOOD = "likelihood"
_POOL = 256
"""About so many draws are ranked together."""
_JUDGED = 64
"""About so many are judged by a reward at a time."""


class BestOf:
    """A model whose every row is the best of n rows of another one.

    By likelihood: the highest percentile of `log_prob` among the draws of like size of a pool of about 256, because
    log-probabilities of crystals of unlike size do not compare (see `typicality`). By a reward: the largest. A row
    without either, or with overlapping atoms (`closest`), loses to every other.

    Columns beside those of the model: `best_of`, and `percentile` or `reward`; `draws` counts those of all n.
    """

    def __init__(self, model: Any, candidates: int, by: str | Reward = LIKELIHOOD, *, processes: int = 1) -> None:
        """Prepares the choice.

        Args:
            model: of genes or crystals.
            candidates: n.
            by: `"likelihood"`, or a reward (see `reward_named`).
            processes: worker processes for the reward.

        Raises:
            InputError: there is less than one candidate, or a reward is to judge genes, or `by` is another text.
        """
        if candidates < 1:
            raise InputError(f"the best of {candidates} is asked for; give at least 1")
        if isinstance(by, str) and by != LIKELIHOOD:
            raise InputError(f"the best by {by!r} is asked for; give {LIKELIHOOD!r} or a reward (`reward_named`)")
        if not isinstance(by, str) and not draws_geometry(model):
            raise InputError(
                f"{model.name} draws genes, and a reward judges crystals; take a model of crystals, or {LIKELIHOOD!r}"
            )
        self.model, self.candidates, self.by, self.processes = model, candidates, by, processes
        self.draws_geometry = draws_geometry(model)
        self.name = model.name

    def train_keys(self) -> set[bytes]:
        """Those of the model."""
        found: set[bytes] = self.model.train_keys()
        return found

    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables, each row the best of the next n rows of the model's stream; see its own for errors."""
        wanted = _POOL if self.by == LIKELIHOOD else _JUDGED
        size = self.candidates * max(1, wanted // self.candidates)
        blocks = self.model.stream(conditions, seed=seed, score=score or self.by == LIKELIHOOD)
        return (self._best(pool) for pool in _of_size(blocks, size))

    def _best(self, pool: CrystalTable) -> CrystalTable:
        if self.by == LIKELIHOOD:
            name, values = "percentile", self._percentiles(pool)
        else:
            name, values = "reward", rewards_of(pool, self.by, processes=self.processes)[0]  # type: ignore[arg-type]
        lost = np.isnan(values)
        if "closest" in pool.columns:
            lost |= pool.column("closest").to_numpy() < CLOSEST
        ranked = np.where(lost, -np.inf, values).reshape(-1, self.candidates)
        chosen = np.arange(len(ranked)) * self.candidates + ranked.argmax(axis=1)
        columns = {name: pa.array(values[chosen], pa.float64(), from_pandas=True)}
        columns["best_of"] = pa.array([self.candidates] * len(ranked), pa.int32())
        if "draws" in pool.columns:
            columns["draws"] = pa.array(pool.column("draws").to_numpy().reshape(ranked.shape).sum(axis=1))
        return pool.take(chosen).with_columns(columns)

    def _percentiles(self, pool: CrystalTable) -> NDArray[np.float64]:
        log_prob = pool.column("log_prob").to_numpy().astype(np.float64)
        finite = np.flatnonzero(np.isfinite(log_prob))
        out = np.full(len(pool), np.nan)
        if len(finite):
            scores = sized({"total": log_prob[finite]}, pool.genes().take(finite), self.model)
            out[finite] = typicality(scores)["percentile"].to_numpy(zero_copy_only=False)
        return out


def _of_size(blocks: Iterator[CrystalTable], size: int) -> Iterator[CrystalTable]:
    """The rows of some tables in tables of a size."""
    waiting: list[CrystalTable] = []
    have = 0
    for block in blocks:
        waiting.append(block)
        have += len(block)
        while have >= size:
            table = CrystalTable.concatenate(waiting)
            yield table[:size]
            waiting, have = [table[size:]], have - size
