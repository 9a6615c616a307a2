"""Which elements a site may take under the conditions, row by row while elements are written."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aristotype.models.blocks import ElementAssignment

Bools = NDArray[np.bool_]


class ElementRule(Protocol):
    """The constraint on one row; follows it from site to site."""

    def allowed(self) -> Bools:
        """(vocabulary,) which elements the current site may take; never empty for a feasible row."""
        ...

    def choose(self, element: int) -> None:
        """Puts an element (vocabulary index) on the current site and moves to the next."""
        ...


class OpenRule:
    """No formula: allowed elements, elements that must occur, and known sites that must be among those of a letter.

    Exact by counting: what is still missing must fit into the slots that are left, smaller elements into later letters.
    """

    def __init__(
        self, letters: tuple[int, ...], vocabulary: Bools, required: frozenset[int], known: dict[int, tuple[int, ...]]
    ) -> None:
        self._letters = letters
        self._vocabulary = vocabulary
        self._known = known
        settled = {element for elements in known.values() for element in elements}
        self._missing = set(required - settled)
        self._site = 0
        self._lowest = 0
        self._pending = list(known.get(letters[0], ()))

    @staticmethod
    def feasible(letters: tuple[int, ...], required: frozenset[int], known: dict[int, tuple[int, ...]]) -> bool:
        """Whether the letters have room for the known sites and for every required element."""
        if any(letters.count(letter) < len(elements) for letter, elements in known.items()):
            return False
        settled = {element for elements in known.values() for element in elements}
        return len(letters) - sum(map(len, known.values())) >= len(required - settled)

    def allowed(self) -> Bools:
        """See `ElementRule`."""
        out = self._vocabulary.copy()
        out[: self._lowest] = False
        letter = self._letters[self._site]
        same = self._letters[self._site + 1 :].count(letter)
        if self._pending:
            out[self._pending[0]] = self._lowest <= self._pending[0]
            out[self._pending[0] + 1 :] = False
            if same < len(self._pending):
                out[: self._pending[0]] = False
        later = self._letters[self._site + 1 + same :]
        known_later = sum(len(self._known.get(w, ())) for w in set(later))
        free_later = len(later) - known_later
        for element in np.flatnonzero(out).tolist() if self._missing else []:
            missing = self._missing - {element}
            waiting = len(self._pending) - (bool(self._pending) and element == self._pending[0])
            too_small = sum(1 for other in missing if other < element)
            out[element] = too_small <= free_later and len(missing) <= free_later + same - waiting
        return out

    def choose(self, element: int) -> None:
        """See `ElementRule`."""
        self._missing.discard(element)
        if self._pending and element == self._pending[0]:
            self._pending.pop(0)
        self._site += 1
        if self._site < len(self._letters):
            if self._letters[self._site] == self._letters[self._site - 1]:
                self._lowest = element
            else:
                self._lowest = 0
                self._pending = list(self._known.get(self._letters[self._site], ()))


class FormulaRule:
    """An exact composition."""

    def __init__(self, assignment: ElementAssignment, elements: tuple[int, ...], vocabulary: int) -> None:
        """`elements` are the vocabulary indices of the formula's elements, increasing."""
        self._assignment = assignment
        self._elements = elements
        self._vocabulary = vocabulary
        self._state = (0, 0, 0)
        self._remaining = assignment.counts

    def allowed(self) -> Bools:
        """See `ElementRule`."""
        out = np.zeros(self._vocabulary, dtype=bool)
        site, lowest, placed = self._state
        for element in self._assignment.allowed(site, lowest, placed, self._remaining):
            out[self._elements[element]] = True
        return out

    def choose(self, element: int) -> None:
        """See `ElementRule`."""
        index = self._elements.index(element)
        site, _, placed = self._state
        following = self._assignment.next_state(site, index, placed)
        assert following is not None, "an element outside allowed() was chosen"
        counts = list(self._remaining)
        counts[index] -= self._assignment.atoms[site]
        self._state, self._remaining = following, tuple(counts)
