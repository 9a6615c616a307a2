"""The house stands: a package imports from lower floors only, and what must start fast imports nothing heavy.

The picture is in docs/architecture.md. Imports are read from the syntax tree, also those inside functions and under
`TYPE_CHECKING`: what would cross is passed in as a callable, not imported late.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "aristotype"
NAME = "aristotype"

FLOORS = {
    "errors": 0,
    "_files": 0,
    "_pool": 0,
    "_shards": 0,
    "symmetry": 1,
    "crystal": 2,
    "training": 3,
    "datasets": 3,
    "calculators": 3,
    "models": 4,
    "realize": 5,
    "evaluate": 5,
    "predict": 5,
    "discover": 6,
    "cli": 7,
    "web": 7,
}
# Below every floor: everything may use these, and each those before it.
GROUND = {"errors": 0, "_files": 1, "_pool": 2, "_shards": 3}

# Only where a structure is read or written, or a figure drawn: they cost seconds to import.
BORDER_LIBRARIES = ("moyopy", "pymatgen", "ase", "spglib", "chgnet", "smact", "matplotlib", "tensorboard")
# A bare GPU node with a prepared table may lack these too; the command line alone needs rich at once.
LATE_LIBRARIES = ("scipy", "rich")


def imported_names(path: Path, root: Path) -> list[tuple[str, int]]:
    """List the names inside the package that a module imports, dotted below the package, with their lines.

    `from aristotype.crystal import x` gives "crystal.x", `import aristotype.models` gives "models"; relative imports
    are resolved. Names outside the package are left out.
    """
    here = (NAME, *path.relative_to(root).with_suffix("").parts)
    package = here[:-1]  # of a module, and of an __init__.py too, since its own last part is "__init__"
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            found += [(f"{source}.{alias.name}", node.lineno) for alias in node.names]
        elif isinstance(node, ast.Call) and _is_import_call(node) and isinstance(node.args[0], ast.Constant):
            found.append((str(node.args[0].value), node.lineno))
    return [(name[len(NAME) + 1 :], line) for name, line in found if (name + ".").startswith(NAME + ".")]


def _is_import_call(node: ast.Call) -> bool:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__") and bool(node.args)


def may_import(importer: str, imported: str) -> bool:
    """Tell whether the part of the package called `importer` may import from the part called `imported`."""
    if importer == imported:
        return True
    if importer in GROUND:
        return GROUND.get(imported, len(GROUND)) < GROUND[importer]
    return imported in GROUND or FLOORS[imported] < FLOORS[importer]


def violations(root: Path) -> list[str]:
    """List every import under `root` that breaks the floors, and every part that has no floor."""
    wrong = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        importer = parts[0]
        if importer == "__init__":
            continue  # the door: it names what the floors export, lazily
        if importer not in FLOORS and importer != "__main__":
            wrong.append(f"{'/'.join(parts)}: {importer!r} has no floor; add it to the picture and to this test")
            continue
        for name, line in imported_names(path, root):
            imported = name.partition(".")[0]
            if imported == "__version__":
                continue
            if imported not in FLOORS:
                wrong.append(f"{'/'.join(parts)}:{line} imports {name!r} through the door; import it from its package")
            elif importer != "__main__" and not may_import(importer, imported):
                wrong.append(f"{'/'.join(parts)}:{line} ({FLOORS[importer]}) imports {name!r} ({FLOORS[imported]})")
    return wrong


def trespasses(root: Path) -> list[str]:
    """List every import under `root` of a private module of another package: what is shared has a public name."""
    wrong = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        for name, line in imported_names(path, root):
            package, *inside = name.split(".")
            private = any(part.startswith("_") and not part.startswith("__") for part in inside)
            if private and package in FLOORS and package not in (*GROUND, parts[0]):
                wrong.append(f"{'/'.join(parts)}:{line} imports {name!r}; use a name that {package} exports")
    return wrong


def test_every_import_goes_down():
    assert violations(PACKAGE) == []


def test_no_package_reaches_into_another():
    assert trespasses(PACKAGE) == []


def test_reaching_into_another_package_is_seen(tmp_path):
    for name, text in {
        "datasets/_bad.py": "from aristotype.crystal._read import is_structure_file",
        "realize/_bad.py": "def f():\n    from aristotype.crystal import _cif",
        "crystal/_good.py": "from aristotype.crystal._read import x\nfrom aristotype._files import printable",
        "datasets/_good.py": "from aristotype.crystal import CrystalTable\nfrom ._read import rows",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [message.partition(":")[0] for message in trespasses(tmp_path)] == ["datasets/_bad", "realize/_bad"]


def test_the_checker_sees_every_kind_of_import(tmp_path):
    bad = {
        "symmetry/_up.py": "from aristotype.crystal import Gene",
        "crystal/_late.py": "def f():\n    import aristotype.models.registry",
        "training/_side.py": "from ..datasets import batches",
        "datasets/_typing.py": "if TYPE_CHECKING:\n    from aristotype.training import Batch",
        "models/blocks/_deep.py": "from ...realize._volume import cell",
        "realize/_module.py": "from aristotype import evaluate",
        "evaluate/_door.py": "from aristotype import encode",
        "predict/_bare.py": "import aristotype",
        "discover/_call.py": "importlib.import_module('aristotype.cli')",
        "errors.py": "from aristotype._files import printable",
        "_files.py": "from aristotype import symmetry",
        "helpers/__init__.py": "",
    }
    good = {
        "__init__.py": "from aristotype.models import load",
        "__main__.py": "from aristotype.cli import main",
        "crystal/__init__.py": "from ._table import CrystalTable\nfrom ..symmetry import groups\nimport numpy",
        "crystal/_table.py": "from aristotype._files import atomic_path\nfrom aristotype.errors import TableError",
        "models/_good.py": "from aristotype import crystal, datasets, training, __version__",
        "cli/_good.py": "from .. import discover\nfrom . import _types\nimport aristotypes",
    }
    for name, text in (bad | good).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    caught = {message.partition(":")[0] for message in violations(tmp_path)}
    assert caught == {name.removesuffix(".py") for name in bad}


def existing_parts() -> list[str]:
    """Name every package and module of the house that is there, as it is imported."""
    parts = [part for part in FLOORS if (PACKAGE / part / "__init__.py").exists() or (PACKAGE / f"{part}.py").exists()]
    return [NAME, *(f"{NAME}.{part}" for part in parts)]


def modules_after(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and return the top-level modules that it left imported."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("part", existing_parts())
def test_no_part_imports_a_heavy_library_before_it_is_needed(part):
    late = () if part.endswith((".cli", ".web")) else LATE_LIBRARIES
    assert modules_after(f"import {part}").isdisjoint((*BORDER_LIBRARIES, *late))


@pytest.mark.parametrize("part", [NAME, f"{NAME}.errors", f"{NAME}._files"])
def test_the_door_and_the_ground_import_the_standard_library_only(part):
    foreign = modules_after(f"import {part}") - modules_after("pass") - set(sys.stdlib_module_names)
    assert foreign == {NAME}


def test_a_step_stays_a_function_when_its_package_is_imported_first():
    if not (PACKAGE / "realize" / "__init__.py").exists():
        # The law itself, on a package whose name is exported for the occasion.
        script = "import aristotype as at; at._EXPORTS['symmetry'] = 'aristotype.errors:AristotypeError'\n"
        modules_after(script + "import aristotype.symmetry\nassert issubclass(at.symmetry, Exception), at.symmetry")
        return
    modules_after("import aristotype.realize, aristotype as at\nassert callable(at.realize), at.realize")


def test_the_door_lists_what_it_exports_and_refuses_the_rest():
    modules_after(
        "import aristotype as at\n"
        "assert set(at.__all__) == set(at._EXPORTS) <= set(dir(at))\n"
        "try:\n    at.nonsense\n"
        "except AttributeError as error:\n    assert 'encode' in str(error)\n"
        "else:\n    raise SystemExit('no AttributeError')"
    )


def test_every_exported_name_of_an_existing_part_resolves():
    import aristotype

    there = {part.partition(".")[2] for part in existing_parts()}
    targets = {name: target.partition(":")[0].partition(".")[2] for name, target in aristotype._EXPORTS.items()}
    for name in (name for name, part in targets.items() if part in there):
        assert getattr(aristotype, name) is not None
