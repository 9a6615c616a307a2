"""`evaluate`: every figure of a protocol for a table of structures, and one row a structure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aristotype.crystal import CrystalTable, package_version
from aristotype.errors import InputError
from aristotype.evaluate._arrays import has_fingerprint
from aristotype.evaluate._bootstrap import Interval, share
from aristotype.evaluate._catalogue import described
from aristotype.evaluate._csp import csp_distances, csp_metrics
from aristotype.evaluate._distributions import distribution_metrics
from aristotype.evaluate._fingerprint_figures import composition_metrics, structure_metrics
from aristotype.evaluate._frechet_gene import GeneDistance, frechet_gene, gene_embedding
from aristotype.evaluate._hull_file import Hull, read_hull
from aristotype.evaluate._judge import Flags, Judged, judge
from aristotype.evaluate._protocols import Protocol, protocol_named
from aristotype.evaluate._reference import Reference, load_reference
from aristotype.evaluate._symmetry import symmetry_metrics
from aristotype.evaluate._validity import validity_metrics

if TYPE_CHECKING:
    import os

_STAGES = ("valid", "unique", "novel", "stable", "metastable", "sun", "ssun", "msun")
_RELAXED = (("rmsd", "rmsd_relaxed"), ("relax_steps_symmetric", "relax_steps_mean"))


def evaluate(
    table: CrystalTable,
    *,
    reference: str | os.PathLike[str] | CrystalTable | Reference = "mp_20",
    protocol: str | Protocol = "aristotype",
    name: str = "structures",
    submitted: int | None = None,
    hull: str | os.PathLike[str] | Hull | None = None,
    compare: str = "test",
    fingerprints: int = 0,
    truth: CrystalTable | None = None,
    processes: int = 1,
    resamples: int = 200,
    seed: int = 0,
    stage: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], CrystalTable]:
    """Judges structures under a named protocol.

    Args:
        table: crystals; a column `energy` (total energy in eV/atom, as `relax` writes it) brings in stability.
        reference: a dataset by name or path, a table, or what `load_reference` gave.
        protocol: its name (`PROTOCOLS`) or a protocol.
        name: what the set is called.
        submitted: how many structures the generator was asked for, where some could not be built; by default the rows.
        hull: a file of `aristotype hull build` or a hull; by default the one that ships with the package.
        compare: split of the reference that distributions are compared with.
        fingerprints: of how many structures on either side CrystalNN fingerprints are computed, for coverage,
            diversity and moments (about a tenth of a second each, kept in the cache folder); 0 leaves them out.
        truth: structures that were to be predicted; a row is a prediction of the one whose id stands in its column
            `target`, or of the one with its own id. Brings in match rates, METRe and cRMSE.
        processes: worker processes.
        resamples: of the bootstrap behind intervals of distances.
        seed: of the bootstrap.
        stage: called with the name of what begins.

    Returns:
        a summary of plain values (`name`, `protocol`, `counts`, `metrics`, `embeddings` (what decides the Fréchet
        distance of genes: checkpoint and its hash, layer, regularisation, sizes), `notes`, `versions`), and the rows
        that were built, with a column for everything that was found of each. A metric has `value`, `low` and `high`
        (95 %, None where an interval would mean nothing), `n`, `unit` and `what`; one that cannot be computed is left
        out, with a note.

    Raises:
        UnknownNameError: no such protocol, or a hull that the file does not hold.
        InputError: nothing was built, fewer were submitted than there are rows, the reference does not fit, or a row
            predicts a structure that is not among the truth.
    """
    rules = protocol_named(protocol) if isinstance(protocol, str) else protocol
    known = reference if isinstance(reference, Reference) else load_reference(reference, rules.novel_against, compare)
    total = len(table) if submitted is None else submitted
    built = table.filter(~table.is_gene)
    if not len(built) or total < len(table):
        raise InputError(
            f"{total} structures submitted, {len(table)} rows, {len(built)} of them with a geometry; at least one is "
            "needed, and no more rows than were submitted"
        )
    above = (read_hull(hull) if not isinstance(hull, Hull) else hull) if "energy" in table.columns else None
    judged = judge(built, known, rules, above, processes=processes, stage=stage)
    notes = [*known.notes, *rules.notes, *_notes(judged, rules, above)]
    metrics = _shares(judged, rules, total)
    population = _population(judged, rules)
    embeddings: dict[str, Any] = {}
    if population.any():
        found = _gene_distance(judged.rows.filter(population), known, notes, stage)
        if found is not None:
            metrics["frechet_gene"] = (Interval(value=found.distance.value), found.distance.rows)
            embeddings["frechet_gene"] = found.to_dict()
        metrics |= _figures(judged, population, known, fingerprints, processes, resamples, seed, notes, stage)
    else:
        notes.append(f"No structure is left to compare distributions of ({rules.population}).")
    metrics |= _relaxation(judged.rows)
    may_match = judged.validity.valid if rules.denominator == "valid" else None
    predicted = {} if truth is None else _prediction(built, truth, may_match, processes, resamples, seed)
    summary = {
        "name": name,
        "protocol": rules.to_dict(),
        "reference": {
            "name": known.name,
            "splits": known.splits,
            "known": len(known.known),
            "compared": len(known.compared),
        },
        "counts": {"submitted": total, "built": len(built), **_counts(judged)},
        "metrics": described(metrics, notes) | predicted,
        "embeddings": embeddings,
        "notes": notes,
        "versions": _versions(above, rules),
    }
    return summary, judged.rows


def _counts(judged: Judged) -> dict[str, int]:
    flags = judged.flags
    found = {stage: int(flags[stage].sum()) for stage in _STAGES if stage in flags}
    found["unique_novel"] = int((flags["unique"] & flags["novel"]).sum())
    return found


def _shares(judged: Judged, rules: Protocol, total: int) -> dict[str, tuple[Interval, int]]:
    """Shares of structures over what the protocol says, with how many those are."""
    metrics = {key: (value, total) for key, value in validity_metrics(judged.validity, submitted=total).items()}
    flags = judged.flags
    counted = flags["valid"] if rules.denominator == "valid" else np.ones(len(judged.rows), bool)
    over = {"submitted": total, "built": len(judged.rows), "valid": int(flags["valid"].sum())}[rules.denominator]
    if not over:
        return metrics
    chosen = {stage: flags[stage] for stage in _STAGES if stage in flags and stage != "valid"}
    chosen["unique_novel"] = flags["unique"] & flags["novel"]
    chosen["symmetric"] = flags["symmetric"]
    columns = judged.rows
    for level in ("gene", "template"):
        for what in ("unique", "novel"):
            chosen[f"{what}_{level}"] = np.array(columns.column(f"{what}_{level}").to_pylist(), dtype=bool)
    if "unphysical" in columns.columns:
        chosen["unphysical"] = np.array(columns.column("unphysical").to_pylist(), dtype=bool)
    metrics |= {key: (share(int((values & counted).sum()), over), over) for key, values in chosen.items()}
    return metrics


def _population(judged: Judged, rules: Protocol) -> Flags:
    """The structures whose distributions are compared."""
    flags = judged.flags
    if rules.population == "built":
        return np.ones(len(judged.rows), bool)
    if rules.population == "valid":
        return flags["valid"]
    return flags["valid"] & flags["unique"] & flags["novel"]


def _figures(
    judged: Judged,
    population: Flags,
    known: Reference,
    fingerprints: int,
    processes: int,
    resamples: int,
    seed: int,
    notes: list[str],
    stage: Callable[[str], None] | None,
) -> dict[str, tuple[Interval, int]]:
    """Distances of distributions from those of the reference."""
    say = stage or (lambda name: None)
    table = judged.rows.filter(population)
    say("distributions")
    found = symmetry_metrics(table.genes(), known.compared.genes(), resamples=resamples, seed=seed)
    found |= distribution_metrics(
        table,
        known.compared,
        sizes=judged.sizes.filter(population),
        reference_sizes=known.sizes,
        resamples=resamples,
        seed=seed,
    )
    found |= composition_metrics(table, known.compared, notes)
    metrics = {key: (value, len(table)) for key, value in found.items()}
    if fingerprints:
        say("fingerprints")
        metrics |= structure_metrics(
            table, known.compared, known.known, count=fingerprints, seed=seed, processes=processes, notes=notes
        )
    return metrics


def _gene_distance(
    table: CrystalTable, known: Reference, notes: list[str], stage: Callable[[str], None] | None
) -> GeneDistance | None:
    """Fréchet distance of genes; None, and a note, where too few have an embedding."""
    if stage is not None:
        stage("gene embeddings")
    rows = gene_embedding(table.genes())
    if min(int(has_fingerprint(side).sum()) for side in (rows, known.gene_embedding)) < 2:
        notes.append("frechet_gene needs two structures on either side whose elements the encoder knows; left out.")
        return None
    found = frechet_gene(rows, known.gene_embedding)
    notes.append(f"frechet_gene: {found.note}.")
    return found


def _prediction(
    table: CrystalTable, truth: CrystalTable, valid: Flags | None, processes: int, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Figures of structure prediction, as the summary writes them."""
    place = {name: row for row, name in enumerate(truth.ids)}
    names = table.column("target").to_pylist() if "target" in table.columns else table.ids
    unknown = [name for name in names if name not in place]
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(names)} rows predict structures that are not among the {len(place)} of the truth, "
            f"first {unknown[0]!r}; name the targets in a column `target`, or give rows the ids of what they predict"
        )
    targets = [place[name] for name in names]
    found = csp_distances(table, truth, targets=targets, valid=valid, processes=processes)
    return csp_metrics(found, resamples=resamples, seed=seed)


