"""A property of every row of a table, from the genes alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from aristotype.crystal import CrystalTable
from aristotype.errors import TableError
from aristotype.models import load_encoder
from aristotype.models.gene_encoder import GeneEncoder


def predict(table: CrystalTable, model: GeneEncoder | str | Path, *, name: str | None = None) -> CrystalTable:
    """The table with a predicted property and its uncertainty; geometry, where there is one, is not looked at.

    Args:
        table: n crystals or genes.
        model: an encoder, its shipped name or its folder.
        name: what the columns are called; by default the property that the model was trained on.

    Returns:
        the same rows with the columns `<name>` and `<name>_std` (float64, in the model's unit): the value, and the
        standard deviation of the model's calibrated Laplace distribution around it. Null where the gene is not legal,
        or holds an element that the model was not trained on.

    Raises:
        TableError: a column of one of these names is there already.
        UnknownNameError: there is no such model.
        CheckpointError: it is no model of a property, or is damaged.
    """
    encoder = model if isinstance(model, GeneEncoder) else load_encoder(model)
    column = name or encoder.config.target
    taken = [made for made in (column, f"{column}_std") if made in table.columns]
    if taken:
        raise TableError(
            f"the table has a column {taken[0]} already, and known values are not overwritten; give the predicted ones "
            "another name (`name`, or --as on the command line)"
        )
    values, deviations = encoder.predict(table.genes())
    return table.with_columns(
        {
            column: pa.array(values, pa.float64(), from_pandas=True),
            f"{column}_std": pa.array(deviations, pa.float64(), from_pandas=True),
        }
    )
