"""Named, versioned sets of definitions: two figures can be compared only if they carry the same name and version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aristotype.errors import UnknownNameError
from aristotype.evaluate._hull import Kind

Denominator = Literal["submitted", "built", "valid"]
Population = Literal["built", "valid", "valid, unique and novel"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The definitions behind a set of figures.

    Attributes:
        name: Its name.
        version: Changes when a definition changes.
        ltol: Of lengths (relative), for pymatgen's StructureMatcher.
        stol: Of sites, in the mean distance of atoms.
        angle: Of angles, in degrees.
        scale: Whether volumes are made equal before matching.
        novel_against: Splits of the reference that a novel structure must not match.
        denominator: What shares are over.
        population: The structures whose distributions are compared.
        stable: Energy above hull (eV/atom) up to which a structure counts as stable; None where the source does not
            judge stability.
        metastable: The same for metastable (M.S.U.N.).
        hull: Which hull, where a file holds several; None takes its default.
        needs_valid: Whether S.U.N. asks for validity too.
        source: Where the definitions come from.
        notes: Where ours must differ, and what else a reader should know.
    """

    name: str
    version: int
    ltol: float = 0.2
    stol: float = 0.3
    angle: float = 5.0
    scale: bool = True
    novel_against: tuple[str, ...] = ("train",)
    denominator: Denominator = "submitted"
    population: Population = "built"
    stable: float | None = None
    metastable: float | None = None
    hull: Kind | None = None
    needs_valid: bool = False
    source: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The definitions as JSON values, those that all protocols share included."""
        return asdict(self) | _SHARED


_SHARED = {
    "charges": "smact14, Pauling test, alloys pass",
    "min_distance": 0.5,
    "min_volume": 0.1,
    "unphysical": "two atoms below 0.5 Angstrom, or a formation energy below -5 eV/atom: never stable",
    "symmetric": "space group other than P1",
}
_HULL_NOTE = "The published hull is not at hand; energies are above the hull named in the summary."

_PROTOCOLS = (
    Protocol(
        name="aristotype",
        version=1,
        novel_against=("train", "val"),
        stable=0.0,
        metastable=0.1,
        needs_valid=True,
        source="this package",
        notes=(
            "All shares are over what was submitted: a structure that could not be built counts against its model.",
            "Stable means on or below the hull of everything known, valid, and not unphysical.",
        ),
    ),
    Protocol(
        name="cdvae",
        version=1,
        ltol=0.3,
        stol=0.5,
        angle=10.0,
        denominator="valid",
        population="valid",
        source="Xie et al., ICLR 2022",
        notes=("COV cut-offs for MP-20: 10 for composition and 0.4 for structure fingerprints.",),
    ),
    Protocol(
        name="mattergen",
        version=1,
        stable=0.1,
        source="Zeni et al., Nature 639, 624 (2025)",
        notes=(_HULL_NOTE, "Failed jobs count as not stable."),
    ),
    Protocol(
        name="lemat",
        version=1,
        denominator="valid",
        population="valid",
        stable=0.0,
        metastable=0.1,
        hull="calculator",
        needs_valid=True,
        source="LeMat-GenBench (2025)",
        notes=("Novelty there is by a hash of structures; here it is by matching.",),
    ),
    Protocol(
        name="matbench-discovery",
        version=1,
        stol=1.0,
        scale=False,
        stable=0.0,
        source="Riebesell et al., Nat. Mach. Intell. 7, 836 (2025)",
        notes=(_HULL_NOTE, "A structure without an energy counts as unstable."),
    ),
    Protocol(
        name="wyformer",
        version=1,
        novel_against=("train", "val"),
        stable=0.08,
        source="Kazeev et al., arXiv:2503.02407",
        notes=(_HULL_NOTE, "Structures are to be relaxed with CHGNet; shares are over all that was generated."),
    ),
    Protocol(
        name="augen",
        version=1,
        denominator="valid",
        population="valid, unique and novel",
        source="Chang et al., WyckoffAUGen",
        notes=(
            "Validity is over what was submitted; all else over unique and novel structures among the valid ones.",
            "Divergences are square roots in nats.",
        ),
    ),
)

PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in _PROTOCOLS}
"""All protocols by name."""


def protocol_named(name: str) -> Protocol:
    """A protocol.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError(f"no protocol is called {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
