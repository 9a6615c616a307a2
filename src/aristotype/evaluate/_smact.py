"""Charge balance of formulas by the SMACT rule of CDVAE, with the data of the smact package.

The rule is that of `aristotype.crystal.passes` (Davies et al. 2016; Xie et al. 2022). Oxidation states are the set
"smact14" of smact; another set moves the valid share by up to 0.28.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from aristotype.crystal import NO_ION, Formula, Ion, passes, reduced
from aristotype.errors import MissingDependencyError
from aristotype.evaluate._counts import compositions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aristotype.crystal import GeneBatch


@cache
def _ions() -> Mapping[int, Ion]:
    """What smact knows of each atomic number."""
    try:
        import smact
    except ImportError as error:
        raise MissingDependencyError("charge balance needs smact; install it with: pip install smact") from error
    metals = frozenset(smact.metals)
    return {
        element.number: Ion(
            tuple(element.oxidation_states_smact14 or ()), element.pauling_eneg, element.symbol in metals
        )
        for element in smact.element_dictionary().values()
    }


def charge_balanced(genes: GeneBatch) -> NDArray[np.bool_]:
    """(n,) whether the composition of each gene passes the rule.

    Raises:
        MissingDependencyError: smact is not installed.
    """
    rows = compositions(genes)
    # Row by row, because formulas repeat and the cache knows most of them.
    return np.array([_is_valid(reduced(list(enumerate(row.tolist())))) for row in rows], dtype=bool)


def formula_is_charge_balanced(counts: Mapping[int, int]) -> bool:
    """Whether a formula {atomic number: count} passes the rule.

    Raises:
        MissingDependencyError: smact is not installed.
    """
    return _is_valid(reduced(sorted(counts.items())))


@lru_cache(maxsize=1 << 18)
def _is_valid(formula: Formula) -> bool:
    return passes([_ions().get(number, NO_ION) for number, _ in formula], [count for _, count in formula])
