"""Settings of chains of crystals, and what came of them as tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aristotype.crystal import (
    CANONICAL_VERSION,
    SCHEMA_VERSION,
    CrystalTable,
    formulas,
    package_version,
    protostructure_labels,
)
from aristotype.discover._generate import CLOSEST
from aristotype.discover._metropolis import ACCEPTED, cooled
from aristotype.discover._row_values import row_values
from aristotype.errors import InputError
from aristotype.symmetry import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aristotype.discover._chain_crystals import ChainCrystals
    from aristotype.discover._metropolis import Chains
    from aristotype.discover._properties import Guide

Floats = NDArray[np.float64]
MOST_CHAINS = 1 << 20
"""Chains of one start: their random streams are this far apart."""


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Settings that all chains of crystals have.

    Raises:
        InputError: a number is out of its range.
    """

    steps: int = 200  # proposals of each chain
    temperature: float = 1.0  # of the first step
    final_temperature: float | None = None  # of the last step, reached by equal factors; None: it stays
    displacement: float = 0.1  # Angstrom, that a site steps; steps from a tenth to three times this are drawn
    strain: float = 0.01  # of a cell, likewise
    closest: float = CLOSEST  # least distance of two atoms, over the sum of their covalent radii
    seed: int = 0  # from 0 to 2^63 - 1

    def __post_init__(self) -> None:
        self.temperatures()
        for name in ("displacement", "strain"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise InputError(f"the {name} is {getattr(self, name)}; it must be above 0 and at most 1")
        if not 0.0 <= self.closest <= 2.0:
            raise InputError(
                f"the least distance is {self.closest} of the sum of two radii; it must be from 0 to 2, such as .7"
            )
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"the seed is {self.seed}; it must be from 0 to 2^63 - 1")

    def temperatures(self) -> Floats:
        """(steps,) the temperature of each step."""
        last = self.temperature if self.final_temperature is None else self.final_temperature
        return cooled(self.temperature, last, self.steps)


@dataclass(frozen=True, kw_only=True)
class ChainsResult:
    """What chains of crystals gave.

    Attributes:
        table: the best and the last crystal of each chain, with the columns `start`, `chain`, `kind` (best, last),
            `step`, `log_prob`, `score` (with the properties), `accepted` (share of the chain's steps), `formula`,
            `label`, and each property.
        trace: a row a chain and step, from step 0 on: `start`, `chain`, `step`, `move`, `accepted`, `temperature`,
            `log_prob`, `score`, and what each property adds to it at temperature 1, in nats.
        summary: settings and counts as JSON values; `moves` tells what became of the proposals of each kind of move.
    """

    table: CrystalTable
    trace: pa.Table
    summary: dict[str, Any]


def check_chains(chains: int) -> None:
    """Refuses numbers of chains that there cannot be.

    Raises:
        InputError: it is less than 1 or more than `MOST_CHAINS`.
    """
    if not 1 <= chains <= MOST_CHAINS:
        raise InputError(f"{chains} chains are asked for; ask for 1 to {MOST_CHAINS:,}")


def chains_result(
    run: Chains[ChainCrystals],
    guides: Sequence[Guide],
    config: ChainConfig,
    *,
    starts: Sequence[str],
    numbers: Sequence[int],
    extra: dict[str, Any],
) -> ChainsResult:
    """Tables of what chains did.

    Args:
        run: n chains.
        guides: the properties, in the order of the terms.
        config: of the run.
        starts: (n,) names of the crystals that they began with.
        numbers: (n,) of the chains of one start.
        extra: more entries of the summary.
    """
    weights = np.array([1.0, *(guide.weight for guide in guides)])
    share = run.accepted[1:].mean(axis=0)
    ends = {"best": (run.best, run.best_step, run.best_terms)}
    ends["last"] = (run.last, np.full(len(starts), len(run.moves) - 1), run.terms[-1])
    parts = []
    for kind, (crystals, step, terms) in ends.items():
        names = [f"{start}-{number}-{kind}" for start, number in zip(starts, numbers, strict=True)]
        table = crystals.to_table(names)
        genes = table.genes()
        columns: dict[str, Any] = {
            "start": list(starts),
            "chain": list(numbers),
            "kind": [kind] * len(names),
            "step": step,
            "log_prob": terms[:, 0],
            "score": terms @ weights,
            "accepted": share,
            "formula": formulas(genes),
            "label": protostructure_labels(genes),
        }
        parts.append(
            table.with_columns(
                columns | {guide.name: row_values(guide.property, table, guide.name)[0] for guide in guides}
            )
        )
    return ChainsResult(
        table=CrystalTable.concatenate(parts),
        trace=_trace(run, guides, config, weights, starts, numbers),
        summary=_summary(run, guides, config) | extra,
    )


def _trace(
    run: Chains[ChainCrystals],
    guides: Sequence[Guide],
    config: ChainConfig,
    weights: Floats,
    starts: Sequence[str],
    numbers: Sequence[int],
) -> pa.Table:
    """One row a chain and step, chain after chain."""
    steps, chains = run.accepted.shape
    heat = np.concatenate([[config.temperature], config.temperatures()])
    terms = run.terms.transpose(1, 0, 2).reshape(steps * chains, -1)
    columns = {
        "start": pa.array(np.repeat(np.array(starts, object), steps), pa.string()),
        "chain": pa.array(np.repeat(np.asarray(numbers, np.int64), steps)),
        "step": pa.array(np.tile(np.arange(steps), chains)),
        "move": pa.array(run.moves * chains, pa.string()),
        "accepted": pa.array(run.accepted.T.reshape(-1)),
        "temperature": pa.array(np.tile(heat, chains)),
        "log_prob": pa.array(terms[:, 0]),
        "score": pa.array(terms @ weights),
    }
    added = {guide.name: pa.array(terms[:, k] * guide.weight) for k, guide in enumerate(guides, start=1)}
    return pa.table(columns | added)


def _summary(run: Chains[ChainCrystals], guides: Sequence[Guide], config: ChainConfig) -> dict[str, Any]:
    moves = {
        name: {
            "tried": sum(fates.values()),
            "accepted": fates[ACCEPTED],
            "not_accepted": {reason: count for reason, count in fates.most_common() if reason != ACCEPTED},
        }
        for name, fates in run.fates.items()
    }
    return {
        **asdict(config),
        "chains": len(run.start),
        "guides": [{"name": guide.name, "weight": guide.weight, "target": guide.target} for guide in guides],
        "accepted_share": float(run.accepted[1:].mean()),
        "moves": moves,
        "versions": {
            "aristotype": package_version(),
            "schema": SCHEMA_VERSION,
            "canonical": str(CANONICAL_VERSION),
            "symmetry_sha256": tables().sha256,
        },
    }
