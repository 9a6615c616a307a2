"""Random numbers keyed by (seed, row): the published vectors, and independence of the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aristotype.models.blocks import philox, uniforms

# Known answers of Random123 1.14 for philox4x32 with 10 rounds: counter, key, output.
VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
ROWS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=6)


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "output"), VECTORS)
def test_philox_known_answers(counter, key, output):
    found = philox(np.array(words(counter), dtype=np.uint64), tuple(words(key)))
    assert found.tolist() == words(output)


def test_philox_is_the_same_in_any_batch():
    counters = np.array([words(counter) for counter, _, _ in VECTORS] * 5, dtype=np.uint64).reshape(5, 3, 4)
    key = (0xA4093822, 0x299F31D0)
    together = philox(counters, key)
    for index in np.ndindex(5, 3):
        assert (philox(counters[index], key) == together[index]).all()


@given(st.integers(0, 2**64 - 1), ROWS, st.integers(0, 9), st.integers(1, 9))
def test_rows_do_not_depend_on_the_batch(seed, rows, purpose, draws):
    together = uniforms(seed, rows, purpose, draws)
    assert together.shape == (len(rows), draws)
    assert ((together >= 0) & (together < 1)).all()
    for row, own in zip(rows, together, strict=True):
        assert (uniforms(seed, [row], purpose, draws)[0] == own).all()
    assert (uniforms(seed, rows[::-1], purpose, draws + 3)[::-1, :draws] == together).all()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1), st.integers(0, 6))
def test_every_part_of_the_key_counts(seed, row, purpose):
    """Also the high words of seed and row."""
    first = uniforms(seed, [row], purpose, 2)
    for other in (
        uniforms(seed ^ 1, [row], purpose, 2),
        uniforms(seed ^ (1 << 40), [row], purpose, 2),
        uniforms(seed, [row ^ 1], purpose, 2),
        uniforms(seed, [row ^ (1 << 40)], purpose, 2),
        uniforms(seed, [row], purpose + 1, 2),
    ):
        assert (other != first).all()


def test_numbers_are_uniform_and_uncorrelated():
    """20,000 numbers in 50 bins: chi-square below its 99.99 % quantile of 91; correlations within 5 standard errors."""
    table = uniforms(7, np.arange(5000), 3, 4)
    counts = np.bincount((table.ravel() * 50).astype(int), minlength=50)
    assert ((counts - 400) ** 2 / 400).sum() < 91
    both = np.column_stack([table, uniforms(7, np.arange(5000), 4, 1), uniforms(8, np.arange(5000), 3, 1)])
    correlation = np.corrcoef(both.T) - np.eye(6)
    assert np.abs(correlation).max() < 5 / np.sqrt(5000)
    assert abs(np.corrcoef(table[1:, 0], table[:-1, 0])[0, 1]) < 5 / np.sqrt(5000)
