"""One training loop for every model family, its configuration, and checkpoints.

`train` runs it; `TrainingConfig` says how; `BatchSource` is what it reads from. `save_checkpoint` and `load_checkpoint`
write and read the folder a model is kept in; `build_config` and `load_config` turn TOML and `key=value` pairs into the
frozen dataclasses that configure models and runs.
"""

from ._batch import BatchSource, to_device
from ._checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from ._config import TrainingConfig
from ._distributed import rank_and_world, resolve_device
from ._ema import EMA
from ._log import RunLog, read_log
from ._loop import OnSave, TrainingResult, Validate, train
from ._optim import decayed_parameters, learning_rate
from ._policy import PolicyConfig, PolicyGradient, PolicyStep, leave_one_out, surrogate
from ._signals import stop_on_signals
from ._state import load_state, save_state
from ._toml import build_config, load_config, read_toml, to_dict, to_toml
from ._weights import fit_to_template, load_weights, save_weights, write_bytes

__all__ = [
    "EMA",
    "BatchSource",
    "OnSave",
    "PolicyConfig",
    "PolicyGradient",
    "PolicyStep",
    "RunLog",
    "TrainingConfig",
    "TrainingResult",
    "Validate",
    "build_config",
    "decayed_parameters",
    "fit_to_template",
    "learning_rate",
    "leave_one_out",
    "load_checkpoint",
    "load_config",
    "load_state",
    "load_weights",
    "rank_and_world",
    "read_log",
    "read_toml",
    "resolve_device",
    "save_checkpoint",
    "save_state",
    "save_weights",
    "stop_on_signals",
    "surrogate",
    "to_device",
    "to_dict",
    "to_toml",
    "train",
    "weights_sha256",
    "write_bytes",
]
