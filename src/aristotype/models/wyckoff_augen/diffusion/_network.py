"""The networks of the configuration: what is written, cells, and the score of coordinates. They share nothing."""

from __future__ import annotations

from torch import Tensor, nn

from aristotype.models.wyckoff_augen.diffusion._batches import Noised
from aristotype.models.wyckoff_augen.diffusion._bound import cost
from aristotype.models.wyckoff_augen.diffusion._config import WyckoffAugenConfig
from aristotype.models.wyckoff_augen.diffusion._graph import Graph
from aristotype.models.wyckoff_augen.diffusion._score_network import ScoreNetwork
from aristotype.models.wyckoff_augen.diffusion._sequence_network import CellNetwork, SequenceNetwork, Sequences


class DiffusionNetwork(nn.Module):
    """Cells, letters and elements exactly; coordinates by their score."""

    def __init__(self, config: WyckoffAugenConfig) -> None:
        super().__init__()
        self.sequence = SequenceNetwork(config)
        self.cell = CellNetwork(config)
        self.score = ScoreNetwork(config)

    def log_prob(self, batch: Sequences) -> dict[str, Tensor]:
        """(n,) logs of the density of cells in their box, of letters and of elements."""
        return {"cell": self.cell.log_prob(batch), **self.sequence.log_prob(batch)}

    def scores(self, graph: Graph) -> Tensor:
        """(N, 3) scores of noisy coordinates times their noise, along Cartesian axes."""
        found: Tensor = self.score(graph)
        return found

    def bound(self, noised: Noised) -> Tensor:
        """(m,) a sample each of the lower bound on the log-density of coordinates."""
        graph = noised.graph
        each = cost(self.scores(graph), noised.target, graph.crystal, len(graph.group))
        return noised.log_images - noised.weight * each
