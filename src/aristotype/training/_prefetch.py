"""Batches prepared ahead of the model, in a background thread."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = object()


class Prefetcher:
    """Iterates over `batches` with up to `depth` of them made ahead; an error in the source is raised in the consumer.

    Args:
        batches: The iterator to run ahead of; with depth 0 it is simply passed through.
        depth: Batches held ready.
    """

    def __init__(self, batches: Iterator[Any], depth: int) -> None:
        self._batches = batches
        self._ready: queue.Queue[Any] = queue.Queue(maxsize=max(1, depth))
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fill, daemon=True) if depth > 0 else None
        if self._thread is not None:
            self._thread.start()

    def __iter__(self) -> Iterator[Any]:
        if self._thread is None:
            yield from self._batches
            return
        while (batch := self._ready.get()) is not _END:
            yield batch
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the thread, whether or not all batches were used."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _fill(self) -> None:
        try:
            for batch in self._batches:
                if not self._put(batch):
                    return
        except BaseException as error:  # noqa: BLE001  carried over to the consumer, which raises it
            self._error = error
        self._put(_END)

    def _put(self, item: Any) -> bool:
        """Wait for a free place; False when the consumer has gone."""
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
