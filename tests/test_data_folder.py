"""Where the tests look for real data."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import real_data


def test_the_named_folder_then_the_one_beside_the_repository_then_none(tmp_path):
    repository = tmp_path / "repository"
    assert "no ARISTOTYPE_DATA" in real_data("", repository)
    beside = tmp_path / "shared" / "data"
    beside.mkdir(parents=True)
    assert real_data("", repository) == beside
    own = tmp_path / "own"
    own.mkdir()
    assert real_data(str(own), repository) == own
    assert "which is no folder" in real_data(str(tmp_path / "none"), repository)


def test_the_fixture_gives_a_folder(data_folder):
    assert isinstance(data_folder, Path) and data_folder.is_dir()
