"""What commands say while they work."""

from __future__ import annotations

import signal

import pytest

from aristotype import cli
from aristotype.cli._console import progress


def test_an_interruption_that_was_lost_ends_the_work_at_the_next_step(monkeypatch, capsys):
    came: list[int] = []
    monkeypatch.setattr(cli, "_interrupts", came)
    done = []
    with pytest.raises(KeyboardInterrupt), progress("work", 10) as update:
        for step in range(10):
            update(step, "")
            done.append(step)
            if step == 4:
                with pytest.raises(KeyboardInterrupt):  # a module swallows it
                    cli._interrupt(signal.SIGINT, None)
    assert came == [signal.SIGINT]
    assert done == [0, 1, 2, 3, 4]
