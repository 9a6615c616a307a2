"""Which crystals of a set are drawn, and the words beneath them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import Crystal
from aristotype.evaluate._draw import closes
from aristotype.evaluate._picture import minus
from aristotype.evaluate._sets import EvaluatedSet


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Crystals of one set, or the reason why there are none."""

    owner: EvaluatedSet
    key: str
    title: str
    rows: tuple[int, ...] = ()
    missing: str = ""
    note: str = ""

    def crystals(self) -> list[Crystal]:
        """The crystals to draw."""
        found = [self.owner.table[row] for row in self.rows]
        return [crystal for crystal in found if isinstance(crystal, Crystal)]

    def energies(self) -> list[str]:
        """What is known of the energy of each, one line a crystal."""
        columns = (self.owner.numbers("e_above_hull"), self.owner.numbers("energy"), self.owner.flags("unphysical"))
        rows = list(self.rows)
        return [minus(_energy(*values)) for values in zip(*(column[rows].tolist() for column in columns), strict=True)]


def _energy(above: float, alone: float, unphysical: bool) -> str:
    if unphysical:
        return "energy unphysical"
    if np.isfinite(above):
        return f"hull {above:+z.3f} eV/atom"
    return f"energy {alone:z.3f} eV/atom" if np.isfinite(alone) else "energy not known"


def galleries(one: EvaluatedSet, count: int, seed: int) -> list[Gallery]:
    """Crystals drawn at random from all of a set, and from its stable, unique and novel ones.

    Args:
        one: the set.
        count: at most so many of each.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    every = Gallery(owner=one, key=f"random-{one.place}", title=f"Drawn at random: {one.name}")
    best = Gallery(owner=one, key=f"sun-{one.place}", title=f"Stable, unique and novel (S.U.N.): {one.name}")
    drawable = ~one.table.is_gene
    stable = _sun(one)
    first = _chosen(every, drawable, count, rng, "no structure was built")
    if isinstance(stable, str):
        return [first, Gallery(owner=one, key=best.key, title=best.title, missing=stable)]
    return [first, _chosen(best, drawable & stable, count, rng, "no structure is stable, unique and novel")]


def _sun(one: EvaluatedSet) -> NDArray[np.bool_] | str:
    """(n,) which structures are stable, unique and novel, or why that is not known."""
    if one.has("sun"):
        return one.flags("sun")
    parts = ("stable", "unique", "novel")
    if one.has(*parts):
        return np.all([one.flags(part) for part in parts], axis=0)
    return f"the table has no column sun, and no {', '.join(part for part in parts if not one.has(part))}"


def _chosen(gallery: Gallery, which: NDArray[np.bool_], count: int, rng: np.random.Generator, none: str) -> Gallery:
    """The gallery with rows drawn at random, in the order of the table."""
    one = gallery.owner
    found = np.flatnonzero(which)
    # A cell that does not close is not drawn; looking at more rows than are shown finds others instead.
    order = rng.permutation(found)
    rows: list[int] = []
    unsound = 0
    for row in order.tolist():
        if len(rows) == count:
            break
        crystal = one.table[row]
        if isinstance(crystal, Crystal) and closes(crystal):
            rows.append(row)
        else:
            unsound += 1
    note = f"{len(rows):,} of {len(found):,}." + (f" {unsound} left out: their cells do not close." if unsound else "")
    return Gallery(
        owner=one, key=gallery.key, title=gallery.title, rows=tuple(sorted(rows)), note=note,
        missing="" if rows else none,
    )  # fmt: skip
