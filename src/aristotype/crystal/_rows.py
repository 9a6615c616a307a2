"""One row of a table as an object: a gene, or a crystal, which is a gene with geometry."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.crystal._conditions import element_symbol
from aristotype.crystal._schema import centring_orders, freedoms, multiplicities
from aristotype.errors import SymmetryError
from aristotype.symmetry import LETTERS, check_group, tables


@dataclass(frozen=True, kw_only=True)
class Gene:
    """The discrete part of a crystal: a space group and a multiset of (element, Wyckoff position) pairs.

    Raises:
        SymmetryError: the group or a position does not exist, or elements and positions differ in number.
    """

    space_group: int
    elements: tuple[int, ...]  # atomic numbers, one a site
    wyckoffs: tuple[int, ...]  # letter index, 0 = a, one a site
    id: str = ""

    def __post_init__(self) -> None:
        group = check_group(self.space_group)
        if len(self.elements) != len(self.wyckoffs):
            raise SymmetryError(
                f"{len(self.elements)} elements for {len(self.wyckoffs)} positions; every site needs one of each"
            )
        last = int(tables().num_positions[group])
        wrong = [letter for letter in self.wyckoffs if not 0 <= letter < last]
        if wrong:
            raise SymmetryError(f"space group {group} has no position {wrong[0]}; indices go from 0 to {last - 1}")

    @property
    def letters(self) -> str:
        """Wyckoff letters, one a site."""
        return "".join(LETTERS[index] for index in self.wyckoffs)

    @property
    def multiplicities(self) -> tuple[int, ...]:
        """Atoms of each site in the conventional cell."""
        return tuple(multiplicities()[self.space_group, list(self.wyckoffs)].tolist())

    @property
    def freedoms(self) -> tuple[int, ...]:
        """Free coordinates of each site, 0 to 3."""
        return tuple(freedoms()[self.space_group, list(self.wyckoffs)].tolist())

    @property
    def num_sites(self) -> int:
        """Occupied positions."""
        return len(self.wyckoffs)

    @property
    def num_atoms(self) -> int:
        """Atoms in the conventional cell."""
        return sum(self.multiplicities)

    @property
    def num_atoms_primitive(self) -> int:
        """Atoms in the primitive cell."""
        return self.num_atoms // int(centring_orders()[self.space_group])

    @property
    def composition(self) -> dict[int, int]:
        """Atoms of each element (by atomic number) in the primitive cell."""
        order = int(centring_orders()[self.space_group])
        count: dict[int, int] = {}
        for element, multiplicity in zip(self.elements, self.multiplicities, strict=True):
            count[element] = count.get(element, 0) + multiplicity // order
        return count

    @property
    def formula(self) -> str:
        """Reduced formula, elements by electronegativity, as pymatgen writes it."""
        from aristotype.crystal._labels import reduced_formula

        return reduced_formula(self.composition)

    @property
    def degrees_of_freedom(self) -> int:
        """Free coordinates of all sites together; a floating origin and the cell are not counted."""
        return sum(self.freedoms)

    @property
    def label(self) -> str:
        """AFLOW protostructure label (see `protostructure_labels`)."""
        from aristotype.crystal._labels import protostructure_label

        return protostructure_label(self)

    def __str__(self) -> str:
        sites = " ".join(
            f"{element_symbol(element)}:{multiplicity}{letter}"
            for element, multiplicity, letter in zip(self.elements, self.multiplicities, self.letters, strict=True)
        )
        return f"{self.formula} {tables().symbols[self.space_group - 1]} ({self.space_group}) {sites}"


@dataclass(frozen=True, kw_only=True)
class Crystal(Gene):
    """A gene with its geometry.

    Raises:
        SymmetryError: as for `Gene`, or the free parameters are not as many as the positions have.
    """

    free: tuple[float, ...]  # in [0, 1), in site order, parameters of the shipped representative maps
    lattice: tuple[float, float, float, float, float, float]  # a b c (Angstrom) alpha beta gamma (degrees)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.free) != self.degrees_of_freedom:
            raise SymmetryError(
                f"{len(self.free)} free parameters for positions {self.letters} of space group {self.space_group}, "
                f"which have {self.degrees_of_freedom}"
            )
        if len(self.lattice) != 6:
            raise SymmetryError(f"a lattice has six numbers (a b c alpha beta gamma), not {len(self.lattice)}")

    @property
    def gene(self) -> Gene:
        """The discrete part alone."""
        return Gene(space_group=self.space_group, elements=self.elements, wyckoffs=self.wyckoffs, id=self.id)

    @property
    def site_free(self) -> tuple[tuple[float, ...], ...]:
        """Free parameters by site."""
        out, start = [], 0
        for freedom in self.freedoms:
            out.append(self.free[start : start + freedom])
            start += freedom
        return tuple(out)

    def __str__(self) -> str:
        a, b, c, alpha, beta, gamma = self.lattice
        return f"{super().__str__()} | {a:.4f} {b:.4f} {c:.4f} {alpha:.2f} {beta:.2f} {gamma:.2f}"
