"""Known sites of a partial crystal: where on a template they can be, letters being names that relabellings change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from aristotype.symmetry import relabellings

Known = tuple[tuple[int, tuple[int, ...]], ...]
"""Known sites: (letter, vocabulary indices on it), letters increasing."""


class Images:
    """Known sites under every relabelling of a group; all answers are kept, because few templates come up often."""

    def __init__(self, partial: Known) -> None:
        self.partial = partial
        self._images: dict[int, list[Known]] = {}
        self._counts: dict[tuple[int, tuple[int, ...], tuple[int, ...] | None], int] = {}

    def of_group(self, number: int) -> list[Known]:
        """All images of the known sites; [()] without any."""
        if number not in self._images:
            flat = [(letter, element) for letter, elements in self.partial for element in elements]
            elements = [element for _, element in flat]
            moved = np.unique(relabellings(number)[:, [letter for letter, _ in flat]], axis=0)
            self._images[number] = sorted({grouped(letters, elements) for letters in moved.tolist()})
        return self._images[number]

    def within(self, number: int, letters: Sequence[int], elements: Sequence[int] | None = None) -> list[Known]:
        """The images whose letters, or sites if elements are given, are among these."""
        there = Counter(letters if elements is None else zip(letters, elements, strict=True))
        found = []
        for known in self.of_group(number):
            sites = [(letter, element) for letter, own in known for element in own]
            if not Counter([letter for letter, _ in sites] if elements is None else sites) - there:
                found.append(known)
        return found

    def count_within(self, number: int, letters: Sequence[int], elements: Sequence[int] | None = None) -> int:
        """How many images are `within`."""
        key = (number, tuple(letters), None if elements is None else tuple(elements))
        if key not in self._counts:
            self._counts[key] = len(self.within(number, letters, elements))
        return self._counts[key]


def grouped(letters: Iterable[int], elements: Iterable[int]) -> Known:
    """Sites as (letter, sorted elements) pairs, letters increasing."""
    by_letter: dict[int, list[int]] = {}
    for letter, element in zip(letters, elements, strict=True):
        by_letter.setdefault(letter, []).append(element)
    return tuple((letter, tuple(sorted(by_letter[letter]))) for letter in sorted(by_letter))
