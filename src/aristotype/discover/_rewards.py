"""Rewards of crystals: any callable on a table, and those that the package brings."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, map_table
from aristotype.discover._generate import CLOSEST
from aristotype.discover._row_values import row_values
from aristotype.errors import ConfigError, InputError, UnknownNameError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from aristotype.evaluate import Hull

Reward = Callable[[CrystalTable], "NDArray[np.float64]"]
"""One number a crystal, the larger the better; NaN where there is none."""
_ATOMS, _ROWS = 200, 16
"""A chunk: enough for full batches of a potential."""


@dataclass(frozen=True, kw_only=True)
class EnergyAboveHull:
    """Minus the energy above hull in eV/atom of crystals that a potential has relaxed a little within their symmetry.

    It is cut off at both ends: below the hull there is nothing more to gain, because there a potential is least to be
    believed; and what is far above it is bad, however far. Crystals whose atoms overlap, whose relaxation fails, or
    which end where no physical crystal is get the lowest reward. NaN stands where the hull lacks an element.

    Attributes:
        calculator: Name or `module:factory` of the potential (see `aristotype.calculators.load_potential`).
        device: `auto`, `cpu` or `cuda`.
        hull: File of `aristotype hull build`; the shipped hull where None.
        steps: Most evaluations of the potential for a crystal.
        lowest: Energy above hull (eV/atom) below which there is nothing to gain.
        highest: Energy above hull beyond which all is equally bad.

    Raises:
        ConfigError: `highest` is not above `lowest`, or `steps` is out of range.
        UnknownNameError: there is no such calculator.
        InputError: there is no such hull, or it is of another potential.
    """

    calculator: str = "chgnet"
    device: str = "auto"
    hull: str | None = None
    steps: int = 8
    lowest: float = 0.0
    highest: float = 0.4

    def __post_init__(self) -> None:
        from aristotype.calculators import shared_potential
        from aristotype.realize import RelaxConfig

        if not (np.isfinite([self.lowest, self.highest]).all() and self.lowest < self.highest):
            raise ConfigError(
                f"energies above hull are cut off at {self.lowest:g} and {self.highest:g} eV/atom; the second must be "
                "the larger one"
            )
        RelaxConfig(steps=self.steps)
        own, potential = _hull(self.hull).about.get("potential"), shared_potential(self.calculator, self.device).name
        if own not in (None, potential):
            raise InputError(
                f"the hull is of {own}, and the energies would be by {potential}; take that calculator, or give a hull "
                "that `aristotype hull build --calculator` made with this one"
            )

    def __call__(self, table: CrystalTable) -> NDArray[np.float64]:
        """Rewards (n,) from -`highest` to -`lowest`.

        Raises:
            TableError: a row is a gene.
        """
        from aristotype.evaluate import geometry, heights, stability
        from aristotype.realize import RelaxConfig, relax

        table.check_geometry()
        out = np.full(len(table), -self.highest)
        fits = np.flatnonzero(~(geometry(table).closeness < CLOSEST))  # NaN where a radius is not known
        if len(fits):
            config = RelaxConfig(steps=self.steps, free_steps=0)
            relaxed = relax(table.take(fits), calculator=self.calculator, device=self.device, config=config)
            columns = stability(relaxed, _hull(self.hull), min_distance=geometry(relaxed).min_distance)
            height = np.nan_to_num(heights(columns), nan=self.highest)
            height[[name is not None for name in columns["hull_missing"].to_pylist()]] = np.nan
            out[fits] = -np.clip(height, self.lowest, self.highest)
        return out


def density(table: CrystalTable) -> NDArray[np.float64]:
    """Densities (n,) in g/cm^3.

    Raises:
        TableError: a row is a gene.
    """
    from aristotype.evaluate import geometry

    return geometry(table).density


@lru_cache(maxsize=2)
def _hull(path: str | None) -> Hull:
    from aristotype.evaluate import read_hull

    return read_hull(path)


def reward_named(name: str, **settings: object) -> Reward:
    """A reward by name.

    Args:
        name: `e-above-hull`, `density`, or a module and a callable in it, such as `my_module:reward`.
        settings: those of `EnergyAboveHull`.

    Raises:
        UnknownNameError: there is no such reward, module or callable.
        ConfigError: a setting out of range.
    """
    if name == "e-above-hull":
        return EnergyAboveHull(**settings)  # type: ignore[arg-type]
    if name == "density":
        return density
    module, colon, attribute = name.partition(":")
    if not colon:
        raise UnknownNameError(f"there is no reward {name!r}; give e-above-hull, density, or module:callable")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownNameError(f"there is no reward {name!r} ({error}); give module:callable") from error
    if not callable(found):
        raise UnknownNameError(f"{name} is a {type(found).__name__}; a reward is a callable on a table of crystals")
    reward: Reward = found
    return reward


def rewards_of(
    table: CrystalTable, reward: Reward, *, processes: int = 1, executor: Executor | None = None
) -> tuple[NDArray[np.float64], list[str]]:
    """Rewards (n,) of crystals, and why a row has none ("" where it has one).

    A reward that raises is asked row by row, so that one crystal does not take the others with it.

    Args:
        table: n crystals.
        reward: what judges them.
        processes: worker processes, one thread each; more than one needs a reward that can be pickled.
        executor: runs the work instead of processes of our own.

    Raises:
        InputError: the reward gives something else than a number a row, or cannot be sent to several processes.
        AristotypeError: a worker process died.
    """
    if processes > 1:
        _require_pickle(reward, processes)
    judged = map_table(
        _chunk, table, reward, identity=None, atoms=_ATOMS, rows=_ROWS, processes=processes, executor=executor
    )
    if not len(judged):
        return np.zeros(0), []
    return judged.column("reward").to_numpy(), judged.column("reward_missing").to_pylist()


def _require_pickle(reward: Reward, processes: int) -> None:
    try:
        pickle.dumps(reward)
    except Exception as error:  # pickle raises whatever the object's own code raises
        raise InputError(
            f"the reward cannot be sent to {processes} processes ({error}); make it a function at the top of a module, "
            "or take one process"
        ) from error


def _chunk(table: CrystalTable, reward: Reward) -> CrystalTable:
    values, reasons = row_values(reward, table, "the reward")
    return table.with_columns(reward=pa.array(values, pa.float64()), reward_missing=pa.array(reasons, pa.string()))
