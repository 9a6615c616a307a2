"""The command as a whole: quick help, no heavy import before it is needed, exit codes, one clean message an error."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aristotype.errors import AristotypeError, InputError

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
COMMANDS = [
    "generate",
    "initialize",
    "mutate",
    "guide",
    "realize",
    "relax",
    "score",
    "evaluate",
    "explore",
    "baseline",
    "models",
    "train",
    "finetune",
    "encode",
    "export",
    "data",
    "data prepare",
    "hull",
    "hull build",
]
HEAVY = {"torch", "pymatgen", "pyarrow", "numpy", "ase", "moyopy", "safetensors"}

SHOW_HEAVY = f"""
import sys
from aristotype.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", *sorted({HEAVY!r} & set(sys.modules)))
"""

INTERRUPT_IN_EXEC = """
import os
import signal
from aristotype import models
from aristotype.cli import main
models.shipped_models = lambda: exec("os.kill(os.getpid(), signal.SIGINT)\\nwhile True: pass", globals())
main()
"""


INTERRUPT_LOST = """
import os
import signal
from aristotype import models
from aristotype.cli import main

def lost():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass
    except KeyboardInterrupt:
        raise TypeError("what a library makes of it")

models.shipped_models = lost
main()
"""


def run(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["generate", "--help"], ["baseline", "-h"], ["data", "prepare", "-h"]]
)
def test_help_imports_nothing_heavy(arguments):
    done = run("-c", SHOW_HEAVY, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["HEAVY"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(invoke, command):
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    if command not in ("data", "models"):
        assert f"aristotype {command}" in " ".join(result.output.split())


def test_names_in_square_brackets_are_no_markup(invoke):
    assert "[model] and [training]" in " ".join(invoke("train", "--help").output.replace("│", " ").split())


def test_no_arguments_show_the_help(invoke):
    assert "generate" in invoke().output


def test_the_version_is_that_of_the_project(invoke):
    from importlib.metadata import PackageNotFoundError, version

    output = invoke("--version").output
    try:
        assert output == f"aristotype {version('aristotype')}\n"
    except PackageNotFoundError:
        assert output == "aristotype (not installed)\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"] == {
        "aristotype": "aristotype.cli:main"
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["generat"],
        ["generate"],
        ["generate", "-n", "0", "--out", "x"],
        ["export", "x", "--format", "pdb", "--out", "y"],
    ],
)
def test_wrong_usage_exits_with_2(invoke, arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.output


@pytest.mark.parametrize(("raised", "code"), [(InputError("odd [b]value[/b]"), 2), (KeyboardInterrupt(), 130)])
def test_errors_become_one_message_and_an_exit_code(invoke, monkeypatch, raised, code):
    def fail():
        raise raised

    monkeypatch.setattr("aristotype.models.shipped_models", fail)
    result = invoke("models")
    assert result.exit_code == code
    assert result.stdout == ""
    expected = f"Error: {raised}\n" if isinstance(raised, AristotypeError) else "Interrupted; nothing was left half-"
    assert result.stderr.startswith(expected)
    assert "Traceback" not in result.output


def test_a_mistake_of_ours_stays_loud(invoke, monkeypatch):
    monkeypatch.setattr("aristotype.models.shipped_models", lambda: 1 / 0)
    assert isinstance(invoke("models").exception, ZeroDivisionError)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupt_has_its_exit_code_even_where_python_makes_a_class(tmp_path):
    """An exec of a text, of which dataclasses and named tuples are made, tells `python -m` to end by the signal."""
    (tmp_path / "interrupted.py").write_text(INTERRUPT_IN_EXEC)
    done = run("-m", "interrupted", "models", folder=tmp_path)
    assert (done.returncode, done.stderr) == (130, "Interrupted; nothing was left half-written\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupt_has_its_exit_code_even_where_a_library_loses_it(tmp_path):
    """numpy and others may fail in a way of their own when an exception comes while they compute."""
    (tmp_path / "lost.py").write_text(INTERRUPT_LOST)
    done = run("-m", "lost", "models", folder=tmp_path)
    assert (done.returncode, done.stderr) == (130, "Interrupted; nothing was left half-written\n")
