"""Models whose p(space group) is counted: vocabulary, counts of space groups, training keys, checkpoints.

Their networks and what they draw are their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aristotype.crystal import CANONICAL_VERSION, GeneBatch
from aristotype.models._parts import (
    checked_config,
    elements_of,
    keys_of,
    refuse_unknown_elements,
    smoothed_frequencies,
    vocabulary_index,
)
from aristotype.symmetry import NUM_GROUPS, tables
from aristotype.training import fit_to_template, save_checkpoint, to_dict

_KEYS = "train_keys"


class CountedModel(nn.Module):
    """A model of one network; a subclass names its family, variant and configuration, and adds the network."""

    family: ClassVar[str]
    variant: ClassVar[str] = "paper"
    config_type: ClassVar[type]
    config: Any
    group_counts: Tensor

    def __init__(self, config: Any, train_keys: NDArray[np.uint8] | None = None) -> None:
        """A model with fresh weights; `train_keys` (n, 16) are keys of the training genes, hands merged."""
        super().__init__()
        self.config = config
        self.name = self.family if self.variant == "default" else f"{self.family}-{self.variant}"
        self.vocabulary_index = vocabulary_index(config.elements)
        self._train_keys = np.empty((0, 16), np.uint8) if train_keys is None else train_keys
        self.register_buffer("group_counts", torch.zeros(NUM_GROUPS + 1, dtype=torch.int64))

    @classmethod
    def for_training(cls, config: Any, genes: GeneBatch) -> Self:
        """A fresh model whose vocabulary and group frequencies come from the training genes."""
        model = cls(replace(config, elements=elements_of(genes)))
        model._learn_counts(genes)
        return model

    def adapted(self, genes: GeneBatch) -> Self:
        """A copy to fine-tune on other genes: p(space group) is theirs; `novel` means unlike them and those before."""
        model = self.with_config()
        model._learn_counts(genes)
        return model

    def _learn_counts(self, genes: GeneBatch) -> None:
        self._train_keys = np.unique(np.concatenate([self._train_keys, keys_of(genes)]), axis=0)
        self.group_counts.copy_(torch.from_numpy(np.bincount(genes.space_group, minlength=NUM_GROUPS + 1)))

    def train_keys(self) -> set[bytes]:
        """Keys of the training genes, enantiomorphic groups merged: what `novel` is measured against."""
        return {key.tobytes() for key in self._train_keys}

    def group_probabilities(self) -> NDArray[np.float64]:
        """(231,) p(space group): smoothed frequencies, the same as those of the default models."""
        return smoothed_frequencies(self.group_counts.cpu().numpy(), self.config.group_smoothing)

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that it knows."""
        return frozenset(self.config.elements)

    def check_vocabulary(self, genes: GeneBatch) -> None:
        """Refuses genes with elements that the model was not trained on.

        Raises:
            InputError: naming the element and the row.
        """
        refuse_unknown_elements(genes, self.vocabulary_index, "train on data that holds it")

    # Checkpoints

    def save(self, directory: str | Path, *, card: str = "", half: bool = True) -> None:
        """Writes a checkpoint folder: weights and counts, keys, configuration, model card.

        Raises:
            OutputError: the folder cannot be written; an earlier checkpoint is unchanged.
        """
        save_checkpoint(directory, self.settings(), self.tensors(), card, half=half)

    def settings(self) -> dict[str, Any]:
        """What `load` builds the model from, as JSON values."""
        return {
            "family": self.family,
            "variant": self.variant,
            "tables_sha256": tables().sha256,
            "canonical_version": CANONICAL_VERSION,
            "model": to_dict(self.config),
        }

    def tensors(self) -> dict[str, Tensor]:
        """Weights, counts and keys by name."""
        return {**self.state_dict(), _KEYS: torch.from_numpy(self._train_keys.copy())}

    def with_config(self, **changes: Any) -> Self:
        """A copy with the same weights under another configuration of the same sizes.

        Raises:
            ConfigError: a setting out of range.
        """
        settings = self.settings()
        settings["model"] = to_dict(replace(self.config, **changes))
        return self.from_checkpoint(settings, self.tensors())

    @classmethod
    def from_checkpoint(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """The model of a checkpoint that was read with `load_checkpoint`.

        Raises:
            CheckpointError: it was made with other symmetry tables, or its tensors do not fit its configuration.
        """
        weights = dict(tensors)
        keys = weights.pop(_KEYS, torch.empty(0, 16, dtype=torch.uint8))
        model = cls(checked_config(cls.config_type, settings), keys.numpy())
        model.load_state_dict(fit_to_template(weights, model.state_dict()))
        return model.eval()
