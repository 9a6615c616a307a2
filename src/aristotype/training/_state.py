"""The state of a run on disk: everything that a resumed run needs to go on with the same losses to the bit.

One safetensors file, `state.safetensors`: tensors under `model/`, `ema/` and `optimizer/`, the counters as JSON in its
header. One file, so that one rename puts all of it in place.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from aristotype._files import printable
from aristotype.errors import CheckpointError, ConfigError

from ._config import FREE_ON_RESUME
from ._optim import load_optimizer_tensors, optimizer_tensors
from ._weights import fit_to_template, from_bytes, read_bytes, to_bytes, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from ._ema import EMA

FILE_NAME = "state.safetensors"
FORMAT_VERSION = 1
C = TypeVar("C")


@dataclass(kw_only=True)
class Counters:
    """Where a run stands; all of it JSON.

    Attributes:
        step: Updates made.
        epoch: The epoch of the next batch, from 0.
        position: Batches of that epoch already used.
        best: Metrics of the best validation so far, with its `step`; empty before the first.
        latest: The same of the latest validation.
        stale: Validations since the best one.
        seconds: Wall time spent training, over all starts.
        window: Sums of the log line in progress, by name, with their `count`.
        stopped: Why the run ended (`finished` or `patience`), empty while it can go on.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    best: dict[str, float] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0
    window: dict[str, float] = field(default_factory=dict)
    stopped: str = ""


def save_state(
    path: Path,
    counters: Any,
    identity: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: EMA,
) -> None:
    """Write the state atomically.

    Args:
        path: The file.
        counters: Where the run stands; a dataclass whose fields are JSON values.
        identity: What defines the run (settings, number of processes), compared when it is resumed.
        model: Its weights and buffers are saved.
        optimizer: Its moments are saved.
        ema: Its averages are saved.

    Raises:
        CheckpointError: A weight is NaN.
        OutputError: The file cannot be written; the earlier state is unchanged.
    """
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"ema/{name}": tensor for name, tensor in ema.tensors().items()}
    tensors |= {f"optimizer/{name}": tensor for name, tensor in optimizer_tensors(optimizer, model).items()}
    record = {
        "format_version": FORMAT_VERSION,
        "counters": asdict(counters),
        "ema_updates": ema.updates,
        "identity": identity,
    }
    write_bytes(path, to_bytes(tensors, half=False, metadata={"state": json.dumps(record)}))


def load_state(
    path: Path,
    identity: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: EMA,
    kind: type[C],
) -> C:
    """Put a saved state into `model`, `optimizer` and `ema`; returns the counters, of the class `kind`.

    Raises:
        CheckpointError: The file is truncated, of another version, or does not fit the model.
        ConfigError: The run it belongs to was defined differently; the differing keys are named with both values.
    """
    content = read_bytes(path)
    tensors = from_bytes(content, path)
    record = _read_record(content, path)
    _require_same_identity(record["identity"], json.loads(json.dumps(identity)), path)
    model.load_state_dict(fit_to_template(_section(tensors, "model"), model.state_dict(), origin=str(path)))
    ema.load(fit_to_template(_section(tensors, "ema"), ema.tensors(), origin=str(path)), record["ema_updates"])
    load_optimizer_tensors(optimizer, model, _section(tensors, "optimizer"))
    return kind(**record["counters"])


def _section(tensors: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _read_record(content: bytes, path: Path) -> dict[str, Any]:
    """The JSON in the header: eight bytes of length (little-endian), then the header itself."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    record = json.loads(header.get("__metadata__", {}).get("state", "{}"))
    if record.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{printable(path)} has state version {record.get('format_version')!r}, this release reads "
            f"{FORMAT_VERSION}: resume with the release that wrote it, or start again in another folder"
        )
    return dict(record)


def _require_same_identity(saved: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    before, after = _flatten(saved), _flatten(now)
    free = {f"training.{name}" for name in FREE_ON_RESUME}
    differing = [key for key in sorted({*before, *after} - free) if before.get(key) != after.get(key)]
    if differing:
        shown = "; ".join(f"{key} was {before.get(key)!r}, is {after.get(key)!r}" for key in differing)
        raise ConfigError(
            f"the run in {printable(path.parent)} had other settings: {shown}. Resume with the saved ones, or start in "
            "another folder"
        )


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
