"""Batches on their way to the model."""

from __future__ import annotations

import threading
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch

from aristotype.training import BatchSource, to_device
from aristotype.training._batch import describe, endless_batches
from aristotype.training._prefetch import Prefetcher
from tests.training.toy import ToySource

Pair = namedtuple("Pair", "a b")
META = torch.device("meta")


@dataclass(frozen=True)
class Nest:
    parts: dict[str, torch.Tensor]
    name: str


def test_every_tensor_of_a_nest_moves_and_nothing_else_changes():
    nest = Nest({"x": torch.zeros(2)}, "n")
    moved = to_device((nest, [torch.ones(1), 3], Pair(torch.ones(1), None)), META)
    assert moved[0].parts["x"].device == moved[1][0].device == moved[2].a.device == META
    assert (moved[0].name, moved[1][1], moved[2].b) == ("n", 3, None)
    assert isinstance(moved[2], Pair)
    assert nest.parts["x"].device.type == "cpu"


def test_description_is_the_batch_s_own_or_empty():
    batch = next(ToySource().batches(0, 0, 1))
    assert describe(batch) == "rows 0 to 5"
    assert describe((torch.ones(1),)) == ""


def test_the_toy_keeps_the_protocol():
    assert isinstance(ToySource(), BatchSource)


@pytest.mark.parametrize("position", [0, 3])
def test_batches_go_on_over_epochs_from_any_position(position):
    stream = endless_batches(ToySource(), 0, 1, epoch=1, position=position)
    found = [next(stream).features for _ in range(7)]
    expected = [b.features for epoch in (1, 2, 3) for b in ToySource().batches(epoch, 0, 1)][position : position + 7]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_prefetching_keeps_order_and_ends_its_thread(depth):
    before = threading.active_count()
    with Prefetcher(iter(range(20)), depth) as items:
        assert list(items) == list(range(20))
    with Prefetcher(iter(range(10**9)), depth) as items:
        assert next(iter(items)) == 0
    assert threading.active_count() == before
