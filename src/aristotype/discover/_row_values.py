"""One number a row from somebody else's callable: what is of the wrong shape is a mistake, what fails has a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aristotype.errors import InputError

if TYPE_CHECKING:
    from aristotype.crystal import CrystalTable, Score


class WrongShapeError(InputError):
    """A callable that does not answer row by row."""


def row_values(call: Score, table: CrystalTable, what: str) -> tuple[NDArray[np.float64], list[str]]:
    """Values (n,) of the rows of a table, and why a row has none, "" where it has one.

    A callable that raises is asked row by row, so that one crystal does not take the others with it.

    Args:
        call: gives one number a row.
        table: n crystals.
        what: names the callable in messages.

    Raises:
        WrongShapeError: the callable gives something else than a number a row.
    """
    try:
        values, reasons = _checked(call(table), len(table), what), [""] * len(table)
    except WrongShapeError:
        raise
    except Exception:  # noqa: BLE001 (found below, row by row)
        values, reasons = np.full(len(table), np.nan), []
        for row in range(len(table)):
            try:
                values[row] = _checked(call(table[row : row + 1]), 1, what)[0]
                reasons.append("")
            except Exception as error:  # noqa: BLE001 (somebody else's code may raise anything)
                reasons.append(f"{what} raised {type(error).__name__}: {error}")
    return values, [why or ("" if np.isfinite(value) else f"{what} is {value}") for value, why in zip(values, reasons)]


def _checked(found: object, rows: int, what: str) -> NDArray[np.float64]:
    values = np.asarray(found, dtype=np.float64)
    if values.shape != (rows,):
        raise WrongShapeError(
            f"{what} gave an array of shape {values.shape} for {rows} crystals; it must give ({rows},)"
        )
    return values
