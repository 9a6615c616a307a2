"""Names for genes: reduced formula, AFLOW protostructure label and prototype, Pearson symbol."""

from __future__ import annotations

from functools import cache
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from aristotype.crystal._conditions import element_symbol
from aristotype.crystal._genes import GeneBatch, canonical_genes
from aristotype.crystal._schema import MAX_NUMBER, centring_orders, multiplicities
from aristotype.symmetry import CENTRINGS, CRYSTAL_SYSTEMS, LETTERS, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from aristotype.crystal._rows import Gene

# Pauling electronegativities of elements 1 to 118 (CRC Handbook), infinite where there is none: those come last.
_PAULING = (
    "2.2 inf 0.98 1.57 2.04 2.55 3.04 3.44 3.98 inf 0.93 1.31 1.61 1.9 2.19 2.58 3.16 inf 0.82 1 1.36 1.54 1.63 "
    "1.66 1.55 1.83 1.88 1.91 1.9 1.65 1.81 2.01 2.18 2.55 2.96 3 0.82 0.95 1.22 1.33 1.6 2.16 1.9 2.2 2.28 2.2 "
    "1.93 1.69 1.78 1.96 2.05 2.1 2.66 2.6 0.79 0.89 1.1 1.12 1.13 1.14 1.13 1.17 1.2 1.2 1.1 1.22 1.23 1.24 "
    "1.25 1.1 1.27 1.3 1.5 2.36 1.9 2.2 2.2 2.28 2.54 2 1.62 2.33 2.02 2 2.2 2.2 0.7 0.9 1.1 1.3 1.5 1.38 1.36 "
    "1.28 1.3 1.3 1.3 1.3 1.3 1.3 1.3 1.3 1.3 inf inf inf inf inf inf inf inf inf inf inf inf inf inf inf"
).split()
_ELECTRONEGATIVITY = tuple(float(value) for value in _PAULING)
_POLYANION = 1.65  # the last two of three or more elements make a group if their electronegativities differ by less
# Not reduced to the end: diatomic gases, peroxides and hydrogen peroxide.
_WHOLE = {"O": "O2", "N": "N2", "F": "F2", "Cl": "Cl2", "H": "H2", "HO": "H2O2"} | {
    f"{alkali}O": f"{alkali}2O2" for alkali in ("Li", "Na", "K", "Rb", "Cs")
}
_FAMILY = dict(zip(CRYSTAL_SYSTEMS, "amothhc", strict=True))


