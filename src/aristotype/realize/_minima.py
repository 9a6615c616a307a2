"""`minima`: a table of genes in, the best distinct geometries of each gene out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aristotype.crystal import DEFAULT_TOLERANCE, CrystalTable, Failure, centring_orders
from aristotype.errors import ConfigError
from aristotype.realize._atoms import Atoms, flatten
from aristotype.realize._distinct import distinct
from aristotype.realize._geometry import geometry_of, joined
from aristotype.realize._known import KnownCrystals
from aristotype.realize._minima_config import MinimaConfig
from aristotype.realize._minimise import cheap_energies, minimise
from aristotype.realize._output import with_geometry
from aristotype.realize._proposed import proposed
from aristotype.realize._random import row_keys
from aristotype.realize._realize import _expected_volume, _refuse_crystals, _unfit, realize
from aristotype.realize._shapes import letter_keys
from aristotype.realize._solve import smallest_ratio
from aristotype.realize._starts import heats
from aristotype.realize._verify import genes_kept, pushed_off, unforced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from aristotype.crystal import Energy, Proposal
    from aristotype.realize._atoms import Floats, Ints
    from aristotype.realize._solve import Geometry

_BLOCK = 40_000
"""Neighbours followed at once; more is slower, because it leaves the processor's caches."""
_NEAR = 45
"""Atoms around an atom within the reach of the cheap energy, about."""
_PUSHED = 0.05
"""Angstrom: tolerance at which a minimum that has all but risen to a higher symmetry must have its gene."""
RANDOM, REPULSION, PROPOSED = "random", "repulsion", "proposed"
"""Where a minimum comes from, if not from a known crystal, whose id stands there then."""


