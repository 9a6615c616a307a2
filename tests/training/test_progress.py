"""What a run shows."""

from __future__ import annotations

import io

import pytest

from aristotype.training import _progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_come_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    display = _progress.make_display(10, 110, rows_per_step=4, visible=True, stream=stream)
    for step in range(11, 61):
        now[0] += 1.0
        display.update(step, {"loss": 1.5})
    lines = stream.getvalue().splitlines()
    assert lines == ["step 40/110  loss 1.5  (4 rows/s, 0:01:10 left)"]


def test_a_terminal_gets_a_bar_that_shows_losses_rate_and_time_left(monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")
    display = _progress.make_display(0, 10, rows_per_step=1, visible=True, stream=Terminal())
    display.update(5, {"loss": 1.25})
    display.message("saved [best]")
    display.close()
    shown = capsys.readouterr().err
    assert "5/10" in shown
    assert "loss 1.25" in shown
    assert "left" in shown
    assert "saved [best]" in shown


def test_other_processes_are_silent():
    stream = io.StringIO()
    display = _progress.make_display(0, 10, rows_per_step=1, visible=False, stream=stream)
    display.update(1, {"loss": 1.0})
    display.message("x")
    display.close()
    assert stream.getvalue() == ""
