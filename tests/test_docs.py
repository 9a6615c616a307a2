"""What the documents say of the code: figures, packages, commands, links, and the first example."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

from aristotype.symmetry import NUM_GROUPS, space_group

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_positions_that_share_their_symbol_are_counted_right():
    shared = 0
    for number in range(1, NUM_GROUPS + 1):
        symbols = Counter(position.site_symmetry for position in space_group(number).positions)
        shared += sum(count for count in symbols.values() if count > 1)
    assert f"{shared} positions share theirs" in text("docs/conventions.md")


def test_every_package_has_a_page():
    spec = importlib.util.spec_from_file_location("conf", ROOT / "docs" / "conf.py")
    settings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(settings)
    there = {path.parent.name for path in (ROOT / "src" / "aristotype").glob("*/__init__.py")}
    assert set(settings.PACKAGES) == there


def test_rooms_that_are_called_planned_are_not_there():
    (planned,) = re.findall(r"planned and not built yet: (.*?)\.", text("docs/architecture.md"), re.DOTALL)
    rooms = re.findall(r"`(\w+)/`", planned)
    assert rooms
    assert not [room for room in rooms if (ROOT / "src" / "aristotype" / room / "__init__.py").exists()]


def every_command(group, before: str = ""):
    """Name and command of all commands, those of groups too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_every_command_and_every_option_is_described():
    import typer

    from aristotype.cli._app import app

    page = text("docs/commands.md")
    group = typer.main.get_command(app)
    commands = dict(every_command(group))
    assert set(re.findall(r"^## `aristotype ([\w ]+)`", page, re.MULTILINE)) == set(commands)
    for name, command in commands.items():
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", page), f"{name} {option}"


def test_options_that_the_documents_name_exist():
    import typer

    from aristotype.cli._app import app

    group = typer.main.get_command(app)
    every = [group, *(command for _, command in every_command(group))]
    known = {option for command in every for parameter in command.params for option in parameter.opts} | {"--help"}
    for name in ("docs/commands.md", "README.md"):
        for line in text(name).splitlines():
            if "aristotype " in line and "torchrun" not in line:
                assert set(re.findall(r"(?<=[ `])--[a-z-]+", line)) <= known, f"{name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_modules_that_the_documents_name_exist():
    for page in PAGES:
        for name in re.findall(r"`((?:src/aristotype|tools|tests|benchmarks|docs)/[\w/.]+)`", page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_names_in_the_examples_exist():
    """Everything that the Python examples take from `at` or call on what the steps return."""
    import aristotype as at
    from aristotype.models import GeneModel

    for name in ("README.md", "docs/index.md"):
        for block in re.findall(r"```python\n(.*?)```", text(name), re.DOTALL):
            for attribute in re.findall(r"\bat\.(\w+)", block):
                assert attribute in at.__all__, f"{name}: at.{attribute}"
            for attribute in re.findall(r"\bmodel\.(\w+)", block):
                assert hasattr(GeneModel, attribute), f"{name}: model.{attribute}"
            for attribute in re.findall(r"\b(?:crystals|genes|found)\.(\w+)", block):
                assert hasattr(at.CrystalTable, attribute), f"{name}: table.{attribute}"


def test_the_first_example_runs_as_printed(tmp_path, monkeypatch):
    from aristotype.models import DEFAULT_MODEL, shipped_models

    if DEFAULT_MODEL not in shipped_models():
        pytest.skip(f"{DEFAULT_MODEL} is not in this checkout")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", text("README.md"), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    assert len(names["genes"]) == len(names["nats"]) == len(names["structures"]) == len(names["table"]) == 20
    assert len(list((tmp_path / "cifs").glob("*.cif"))) == 20
