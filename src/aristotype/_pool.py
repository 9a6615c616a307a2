"""A map over chunks by processes, in order, that ends cleanly however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from aristotype.errors import AristotypeError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

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
    keep: Callable[[int, R], None] | None = None,
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
        keep: Called in this process with index and result as soon as a result is there, before its turn too.

    Raises:
        InputError: `processes` is less than 1.
        AristotypeError: a worker process died.
    """
    check_processes(processes)
    if executor is not None:
        yield from _windowed(function, tasks, executor, 2 * processes + 2, keep)
    elif processes == 1:
        yield from _alone(function, tasks, keep)
    else:
        yield from _pooled(function, tasks, processes, start, keep)


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
    pool = ProcessPoolExecutor(max_workers=processes, mp_context=context, initializer=partial(_begin, start))
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
    function: Callable[[T], R],
    tasks: Iterable[T],
    processes: int,
    start: Callable[[], None],
    keep: Callable[[int, R], None] | None,
) -> Generator[R, None, None]:
    with worker_pool(processes, start=start) as pool:
        assert pool is not None
        yield from _windowed(function, tasks, pool, 2 * processes + 2, keep)


@dataclass
class _UnderWay(Generic[R]):
    """A task that was handed out."""

    index: int
    future: Future[R]
    kept: bool = False


def _windowed(
    function: Callable[[T], R],
    tasks: Iterable[T],
    executor: Executor,
    width: int,
    keep: Callable[[int, R], None] | None,
) -> Generator[R, None, None]:
    waiting: deque[_UnderWay[R]] = deque()
    try:
        for index, task in enumerate(tasks):
            waiting.append(_UnderWay(index, executor.submit(function, task)))
            if len(waiting) >= width:
                yield _first(waiting, keep)
        while waiting:
            yield _first(waiting, keep)
    finally:
        for task_under_way in waiting:
            task_under_way.future.cancel()


def _first(waiting: deque[_UnderWay[R]], keep: Callable[[int, R], None] | None) -> R:
    """Takes the first result when it is there; those that come before their turn are kept meanwhile."""
    while not waiting[0].kept:
        wait([one.future for one in waiting if not one.kept], return_when=FIRST_COMPLETED)
        for one in waiting:
            if not one.kept and one.future.done():
                one.kept = True
                # An error is raised when the turn of its task comes.
                if keep is not None and one.future.exception() is None:
                    keep(one.index, one.future.result())
    return waiting.popleft().future.result()


def _alone(
    function: Callable[[T], R], tasks: Iterable[T], keep: Callable[[int, R], None] | None
) -> Generator[R, None, None]:
    for index, task in enumerate(tasks):
        result = function(task)
        if keep is not None:
            keep(index, result)
        yield result


def _begin(start: Callable[[], None]) -> None:
    """The beginning of a worker: it ends with its parent, however that ended, instead of waiting for ever."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
