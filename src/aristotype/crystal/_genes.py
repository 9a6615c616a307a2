"""Genes in batches: equivalent descriptions, the canonical one, and keys.

A gene is a space group and a multiset of (Wyckoff position, element) pairs. No metric is known, so two genes are the
same crystal if an operation of the *affine* normalizer of the group carries one into the other (ITA A, chapter 3.5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aristotype.errors import SymmetryError
from aristotype.symmetry import NUM_GROUPS, mirror_image, relabellings, tables

CANONICAL_VERSION = 1
"""Changes when canonical genes or keys change; part of every key."""
_PAD = np.int16(32767)
_ELEMENT_BASE = 128
_HEAVIEST = 118
_CHUNK_CELLS = 4_000_000  # relabellings x rows x sites at once, to bound memory in group 2 (1344 relabellings)


@dataclass(frozen=True, kw_only=True)
class GeneBatch:
    """n genes of up to S sites each."""

    space_group: NDArray[np.int16]  # (n,)
    elements: NDArray[np.int8]  # (n, S) atomic numbers, 0 where there is no site
    wyckoffs: NDArray[np.int8]  # (n, S) letter index, -1 where there is no site

    def __len__(self) -> int:
        return len(self.space_group)

    @property
    def num_sites(self) -> NDArray[np.int64]:
        """(n,) sites of each gene."""
        return (self.wyckoffs >= 0).sum(axis=1)

    @property
    def num_elements(self) -> NDArray[np.int64]:
        """(n,) different elements of each gene."""
        return (np.diff(np.sort(self.elements, axis=1), axis=1, prepend=0) > 0).sum(axis=1)

    @property
    def multiplicities(self) -> NDArray[np.int64]:
        """(n, S) atoms of each site in the conventional cell, 0 where there is no site."""
        table = _padded_multiplicity()
        return np.where(self.wyckoffs >= 0, table[self.space_group[:, None], self.wyckoffs], 0)

    @property
    def freedoms(self) -> NDArray[np.int64]:
        """(n, S) free parameters of each site, 0 where there is no site."""
        known = np.maximum(_padded_freedom(), 0).astype(np.int64)
        return np.where(self.wyckoffs >= 0, known[self.space_group[:, None], self.wyckoffs], 0)

    def take(self, rows: ArrayLike) -> GeneBatch:
        """The genes of some rows (indices or a mask)."""
        index = np.asarray(rows)
        if index.size == 0:
            index = index.astype(np.int64)  # an empty list has no integer type of its own
        return GeneBatch(
            space_group=self.space_group[index], elements=self.elements[index], wyckoffs=self.wyckoffs[index]
        )

    @staticmethod
    def from_lists(
        space_group: Sequence[int], elements: Sequence[Sequence[int]], wyckoffs: Sequence[Sequence[int]]
    ) -> GeneBatch:
        """A batch from Python lists of different lengths.

        Raises:
            SymmetryError: a group or a position does not exist, or a row has unlike numbers of elements and positions.
        """
        n = len(space_group)
        width = max((len(row) for row in wyckoffs), default=0)
        numbers = np.asarray(space_group, dtype=np.int64).reshape(n)
        wide_elements, wide_letters = np.zeros((n, width), dtype=np.int64), np.full((n, width), -1, dtype=np.int64)
        for row, (species, letters) in enumerate(zip(elements, wyckoffs, strict=True)):
            if len(species) != len(letters):
                raise SymmetryError(
                    f"gene {row} has {len(species)} elements for {len(letters)} positions; give one a site"
                )
            wide_elements[row, : len(species)] = species
            wide_letters[row, : len(letters)] = letters
        _check_genes(numbers, wide_elements, wide_letters)  # before they are narrowed, so that nothing overflows
        return GeneBatch(
            space_group=numbers.astype(np.int16),
            elements=wide_elements.astype(np.int8),
            wyckoffs=wide_letters.astype(np.int8),
        )

    @staticmethod
    def concatenate(batches: Sequence[GeneBatch]) -> GeneBatch:
        """One batch from several, padded to the widest."""
        width = max((b.wyckoffs.shape[1] for b in batches), default=0)

        def widened(array: NDArray[np.int8], fill: int) -> NDArray[np.int8]:
            return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)

        return GeneBatch(
            space_group=np.concatenate([b.space_group for b in batches]),
            elements=np.concatenate([widened(b.elements, 0) for b in batches]),
            wyckoffs=np.concatenate([widened(b.wyckoffs, -1) for b in batches]),
        )

    def check(self) -> None:
        """Checks that every group and every position exists and that elements stand exactly where positions do.

        Raises:
            SymmetryError: naming the first row that is wrong.
        """
        _check_genes(self.space_group, self.elements, self.wyckoffs)

    def legal(self) -> NDArray[np.bool_]:
        """(n,) whether a gene has a site, its positions exist, and no zero-freedom position is occupied twice."""
        padded = _padded_freedom()
        last = tables().num_positions[self.space_group]
        exists = (self.wyckoffs < last[:, None]).all(axis=1) & (self.num_sites > 0)
        letters = np.where(self.wyckoffs < last[:, None], self.wyckoffs, -1)
        fixed = (letters >= 0) & (padded[self.space_group[:, None], letters] == 0)
        ordered = np.sort(np.where(fixed, letters, -1 - np.arange(letters.shape[1])), axis=1)
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
        return exists & ~twice


def _check_genes(space_group: NDArray[Any], elements: NDArray[Any], wyckoffs: NDArray[Any]) -> None:
    """See `GeneBatch.check`; integers of any width."""
    if len(space_group) == 0:
        return
    wrong = (space_group < 1) | (space_group > NUM_GROUPS)
    if wrong.any():
        row = int(wrong.argmax())
        raise SymmetryError(f"gene {row}: space group {space_group[row]} does not exist; 1 to {NUM_GROUPS} do")
    last = tables().num_positions[space_group]
    absent = (wyckoffs >= last[:, None]) | (wyckoffs < -1)
    if absent.any():
        row = int(absent.any(axis=1).argmax())
        raise SymmetryError(
            f"gene {row}: position index {wyckoffs[row][absent[row]][0]} does not exist in space group "
            f"{space_group[row]}; indices go from 0 to {last[row] - 1}"
        )
    unknown = (elements < 0) | (elements > _HEAVIEST)
    if unknown.any():
        row = int(unknown.any(axis=1).argmax())
        raise SymmetryError(
            f"gene {row}: there is no element {elements[row][unknown[row]][0]}; atomic numbers go from 1 to {_HEAVIEST}"
        )
    alone = (elements > 0) != (wyckoffs >= 0)
    if alone.any():
        row = int(alone.any(axis=1).argmax())
        raise SymmetryError(f"gene {row}: every position needs an element and every element a position")


@cache
def _padded_multiplicity() -> NDArray[np.int16]:
    return np.asarray(tables().padded("multiplicity"), dtype=np.int16)


@cache
def _padded_freedom() -> NDArray[np.int8]:
    return np.asarray(tables().padded("freedom", fill=-1), dtype=np.int8)


def site_codes(wyckoffs: ArrayLike, elements: ArrayLike) -> NDArray[np.int16]:
    """One integer a site that sorts by letter, then by atomic number; a large one where there is no site."""
    letters = np.asarray(wyckoffs, dtype=np.int16)
    return np.where(letters < 0, _PAD, letters * _ELEMENT_BASE + np.asarray(elements, dtype=np.int16))


def from_codes(space_group: NDArray[np.int16], codes: NDArray[np.int16]) -> GeneBatch:
    """The inverse of `site_codes`."""
    empty = codes == _PAD
    return GeneBatch(
        space_group=space_group,
        elements=np.where(empty, 0, codes % _ELEMENT_BASE).astype(np.int8),
        wyckoffs=np.where(empty, -1, codes // _ELEMENT_BASE).astype(np.int8),
    )


def sorted_genes(genes: GeneBatch) -> GeneBatch:
    """The same descriptions with sites in canonical order: by letter, then atomic number."""
    return from_codes(genes.space_group, np.sort(site_codes(genes.wyckoffs, genes.elements), axis=1))


def relabelled_codes(number: int, wyckoffs: NDArray[np.int8], elements: NDArray[np.int8]) -> NDArray[np.int16]:
    """Sorted site codes (k, n, S) of n genes of one group under each of its k affine relabellings."""
    table = relabellings(number)
    table = np.concatenate([table, np.full((len(table), 1), -1, np.int8)], axis=1)  # so that -1 stays -1
    return np.sort(site_codes(table[:, wyckoffs], elements), axis=2)


def lexicographic_minimum(codes: NDArray[np.int16]) -> NDArray[np.int64]:
    """For codes (k, n, S): index (n,) of the first lexicographically smallest row among the k."""
    alive = np.ones(codes.shape[:2], dtype=bool)
    for site in range(codes.shape[2]):
        column = np.where(alive, codes[:, :, site], _PAD)
        alive &= column == column.min(axis=0)
    return alive.argmax(axis=0)


def _by_group(genes: GeneBatch) -> list[tuple[int, NDArray[np.int64]]]:
    """Rows of each group, in chunks whose relabellings fit in memory."""
    if len(genes) == 0:
        return []
    order = np.argsort(genes.space_group, kind="stable")
    numbers, starts = np.unique(genes.space_group[order], return_index=True)
    chunks: list[tuple[int, NDArray[np.int64]]] = []
    for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        step = max(1, _CHUNK_CELLS // (len(relabellings(number)) * max(1, genes.wyckoffs.shape[1])))
        chunks.extend((number, rows[i : i + step]) for i in range(0, len(rows), step))
    return chunks


def canonical_genes(genes: GeneBatch) -> GeneBatch:
    """The smallest description of each gene: sorted (letter, Z) pairs, minimal over the affine relabellings."""
    out = np.empty(genes.wyckoffs.shape, dtype=np.int16)
    for number, rows in _by_group(genes):
        codes = relabelled_codes(number, genes.wyckoffs[rows], genes.elements[rows])
        out[rows] = codes[lexicographic_minimum(codes), np.arange(len(rows))]
    return from_codes(genes.space_group, out)


def equivalents(genes: GeneBatch) -> tuple[GeneBatch, NDArray[np.int64]]:
    """All distinct descriptions of each gene, sites sorted, and for each the row (m,) of the gene it describes."""
    return _descriptions(genes, on_canonical_template=False)


def template_descriptions(genes: GeneBatch) -> tuple[GeneBatch, NDArray[np.int64]]:
    """The distinct descriptions of each gene on the canonical positions of its template, and their rows (m,).

    These differ by the relabellings that carry the template into itself: the elements move, the positions do not.
    """
    return _descriptions(genes, on_canonical_template=True)


def _descriptions(genes: GeneBatch, *, on_canonical_template: bool) -> tuple[GeneBatch, NDArray[np.int64]]:
    codes, owners, groups = [], [], []
    for number, rows in _by_group(genes):
        relabelled = relabelled_codes(number, genes.wyckoffs[rows], genes.elements[rows])
        owner = np.broadcast_to(rows, relabelled.shape[:2])
        if on_canonical_template:
            letters = relabelled // _ELEMENT_BASE
            smallest = letters[lexicographic_minimum(letters), np.arange(len(rows))]
            kept = (letters == smallest).all(axis=2)
            relabelled, owner = relabelled[kept], owner[kept]
        flat, owner = relabelled.reshape(-1, genes.wyckoffs.shape[1]), owner.reshape(-1)
        if len(flat) > len(rows):
            stamped = np.unique(np.column_stack([owner, flat]), axis=0)
            flat, owner = stamped[:, 1:].astype(np.int16), stamped[:, 0]
        codes.append(flat)
        owners.append(owner)
        groups.append(np.full(len(flat), number, dtype=np.int16))
    if not codes:
        return genes, np.empty(0, dtype=np.int64)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return from_codes(np.concatenate(groups)[order], np.concatenate(codes)[order]), owner[order]


def templates_of(genes: GeneBatch) -> GeneBatch:
    """The canonical template of each gene, written as a gene of hydrogen (elements carry no meaning)."""
    bare = (genes.wyckoffs >= 0).astype(np.int8)
    return canonical_genes(GeneBatch(space_group=genes.space_group, elements=bare, wyckoffs=genes.wyckoffs))


def merged_enantiomorphs(genes: GeneBatch) -> GeneBatch:
    """Each gene of the higher-numbered group of an enantiomorphic pair as its mirror image in the lower one."""
    group, wyckoffs = genes.space_group.copy(), genes.wyckoffs.copy()
    for number in np.unique(group).tolist():
        partner, letters = mirror_image(number)
        if partner < number:
            rows = genes.space_group == number
            group[rows] = partner
            wyckoffs[rows] = np.append(letters, np.int8(-1))[wyckoffs[rows]]
    return GeneBatch(space_group=group, elements=genes.elements, wyckoffs=wyckoffs)


def gene_keys(genes: GeneBatch, *, merge_enantiomorphs: bool = False) -> NDArray[np.void]:
    """128-bit keys (n,) equal for equivalent genes; `.tolist()` gives bytes.

    Hands within a group are not told apart (the normalizer holds operations of both determinants). With
    `merge_enantiomorphs`, neither are the two groups of the 11 enantiomorphic pairs.
    """
    merged = merged_enantiomorphs(genes) if merge_enantiomorphs else genes
    return hashed(canonical_genes(merged), b"gene")


def template_keys(genes: GeneBatch, *, merge_enantiomorphs: bool = False) -> NDArray[np.void]:
    """128-bit keys (n,) of genes without their elements: equal for equivalent multisets of positions."""
    merged = merged_enantiomorphs(genes) if merge_enantiomorphs else genes
    return hashed(templates_of(merged), b"template")


def hashed(genes: GeneBatch, kind: bytes) -> NDArray[np.void]:
    """128-bit hashes (n,) of genes as they are written; `kind` keeps hashes of different things apart."""
    codes = np.column_stack([genes.space_group, site_codes(genes.wyckoffs, genes.elements)]).astype("<i2")
    stamp = kind + str(CANONICAL_VERSION).encode()
    widths = (2 * (1 + genes.num_sites)).tolist()
    digests = [
        hashlib.blake2b(row[:width], digest_size=16, person=stamp).digest()
        for row, width in zip((row.tobytes() for row in codes), widths, strict=True)
    ]
    return np.array(digests, dtype="V16") if digests else np.empty(0, dtype="V16")
