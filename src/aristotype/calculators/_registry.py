"""Potentials by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aristotype.calculators._face import Potential
from aristotype.errors import ConfigError, MissingDependencyError, UnknownNameError


def _chgnet(device: str) -> Potential:
    from aristotype.calculators._chgnet import Chgnet

    return Chgnet(device=device)


def _sevennet(device: str) -> Potential:
    from aristotype.calculators._ase import AsePotential

    try:
        from sevenn.calculator import SevenNetCalculator
    except ImportError as error:
        raise MissingDependencyError(
            f"the potential sevennet needs the extra of that name ({error}); "
            "install it: pip install 'aristotype[sevennet]'"
        ) from error
    calculator = SevenNetCalculator("7net-0", device=device)
    return AsePotential(calculator, "sevennet-0", f"7net-0 sevenn {version('sevenn')}")


_POTENTIALS: dict[str, Callable[[str], Potential]] = {"chgnet": _chgnet, "sevennet": _sevennet}


def potential_names() -> list[str]:
    """Names that `load_potential` knows."""
    return sorted(_POTENTIALS)


def load_potential(name: str, device: str = "auto") -> Potential:
    """A potential by name, or any ASE calculator by `module:factory`.

    Args:
        name: `chgnet`, `sevennet`, or a module and a callable in it without arguments that gives an ASE calculator,
            for example `ase.calculators.emt:EMT`.
        device: `auto`, `cpu` or `cuda`, for those that run on either.

    Raises:
        UnknownNameError: there is no such potential, module or factory.
        MissingDependencyError: the package that it needs is not installed.
        ConfigError: the factory fails, or gives no calculator.
    """
    if name in _POTENTIALS:
        return _POTENTIALS[name](device)
    module, colon, factory = name.partition(":")
    if not colon:
        raise UnknownNameError(
            f"there is no potential {name!r}; give {', '.join(potential_names())}, "
            "or module:factory of an ASE calculator"
        )
    return _from_factory(name, module, factory)


@lru_cache(maxsize=2)
def shared_potential(name: str, device: str = "auto") -> Potential:
    """`load_potential`, once a process for all who ask for the same one."""
    return load_potential(name, device)


def _from_factory(name: str, module: str, factory: str) -> Potential:
    from aristotype.calculators._ase import AsePotential

    try:
        make = getattr(import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise UnknownNameError(
            f"there is no ASE calculator {name!r} ({error}); give module:factory, such as ase.calculators.emt:EMT"
        ) from error
    try:
        calculator: Any = make()
    except Exception as error:  # whatever somebody else's code raises
        raise ConfigError(f"{name} could not be called without arguments ({error}); wrap it in a function") from error
    if not hasattr(calculator, "get_property"):
        raise ConfigError(f"{name} gives a {type(calculator).__name__}, which is no ASE calculator; give one")
    package = module.split(".")[0]
    try:
        release = version(package)
    except PackageNotFoundError:
        release = "unversioned"
    return AsePotential(calculator, name, f"{name} {package} {release}")