def reduced_formula(composition: Mapping[int, int]) -> str:
    """Reduced formula of {atomic number: count}, as pymatgen writes it.

    Elements stand by electronegativity, then alphabetically; the last two of three or more are put in brackets where
    they occur together several times: LiFePO4, Ca3(PO4)2.
    """
    if not composition:
        return ""
    order = sorted(composition, key=lambda number: (_ELECTRONEGATIVITY[number - 1], element_symbol(number)))
    factor = gcd(*composition.values())
    counts = [composition[number] // factor for number in order]
    bracket = ""
    if len(order) >= 3:
        gap = _ELECTRONEGATIVITY[order[-1] - 1] - _ELECTRONEGATIVITY[order[-2] - 1]
        together = gcd(*counts[-2:])
        if together > 1 and gap < _POLYANION:
            inner = _written(order[-2:], [count // together for count in counts[-2:]])
            bracket = f"({inner}){together}"
            order, counts = order[:-2], counts[:-2]
    formula = _written(order, counts) + bracket
    return _WHOLE.get(formula, formula)


def _written(order: Sequence[int], counts: Sequence[int]) -> str:
    return "".join(
        element_symbol(number) + (str(count) if count > 1 else "") for number, count in zip(order, counts, strict=True)
    )


def formulas(genes: GeneBatch) -> list[str]:
    """Reduced formula of each gene."""
    return [reduced_formula(composition) for composition in compositions(genes)]


def compositions(genes: GeneBatch) -> list[dict[int, int]]:
    """Atoms of each element, by atomic number, in the primitive cell of each gene."""
    return [
        {number: int(count) for number, count in enumerate(row) if count} for row in _element_counts(genes).tolist()
    ]


def _element_counts(genes: GeneBatch) -> NDArray[np.int64]:
    """(n, 119) atoms of each element in the primitive cell."""
    atoms = np.where(genes.wyckoffs >= 0, multiplicities()[genes.space_group[:, None], genes.wyckoffs], 0)
    counts = np.zeros((len(genes), MAX_NUMBER + 1), np.int64)
    np.add.at(counts, (np.arange(len(genes))[:, None], genes.elements), atoms)
    counts[:, 0] = 0
    return counts // centring_orders()[genes.space_group][:, None]


def pearson_symbols(genes: GeneBatch) -> list[str]:
    """Pearson symbol of each gene, in the convention of AFLOW: crystal family, centring, number of atoms.

    All base-centred cells are C (IUPAC: S), and rhombohedral crystals count the atoms of the primitive cell (corundum
    is hR10, where IUPAC counts the hexagonal cell); all others count the conventional cell.
    """
    atoms = _element_counts(genes).sum(axis=1)
    out = []
    for group, count in zip(genes.space_group.tolist(), atoms.tolist(), strict=True):
        centring = CENTRINGS[tables().centring[group - 1]]
        family = _FAMILY[CRYSTAL_SYSTEMS[tables().crystal_system[group - 1]]]
        cell = count if centring == "R" else count * int(centring_orders()[group])
        out.append(f"{family}{'C' if centring == 'A' else centring}{cell}")
    return out


def protostructure_labels(genes: GeneBatch) -> list[str]:
    """AFLOW protostructure label of each gene, the same for all its equivalent descriptions: `A2B_tP6_136_f_a:O-Ti`.

    Anonymous formula, Pearson symbol, group number and the letters of each element, elements in alphabetical order,
    then the elements (Mehl et al., Comput. Mater. Sci. 136, S1, 2017). Of the equivalent descriptions the one counts
    whose sorted (letter, rank of the element in alphabetical order) pairs are smallest.
    """
    labels = []
    for label, (order, _) in zip(prototype_labels(genes), _alphabetical(genes), strict=True):
        labels.append(f"{label}:{'-'.join(element_symbol(number) for number in order)}")
    return labels


def prototype_labels(genes: GeneBatch) -> list[str]:
    """AFLOW prototype of each gene: the protostructure label without the elements, `A2B_tP6_136_f_a`."""
    species = _alphabetical(genes)
    ranks = np.zeros((len(genes), MAX_NUMBER + 1), np.int8)
    for row, (order, _) in enumerate(species):
        ranks[row, order] = np.arange(1, len(order) + 1)
    ranked = canonical_genes(
        GeneBatch(
            space_group=genes.space_group,
            elements=np.take_along_axis(ranks, genes.elements.astype(np.int64), axis=1),
            wyckoffs=genes.wyckoffs,
        )
    )
    sites = zip(ranked.wyckoffs.tolist(), ranked.elements.tolist(), strict=True)
    rows = zip(species, pearson_symbols(genes), genes.space_group.tolist(), sites, strict=True)
    return [
        f"{_anonymous(counts)}_{pearson}_{group}_{_spelled(letters, kinds, len(counts))}"
        for (_, counts), pearson, group, (letters, kinds) in rows
    ]


def protostructure_label(gene: Gene) -> str:
    """AFLOW protostructure label of one gene (see `protostructure_labels`)."""
    return protostructure_labels(GeneBatch.from_lists([gene.space_group], [gene.elements], [gene.wyckoffs]))[0]


def _alphabetical(genes: GeneBatch) -> list[tuple[list[int], list[int]]]:
    """Elements of each gene in alphabetical order of their symbols, and their reduced counts."""
    counts = _element_counts(genes)[:, _by_symbol()]
    reduced = counts // np.maximum(np.gcd.reduce(counts, axis=1), 1)[:, None]
    out: list[tuple[list[int], list[int]]] = [([], []) for _ in range(len(genes))]
    for row, column in zip(*(index.tolist() for index in np.nonzero(reduced)), strict=True):
        out[row][0].append(int(_by_symbol()[column]))
        out[row][1].append(int(reduced[row, column]))
    return out


@cache
def _by_symbol() -> NDArray[np.int64]:
    """Atomic numbers in alphabetical order of their symbols."""
    return np.array(sorted(range(1, MAX_NUMBER + 1), key=element_symbol))


def _anonymous(counts: Sequence[int]) -> str:
    return "".join(_kind(place) + (str(count) if count > 1 else "") for place, count in enumerate(counts))


def _kind(place: int) -> str:
    """A, B, ... Z, then Aa, Ab, ... for crystals of more than 26 elements."""
    return chr(65 + place) if place < 26 else f"{chr(64 + place // 26)}{chr(97 + place % 26)}"


def _spelled(letters: Sequence[int], kinds: Sequence[int], num_kinds: int) -> str:
    """Letters of each element with their counts, elements separated by underscores; sites are sorted by letter."""
    words: list[dict[int, int]] = [{} for _ in range(num_kinds)]
    for letter, kind in zip(letters, kinds, strict=True):
        if letter >= 0:
            words[kind - 1][letter] = words[kind - 1].get(letter, 0) + 1
    return "_".join("".join(f"{n if n > 1 else ''}{LETTERS[letter]}" for letter, n in word.items()) for word in words)
