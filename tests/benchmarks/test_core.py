"""Clocks, fresh interpreters, and how outcomes are printed."""

from __future__ import annotations

import time

import pytest

from benchmarks.core import Clock, Measurement, Section, Skipped, run_python
from benchmarks.machine import cpu_model, describe_machine, package_versions
from benchmarks.report import document, speed_table
from benchmarks.speed_sample import PEAK


def burn(seconds: float) -> None:
    begin = time.process_time()
    while time.process_time() - begin < seconds:
        pass


def test_a_clock_counts_cpu_seconds_and_not_waiting():
    with Clock() as clock:
        burn(0.2)
        time.sleep(0.3)
    assert 0.2 <= clock.cpu < 0.35  # the rest of a second is for a busy machine's scheduler
    assert clock.wall >= 0.5


def test_a_clock_counts_children_that_it_waited_for():
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint('done')"
    printed, clock = run_python(code)
    assert printed == "done\n"
    assert clock.cpu >= 0.29  # the kernel counts children in hundredths


def test_an_interpreter_that_fails_is_a_reason_to_skip():
    with pytest.raises(Skipped, match="code 1: ValueError: no such thing"):
        run_python("raise ValueError('no such thing')")


def test_the_memory_of_a_child_is_its_own():
    ballast = bytearray(400_000_000)
    small = int(run_python(PEAK)[0])
    large = int(run_python("data = bytearray(100_000_000)\n" + PEAK)[0])
    assert len(ballast) > small > 1_000_000
    assert 90_000_000 < large - small < 130_000_000


def test_the_machine_is_named():
    text = describe_machine(2, "python -m benchmarks import")
    assert cpu_model() in text
    assert "`python -m benchmarks import`; 2 threads" in text
    assert "numpy" in package_versions()


def measurement(**changes) -> Measurement:
    values = {"work": "work", "value": 500.0, "unit": "a CPU second", "count": "10", "cpu_seconds": 1.0} | changes
    return Measurement(**values)


def test_ratios_say_how_many_times_better():
    assert measurement(published=50.0).ratio == 10.0
    assert measurement(value=0.5, published=5.0, better="less").ratio == 10.0
    assert measurement().ratio is None
    assert measurement(value=0.0, published=5.0, better="less").ratio is None


def test_a_line_gives_figures_in_three_digits():
    line = speed_table([measurement(value=1234.5, published=44.0, seed=7, note="why")]).splitlines()[-1]
    assert line == "| work | 1,234 a CPU second | 44 | 28.1x | 10 | 1.0 | 7 | why |"
    assert "| 0.0123 a CPU second | - | - |" in speed_table([measurement(value=0.012345)])


def test_a_document_holds_tables_sections_and_reasons_in_order():
    text = document("- Machine", [Section(title="T", text="body"), measurement()], {"a": "no data"}, {"b": "broke"})
    places = [text.index(part) for part in ("- Machine", "## Speed", "## T\n\nbody", "- `a`: no data", "- `b`: broke")]
    assert places == sorted(places)
    assert "Skipped" not in document("", [], {}, {})
