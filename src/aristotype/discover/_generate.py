"""`generate`: sample genes, drop what is no new crystal, give the rest a geometry, until there are enough.

Rows of the model's stream are taken in order and each is judged by what came before it, and a realisation depends
on its own row: the crystals of a run for 50 are the first 50 of the run for 100 with the same seed.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from aristotype.crystal import (
    CANONICAL_VERSION,
    SCHEMA_VERSION,
    Conditions,
    CrystalTable,
    Failure,
    GeneBatch,
    formulas,
    gene_keys,
    package_version,
    protostructure_labels,
)
from aristotype.discover._describe import describe_conditions
from aristotype.errors import InputError
from aristotype.symmetry import forced, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Set

    from numpy.typing import NDArray

PATIENCE = 50
"""Blocks of the model's stream without a new crystal after which a run ends: nothing new is to be expected."""
_CHUNK = 256
"""Genes that get their geometry between two reports of progress."""


CLOSEST = 0.7
"""Of the sum of two covalent radii: crystals of a model that have atoms closer than this are left out, as failed."""


class Sampler(Protocol):
    """The part of a model that is used here."""

    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Blocks of genes or of crystals without end, the same for the same seed; scored, they have `log_prob`."""
        ...


class Realizer(Protocol):
    """Genes to crystals: the rows that succeeded, in order; the others go to `failures` with their reasons."""

    def __call__(self, table: CrystalTable, *, seed: int, failures: list[Failure]) -> CrystalTable:
        """Give genes a geometry."""
        ...


@dataclass(frozen=True, kw_only=True)
class GenerateSummary:
    """What a run did.

    `attempts` is the sum of `crystals` and of what was left out: `off_target`, `illegal`, `duplicates`, `forced`,
    `not_novel` and `failed`.

    Attributes:
        model: Name of the model.
        seed: Of the run.
        requested: Crystals asked for.
        crystals: Crystals made.
        complete: Whether these are equal; if not, `PATIENCE` blocks in a row gave nothing new.
        attempts: Genes drawn, up to the last one that was used.
        off_target: Genes that were not kept for their predicted properties; 0 where none is asked for.
        illegal: Genes that describe no crystal (none from models that are legal by construction).
        duplicates: Genes drawn before in this run; mirror images in the partner group count as the same.
        forced: Genes whose crystals have a higher symmetry at every geometry.
        not_novel: Genes of the training data, dropped because novel ones were asked for.
        failed: Genes that got no geometry.
        novel: Crystals whose gene is not in the training data; None where its keys are not known.
        genes_only: Whether geometry was left out.
        conditions: What was asked for (see `describe_conditions`).
        versions: Of the package, the table format, the canonical form, and the digest of the symmetry tables.
    """

    model: str
    seed: int
    requested: int
    crystals: int
    complete: bool
    attempts: int
    off_target: int
    illegal: int
    duplicates: int
    forced: int
    not_novel: int
    failed: int
    novel: int | None
    genes_only: bool
    conditions: dict[str, Any]
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class GenerateResult:
    """What `generate` made.

    Attributes:
        table: The crystals (genes where geometry was left out), with the columns of the model and of the
            realisation, and `formula`, `label` (protostructure) and `novel` (null where the training
            keys are not known).
        failures: Genes that got no geometry; `index` is the row of the model's stream.
        summary: Counts, settings and versions.
    """

    table: CrystalTable
    failures: tuple[Failure, ...]
    summary: GenerateSummary


def generate(
    model: Sampler,
    n: int,
    conditions: Conditions | None = None,
    *,
    seed: int = 0,
    genes_only: bool = False,
    keep_forced: bool = False,
    novel: bool = False,
    realize: Realizer | None = None,
    train_keys: Set[bytes] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> GenerateResult:
    """Makes `n` distinct crystals.

    Args:
        model: A model of genes or of crystals, as `aristotype.load` gives it.
        n: How many.
        conditions: What all of them must satisfy.
        seed: The same seed gives the same crystals, and fewer of them are the first of more.
        genes_only: Leave out the geometry.
        keep_forced: Keep genes whose crystals have a higher symmetry than their space group at every geometry.
        novel: Keep only genes that are not in the training data.
        realize: Gives genes a geometry; by default the model itself, if it does (`draws_geometry`), else
            `aristotype.realize.realize`.
        train_keys: Gene keys of the training data with enantiomorphs merged; by default those that the model knows.
        progress: Called with the crystals there are, those asked for, and the genes drawn.

    Returns:
        the crystals and what happened. Where the conditions are so narrow that `PATIENCE` blocks in a row give
        nothing new, there are fewer than asked for, with a warning.

    Raises:
        InputError: `n` is less than 1, novel crystals are asked for and the training keys are not known, or there is a
            partial crystal and another geometry is asked for than the model's own.
        InfeasibleConditionsError: nothing satisfies the conditions.
    """
    if n < 1:
        raise InputError(f"{n} crystals are asked for; ask for at least 1")
    known = _known_keys(model, train_keys, novel)
    sieve = _Sieve(known, novel=novel, keep_forced=keep_forced)
    if realize is None:
        realize = with_own_geometry if draws_geometry(model) else _default_realizer()
    if conditions is not None and conditions.partial_crystal is not None:
        _refuse_other_geometry(genes_only, realize)
    run = _Run(n, seed, sieve, None if genes_only else realize)
    # Whole blocks are scored, though some rows are dropped: in other batches the last bits of a score would differ.
    for block in model.stream(conditions, seed=seed, score=True):
        run.add(block)
        if progress is not None:
            progress(run.crystals, n, run.attempts)
        if run.crystals == n or run.idle == PATIENCE:
            break
    result = run.result(conditions or Conditions())
    if not result.summary.complete:
        warnings.warn(_shortfall(result.summary), stacklevel=2)
    return result


def draws_geometry(model: object) -> bool:
    """Whether a model draws crystals; models of genes leave the geometry to others."""
    return bool(getattr(model, "draws_geometry", False))


def with_own_geometry(table: CrystalTable, *, seed: int, failures: list[Failure]) -> CrystalTable:
    """The `Realizer` of models that give crystals: drops those whose column `closest` says that atoms overlap.

    Raises:
        TableError: a row is a gene.
    """
    del seed
    table.check_geometry()
    if "closest" not in table.columns:
        return table
    closest, ids = table.column("closest").to_numpy(), table.ids
    apart = closest >= CLOSEST
    failures += [
        Failure(
            index=row,
            id=ids[row],
            reason=f"two atoms are at {closest[row]:.2f} of the sum of their covalent radii; {CLOSEST} is the least",
        )
        for row in np.flatnonzero(~apart).tolist()
    ]
    return table.filter(apart)


def _refuse_other_geometry(genes_only: bool, realize: Realizer) -> None:
    """A partial crystal is kept by the model that draws around it, and by nothing else."""
    if genes_only or realize is not with_own_geometry:
        asked = "no geometry is" if genes_only else "another geometry than the model's own is"
        raise InputError(
            f"a partial crystal with coordinates is given, and {asked} asked for, which would lose them; take a model "
            "of crystals with its own geometry, or give the sites alone as a partial gene"
        )


def _default_realizer() -> Realizer:
    from aristotype.realize import realize

    return realize


def _without_geometry(table: CrystalTable) -> CrystalTable:
    """The genes of a table, with its columns but for those that say how a geometry was drawn."""
    if table.is_gene.all():
        return table
    genes = CrystalTable.from_genes(table.genes(), ids=table.ids)
    left = {"id", "space_group", "elements", "wyckoffs", "free", "lattice", "closest", "site_draws", "crystal_draws"}
    return genes.with_columns({name: table.column(name) for name in table.columns if name not in left})


def _known_keys(model: Sampler, given: Set[bytes] | None, novel: bool) -> Set[bytes] | None:
    """Keys of the training data, if anybody knows them."""
    own = getattr(model, "train_keys", None)
    # A model that does not know them has none.
    known = given if given is not None or own is None else own() or None
    if novel and known is None:
        raise InputError(
            "novel crystals are asked for, but this model came without the keys of its training data; pass them as "
            "train_keys (bytes of gene_keys(genes, merge_enantiomorphs=True)), or leave novel out"
        )
    return known


def _shortfall(summary: GenerateSummary) -> str:
    return (
        f"only {summary.crystals} of {summary.requested} crystals: the model's last {PATIENCE} blocks gave nothing new "
        f"({summary.attempts} genes drawn, {summary.off_target} of them off target, {summary.duplicates} repeated, "
        f"{summary.forced} of forced higher symmetry, {summary.not_novel} known, {summary.failed} without geometry); "
        "ask for fewer, or loosen the conditions"
    )


class _Fate(IntEnum):
    """What becomes of a drawn gene before its geometry is asked for."""

    KEPT = 0
    ILLEGAL = 1
    DUPLICATE = 2
    FORCED = 3
    KNOWN = 4


class _Sieve:
    """Judges genes in the order they come; remembers the keys of all it has seen."""

    def __init__(self, known: Set[bytes] | None, *, novel: bool, keep_forced: bool) -> None:
        self.known = known
        self._novel, self._keep_forced = novel, keep_forced
        self._seen: set[bytes] = set()

    def __call__(self, genes: GeneBatch) -> tuple[NDArray[np.int8], NDArray[np.bool_] | None]:
        """Fate (n,) of each gene, and whether it is novel (n,); None where the training data is not known."""
        fate = np.where(genes.legal(), _Fate.KEPT, _Fate.ILLEGAL).astype(np.int8)
        keys: list[bytes] = [b""] * len(genes)
        legal = np.flatnonzero(fate == _Fate.KEPT)
        for row, key in zip(legal.tolist(), gene_keys(genes.take(legal), merge_enantiomorphs=True).tolist()):
            keys[row] = key
            if key in self._seen:
                fate[row] = _Fate.DUPLICATE
            self._seen.add(key)
        if not self._keep_forced:
            rows = np.flatnonzero(fate == _Fate.KEPT)
            few = genes.take(rows)
            fate[rows[forced(few.space_group, few.elements, few.wyckoffs)]] = _Fate.FORCED
        if self.known is None:
            return fate, None
        is_novel = np.array([key not in self.known for key in keys], bool)
        if self._novel:
            fate[(fate == _Fate.KEPT) & ~is_novel] = _Fate.KNOWN
        return fate, is_novel


class _Run:
    """The state of one call: crystals so far, and counts of what was dropped."""

    def __init__(self, n: int, seed: int, sieve: _Sieve, realize: Realizer | None) -> None:
        self._n, self._seed, self._sieve, self._realize = n, seed, sieve, realize
        self._parts: list[CrystalTable] = []
        self._failures: list[Failure] = []
        self._fates = np.zeros(len(_Fate), np.int64)
        self._model = ""
        self._off_target = 0
        self.crystals = 0
        self.idle = 0  # blocks in a row that gave no crystal

    @property
    def attempts(self) -> int:
        """Genes drawn, up to the last one that was used."""
        return int(self._fates.sum())

    def add(self, block: CrystalTable) -> None:
        """Takes a block of the stream, up to the last crystal that is wanted."""
        before = self.crystals
        fate, is_novel = self._sieve(block.genes())
        rows, end = np.flatnonzero(fate == _Fate.KEPT), len(block)
        while len(rows) and self.crystals < self._n:
            size = min(self._n - self.crystals, _CHUNK)
            chunk, rows = rows[:size], rows[size:]
            self._make(block.take(chunk), None if is_novel is None else is_novel[chunk], chunk)
            if self.crystals == self._n:
                # No more rows than crystals were missing, so the last of them is the last crystal.
                end = int(chunk[-1]) + 1
        self._fates += np.bincount(fate[:end], minlength=len(_Fate))
        if "draws" in block.columns:
            self._off_target += int((block.column("draws").to_numpy()[:end] - 1).sum())
        self.idle = 0 if self.crystals > before else self.idle + 1
        if not self._model and "model" in block.columns and len(block):
            self._model = str(block.column("model")[0])

    def _make(self, table: CrystalTable, is_novel: NDArray[np.bool_] | None, rows: NDArray[np.int64]) -> None:
        """Adds genes, or their crystals."""
        genes = table.genes()
        if self._realize is not with_own_geometry:
            table = _without_geometry(table)
        table = table.with_columns(
            formula=pa.array(formulas(genes), pa.string()),
            label=pa.array(protostructure_labels(genes), pa.string()),
            novel=pa.nulls(len(table), pa.bool_()) if is_novel is None else pa.array(is_novel),
        )
        if self._realize is not None:
            lost: list[Failure] = []
            table = self._realize(table, seed=self._seed, failures=lost)
            start = self.attempts
            self._failures += [Failure(index=start + int(rows[f.index]), id=f.id, reason=f.reason) for f in lost]
        self._parts.append(table)
        self.crystals += len(table)

    def result(self, conditions: Conditions) -> GenerateResult:
        """All crystals, with the counts."""
        table = CrystalTable.concatenate(self._parts)
        known = self._sieve.known is not None
        summary = GenerateSummary(
            model=self._model,
            seed=self._seed,
            requested=self._n,
            crystals=self.crystals,
            complete=self.crystals == self._n,
            attempts=self.attempts + self._off_target,
            off_target=self._off_target,
            illegal=int(self._fates[_Fate.ILLEGAL]),
            duplicates=int(self._fates[_Fate.DUPLICATE]),
            forced=int(self._fates[_Fate.FORCED]),
            not_novel=int(self._fates[_Fate.KNOWN]),
            failed=len(self._failures),
            novel=sum(table.column("novel").to_pylist()) if known and len(table) else 0 if known else None,
            genes_only=self._realize is None,
            conditions=describe_conditions(conditions),
            versions={
                "aristotype": package_version(),
                "schema": SCHEMA_VERSION,
                "canonical": str(CANONICAL_VERSION),
                "symmetry_sha256": tables().sha256,
            },
        )
        return GenerateResult(table=table, failures=tuple(self._failures), summary=summary)
