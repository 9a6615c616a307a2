"""What all tests share: hypothesis without deadlines, real data where it is at hand, a GPU where there is one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline measures the machine (two busy cores, a first import), not the law under test.
settings.register_profile("aristotype", deadline=None, print_blob=True)
settings.load_profile("aristotype")
# Under nohup Ctrl-C is ignored, and so it would be by every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def real_data(named: str, repository: Path) -> Path | str:
    """The folder with real data, or the reason why there is none.

    A folder that is named and not there is not replaced by another: the tests would measure on something else.
    """
    folder = Path(named) if named else repository.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    return f"ARISTOTYPE_DATA is {named!r}, which is no folder" if named else f"no ARISTOTYPE_DATA and no {folder}"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data: `ARISTOTYPE_DATA`, else `shared/data` beside the repository; without one, skip."""
    found = real_data(os.environ.get("ARISTOTYPE_DATA", ""), Path(__file__).resolve().parents[1])
    if isinstance(found, str):
        pytest.skip(found)
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where torch sees no CUDA device; torch is imported only if there are any."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
