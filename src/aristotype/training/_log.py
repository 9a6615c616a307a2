"""The record of a run: JSON lines, and TensorBoard events where tensorboard is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._weights import write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "log.jsonl"


class RunLog:
    """Appends one JSON object a line to `log.jsonl`.

    A line of training has `kind` "train" and the means over the steps since the line before; one of validation has
    `kind` "validation" and the metrics. Both have `step` (updates made) and `epoch`.

    Args:
        out_dir: Folder of the run.
        step: Updates already made; later lines, from a run that was killed after its last saved state, are dropped.
        tensorboard: Also write events to `out_dir/tensorboard`.
    """

    def __init__(self, out_dir: Path, step: int, *, tensorboard: bool) -> None:
        self._path = out_dir / FILE_NAME
        _truncate(self._path, step)
        self._stream = self._path.open("a", encoding="utf-8")
        self._events = _event_writer(out_dir / "tensorboard", step) if tensorboard else None

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add one line; it is on disk when this returns."""
        self._stream.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._stream.flush()
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        self._stream.close()
        if self._events is not None:
            self._events.close()


def read_log(out_dir: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line cut off by a kill is left out."""
    path = Path(out_dir) / FILE_NAME
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return lines[:-1]  # what follows the last newline is empty, or the beginning of a line that was never finished


def _truncate(path: Path, step: int) -> None:
    """Keep the whole lines up to `step`."""
    if path.exists():
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= step]
        write_bytes(path, "".join(f"{line}\n" for line in kept).encode("utf-8"))


def _event_writer(folder: Path, step: int) -> Any:
    """A TensorBoard writer, or None where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
