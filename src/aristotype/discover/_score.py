"""How likely a model finds crystals, and how typical they are among others of like size.

A log-probability density falls with every site that has to be named, and rises with every free number that is told
precisely. So crystals of unlike size are compared by their ranks: a percentile says how many reference crystals with a
like number of sites and of free numbers are less likely. Values a site or an atom do not take the size out: the
benchmark `scores` measures what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from aristotype.crystal import CrystalTable, Failure, GeneBatch, cell_box, compositions, element_symbol, formulas
from aristotype.discover._generate import draws_geometry
from aristotype.errors import InputError
from aristotype.symmetry import NUM_GROUPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LIKE = 100
"""Fewest reference crystals that one is compared with."""
_CHUNK = 256  # rows between two reports of progress
_ABOUT = ("exact", "error")
"""What models tell of a total beside its parts."""


class Scorer(Protocol):
    """The part of a model that is used here; `log_prob_parts` too, where it has it."""

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that it knows."""
        ...

    def log_prob(self, genes: CrystalTable) -> Floats:
        """(n,) nats."""
        ...


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model makes of some crystals; all arrays are (n,)."""

    parts: Mapping[str, Floats]  # nats by name; `total` is their sum and comes first
    sites: Ints  # symmetry-inequivalent ones
    atoms: Ints  # in the primitive cell
    free: Ints  # free parameters and cell parameters that are scored; 0 of a model of genes

    def take(self, rows: NDArray[np.generic]) -> Scores:
        """Some of the rows."""
        parts = {name: values[rows] for name, values in self.parts.items()}
        return Scores(parts=parts, sites=self.sites[rows], atoms=self.atoms[rows], free=self.free[rows])


def score(
    table: CrystalTable,
    model: Scorer,
    *,
    reference: CrystalTable | None = None,
    failures: list[Failure] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CrystalTable:
    """Log-probabilities of crystals under a model, and how typical they are.

    Args:
        table: genes for a model of genes, crystals for a model of crystals.
        model: as `aristotype.load` gives it.
        reference: what they are compared with, such as validation crystals; those that the model cannot score are left
            out. Without one, rows are compared with the other rows.
        failures: takes the rows that the model cannot score, with the reason; None raises at the first one.
        progress: called with the rows done and all rows, those of the reference included.

    Returns:
        the rows that were scored, with the columns `log_prob` (nats; see the model's `log_prob` for the measure),
        `log_prob_<part>` for each of its parts, `log_prob_per_site` and `log_prob_per_atom` (primitive cell),
        `percentile` and `percentile_<part>` (0 to 100, the share of like crystals that are less likely, ties counted
        half) and `compared_with` (the number of these). Percentiles are null where there is nothing to compare with.
        Of models whose scores are not all exact also `log_prob_kind` (`exact`, `bound` or `estimate`) and, where they
        tell it, `log_prob_error`, the standard error in nats.

    Raises:
        InputError: a row cannot be scored and `failures` is None, or no row can.
    """
    lost: list[Failure] = []
    total = len(table) + (0 if reference is None else len(reference))
    report = progress or (lambda done, total: None)
    rows, scores = _scored(table, model, lost, lambda done: report(done, total))
    if lost and (failures is None or not len(rows)):
        raise InputError(
            f"{len(lost)} of {len(table)} crystals cannot be scored, first {lost[0].id!r}: {lost[0].reason}; leave "
            "them out, or take another model"
        )
    if failures is not None:
        failures += lost
    known = None
    if reference is not None:
        known = _scored(reference, model, [], lambda done: report(len(table) + done, total))[1]
    kept = table.take(rows)
    return kept.with_columns(
        _columns(scores) | _kinds(scores, model) | typicality(scores, known) | {"formula": formulas(kept.genes())}
    )


def typicality(scores: Scores, reference: Scores | None = None) -> dict[str, pa.Array]:
    """Percentiles among reference crystals of like size, by total and by part.

    Like are those within the smallest distance, the difference in sites plus that in free numbers, at which there are
    at least `LIKE` of them, or all where there are fewer.

    Args:
        scores: n crystals.
        reference: those to compare with; None compares each row with the others.

    Returns:
        `percentile`, `percentile_<part>` (null where there is nothing to compare with) and `compared_with`.
    """
    known = scores if reference is None else reference
    sizes, owner = np.unique(np.column_stack([scores.sites, scores.free]), axis=0, return_inverse=True)
    ranks = {name: np.full(len(scores.sites), np.nan) for name in scores.parts if name not in _ABOUT}
    count = np.zeros(len(scores.sites), np.int64)
    for place, (sites, free) in enumerate(sizes.tolist()):
        rows = np.flatnonzero(owner.ravel() == place)
        like = known.take(_like(known, sites, free, LIKE + (reference is None)))
        own = int(reference is None)  # of the like ones, the row itself
        count[rows] = len(like.sites) - own
        if not count[rows[0]]:
            continue
        for name, found in ranks.items():
            found[rows] = _ranks(scores.parts[name][rows], like.parts[name], own)
    columns = {_renamed("percentile", name): _nullable(values) for name, values in ranks.items()}
    return columns | {"compared_with": pa.array(count, pa.int32())}


def _scored(
    table: CrystalTable, model: Scorer, lost: list[Failure], report: Callable[[int], None]
) -> tuple[Ints, Scores]:
    """The rows (m,) that a model can score, and their scores; the others go to `lost`."""
    genes = table.genes()
    reasons = _refusals(table, genes, model)
    parts: dict[str, list[Floats]] = {}
    fit = np.flatnonzero([not reason for reason in reasons])
    for start in range(0, len(fit), _CHUNK):
        for name, values in _parts(model, table.take(fit[start : start + _CHUNK])).items():
            parts.setdefault(name, []).append(values)
        report(int(fit[min(start + _CHUNK, len(fit)) - 1]) + 1)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    finite = np.isfinite(joined["total"]) if joined else np.zeros(0, bool)
    for row in fit[~finite].tolist():
        reasons[row] = "the model gives it probability zero: it is not legal, or longer than the model can write"
    lost += [Failure(index=row, id=table.ids[row], reason=reason) for row, reason in enumerate(reasons) if reason]
    rows = fit[finite]
    return rows, sized({name: values[finite] for name, values in joined.items()}, genes.take(rows), model)


def _refusals(table: CrystalTable, genes: GeneBatch, model: Scorer) -> list[str]:
    """Why a model cannot score each row, empty where it can."""
    vocabulary = model.vocabulary
    flat = draws_geometry(model)
    unknown = ~np.isin(genes.elements, [0, *vocabulary])
    reasons = []
    for gene, elements, outside in zip(table.is_gene.tolist(), genes.elements, unknown, strict=True):
        names = ", ".join(element_symbol(int(number)) for number in np.unique(elements[outside]))
        if names:
            reasons.append(f"it holds {names}, which is not among the {len(vocabulary)} elements of the model")
        else:
            reasons.append("it is a gene without geometry, and the model scores crystals" if gene and flat else "")
    return reasons


def _parts(model: Scorer, table: CrystalTable) -> dict[str, Floats]:
    """Nats by part, the total first."""
    tell = getattr(model, "log_prob_parts", None)
    if tell is None:
        return {"total": np.asarray(model.log_prob(table), np.float64)}
    found: dict[str, Floats] = tell(table)
    return {"total": found["total"]} | found


def sized(parts: Mapping[str, Floats], genes: GeneBatch, model: object) -> Scores:
    """Scores of genes (n,) that a model drew, or of crystals with these genes, with their sizes."""
    free = np.zeros(len(genes), np.int64)
    if draws_geometry(model):
        cells = np.array([0, *(cell_box(number).size for number in range(1, NUM_GROUPS + 1))])
        free = genes.freedoms.sum(axis=1).astype(np.int64) + cells[genes.space_group]
    atoms = np.array([sum(counts.values()) for counts in compositions(genes)], np.int64)
    return Scores(parts=parts, sites=genes.num_sites.astype(np.int64), atoms=atoms, free=free)


def _like(known: Scores, sites: int, free: int, least: int) -> Ints:
    """Rows of the reference crystals that are like one of so many sites and free numbers."""
    distance = np.abs(known.sites - sites) + np.abs(known.free - free)
    if len(distance) <= least:
        return np.arange(len(distance))
    return np.flatnonzero(distance <= np.partition(distance, least - 1)[least - 1])


def _ranks(values: Floats, known: Floats, own: int) -> Floats:
    """Percentiles (n,) of values among known ones, of which `own` are the value itself."""
    ordered = np.sort(known)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    ranks: Floats = 100.0 * (below + 0.5 * (up_to - below - own)) / (len(known) - own)
    return ranks


def _columns(scores: Scores) -> dict[str, pa.Array]:
    total = scores.parts["total"]
    parts = {name: values for name, values in scores.parts.items() if name not in _ABOUT}
    columns = {_renamed("log_prob", name): pa.array(values, pa.float64()) for name, values in parts.items()}
    return columns | {
        "log_prob_per_site": pa.array(total / scores.sites, pa.float64()),
        "log_prob_per_atom": pa.array(total / scores.atoms, pa.float64()),
    }


def _kinds(scores: Scores, model: Scorer) -> dict[str, pa.Array]:
    """Which totals are exact, and how far off the others may be."""
    columns, bounds = {}, bool(getattr(model, "bounds", False))
    if bounds or "exact" in scores.parts:
        exact = scores.parts.get("exact", np.zeros(len(scores.sites))) == 1
        kinds = np.where(exact, "exact", "bound" if bounds else "estimate").tolist()
        columns["log_prob_kind"] = pa.array(kinds, pa.string())
    if "error" in scores.parts:
        columns["log_prob_error"] = pa.array(scores.parts["error"], pa.float64())
    return columns


def _renamed(column: str, part: str) -> str:
    return column if part == "total" else f"{column}_{part}"


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)
