"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("aristotype", "numpy", "torch", "moyopy", "pyarrow", "scipy", "smact")


def cpu_model() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware"))]
    return named[0] if named else platform.processor() or platform.machine()


def memory_gib() -> float | None:
    """Physical memory, None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


def package_versions() -> dict[str, str]:
    """Versions of what decides the figures; a package that is not installed is left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def describe_machine(threads: int, command: str) -> str:
    """Markdown lines that say where and how the figures came about."""
    memory = memory_gib()
    size = "" if memory is None else f", {memory:.0f} GiB memory"
    versions = ", ".join(f"{name} {number}" for name, number in package_versions().items())
    return "\n".join(
        [
            f"- Machine: {cpu_model()}, {os.cpu_count()} cores{size}, {platform.system()} {platform.machine()}",
            f"- Python {platform.python_version()}, {versions}",
            f"- Command: `{command}`; {threads} thread{'s' if threads > 1 else ''} unless said otherwise",
        ]
    )
