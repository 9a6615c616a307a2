"""What all tests share: hypothesis without deadlines, real data where it is at hand, a GPU where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline measures the machine (two busy cores, a first import), not the law under test.
settings.register_profile("aristotype", deadline=None, print_blob=True)
settings.load_profile("aristotype")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data that ARISTOTYPE_DATA names; tests that use it are skipped where there is none."""
    folder = os.environ.get("ARISTOTYPE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ARISTOTYPE_DATA names no folder with data files")
    return Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where torch sees no CUDA device; torch is imported only if there are any."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
