"""What `aristotype train property` does beside the rest of `train`: a named property, rows that have a value of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.datasets import PreparedDataset
    from aristotype.predict import TrainingRows


def check_target(model: str, labelled: bool, target: str | None, added: Sequence[str]) -> None:
    """Refuses a property without a name, and a name where no property is learnt.

    Args:
        model: The family.
        labelled: Whether it learns a property.
        target: The property, None if none is named.
        added: Further data.

    Raises:
        InputError: either of them.
    """
    if labelled and target is None:
        raise InputError("`train property` needs a property: give --target, such as --target formation_energy")
    if not labelled and (target is not None or added):
        raise InputError(f"--target and --with go with `train property`, not with {model}; leave them out")


def labelled_run(
    begin: Any, target: str, prepared: PreparedDataset, further: Sequence[PreparedDataset]
) -> tuple[Any, TrainingRows]:
    """What a run on a property begins with, and its rows.

    Args:
        begin: The configuration of a fresh encoder, or an encoder to go on with.
        target: The property, or a column.
        prepared: The data, with splits.
        further: Data whose labelled rows are added to the training rows.

    Returns:
        the configuration or the encoder made for these rows, and training and validation rows.

    Raises:
        AristotypeError: as for `aristotype.predict.training_rows`.
    """
    import torch

    from aristotype.models.gene_encoder import GeneEncoder
    from aristotype.predict import target_named, training_rows

    found = target_named(target)
    rows = training_rows(prepared.table(), found, added=[(more.name, more.table()) for more in further])
    if not isinstance(begin, GeneEncoder):
        return replace(begin, target=found.name, unit=found.unit), rows
    with torch.random.fork_rng(devices=[]):  # the fresh head is the same every time, as a run that goes on needs
        torch.manual_seed(0)
        return begin.adapted(*rows.train, target=found.name, unit=found.unit), rows
