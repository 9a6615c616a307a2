"""What defines a WyckoffAUGen; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from aristotype.models.wyckoff_augen._settings import check

CALIBRATED = (
    "group_temperature",
    "space_temperature",
    "cell_spread",
    "letter_temperature",
    "element_temperature",
    "node_temperature",
    "fine_temperature",
)
"""Set on validation crystals after training (see `_calibrate`)."""

_SIZES = ("width", "layers", "heads", "element_width", "cell_components")


@dataclass(frozen=True, kw_only=True)
class GridsConfig:
    """Sizes of the network, and what was learnt by counting. Frozen, checked on construction."""

    width: int = 128  # of a site's vector
    layers: int = 4
    heads: int = 8
    element_width: int = 64  # vectors that tie element inputs and outputs
    cell_components: int = 32  # of the mixture over cells
    dropout: float = 0.1
    space_dropout: float = 0.2  # of groups and spaces of elements
    first_only: bool = True  # learn the first description of each crystal, not one of all, drawn anew each epoch
    group_temperature: float = 1.0  # divides logits of groups given elements; this and the next six are calibrated
    space_temperature: float = 1.0  # those of elements of the space
    letter_temperature: float = 1.0
    element_temperature: float = 1.0
    node_temperature: float = 1.0  # those of nodes of coarse grids
    fine_temperature: float = 1.0  # those of fine points
    cell_spread: float = 1.0  # factor on the widths of cells
    elements: tuple[int, ...] = ()  # vocabulary, atomic numbers in increasing order
    max_sites: int = 0  # most sites of a crystal; 0 stands for those of the data
    group_smoothing: float = 0.001  # share of p(space group) spread evenly over all 230

    def __post_init__(self) -> None:
        check(self, _SIZES, CALIBRATED, ("dropout", "space_dropout"))
