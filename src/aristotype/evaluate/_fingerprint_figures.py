"""Figures of fingerprints: of compositions (Magpie, cheap) and of structures (CrystalNN, a tenth of a second each)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aristotype.evaluate._arrays import Floats, Scaler, has_fingerprint
from aristotype.evaluate._bootstrap import Interval
from aristotype.evaluate._diversity import mean_pairwise_distance, vendi_score
from aristotype.evaluate._embeddings import embed
from aristotype.evaluate._fingerprint_metrics import fingerprint_metrics
from aristotype.evaluate._fingerprints import crystalnn_fingerprints
from aristotype.evaluate._frechet import frechet_distance
from aristotype.evaluate._magpie import magpie_fingerprints

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable

_PAIRS = 2_000
"""Structures of which all pairs are taken for a mean distance."""
_RIDGE = 1e-6


def composition_metrics(table: CrystalTable, reference: CrystalTable, notes: list[str]) -> dict[str, Interval]:
    """Diversity, Vendi score and Fréchet distance of Magpie fingerprints, standardised by the reference.

    Args:
        table: n structures.
        reference: what they are compared with.
        notes: takes what a reader must know.
    """
    theirs = magpie_fingerprints(reference.genes())
    scaler = Scaler.fit(theirs)
    mine = _sound(scaler.transform(magpie_fingerprints(table.genes())), "Magpie", notes)
    theirs = scaler.transform(theirs)
    theirs = theirs[has_fingerprint(theirs)]
    if len(mine) < 2:
        return {}
    found = frechet_distance(mine, theirs, embedding="magpie", ridge=_RIDGE)
    return {
        "compositional_diversity": Interval(value=mean_pairwise_distance(mine[:_PAIRS])),
        "vendi_magpie": Interval(value=vendi_score(mine[np.abs(mine).max(axis=1) > 0])),
        "frechet_magpie": Interval(value=found.value),
    }


def structure_metrics(
    table: CrystalTable,
    reference: CrystalTable,
    known: CrystalTable,
    *,
    count: int,
    seed: int,
    processes: int,
    notes: list[str],
) -> dict[str, tuple[Interval, int]]:
    """Coverage, diversity and moments by CrystalNN fingerprints, and figures of CHGNet features.

    Args:
        table: n structures.
        reference: what they are compared with.
        known: what Magpie fingerprints are standardised by.
        count: structures drawn of each side.
        seed: of the draw.
        processes: worker processes.
        notes: takes what a reader must know.

    Returns:
        name to figure and to how many structures it is over: those of the reference for `recall`.
    """
    from aristotype.datasets import cache_folder

    rng = np.random.default_rng(seed)
    few, others = (
        side.take(np.sort(rng.choice(len(side), min(count, len(side)), replace=False))) for side in (table, reference)
    )
    mine, theirs = (crystalnn_fingerprints(side, processes=processes, cache=cache_folder()) for side in (few, others))
    notes.append(
        f"CrystalNN fingerprints of {len(few):,} structures and {len(others):,} of the reference; Magpie fingerprints "
        "are standardised by the known structures, the published scaler not being at hand."
    )
    sound, known_sound = _sound(mine, "CrystalNN", notes), theirs[has_fingerprint(theirs)]
    if len(sound) < 2 or len(known_sound) < 2:
        return {}
    own, other = (magpie_fingerprints(side.genes()) for side in (few, others))
    scaler = Scaler.fit(magpie_fingerprints(known.genes()))
    metrics = fingerprint_metrics(mine, own, theirs, other, scaler=scaler)
    del metrics["compositional_diversity"]  # of all structures, not of these alone
    found = frechet_distance(sound, known_sound, embedding="crystalnn", ridge=_RIDGE)
    metrics["vendi_crystalnn"] = Interval(value=vendi_score(sound[np.abs(sound).max(axis=1) > 0]))
    metrics["frechet_crystalnn"] = Interval(value=found.value)
    metrics |= _of_chgnet(few, others, notes)
    return {name: (value, len(others) if name.endswith("recall") else len(few)) for name, value in metrics.items()}


def _of_chgnet(table: CrystalTable, reference: CrystalTable, notes: list[str]) -> dict[str, Interval]:
    """Figures of CHGNet's crystal features."""
    name = "chgnet-crystal"
    mine, theirs = embed(table, name), embed(reference, name)
    sound, known = _sound(mine, "CHGNet", notes), theirs[has_fingerprint(theirs)]
    if len(sound) < 2 or len(known) < 2:
        return {}
    scaler = Scaler.fit(known)  # as they are, all features point nearly one way
    found = frechet_distance(sound, known, embedding=name, ridge=_RIDGE)
    return {
        "frechet_chgnet": Interval(value=found.value),
        "vendi_chgnet": Interval(value=vendi_score(scaler.transform(sound))),
    }


def _sound(rows: Floats, name: str, notes: list[str]) -> Floats:
    """The rows that have a fingerprint; the others are told."""
    has = has_fingerprint(rows)
    if not has.all():
        notes.append(f"{int((~has).sum())} of {len(has)} structures have no {name} fingerprint and are left out of it.")
    return rows[has]
