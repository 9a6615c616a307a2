"""A model as a folder: `config.json`, `model.safetensors` and `README.md` (the model card).

`config.json` carries the format version, the configuration the model is built from, and the sha256 of both it and the
weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from aristotype._files import printable
from aristotype.errors import CheckpointError, OutputError

from ._weights import Tensors, from_bytes, read_bytes, to_bytes, verify_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 2
_KEYS = {"format_version", "config", "config_sha256", "weights"}
_WEIGHT_KEYS = {"sha256", "half"}


def save_checkpoint(
    directory: str | Path, config: Mapping[str, Any], state: Tensors, card: str, *, half: bool = False
) -> None:
    """Write a checkpoint folder; an earlier one of the same name is replaced only when the new one is complete.

    Args:
        directory: The folder.
        config: What the model is built from, as JSON values.
        state: The weights by name.
        card: Text of the model card: data, share of the data, seed, commit, metrics.
        half: Store float32 weights in 16 bits.

    Raises:
        CheckpointError: Weights with NaN, or too large for 16 bits.
        OutputError: The folder cannot be written; an earlier checkpoint is unchanged.
    """
    directory = Path(directory)
    weights = to_bytes(state, half=half)
    record = {
        "format_version": FORMAT_VERSION,
        "weights": {"sha256": hashlib.sha256(weights).hexdigest(), "half": half},
        "config_sha256": _digest(config),
        "config": config,
    }
    files = {
        "model.safetensors": weights,
        "README.md": card.encode("utf-8"),
        "config.json": (json.dumps(record, indent=1, allow_nan=False) + "\n").encode("utf-8"),
    }
    try:
        _replace_folder(directory, files)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot save the checkpoint {printable(directory)} ({error}); an earlier one is unchanged: free space or "
            "choose another folder"
        ) from error


def load_checkpoint(directory: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read a checkpoint folder.

    Returns:
        The configuration and the weights by name, on the CPU; weights stored in 16 bits come back as float32.

    Raises:
        CheckpointError: Missing files, truncated or changed weights, another format version, unknown or missing keys.
    """
    directory = Path(directory)
    _restore_previous(directory)
    if not directory.is_dir():
        raise CheckpointError(f"there is no folder {printable(directory)}: give the one that holds config.json")
    record = _read_record(directory / "config.json")
    path = directory / "model.safetensors"
    content = read_bytes(path)
    verify_hash(content, record["weights"]["sha256"], path)
    tensors = from_bytes(content, path)
    if record["weights"]["half"]:
        tensors = {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}
    return record["config"], tensors


def weights_sha256(directory: str | Path) -> str:
    """The recorded sha256 of a checkpoint's weights, which `load_checkpoint` compares with the file.

    Raises:
        CheckpointError: `config.json` is missing or not one of this release.
    """
    return str(_read_record(Path(directory) / "config.json")["weights"]["sha256"])


def _read_record(path: Path) -> dict[str, Any]:
    """`config.json`, with format version and keys checked."""
    try:
        record = json.loads(read_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise CheckpointError(
            f"{printable(path)} is truncated or not JSON ({error}): copy the checkpoint again"
        ) from error
    if not isinstance(record, dict) or "format_version" not in record:
        raise CheckpointError(f"{printable(path)} has no format_version: it is not an aristotype checkpoint")
    if record["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{printable(path)} has format version {record['format_version']!r}, this release reads {FORMAT_VERSION}: "
            "use the release that wrote it, or train again"
        )
    _require_keys(record, _KEYS, path)
    _require_keys(record["weights"], _WEIGHT_KEYS, path)
    if _digest(record["config"]) != record["config_sha256"]:
        raise CheckpointError(
            f"the configuration in {printable(path)} is not the one that was saved: copy the checkpoint again, or "
            "load the model and use `with_config` to change a setting"
        )
    return record


def _digest(config: Any) -> str:
    """Hash of JSON values, whatever their layout."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, allow_nan=False).encode("utf-8")).hexdigest()


def _require_keys(record: Any, keys: set[str], path: Path) -> None:
    found = set(record) if isinstance(record, dict) else set()
    if found != keys:
        raise CheckpointError(
            f"{printable(path)}: missing keys {sorted(keys - found)}, unknown keys {sorted(found - keys)}; "
            f"a checkpoint of format {FORMAT_VERSION} has exactly {sorted(keys)}"
        )


def _partial_prefix(directory: Path) -> str:
    return f".{directory.name}.partial-"


def _previous(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.previous")


def _restore_previous(directory: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    if not directory.exists() and _previous(directory).is_dir():
        _previous(directory).replace(directory)


def _replace_folder(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` into a new folder beside `directory`, then put it in place by rename.

    A folder that is not empty cannot be replaced in one rename, so the old one is first moved aside; whoever finds only
    that one (`_restore_previous`) moves it back. A run replaces its best checkpoint dozens of times and may be killed
    between the two renames; `_files.atomic_directory` has no such way back, and does not flush its files.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    _restore_previous(directory)
    if directory.exists() and not (directory / "config.json").is_file() and any(directory.iterdir()):
        raise OutputError(f"{printable(directory)} holds something that is not a checkpoint: choose another folder")
    for left in directory.parent.glob(f"{_partial_prefix(directory)}*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed while it saved
    fresh = Path(tempfile.mkdtemp(prefix=_partial_prefix(directory), dir=directory.parent))
    try:
        fresh.chmod(0o755)  # mkdtemp gives 0700, which would hide a shared checkpoint from colleagues
        for name, content in files.items():
            _write_durably(fresh / name, content)
        previous = _previous(directory)
        shutil.rmtree(previous, ignore_errors=True)
        if directory.exists():
            directory.replace(previous)
        fresh.replace(directory)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write_durably(path: Path, content: bytes) -> None:
    """Write and flush to the disk, so that the rename after it never puts an empty file in place."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
