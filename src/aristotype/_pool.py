"""A map over chunks by processes, in order, that ends cleanly however it ends."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from aristotype.errors import AristotypeError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS")


def ordered_map(
    function: Callable[[T], R],
    tasks: Iterable[T],
    *,
    processes: int,
    start: Callable[[], None],
    executor: Executor | None = None,
) -> Generator[R, None, None]:
    """Results in the order of the tasks; with one process in this one, without a pool.

    Only a few tasks are under way at a time, so that a large source does not fill the memory. Ctrl-C and any error
    cancel what has not begun and wait for what has.

    Args:
        function: What to do; importable by its name, as its argument and result are pickled.
        tasks: What to do it with.
        processes: Worker processes, one thread each.
        start: Runs once in every worker first.
        executor: Runs the tasks instead of a pool of our own; it stays open.

    Raises:
        InputError: `processes` is less than 1.
        AristotypeError: a worker process died.
    """
    check_processes(processes)
    if executor is not None:
        yield from _windowed(function, tasks, executor, 2 * processes + 2)
    elif processes == 1:
        yield from map(function, tasks)
    else:
        yield from _pooled(function, tasks, processes, start)


@contextmanager
def worker_pool(processes: int, *, start: Callable[[], None]) -> Iterator[Executor | None]:
    """Processes that several maps use one after another; None for one process, which needs no pool.

    Args:
        processes: Worker processes, one thread each.
        start: Runs once in every worker first.

    Raises:
        InputError: `processes` is less than 1.
        AristotypeError: a worker process died.
    """
    check_processes(processes)
    if processes == 1:
        yield None
        return
    # Not forked: this process may hold threads (arrow, torch) whose locks a copy would never see released.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(max_workers=processes, mp_context=context, initializer=start)
    try:
        with _one_thread_each():
            yield pool
    except BrokenProcessPool as error:
        raise AristotypeError(
            f"one of {processes} worker processes died (out of memory, or killed); run it with fewer processes. In a "
            "script of your own the call must stand under `if __name__ == '__main__':`"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def check_processes(processes: int) -> None:
    """Makes sure that there is a process to work.

    Raises:
        InputError: `processes` is less than 1.
    """
    if processes < 1:
        raise InputError(f"processes is {processes} and must be at least 1; this machine has {os.cpu_count()} cores")


def _pooled(
    function: Callable[[T], R], tasks: Iterable[T], processes: int, start: Callable[[], None]
) -> Generator[R, None, None]:
    with worker_pool(processes, start=start) as pool:
        assert pool is not None
        yield from _windowed(function, tasks, pool, 2 * processes + 2)


def _windowed(
    function: Callable[[T], R], tasks: Iterable[T], executor: Executor, width: int
) -> Generator[R, None, None]:
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(executor.submit(function, task))
            if len(waiting) >= width:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start within it find one thread in their environment; libraries read that when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