def _relaxation(rows: CrystalTable) -> dict[str, tuple[Interval, int]]:
    """Means over rows that were relaxed, where the columns of `relax` are there."""
    metrics: dict[str, tuple[Interval, int]] = {}
    if "relax_end" in rows.columns and "energy" in rows.columns:
        # What failed stands where it began, and would count as kept.
        energies = np.array(rows.column("energy").to_pylist(), dtype=np.float64)
        rows = rows.filter(np.isfinite(energies))

    def add(key: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        sound = values[np.isfinite(values)]
        if len(sound):
            spread = 1.96 * float(sound.std(ddof=1)) / np.sqrt(len(sound)) if len(sound) > 1 else 0.0
            mean = float(sound.mean())
            least = 0.0 if (sound >= 0).all() else -np.inf
            metrics[key] = (Interval(value=mean, low=max(least, mean - spread), high=mean + spread), len(sound))

    def numbers(column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array(rows.column(column).to_pylist(), dtype=np.float64)

    for column, key in _RELAXED:
        if column in rows.columns:
            add(key, numbers(column))
    if "energy_start" in rows.columns and "energy" in rows.columns:
        add("energy_drop", numbers("energy_start") - numbers("energy"))
    if "gene_kept" in rows.columns:
        kept = [value for value in rows.column("gene_kept").to_pylist() if value is not None]
        if kept:
            metrics["gene_kept"] = (share(sum(kept), len(kept)), len(kept))
    if "space_group_before" in rows.columns:
        before = np.array(rows.column("space_group_before").to_pylist(), dtype=np.float64)
        same = before[np.isfinite(before)] == rows.space_group[np.isfinite(before)]
        if len(same):
            metrics["group_kept"] = (share(int(same.sum()), len(same)), len(same))
    if "e_above_hull" in rows.columns:
        height = numbers("e_above_hull")
        height = height[np.isfinite(height)]
        for percent in (10, 50, 90):
            if len(height):
                value = float(np.percentile(height, percent))
                metrics[f"e_above_hull_q{percent}"] = (Interval(value=value), len(height))
    return metrics


def _notes(judged: Judged, rules: Protocol, hull: Hull | None) -> list[str]:
    """What a reader must know of these rows."""
    notes = []
    if hull is None and rules.stable is not None:
        notes.append("The table has no energies: nothing is said about stability.")
    if hull is not None and rules.stable is not None:
        kind = rules.hull or hull.default_kind
        notes.append(
            f"Energies above hull are by the {kind} hull of {hull.about['calculator']} ({len(hull.points(kind)):,} "
            f"formulas); a hull that lacks an entry makes them too low."
        )
        missing = [name for name in judged.rows.column("hull_missing").to_pylist() if name]
        if missing:
            notes.append(f"{len(missing)} structures hold an element without an entry, {missing[0]} first: not stable.")
        energies = np.array(judged.rows.column("energy").to_pylist(), dtype=np.float64)
        without = int((~np.isfinite(energies)).sum())
        if without:
            notes.append(f"{without} structures have no energy and count as not stable.")
    return notes


def _versions(hull: Hull | None, rules: Protocol) -> dict[str, str]:
    from importlib.metadata import version

    found = {"aristotype": package_version(), "protocol": f"{rules.name}-{rules.version}"}
    found |= {package: version(package) for package in ("smact", "pymatgen", "numpy", "scipy")}
    if hull is not None:
        found["hull"] = str(hull.about.get("fingerprint", "unknown"))
    return found
