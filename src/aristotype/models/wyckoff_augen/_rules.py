"""What may come next: letters and elements in order, every element of the space at last, nothing twice on one point.

A sequence goes on by letter and, on one letter, by element. All elements of the space have to be used before it stops,
and there is room for `max_sites` sites. What these rules leave can always be ended, so that nothing is lost.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aristotype.symmetry import MAX_POSITIONS, NUM_GROUPS, tables

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
STOP = MAX_POSITIONS
"""Stands for the end, after the letters."""


class Written(NamedTuple):
    """Where n sequences stand."""

    group: Ints  # (n,)
    letter: Ints  # (n,) of the last site, -1 before the first
    element: Ints  # (n,) of the last site, an index in the vocabulary
    unused: Flags  # (n, E) elements of the space that have not come
    space: Flags  # (n, E)
    room: Ints  # (n,) sites that may still come

    def take(self, keep: Flags) -> Written:
        """Some of the sequences."""
        return Written(
            group=self.group[keep],
            letter=self.letter[keep],
            element=self.element[keep],
            unused=self.unused[keep],
            space=self.space[keep],
            room=self.room[keep],
        )

    def after(self, letter: Ints, element: Ints) -> Written:
        """Where they stand once a site is written."""
        unused = self.unused.copy()
        unused[np.arange(len(unused)), element] = False
        return self._replace(letter=letter, element=element, unused=unused, room=self.room - 1)


def start(group: Ints, space: Flags, max_sites: int) -> Written:
    """Before the first site."""
    count = len(group)
    return Written(
        group=group,
        letter=np.full(count, -1),
        element=np.full(count, -1),
        unused=space.copy(),
        space=space,
        room=np.full(count, max_sites),
    )


def letters_allowed(at: Written) -> Flags:
    """(n, 28) which letters, or the end, may come next."""
    numbers = np.arange(MAX_POSITIONS)
    count = tables().num_positions[at.group]
    out = np.zeros((len(at.group), MAX_POSITIONS + 1), bool)
    letters = (numbers < count[:, None]) & (numbers >= at.letter[:, None]) & (at.room > 0)[:, None]
    again = np.flatnonzero(at.letter >= 0)
    # The letter of the last site may come again where its point moves and an element is left for it.
    same = elements_allowed(at, at.letter)[again].any(axis=1) & ~_fixed()[at.group[again], at.letter[again]]
    letters[again, at.letter[again]] &= same
    out[:, :MAX_POSITIONS] = letters
    out[:, STOP] = ~at.unused.any(axis=1) & (at.letter >= 0)
    return out


def elements_allowed(at: Written, letter: Ints) -> Flags:
    """(n, E) which elements may come on a letter (n,)."""
    numbers = np.arange(at.space.shape[1])
    out = at.space & ((numbers >= at.element[:, None]) | (letter != at.letter)[:, None])
    waiting = at.unused.any(axis=1)
    last = (letter == tables().num_positions[at.group] - 1) & waiting
    least = np.where(waiting, at.unused.argmax(axis=1), out.shape[1])
    out &= (numbers <= least[:, None]) | ~last[
        :, None
    ]  # nothing comes after the last letter but heavier elements on it
    full = at.unused.sum(axis=1) >= at.room
    return np.asarray(out & (at.unused | ~full[:, None]))


class Allowed(NamedTuple):
    """What the rules leave at each step of n sequences of S sites."""

    space: Flags  # (n, E)
    letters: Flags  # (n, S + 1, 28)
    elements: Flags  # (n, S, E)


def allowed_of(group: Ints, letters: Ints, elements: Ints, size: int, max_sites: int) -> Allowed:
    """What may come at each step of sequences (n, S) with elements of a vocabulary of a size."""
    n, length = letters.shape
    space = np.zeros((n, size), bool)
    space[np.repeat(np.arange(n), length), elements.ravel()] = True
    out = Allowed(space, np.zeros((n, length + 1, 28), bool), np.zeros((n, length, size), bool))
    at = start(group, space, max_sites)
    for site in range(length):
        out.letters[:, site] = letters_allowed(at)
        out.elements[:, site] = elements_allowed(at, letters[:, site])
        at = at.after(letters[:, site], elements[:, site])
    out.letters[:, length] = letters_allowed(at)
    return out


@cache
def _fixed() -> Flags:
    """(231, 27) positions without freedom."""
    out = np.zeros((NUM_GROUPS + 1, MAX_POSITIONS), bool)
    out[:, :] = tables().padded("freedom", fill=-1) == 0
    return out
