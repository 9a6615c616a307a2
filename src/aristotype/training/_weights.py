"""Tensors on disk as safetensors: written atomically, stored in 16 bits on request, read back against a template."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from aristotype._files import atomic_path, printable
from aristotype.errors import CheckpointError, OutputError

Tensors = Mapping[str, torch.Tensor]


def to_bytes(tensors: Tensors, *, half: bool, metadata: dict[str, str] | None = None) -> bytes:
    """The tensors as a safetensors file; with `half`, float32 ones as float16.

    float16 and not bfloat16: trained weights lie far inside its range, and it keeps eight times their precision.

    Raises:
        CheckpointError: A tensor holds NaN, or a finite value that float16 cannot hold.
    """
    stored = {}
    for name, tensor in tensors.items():
        own = tensor.detach().to("cpu", copy=True).contiguous()
        if own.is_floating_point() and bool(own.isnan().any()):
            raise CheckpointError(f"tensor {name} holds NaN and is not saved: train again from an earlier state")
        if half and own.dtype == torch.float32:
            finite = own.isfinite()
            own = own.half()
            if not bool((own.isfinite() == finite).all()):
                raise CheckpointError(f"tensor {name} exceeds 65504, the limit of 16-bit storage: save with half=False")
        stored[name] = own
    return safetensors.torch.save(stored, metadata=metadata)


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path` atomically; what was there stays until all of it is written.

    Raises:
        OutputError: The disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            Path(temporary).write_bytes(content)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {len(content)} bytes to {printable(path)} ({error}); what was there before is unchanged: "
            "free space or choose another folder"
        ) from error


def read_bytes(path: Path) -> bytes:
    """Content of a file of a checkpoint.

    Raises:
        CheckpointError: It is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {printable(path)} ({error}): give a complete checkpoint") from error


def from_bytes(content: bytes, origin: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, on the CPU and in the types they are stored in.

    Raises:
        CheckpointError: The content is truncated or not safetensors; `origin` names it.
    """
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{printable(origin)} is truncated or not safetensors ({error}): copy it again"
        ) from error


def save_weights(path: str | Path, tensors: Tensors, *, half: bool) -> str:
    """Write `tensors` to a safetensors file.

    Args:
        path: The file; an earlier one stays whole until the new one is complete.
        tensors: Tensors by name, for example a `state_dict()`.
        half: Store float32 tensors in 16 bits.

    Returns:
        The sha256 of the file, in hexadecimal.

    Raises:
        CheckpointError: NaN, or a value too large for 16 bits.
        OutputError: The file cannot be written.
    """
    content = to_bytes(tensors, half=half)
    write_bytes(Path(path), content)
    return hashlib.sha256(content).hexdigest()


def load_weights(path: str | Path, template: Tensors, *, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read tensors that fit `template`, usually the `state_dict()` of the model they go into.

    Args:
        path: A safetensors file.
        template: Tensors whose names, shapes and types are wanted; 16-bit storage is cast back to these types.
        sha256: Hash the file must have; not verified when None.

    Raises:
        CheckpointError: Missing, truncated or changed file; missing or unexpected names; a shape that differs.
    """
    path = Path(path)
    content = read_bytes(path)
    if sha256 is not None:
        verify_hash(content, sha256, path)
    return fit_to_template(from_bytes(content, path), template, origin=str(path))


def verify_hash(content: bytes, sha256: str, origin: Path) -> None:
    """Raise `CheckpointError` unless `content` has this sha256."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CheckpointError(
            f"{printable(origin)} was changed or truncated after it was saved: its sha256 is {found[:16]}..., "
            f"not {sha256[:16]}... as recorded; copy the checkpoint again"
        )


def fit_to_template(tensors: Tensors, template: Tensors, *, origin: str = "the checkpoint") -> dict[str, torch.Tensor]:
    """`tensors` in the types of `template`, after names and shapes were compared.

    Raises:
        CheckpointError: Names that are missing or unexpected, or a shape that differs; all of them are listed.
    """
    faults = [f"missing {name}" for name in template if name not in tensors]
    faults += [f"unexpected {name}" for name in tensors if name not in template]
    for name, wanted in template.items():
        if name in tensors and tensors[name].shape != wanted.shape:
            faults.append(f"{name} has shape {tuple(tensors[name].shape)}, the model has {tuple(wanted.shape)}")
    if faults:
        shown = "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
        raise CheckpointError(
            f"{printable(origin)} does not fit the model: {shown}. Build the model with the saved configuration"
        )
    return {name: tensors[name].to(wanted.dtype) for name, wanted in template.items()}
