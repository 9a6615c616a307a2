"""`realize`: a table of genes in, a table of crystals out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, Failure, centring_orders, element_symbol
from aristotype.errors import TableError
from aristotype.realize._atoms import Atoms, flatten
from aristotype.realize._config import RealizeConfig
from aristotype.realize._output import with_geometry
from aristotype.realize._priors import priors
from aristotype.realize._random import row_keys
from aristotype.realize._solve import Geometry, empty_geometry, smallest_ratio, solve
from aristotype.realize._verify import pushed_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from aristotype.realize._atoms import Floats, Ints

_BLOCK = 20_000
"""Pairs of atoms solved at once; more is slower, because it leaves the processor's caches."""


def realize(
    table: CrystalTable,
    *,
    seed: int,
    config: RealizeConfig | None = None,
    failures: list[Failure] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CrystalTable:
    """Gives every gene a geometry: a cell and free parameters with which no two atoms are too close.

    The volume is the sum of volumes of the elements, the shape of the cell is drawn from what crystals of the same
    system and centring have, and free parameters are drawn at random; then atoms that are too close repel each other,
    the shape of the cell follows and its volume stays. Only what symmetry leaves free ever moves, so every crystal has
    the symmetry of its gene. Genes that get stuck are tried again at larger volumes.

    A crystal depends on the seed and its own row (its id and its gene) alone: on one machine it is the same to the last
    bit whatever else is in the table, in which order, and on how many threads. Other machines may round differently.

    Args:
        table: genes.
        seed: any integer.
        config: settings; the defaults are in `RealizeConfig`.
        failures: a list that takes the genes that got no geometry, with their reasons; None warns about them.
        progress: called with the rows done and all rows, now and then.

    Returns:
        the rows that succeeded, in order, with `free`, `lattice` and the columns `min_distance_ratio` (smallest
        distance of two atoms over the sum of their covalent radii), `volume_per_atom` (cubic Angstrom), `trials`
        (starts that were solved) and `gene_kept` (whether the crystal, encoded again, has its gene; null where that was
        not asked for; false for genes whose letters force a higher symmetry at every geometry).

    Raises:
        TableError: a row has a geometry already.
    """
    config = config or RealizeConfig()
    _refuse_crystals(table)
    names = table.ids
    lost = [Failure(index=row, id=names[row], reason=reason) for row, reason in _unfit(table, config).items()]
    fit = np.setdiff1d(np.arange(len(table)), [failure.index for failure in lost])
    genes = table.take(fit)
    work = _Work(genes, seed, config)
    report = (lambda done: progress(done + len(lost), len(table))) if progress else (lambda done: None)
    found = work.run(report)
    ids = genes.ids
    lost += [
        Failure(index=int(fit[row]), id=ids[row], reason=work.reason(row)) for row in np.flatnonzero(~found).tolist()
    ]
    lost.sort(key=lambda failure: failure.index)
    if failures is not None:
        failures.extend(lost)
    elif lost:
        warnings.warn(
            f"{len(lost)} of {len(table)} genes got no geometry, the first one is {lost[0].id!r}: {lost[0].reason}; "
            "pass a list as `failures` to get them all",
            stacklevel=2,
        )
    return work.table(np.flatnonzero(found))


def _refuse_crystals(table: CrystalTable) -> None:
    crystals = ~table.is_gene
    if crystals.any():
        row = int(crystals.argmax())
        raise TableError(
            f"{int(crystals.sum())} of {len(table)} rows have a geometry already, first row {row} (id "
            f"{table.ids[row]!r}); pass genes: CrystalTable.from_genes(table.genes(), table.ids) forgets the geometry"
        )


def _unfit(table: CrystalTable, config: RealizeConfig) -> dict[int, str]:
    """Rows that cannot be tried at all, and why."""
    reasons: dict[int, str] = {}
    genes = table.genes()
    data = priors()
    illegal = ~genes.legal()
    without = (genes.elements > 0) & np.isnan(data.radii + data.volumes)[genes.elements]
    atoms = genes.multiplicities.sum(axis=1) // centring_orders()[genes.space_group]
    for row in np.flatnonzero(illegal | without.any(axis=1) | (atoms > config.max_atoms)).tolist():
        if illegal[row]:
            reasons[row] = "it has no site, or a position without free parameters twice; no crystal has that"
        elif without[row].any():
            symbol = element_symbol(int(genes.elements[row, without[row].argmax()]))
            reasons[row] = f"no radius is known for {symbol}; elements up to Cm have one"
        else:
            reasons[row] = (
                f"it has {atoms[row]} atoms in its primitive cell, the limit is {config.max_atoms}; raise max_atoms"
            )
    return reasons


class _Work:
    """The state of one call: the best geometry of each gene so far."""

    def __init__(self, table: CrystalTable, seed: int, config: RealizeConfig) -> None:
        genes = table.genes()
        self._table, self._config = table, config
        self._atoms: Atoms = flatten(genes)
        self._keys = row_keys(table.ids, genes, seed)
        self._geometry: Geometry = empty_geometry(self._atoms)
        self._volume = _expected_volume(self._atoms)
        self._rounds = np.zeros(len(table), np.int64)
        self._closest = np.zeros(len(table))  # best ratio met where nothing was accepted
        self._kept = np.zeros(len(table), bool)

    def run(self, report: Callable[[int], None]) -> NDArray[np.bool_]:
        """Solves all genes; returns which ones (n,) have a geometry."""
        config, count = self._config, len(self._table)
        pending = np.arange(count)
        for round_ in range(config.rounds):
            stuck = []
            for rows in self._blocks(pending):
                atoms = self._atoms.take(rows)
                trials = solve(atoms, self._keys[rows], round_, self._volume[rows], config)
                found, geometry = trials.best(config.min_ratio)
                self._geometry.put(self._atoms, rows[found], geometry)
                self._rounds[rows] += 1
                self._closest[rows] = np.maximum(self._closest[rows], trials.closest.max(axis=1))
                stuck.append(rows[~found])
                report(int((self._rounds > 0).sum()) - sum(map(len, stuck)) if round_ == 0 else count - len(pending))
            pending = np.sort(np.concatenate(stuck)) if stuck else pending[:0]
            self._volume[pending] *= config.expansion
        found = np.ones(count, bool)
        found[pending] = False
        if config.verify:
            rows = np.flatnonzero(found)
            for start in range(0, len(rows), 1000):
                self._verify(rows[start : start + 1000])
        report(count)
        return found

    def _verify(self, rows: Ints) -> None:
        atoms, geometry = self._atoms.take(rows), self._geometry.take(self._atoms, rows)

        def build(few: Ints) -> CrystalTable:
            return with_geometry(self._table.take(rows[few]), atoms.take(few), geometry.take(atoms, few))

        self._kept[rows] = pushed_off(atoms, geometry, self._keys[rows], build, self._config)
        self._geometry.put(self._atoms, rows, geometry)

    def _blocks(self, rows: Ints) -> Iterator[Ints]:
        """Rows in groups of about `_BLOCK` pairs of a site and an atom."""
        sites = np.bincount(self._atoms.site_row, minlength=len(self._table))
        per_row = np.bincount(self._atoms.atom_row, minlength=len(self._table))
        pairs = np.cumsum(sites[rows] * per_row[rows]) * self._config.trials
        if len(rows):
            yield from np.split(rows, np.flatnonzero(np.diff(pairs // _BLOCK)) + 1)

    def reason(self, row: int) -> str:
        """Why a gene has no geometry."""
        config = self._config
        largest = config.expansion ** (config.rounds - 1)
        return (
            f"after {self._rounds[row] * config.trials} trials, the last at {largest:.2f} times "
            f"its expected volume, two atoms are at {self._closest[row]:.2f} of the sum of their radii at best; "
            f"the limit is {config.min_ratio:g}: give more rounds or trials, or a smaller min_ratio"
        )

    def table(self, rows: Ints) -> CrystalTable:
        """The crystals of some rows."""
        atoms, geometry = self._atoms.take(rows), self._geometry.take(self._atoms, rows)
        per_cell = np.bincount(self._atoms.atom_row, minlength=len(self._table))[rows]
        return with_geometry(self._table.take(rows), atoms, geometry).with_columns(
            min_distance_ratio=pa.array(smallest_ratio(atoms, geometry), pa.float64()),
            volume_per_atom=pa.array(geometry.volume / centring_orders()[atoms.group] / per_cell, pa.float64()),
            trials=pa.array(self._rounds[rows] * self._config.trials, pa.int32()),
            gene_kept=pa.array(self._kept[rows], pa.bool_())
            if self._config.verify
            else pa.nulls(len(rows), pa.bool_()),
        )


def _expected_volume(atoms: Atoms) -> Floats:
    """Volumes (n,) of conventional cells, from the volumes of their elements."""
    each = priors().volumes[atoms.site_element] * atoms.site_weight
    # Of no rows at all, bincount gives integers.
    primitive = np.bincount(atoms.site_row, weights=each, minlength=len(atoms)).astype(np.float64)
    return primitive * centring_orders()[atoms.group]