def minima(
    table: CrystalTable,
    *,
    seed: int,
    keep: int = 3,
    config: MinimaConfig | None = None,
    energy: Energy | None = None,
    known: CrystalTable | None = None,
    source: Proposal | None = None,
    failures: list[Failure] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CrystalTable:
    """Finds geometries for every gene: distinct minima of a cheap energy, the best ones first.

    Trials start from shapes of cells that crystals of the same template have (of the same crystal system where the
    template is not known), from the volumes of the elements, and from random free parameters; the best of several such
    starts is followed down a fitted potential of distances, cell, volume and free parameters together. Only what
    symmetry leaves free ever moves. Of trials that end alike one is kept. A gene all of whose trials end at a higher
    symmetry is searched again with the shapes of the starts held, and one all of whose trials end with atoms too close
    gets the geometry of `realize`.

    A gene's minima depend on the seed, its own row and the known crystals alone; trial i is the same however many
    trials there are.

    Args:
        table: genes.
        seed: any integer.
        keep: distinct minima a gene, at most.
        config: settings; the defaults are in `MinimaConfig`.
        energy: ranks the `judged` best minima of each gene instead of the cheap energy, for example single points of
            an interatomic potential; a minimum without an energy (NaN) comes last.
        known: crystals whose geometry may be reused: where one has the template of a gene, the nearest ones by their
            elements are the gene's first trials (`reused` of them), with their volumes scaled.
        source: proposes geometries, for example a model of crystals: a share (`proposed`) of the starts that each trial
            looks at, beside random ones. It is called with genes of new ids; a gene that it gives no crystal for keeps
            its random starts. What it gives for a row must depend on the row and the seed alone.
        failures: a list that takes the genes that got no geometry, with their reasons; None warns about them.
        progress: called with the genes done and all genes, now and then.

    Returns:
        minima in the order of their genes, best first, with ids `<id>-1`, `<id>-2`, ..., the columns of the genes, and
        `gene` (id of the gene), `rank` (from 1), `objective` (cheap energy an atom, in its own unit), `cheap_energy`
        (eV/atom by `energy`, null without), `start` (`random`, `proposed` by the source, `repulsion` for the geometry
        of `realize`, or the id of the known crystal that it comes from), `gene_distinct` (whether the crystal has its
        gene also when it is encoded at 0.1 Angstrom, the tolerance by which genes are read from crystals; those that
        have stand first, since others are crystals of another gene, distorted a little), `min_distance_ratio`,
        `volume_per_atom` and `gene_kept` as in `realize`.

    Raises:
        TableError: a row has a geometry already, a known crystal has none, or a source gives a crystal of another gene.
        ConfigError: `keep` is less than 1.
    """
    config = config or MinimaConfig()
    if keep < 1:
        raise ConfigError(f"keep = {keep} is less than 1; ask for at least one minimum a gene")
    _refuse_crystals(table)
    names = table.ids
    lost = [Failure(index=row, id=names[row], reason=why) for row, why in _unfit(table, config.repulsion).items()]
    fit = np.setdiff1d(np.arange(len(table)), [failure.index for failure in lost])
    genes = table.take(fit)
    search = _Search(genes, seed, config, max(keep, config.judged if energy else 1), known, source)
    found = search.run((lambda done: progress(done + len(lost), len(table))) if progress else (lambda done: None))
    lost += [Failure(index=int(fit[f.index]), id=f.id, reason=f.reason) for f in search.failures]
    _tell(lost, table, failures)
    return _ranked(search.table(found), energy, keep)


def best_minimum(
    table: CrystalTable,
    *,
    seed: int,
    config: MinimaConfig | None = None,
    source: Proposal | None = None,
    failures: list[Failure] | None = None,
) -> CrystalTable:
    """The best minimum of every gene, under the gene's own id: a realisation like `realize`, and nearer to the truth.

    Args:
        table: genes.
        seed: any integer.
        config: settings; by default those of `minima` with one trial.
        source: proposes geometries, as for `minima`.
        failures: a list that takes the genes that got no geometry; None warns about them.

    Raises:
        TableError: a row has a geometry already.
    """
    config = config or MinimaConfig(trials=1)
    found = minima(table, seed=seed, keep=1, config=config, source=source, failures=failures)
    names = found.column("gene").to_pylist()
    return found.with_columns(id=pa.array(names, pa.string())).without_columns(["gene", "rank", "cheap_energy"])


def _tell(lost: list[Failure], table: CrystalTable, failures: list[Failure] | None) -> None:
    lost.sort(key=lambda failure: failure.index)
    if failures is not None:
        failures.extend(lost)
    elif lost:
        warnings.warn(
            f"{len(lost)} of {len(table)} genes got no geometry, the first one is {lost[0].id!r}: {lost[0].reason}; "
            "pass a list as `failures` to get them all",
            stacklevel=3,
        )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Minima of some genes, those of one gene together, best first."""

    rows: Ints  # (k,) gene of each
    geometry: Geometry  # of `atoms.take(rows)`
    objective: Floats  # (k,)
    start: list[str]
    own: NDArray[np.bool_]  # (k,) whether its symmetry is that of its gene, at the tolerance by which genes are read

    @staticmethod
    def joined(parts: list[_Found], atoms: Atoms) -> _Found:
        """All minima, sorted by gene, whether they have its symmetry, and objective."""
        rows = np.concatenate([np.zeros(0, np.int64), *(part.rows for part in parts)])
        objective = np.concatenate([np.zeros(0), *(part.objective for part in parts)])
        own = np.concatenate([np.zeros(0, bool), *(part.own for part in parts)])
        many, order = atoms.take(rows), np.lexsort((objective, ~own, rows))
        geometry = joined([part.geometry for part in parts])
        start = [name for part in parts for name in part.start]
        return _Found(
            rows=rows[order],
            geometry=geometry.take(many, order),
            objective=objective[order],
            start=[start[place] for place in order.tolist()],
            own=own[order],
        )


class _Search:
    """The state of one call."""

    def __init__(
        self,
        table: CrystalTable,
        seed: int,
        config: MinimaConfig,
        most: int,
        known: CrystalTable | None,
        source: Proposal | None,
    ) -> None:
        self._table, self._seed, self._config, self._most = table, seed, config, most
        self._genes = table.genes()
        self._atoms = flatten(self._genes)
        self._keys = row_keys(table.ids, self._genes, seed)
        self._letters = letter_keys(self._genes)
        self._volume = _expected_volume(self._atoms)
        self._known = KnownCrystals.of(known) if known is not None and config.reused else None
        self._source = source if config.proposed else None
        self.failures: list[Failure] = []

    def run(self, report: Callable[[int], None]) -> _Found:
        """Searches for all genes."""
        parts = []
        for rows in self._blocks(np.arange(len(self._table))):
            parts.append(self._block(rows, held=False))
            report(int(rows[-1]) + 1)
        own = np.zeros(len(self._table), bool)
        for part in parts:
            own[part.rows[part.own]] = True
        # Minima of a higher symmetry only: the shapes of the starts, which are the template's own, are held.
        risen = np.flatnonzero(~own)
        risen = risen[unforced(self._table.take(risen))]
        parts += [self._block(rows, held=True) for rows in self._blocks(risen)]
        missing = np.setdiff1d(np.arange(len(self._table)), np.concatenate([risen[:0], *(p.rows for p in parts)]))
        if len(missing):
            parts.append(self._pushed_apart(missing))
        report(len(self._table))
        return _Found.joined(parts, self._atoms)

    def _blocks(self, rows: Ints) -> Iterator[Ints]:
        sites = np.bincount(self._atoms.site_row, minlength=len(self._table))[rows]
        load = np.cumsum(sites) * _NEAR * self._config.trials
        if len(rows):
            yield from np.split(rows, np.flatnonzero(np.diff(load // _BLOCK)) + 1)

    def _block(self, rows: Ints, *, held: bool) -> _Found:
        """Distinct accepted minima of some genes; with the shapes of the starts held, or free."""
        config, atoms = self._config, self._atoms.take(rows)
        letters = [self._letters[row] for row in rows.tolist()]
        others = proposed(self._source, self._table.take(rows), self._seed, config) if self._source else None
        trials, starts, given = heats(
            atoms, self._keys[rows], letters, self._volume[rows], config, held=held, others=others
        )
        names = dict.fromkeys(np.flatnonzero(given).tolist(), PROPOSED) | self._reuse(rows, trials, starts)
        ends = minimise(trials, starts, config.steps, held=held)
        bad = ~((ends.closest >= config.min_ratio) & np.isfinite(ends.energy))
        value = np.where(bad, np.inf, ends.energy)
        chosen: list[int] = []
        for begin in range(0, len(trials), config.trials):
            part = slice(begin, begin + config.trials)
            order = np.argsort(value[part], kind="stable")
            order = order[np.isfinite(value[part][order])]
            chosen += [begin + k for k in distinct(order, ends.prints[part], config.distinct, self._most)]
        places = np.array(chosen, np.int64)
        return self._found(
            rows[places // config.trials],
            ends.geometry.take(trials, places),
            ends.energy[places],
            [names.get(trial, RANDOM) for trial in chosen],
        )

    def _found(self, rows: Ints, geometry: Geometry, objective: Floats, start: list[str]) -> _Found:
        crystals = with_geometry(self._copies(rows), self._atoms.take(rows), geometry)
        own = genes_kept(crystals, DEFAULT_TOLERANCE)
        return _Found(rows=rows, geometry=geometry, objective=objective, start=start, own=own)

    def _copies(self, rows: Ints) -> CrystalTable:
        """Genes, which may come more than once, with new ids."""
        arrow = self._table.arrow.take(rows)
        ids = pa.array([str(place) for place in range(len(rows))], pa.string())
        return CrystalTable(arrow.set_column(arrow.column_names.index("id"), "id", ids))

    def _reuse(self, rows: Ints, trials: Atoms, starts: Geometry) -> dict[int, str]:
        """Puts known geometries in place of first trials; returns their sources by trial."""
        most = min(self._config.reused, self._config.trials)
        found = self._known.starts(self._genes.take(rows), most) if self._known else None
        if found is None:
            return {}
        before = np.concatenate([[0], np.cumsum(np.bincount(found.rows, minlength=len(rows)))])
        places = found.rows * self._config.trials + np.arange(len(found.rows)) - before[found.rows]
        starts.put(trials, places, found.geometry)
        return dict(zip(places.tolist(), found.sources, strict=True))

    def _pushed_apart(self, rows: Ints) -> _Found:
        """What `realize` makes of genes without an accepted minimum."""
        lost: list[Failure] = []
        few = self._table.take(rows)
        made = realize(few, seed=self._seed, config=self._config.repulsion, failures=lost)
        self.failures += [Failure(index=int(rows[f.index]), id=f.id, reason=f.reason) for f in lost]
        missing = {failure.index for failure in lost}
        kept = np.array([row for place, row in enumerate(rows.tolist()) if place not in missing], np.int64)
        atoms, geometry = geometry_of(made)
        return self._found(kept, geometry, cheap_energies(atoms, geometry), [REPULSION] * len(kept))

    def table(self, found: _Found) -> CrystalTable:
        """The minima as a table, verified where that was asked for; ranks are those of the objective."""
        rows, names = found.rows, self._table.ids
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
        own = [names[row] for row in rows.tolist()]
        ids = [f"{name}-{place}" for name, place in zip(own, rank.tolist(), strict=True)]
        genes = self._copies(rows).with_columns(id=pa.array(ids, pa.string()))
        atoms, geometry, config = self._atoms.take(rows), found.geometry, self._config
        kept = None
        if config.verify:
            # What has all but risen is pushed further, so that a relaxation does not find the higher symmetry.
            self._push(genes, atoms, geometry, np.flatnonzero(~found.own), _PUSHED)
            kept = self._push(genes, atoms, geometry, np.arange(len(rows)), config.tolerance)
        per_cell = np.bincount(atoms.atom_row, minlength=len(rows))
        return with_geometry(genes, atoms, geometry).with_columns(
            gene=pa.array(own, pa.string()),
            rank=pa.array(rank, pa.int32()),
            objective=pa.array(found.objective, pa.float64()),
            cheap_energy=pa.nulls(len(rows), pa.float64()),
            start=pa.array(found.start, pa.string()),
            min_distance_ratio=pa.array(smallest_ratio(atoms, geometry), pa.float64()),
            volume_per_atom=pa.array(geometry.volume / centring_orders()[atoms.group] / per_cell, pa.float64()),
            gene_distinct=pa.array(found.own, pa.bool_()),
            gene_kept=pa.nulls(len(rows), pa.bool_()) if kept is None else pa.array(kept, pa.bool_()),
        )

    def _push(
        self, genes: CrystalTable, atoms: Atoms, geometry: Geometry, rows: Ints, tolerance: float
    ) -> NDArray[np.bool_]:
        """Moves some rows off symmetry that came by accident; their geometries are written in place."""
        own, few = atoms.take(rows), geometry.take(atoms, rows)

        def build(some: Ints) -> CrystalTable:
            return with_geometry(genes.take(rows[some]), own.take(some), few.take(own, some))

        keys = row_keys([genes.ids[row] for row in rows.tolist()], genes.genes().take(rows), self._seed)
        kept = pushed_off(own, few, keys, build, replace(self._config.repulsion, tolerance=tolerance))
        geometry.put(atoms, rows, few)
        return kept


def _ranked(table: CrystalTable, energy: Energy | None, keep: int) -> CrystalTable:
    """The best minima of each gene by the energy, or by the objective that they are sorted by already."""
    names = np.array(table.column("gene").to_pylist(), dtype=object)
    # Minima of one gene stand together.
    first = np.flatnonzero(np.append(True, names[1:] != names[:-1])[: len(names)])
    owner = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(names))))
    order = np.arange(len(table))
    if energy is not None:
        risen = ~np.array(table.column("gene_distinct").to_pylist(), bool)
        values = np.asarray(energy(table), np.float64)
        shown = pa.array(np.where(np.isfinite(values), values, 0.0), pa.float64(), mask=~np.isfinite(values))
        table = table.with_columns(cheap_energy=shown)
        order = np.lexsort((order, np.where(np.isfinite(values), values, np.inf), risen, owner))
    rank = np.arange(len(table)) - first[owner] + 1
    kept = rank <= keep
    out = table.take(order[kept])
    ids = [f"{name}-{place}" for name, place in zip(names[order[kept]], rank[kept].tolist(), strict=True)]
    return out.with_columns(id=pa.array(ids, pa.string()), rank=pa.array(rank[kept], pa.int32()))
