"""The map over processes and what it shows."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor

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
