"""Settings of the manual: Sphinx with furo and myst, API pages made from docstrings."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

project = "aristotype"
author = "The aristotype developers"
copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "aristotype"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Libraries that a page needs only to be written, not to be run.
autodoc_mock_imports = ["sevenn", "parsl", "gpaw", "huggingface_hub", "starlette", "uvicorn"]

PACKAGES = {
    "symmetry": "the 230 groups as data",
    "crystal": "genes, crystals, tables",
    "calculators": "interatomic potentials behind one face",
    "datasets": "sources to tables to batches",
    "models": "the model families",
    "training": "one loop",
    "realize": "genes to crystals with geometry",
    "evaluate": "judge tables of genes",
    "predict": "properties from genes",
    "discover": "the pipeline: sample, filter, realise",
    "cli": "the command line",
}


def write_api_pages(_app: object) -> None:
    """Write one page a package of `PACKAGES` that exists, from its public names; docs/api.md lists them by a glob."""
    folder = ROOT / "docs" / "_autosummary"
    folder.mkdir(exist_ok=True)
    for name, subject in PACKAGES.items():
        page = folder / f"{name}.md"
        if not (ROOT / "src" / "aristotype" / name / "__init__.py").exists():
            page.unlink(missing_ok=True)
            continue
        directive = f".. automodule:: aristotype.{name}\n   :imported-members:\n"
        text = f"# {name}: {subject}\n\n```{{eval-rst}}\n{directive}```\n"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def setup(app: object) -> None:
    """Register with Sphinx."""
    app.connect("builder-inited", write_api_pages)
