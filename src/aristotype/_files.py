"""Files that are whole or not there: atomic writes, locks on outputs, refusal to overwrite.

Stands below every floor beside `errors.py` and imports only the standard library. What is written goes to a hidden
sibling first and is put in place by one rename, so that a reader, a crash or Ctrl-C never meets half a file. Paths may
hold bytes that are not UTF-8 (Python's surrogate escapes); messages show such bytes escaped.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import secrets
import shutil
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aristotype.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# EDQUOT (over quota) does not exist on every system.
_NO_SPACE = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_UNWRITABLE = _NO_SPACE | {errno.EROFS, errno.EIO}
# How long a lock may exist without its owner's name in it before its owner counts as dead (seconds).
_GRACE = 2.0
_TEMPORARY = ".part-"


def printable(path: str | os.PathLike[str]) -> str:
    """Return a path as text that any stream can print; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def refuse_overwrite(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse an output that is already there; call it before the work, not after.

    An empty folder counts as absent: it is what `mkdir` leaves for us to fill.

    Args:
        path: The file or folder about to be written.
        force: Whether the user asked for it to be replaced.

    Raises:
        OutputError: `path` exists and `force` is false.
    """
    target = Path(path)
    if force or not os.path.lexists(target):
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    raise OutputError(f"{printable(target)} exists and is not overwritten unasked; choose another path or pass --force")


def refuse_folder(path: str | os.PathLike[str], force: bool, marker: str) -> None:
    """`refuse_overwrite` of a folder to be written by `atomic_directory` with this marker.

    Raises:
        OutputError: `path` exists and `force` is false; or it is a file, or a folder that is not ours.
    """
    refuse_overwrite(path, force)
    _check_replaceable(_resolve(path), marker)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; put it in place when the block ends well.

    The sibling keeps the suffix of `path`, since some writers choose the format by it. It is flushed to the disk before
    the rename. When the block raises (also on Ctrl-C) it is removed and what stood at `path` before stays as it was.
    What a killed process left is removed by the next write to the same path. Missing parent folders are made.

    Args:
        path: The file to write; a symbolic link is followed.

    Yields:
        The path to write to, in the same folder as the target.

    Raises:
        OutputError: The disk is full, the folder cannot be written, nothing was written, or `path` is a folder or a
            device.
    """
    target = _resolve(path)
    with _typed_errors(target):
        if target.exists() and not target.is_file():
            raise OutputError(f"{printable(target)} is a folder or a device, not a file; choose another path")
        temporary = _prepare_sibling(target)
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _flush_folder(target.parent)


@contextmanager
def atomic_directory(path: str | os.PathLike[str], marker: str | None = None) -> Iterator[Path]:
    """Yield a new temporary sibling folder to fill; put it in place of `path` when the block ends well.

    An absent or empty `path` is simply filled. One with content is replaced only if it holds `marker`, a file that our
    own folders of this kind have: `--force` must never empty a folder that is not ours. The old folder is moved aside
    before the rename and deleted after it. Files in the folder are not flushed to the disk one by one (thousands of
    CIFs would take minutes), so this is safe against kills, not against power cuts.

    Args:
        path: The folder to write; a symbolic link is followed.
        marker: Name of a file that tells a folder of this kind from any other, for example `summary.json`.

    Yields:
        The empty folder to fill, beside the target.

    Raises:
        OutputError: The disk is full, the parent cannot be written, or `path` holds something that is not ours.
    """
    target = _resolve(path)
    with _typed_errors(target):
        _check_replaceable(target, marker)
        temporary = _prepare_sibling(target)
        temporary.mkdir()
        try:
            yield temporary
            _put_folder_in_place(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _flush_folder(target.parent)


@contextmanager
def output_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold an output for this process, with the lock file `<path>.lock` beside it.

    The file names its owner: host, process id and, where the system tells, when that process started, so that a number
    that was given to another process since is not taken for the owner. A lock whose owner is dead is taken over.

    Args:
        path: The file or folder about to be written.

    Raises:
        OutputError: A living process holds the lock; the message names its process id.
    """
    target = _resolve(path)
    lock = target.with_name(target.name + ".lock")
    with _typed_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, target)
        owner = os.getpid()
        try:
            yield
        finally:
            # A forked child that unwinds through here does not own the lock.
            if os.getpid() == owner:
                lock.unlink(missing_ok=True)


def _resolve(path: str | os.PathLike[str]) -> Path:
    """Follow symbolic links, so that a rename replaces what a link points to and not the link."""
    return Path(os.path.realpath(path))


@contextmanager
def _typed_errors(target: Path) -> Iterator[None]:
    """Turn operating system errors about this output into `OutputError`; let all others through as they are."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if not _concerns(error, target):
            raise
        raise OutputError(_explain(error, target)) from error


def _concerns(error: OSError, target: Path) -> bool:
    """Tell whether an error that came out of a block is about the output: the block may also read other files."""
    if error.errno in _UNWRITABLE:
        return True
    names = (error.filename, error.filename2)
    return any(_is_ours(Path(os.fsdecode(name)), target) for name in names if isinstance(name, (str, bytes, Path)))


def _is_ours(path: Path, target: Path) -> bool:
    """Tell whether a path is the target, a folder above it, its lock, or a temporary sibling and what is in it."""
    if target.is_relative_to(path):
        return True
    if not path.is_relative_to(target.parent):
        return False
    sibling = path.relative_to(target.parent).parts[0]
    return sibling.startswith((_TEMPORARY, target.name + ".lock"))


def _explain(error: OSError, target: Path) -> str:
    """Say what happened, how much space is left and what to do."""
    folder = next(parent for parent in target.parents if parent.exists())
    try:
        free = f"{shutil.disk_usage(folder).free:,} bytes free in {printable(folder)}"
    except OSError:
        free = f"free space in {printable(folder)} unknown"
    remedy = "free some space" if error.errno in _NO_SPACE else "check that the folder exists and may be written to"
    reason = error.strerror or str(error) or type(error).__name__
    return (
        f"cannot write {printable(target)}: {reason} ({free}); {remedy}, or choose another path. "
        "Nothing was left half-written"
    )


def _prepare_sibling(target: Path) -> Path:
    """Make the parent folder, clear what killed writers of this target left there, name a new temporary sibling."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # The host is part of the name: on a shared disk only the host of a process can tell that it is dead.
    digest = hashlib.sha256(os.fsencode(target.name) + b"@" + platform.node().encode()).hexdigest()[:12]
    prefix = f"{_TEMPORARY}{digest}-"
    for left in target.parent.glob(prefix + "*"):
        pid = left.name[len(prefix) :].partition("-")[0]
        if pid.isdecimal() and not _is_alive(int(pid)):
            _remove(left)
    return target.with_name(f"{prefix}{os.getpid()}-{secrets.token_hex(4)}{target.suffix}")


def _remove(path: Path) -> None:
    """Delete a file or a folder tree; what cannot be deleted stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _flush(path: Path) -> None:
    """Have the system write a file's content to the disk (Windows wants it open for writing)."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Have the system write a folder's entries to the disk, where folders can be opened; the rename is done already."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_replaceable(target: Path, marker: str | None) -> None:
    """Refuse to put a folder where a file or somebody else's folder stands."""
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{printable(target)} is a file, and a folder is to be written; choose another path")
    if any(target.iterdir()) and (marker is None or not (target / marker).is_file()):
        found = "nothing may be replaced here" if marker is None else f"it holds no {marker}"
        raise OutputError(
            f"{printable(target)} is a folder with content that aristotype did not write ({found}); "
            "choose another path or empty it yourself"
        )


def _put_folder_in_place(temporary: Path, target: Path) -> None:
    """Rename a filled folder to its target; an old one is moved aside first and moved back if that fails."""
    if not target.exists():
        temporary.rename(target)
        return
    aside = temporary.with_name(f"{temporary.name}.old")
    target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _acquire(lock: Path, target: Path) -> None:
    """Create the lock file, taking over locks of dead owners, or raise `OutputError` for a living one."""
    content = json.dumps(_identity() | {"token": secrets.token_hex(8)}).encode()
    while not _create(lock, content):
        try:
            seen, age = lock.read_bytes(), time.time() - lock.stat().st_mtime
        except FileNotFoundError:
            continue  # released between our two looks
        owner = _parse_owner(seen)
        if owner is None and age < _GRACE:
            time.sleep(0.02)  # created, its content not yet written
        elif owner is not None and _holds(owner):
            raise OutputError(
                f"{printable(target)} is being written by process {owner['pid']} on {owner['host']}; wait for it, "
                f"choose another path, or, if that process is gone, delete {printable(lock)}"
            )
        else:
            _discard_stale(lock, seen)


def _create(path: Path, content: bytes) -> bool:
    """Create a file that must not exist; return False if it does. A file that cannot be filled is removed again."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True


def _discard_stale(lock: Path, seen: bytes) -> None:
    """Remove a dead owner's lock, if it is still the one that was seen.

    Two processes may find the same dead lock. Without the guard the slower one would delete the lock that the faster
    one has just made; with it, whoever comes second finds other content and leaves it alone.
    """
    guard = lock.with_name(lock.name + ".takeover")
    if not _create(guard, b""):
        with suppress(FileNotFoundError):
            if time.time() - guard.stat().st_mtime > _GRACE:
                guard.unlink()  # its maker died between two system calls
        time.sleep(0.02)
        return
    try:
        with suppress(FileNotFoundError):
            if lock.read_bytes() == seen:
                lock.unlink()
    finally:
        guard.unlink(missing_ok=True)


def _identity() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": platform.node(), "start": _start_time(os.getpid())}


def _parse_owner(content: bytes) -> dict[str, Any] | None:
    """Read a lock's owner; None if the file does not hold one."""
    try:
        owner = json.loads(content)
    except ValueError:
        return None
    complete = isinstance(owner, dict) and isinstance(owner.get("pid"), int) and "host" in owner
    return owner if complete else None


def _holds(owner: dict[str, Any]) -> bool:
    """Tell whether a lock's owner lives; one on another host is taken to live, since nothing here can tell."""
    if owner["host"] != platform.node():
        return True
    return _is_alive(owner["pid"]) and owner.get("start") == _start_time(owner["pid"])


def _start_time(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks, where /proc tells; None elsewhere."""
    try:
        # Field 22, counted after the command name, which may itself hold spaces and parentheses.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _is_alive(pid: int) -> bool:
    """Tell whether a process of this host exists, whoever owns it."""
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    """Ask by handle: on Windows `os.kill(pid, 0)` would send Ctrl-C instead of asking."""
    import ctypes  # not needed, and slow to import, anywhere else

    query_limited_information, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == still_active
