"""What models learnt of chemistry: element vectors, substitution partners, and which elements sit where."""

from __future__ import annotations

from benchmarks.chemistry_positions import positions
from benchmarks.chemistry_substitution import substitution
from benchmarks.chemistry_vectors import vectors
from benchmarks.core import Context, Outcome


def chemistry(context: Context) -> Outcome:
    """Element vectors, substitution partners and positions of elements, with pictures (docs/chemistry.md)."""
    yield from vectors(context)
    yield from substitution(context)
    yield from positions(context)
