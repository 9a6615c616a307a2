"""Published files to the cache folder: whole and checked, or not there."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from aristotype._files import atomic_path, printable
from aristotype.errors import DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aristotype.datasets._registry import DatasetSpec, RemoteFile

_BLOCK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte


def cache_folder() -> Path:
    """The folder for downloads and prepared datasets: `ARISTOTYPE_CACHE`, or the platform's; it need not exist yet."""
    given = os.environ.get("ARISTOTYPE_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "aristotype"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "aristotype" / "cache"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aristotype"


def download_folder(spec: DatasetSpec) -> Path:
    """Where the published files of a dataset are kept."""
    return cache_folder() / "downloads" / spec.name


def fetch(spec: DatasetSpec, remote: RemoteFile) -> Path:
    """A published file in the cache, downloaded if it is not there yet.

    Args:
        spec: The dataset it belongs to.
        remote: The file.

    Returns:
        Its path. What is there is whole and passed its checksum when it came.

    Raises:
        DataUnavailableError: there is no network, the server refuses, the transfer broke off, or the checksum differs.
        OutputError: the cache folder cannot be written.
    """
    target = download_folder(spec) / remote.name
    if target.is_file():
        return target
    with atomic_path(target) as temporary:
        try:
            with temporary.open("wb") as file:
                for block in _receive(remote.address):
                    file.write(block)
        except _TransferError as error:
            raise _unavailable(spec, remote, str(error)) from error
        _check(spec, remote, temporary)
    return target


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


class _TransferError(Exception):
    """The network's part of a download failed; what the disk refuses stays an `OSError`."""


def _receive(address: str) -> Iterator[bytes]:
    """The content of an address, block by block."""
    request = urllib.request.Request(address, headers={"User-Agent": "aristotype"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            expected = response.headers.get("Content-Length")
            size = 0
            while block := response.read(_BLOCK):
                size += len(block)
                yield block
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(str(error) or type(error).__name__) from error
    if expected is not None and int(expected) != size:
        raise _TransferError(f"the transfer broke off after {size:,} of {int(expected):,} bytes")


def _check(spec: DatasetSpec, remote: RemoteFile, path: Path) -> None:
    if remote.checksum is None:
        return
    algorithm, _, expected = remote.checksum.partition(":")
    found = digest(path, algorithm)
    if found != expected:
        raise _unavailable(spec, remote, f"its {algorithm} is {found}, not {expected}: another or a broken file")


def _unavailable(spec: DatasetSpec, remote: RemoteFile, reason: str) -> DataUnavailableError:
    return DataUnavailableError(
        f"{spec.name}: {remote.address} could not be downloaded ({reason}). With the file at hand, put it into a "
        f"folder as {spec.name}/{remote.name} and name that folder by --source or ARISTOTYPE_DATA; or try again with "
        f"a network (downloads go to {printable(download_folder(spec))}, see ARISTOTYPE_CACHE)"
    )
