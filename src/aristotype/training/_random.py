"""Randomness of a run, keyed by step instead of carried along.

Every step seeds torch's and numpy's global generators from (seed, rank, step). A resumed run therefore needs no stored
generator state, on any number of processes, and a validation that draws numbers does not change the steps after it.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def seed_step(seed: int, rank: int, step: int, purpose: Literal["update", "validation"]) -> None:
    """Seed the global generators for one step; distinct arguments give independent streams."""
    digest = hashlib.blake2b(f"{seed}/{rank}/{step}/{purpose}".encode(), digest_size=16).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little"))
    np.random.seed(int.from_bytes(digest[8:12], "little"))  # noqa: NPY002  the global generator is the one to seed


@contextmanager
def isolated_randomness(device: torch.device) -> Iterator[None]:
    """The caller's global generators come back as they were before the context."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
