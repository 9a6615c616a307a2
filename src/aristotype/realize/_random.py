"""Random numbers of a row: a stream of its own, which nothing else in the table changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aristotype.crystal import GeneBatch

_UINT64 = 8


def row_keys(ids: Sequence[str], genes: GeneBatch, seed: int) -> NDArray[np.uint64]:
    """Keys (n, 2) of counter-based generators: hashes of the seed, the name of a row and its gene as it is written."""
    keys = np.zeros((len(genes), 2), np.uint64)
    counts = genes.num_sites.tolist()
    for row, (name, number, count) in enumerate(zip(ids, genes.space_group.tolist(), counts, strict=True)):
        digest = hashlib.blake2b(f"{seed}/{number}/{count}/".encode(), digest_size=2 * _UINT64)
        digest.update(genes.elements[row, :count].tobytes() + genes.wyckoffs[row, :count].tobytes())
        digest.update(name.encode("utf-8", "surrogatepass"))
        keys[row] = np.frombuffer(digest.digest(), "<u8")
    return keys


def stream(key: NDArray[np.uint64], purpose: int) -> np.random.Generator:
    """The generator of a row for one purpose (a number): Philox with the purpose in its counter."""
    return np.random.Generator(np.random.Philox(key=key, counter=(0, 0, 0, purpose)))
