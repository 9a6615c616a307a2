"""Floor 3: from sources to tables, and from tables to training batches."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aristotype.datasets._collect import Split
from aristotype.datasets._download import cache_folder
from aristotype.datasets._load import is_table, load_dataset, open_dataset
from aristotype.datasets._paths import encode_paths, estimate_paths
from aristotype.datasets._prepare import Estimate, estimate, prepare
from aristotype.datasets._registry import DATASETS, SPLITS, DatasetSpec, RemoteFile, dataset_spec
from aristotype.datasets._report import PreparedDataset, RowFailure, SplitCount, read_prepared, report_path

if TYPE_CHECKING:
    from aristotype.datasets._batches import GeneSource, TrainingBatch, random_descriptions
    from aristotype.datasets._labelled import LabelledBatch, LabelledSource

__all__ = [
    "DATASETS",
    "SPLITS",
    "DatasetSpec",
    "Estimate",
    "GeneSource",
    "LabelledBatch",
    "LabelledSource",
    "PreparedDataset",
    "RemoteFile",
    "RowFailure",
    "Split",
    "SplitCount",
    "TrainingBatch",
    "cache_folder",
    "dataset_spec",
    "encode_paths",
    "estimate",
    "estimate_paths",
    "is_table",
    "load_dataset",
    "open_dataset",
    "prepare",
    "random_descriptions",
    "read_prepared",
    "report_path",
]

# Batches need torch, which costs seconds and memory in every worker that only encodes.
_BATCHES = {
    "GeneSource": "aristotype.datasets._batches",
    "LabelledBatch": "aristotype.datasets._labelled",
    "LabelledSource": "aristotype.datasets._labelled",
    "TrainingBatch": "aristotype.datasets._batches",
    "random_descriptions": "aristotype.datasets._batches",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for (PEP 562)."""
    if name in _BATCHES:
        return getattr(importlib.import_module(_BATCHES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
