"""Log-probabilities of tables in which a few genes may hold elements that the model does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable
from aristotype.errors import InputError


def scored(model: Any, table: CrystalTable) -> NDArray[np.float64]:
    """(n,) log-probabilities in nats, -inf for a gene that the model refuses.

    A model refuses a whole table for one gene outside its vocabulary: the table is halved until that gene stands alone.
    """
    try:
        return np.asarray(model.log_prob(table), dtype=np.float64)
    except InputError:
        if len(table) <= 1:
            return np.full(len(table), -np.inf)
    middle = len(table) // 2
    return np.concatenate([scored(model, table[:middle]), scored(model, table[middle:])])
