"""The map over processes and what it shows."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aristotype._pool import ordered_map
from aristotype.crystal import start_worker
from aristotype.datasets import _progress
from aristotype.errors import AristotypeError


def test_a_worker_that_dies_is_an_error_with_advice():
    with pytest.raises(AristotypeError, match="one of 2 worker processes died"):
        list(ordered_map(os._exit, [1], processes=2, start=start_worker))


def test_workers_have_one_thread_and_the_parent_keeps_its_environment():
    before = dict(os.environ)
    found = ordered_map(os.getenv, ["OMP_NUM_THREADS", "RAYON_NUM_THREADS"], processes=2, start=start_worker)
    assert list(found) == ["1", "1"]
    assert dict(os.environ) == before


def test_only_a_few_tasks_are_under_way():
    drawn = []

    def tasks():
        for number in range(100):
            drawn.append(number)
            yield number

    with ThreadPoolExecutor(1) as executor:
        results = ordered_map(str, tasks(), processes=1, start=start_worker, executor=executor)
        assert next(results) == "0"
        assert len(drawn) < 10
        results.close()


def test_lines_come_now_and_then(monkeypatch):
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    with _progress.shown(True, "prepare x", 4000) as update:
        update(1000, 4000, 0)
        now[0] = 31.0
        update(2000, 4000, 7)
        update(3000, 4000, 7)
    assert stream.getvalue() == "prepare x: 2,000 of 4,000 rows, 7 failed\n"


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with _progress.shown(True, "prepare x", 10) as update:
        update(10, 10, 3)
    assert "prepare x" in sys.stderr.getvalue() and "3 failed" in sys.stderr.getvalue()


def test_nothing_is_shown_unasked(capsys):
    with _progress.shown(False, "prepare x", 10) as update:
        update(10, 10, 3)
    assert capsys.readouterr() == ("", "")


def slow_first(number: int) -> int:
    """The first task ends after all others."""
    time.sleep(1.5 if number == 0 else 0.01)
    return number


def test_results_are_kept_before_their_turn():
    kept: list[int] = []
    found = ordered_map(
        slow_first, range(6), processes=2, start=start_worker, keep=lambda index, result: kept.append(index)
    )
    assert next(found) == 0
    assert len(kept) > 1 and kept[-1] == 0  # the others of the window came first
    assert list(found) == [1, 2, 3, 4, 5]
    assert sorted(kept) == [0, 1, 2, 3, 4, 5]


def test_what_cannot_be_kept_ends_the_work():
    def refuse(index: int, result: int) -> None:
        raise OSError("the disk is full")

    for processes in (1, 2):
        with pytest.raises(OSError, match="the disk is full"):
            list(ordered_map(slow_first, range(3), processes=processes, start=start_worker, keep=refuse))


WAITING = """
import os, time
from aristotype._pool import ordered_map
from aristotype.crystal import start_worker
from tests.datasets.test_pool import pid_and_wait
if __name__ == "__main__":
    for pid in ordered_map(pid_and_wait, range(50), processes=2, start=start_worker):
        print(pid, flush=True)
"""


def pid_and_wait(number: int) -> int:
    time.sleep(0.3)
    return os.getpid()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_workers_end_with_their_parent_however_it_ended(tmp_path):
    """kill -9 leaves a parent no time to tell its workers."""
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    with subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True) as process:
        workers = {int(process.stdout.readline()) for _ in range(4)}
        assert all(Path(f"/proc/{pid}").exists() for pid in workers)
        process.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
