"""What models of several families do alike: streams, vocabularies, sums over descriptions, settings of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aristotype.crystal import CANONICAL_VERSION, Conditions, CrystalTable, GeneBatch, gene_keys
from aristotype.errors import CheckpointError, ConfigError, InputError
from aristotype.symmetry import NUM_GROUPS, tables
from aristotype.training import build_config


def first_rows(blocks: Iterator[CrystalTable], n: int, what: str) -> CrystalTable:
    """The first n rows of an endless stream of blocks; `what` names them in the message.

    Raises:
        InputError: n is negative.
    """
    if n < 0:
        raise InputError(f"{n} {what} were asked for; ask for a number of at least 0")
    parts, have = [], 0
    for table in blocks:
        parts.append(table)
        have += len(table)
        if have >= n:
            break
    return CrystalTable.concatenate(parts)[:n]


def checked_config(kind: type, settings: Mapping[str, Any]) -> Any:
    """The configuration of a checkpoint, an object of the class `kind`.

    Raises:
        CheckpointError: it was made with other symmetry tables, or is not one of this release.
    """
    found = (settings.get("tables_sha256"), settings.get("canonical_version"))
    if found != (tables().sha256, CANONICAL_VERSION):
        raise CheckpointError(
            f"the checkpoint was made for symmetry tables {str(found[0])[:12]} and canonical version {found[1]}, "
            f"this release has {tables().sha256[:12]} and {CANONICAL_VERSION}; "
            "train it again or install the release that made it"
        )
    try:
        return build_config(kind, settings.get("model"))
    except ConfigError as error:
        raise CheckpointError(
            f"the checkpoint's configuration is not one of this release ({error}); "
            "install the release that made it or train it again"
        ) from error


def elements_of(genes: GeneBatch) -> tuple[int, ...]:
    """Atomic numbers that occur, in increasing order."""
    return tuple(int(z) for z in np.unique(genes.elements[genes.elements > 0]))


def keys_of(genes: GeneBatch) -> NDArray[np.uint8]:
    """(n, 16) different keys of genes, hands merged."""
    keys = np.frombuffer(gene_keys(genes, merge_enantiomorphs=True).tobytes(), np.uint8).reshape(-1, 16)
    return np.unique(keys, axis=0)


def vocabulary_index(elements: tuple[int, ...]) -> NDArray[np.int64]:
    """(128,) place of each atomic number in a vocabulary, -1 for those outside it."""
    index = np.full(128, -1, np.int64)
    index[list(elements)] = np.arange(len(elements))
    return index


def refuse_unknown_elements(
    genes: GeneBatch, index: NDArray[np.int64], remedy: str = "fine-tune on data that holds it"
) -> None:
    """Refuses genes with elements outside a vocabulary (see `vocabulary_index`).

    Raises:
        InputError: naming the element and the row.
    """
    outside = (genes.elements > 0) & (index[genes.elements] < 0)
    if outside.any():
        row = int(outside.any(axis=1).argmax())
        number = int(genes.elements[row][outside[row]][0])
        raise InputError(
            f"gene {row} holds element {number}, which is not among the {int((index >= 0).sum())} elements this model "
            f"was trained on; leave such rows out or {remedy}"
        )


def refuse_known_geometry(conditions: Conditions | None, name: str) -> None:
    """Refuses a partial crystal on behalf of a model of genes, which would ignore its coordinates.

    Raises:
        InputError: there is one.
    """
    if conditions is not None and conditions.partial_crystal is not None:
        raise InputError(
            f"a partial crystal with coordinates is given, and {name} draws genes without geometry; take a model of "
            "crystals, such as crystalformer-mp20, or give its sites alone as a partial gene"
        )


def log_sum_by_row(values: NDArray[np.float64], owner: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """Log of the sum of exp(values) (m,) over the entries of each row (m,) to (rows,)."""
    largest = np.full(rows, -np.inf)
    np.maximum.at(largest, owner, values)
    largest[np.isneginf(largest)] = 0.0  # nothing is possible, and the sum is 0
    sums = np.zeros(rows)
    np.add.at(sums, owner, np.exp(values - largest[owner]))
    with np.errstate(divide="ignore"):
        return largest + np.log(sums)


def smoothed_frequencies(group_counts: NDArray[np.int64], smoothing: float) -> NDArray[np.float64]:
    """(231,) frequencies of space groups from counts (231,), with a share `smoothing` spread evenly over all 230."""
    smooth = np.append(0.0, np.full(NUM_GROUPS, 1 / NUM_GROUPS))
    total = int(group_counts.sum())
    if total == 0:
        return smooth
    share: NDArray[np.float64] = group_counts / total
    return (1 - smoothing) * share + smoothing * smooth


def log_sum_of_rows(values: Tensor, owner: NDArray[np.int64], rows: int) -> Tensor:
    """`log_sum_by_row` for tensors: gradients flow to the values."""
    where = torch.from_numpy(owner).to(values.device)
    largest = values.detach().new_full((rows,), -torch.inf).scatter_reduce(0, where, values.detach(), "amax")
    sums = values.new_zeros(rows).index_add(0, where, torch.exp(values - largest[where]))
    return largest + torch.log(sums)
