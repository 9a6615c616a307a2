"""Aristotype: generate crystals symmetry first.

One name a step, each imported on first use, so that `import aristotype` costs nothing:

    encode      structures, files or arrays to a table of crystals
    decode      one crystal to its atoms (whole tables: their `to_structures`, `to_atoms` and `write`)
    load        a trained model by its shipped name or its folder
    realize     genes to crystals with geometry
    relax       crystals to crystals at rest
    evaluate    crystals judged under a named protocol
    predict     a property of every row, from its gene alone
    generate    a model's new, distinct crystals, as many as asked for
    score       how likely a model finds crystals, and how typical they are
    mutate      chains on a model's likelihood, from given crystals
    guide       chains from a model's draws towards properties
    Conditions  what generated crystals must satisfy

The packages below this one (`aristotype.symmetry`, `aristotype.crystal`, ...) hold everything else, and the page on
architecture in the documentation is their map.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aristotype import errors as errors
    from aristotype.crystal import Conditions, Crystal, CrystalTable, Gene, decode, encode
    from aristotype.discover import generate, guide, mutate, score
    from aristotype.errors import AristotypeError
    from aristotype.evaluate import evaluate
    from aristotype.models import load
    from aristotype.predict import predict
    from aristotype.realize import realize, relax

__all__ = [
    "AristotypeError",
    "Conditions",
    "Crystal",
    "CrystalTable",
    "Gene",
    "decode",
    "encode",
    "errors",
    "evaluate",
    "generate",
    "guide",
    "load",
    "mutate",
    "predict",
    "realize",
    "relax",
    "score",
]

# Public name -> "module:attribute", or "module" for a whole module.
_EXPORTS = {
    "AristotypeError": "aristotype.errors:AristotypeError",
    "Conditions": "aristotype.crystal:Conditions",
    "Crystal": "aristotype.crystal:Crystal",
    "CrystalTable": "aristotype.crystal:CrystalTable",
    "Gene": "aristotype.crystal:Gene",
    "decode": "aristotype.crystal:decode",
    "encode": "aristotype.crystal:encode",
    "errors": "aristotype.errors",
    "evaluate": "aristotype.evaluate:evaluate",
    "generate": "aristotype.discover:generate",
    "guide": "aristotype.discover:guide",
    "load": "aristotype.models:load",
    "mutate": "aristotype.discover:mutate",
    "predict": "aristotype.predict:predict",
    "realize": "aristotype.realize:realize",
    "relax": "aristotype.realize:relax",
    "score": "aristotype.discover:score",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        # Not at import time: importlib.metadata alone takes longer than everything else here.
        value: Any = importlib.import_module("importlib.metadata").version("aristotype")
    elif name in _EXPORTS:
        module_name, _, attribute = _EXPORTS[name].partition(":")
        module = importlib.import_module(module_name)
        value = getattr(module, attribute) if attribute else module
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__, "__version__"})


class _Package(ModuleType):
    """This package, except that a step keeps its name when the subpackage of the same name is imported.

    The import system binds every imported subpackage on its parent: `import aristotype.realize` anywhere would
    otherwise turn the function `aristotype.realize` into a module, depending on what ran before.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Bind `name`, unless it is a subpackage about to hide the exported function of the same name."""
        if isinstance(value, ModuleType) and ":" in _EXPORTS.get(name, ""):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
