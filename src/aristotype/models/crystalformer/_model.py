"""CrystalFormer, our default: a gene, then its setting, its cell, and its sites one after another.

    p(crystal) = p(gene) sum over sequences of p(setting) p(cell | setting) p(free parameters | cell), site by site

Notable, against the published model (Cao, Luo, Lv and Wang, arXiv:2403.15734), and measured in docs/models.md:
- the gene comes first and whole, from any gene model, so that every coordinate is placed knowing all elements, and the
  same network gives geometry to genes of other families;
- the cell comes before the coordinates, so that distances are known;
- only free parameters are written, on a stated measure; reduced cells, one origin and one image a site, so that a
  crystal has a few sequences (three on average), and a score sums over all of them.
`log_prob` is exact, and the same for every equivalent description of a crystal.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aristotype.crystal import CANONICAL_VERSION, Conditions, CrystalTable, Failure, GeneBatch, settings_of
from aristotype.models._crystals import streams_of
from aristotype.models._parts import checked_config, first_rows, refuse_unknown_elements, vocabulary_index
from aristotype.models.blocks import uniforms
from aristotype.models.crystalformer._complete import complete
from aristotype.models.crystalformer._config import GeometryConfig
from aristotype.models.crystalformer._geometry import GeometryNetwork
from aristotype.models.crystalformer._output import with_geometry
from aristotype.models.crystalformer._sampler import Drawn, Tries, draw_geometry
from aristotype.models.crystalformer._score import by_crystal, log_sequences, score_crystals
from aristotype.models.crystalformer._sequences import MOST, sequences_of
from aristotype.symmetry import tables
from aristotype.training import fit_to_template, save_checkpoint, to_dict

if TYPE_CHECKING:
    from aristotype.models._protocol import GeneModel

FAMILY = "crystalformer"
_GEOMETRY, _GENES = "geometry.", "genes."
_SETTING = 31
"""Purpose of the random number that draws a setting."""
_ROWS_A_BLOCK, _COMPLETED_A_BLOCK = 128, 16


class CrystalFormer(nn.Module):
    """A model of crystals: a gene model and a network for their geometry."""

    draws_geometry = True

    def __init__(self, genes: GeneModel, geometry: GeometryNetwork, tries: Tries | None = None) -> None:
        """A model from its parts.

        Args:
            genes: draws and scores genes.
            geometry: draws and scores cells and free parameters.
            tries: how often what overlaps is drawn again.
        """
        super().__init__()
        self.genes = genes
        self.geometry = geometry  # its configuration names the gene model, for a reader
        self.tries = tries or Tries()
        self.name = FAMILY
        self._index = vocabulary_index(geometry.config.elements)

    @property
    def config(self) -> GeometryConfig:
        """Of the geometry."""
        return self.geometry.config

    def with_config(self, **changes: Any) -> CrystalFormer:
        """A copy with the same weights under another configuration of the same sizes.

        Raises:
            ConfigError: a setting that does not exist or is out of range.
        """
        network = GeometryNetwork(replace(self.config, **changes))
        network.load_state_dict(self.geometry.state_dict())
        return CrystalFormer(self.genes, network, self.tries).eval()

    def without_redraws(self) -> CrystalFormer:
        """The same model, which keeps what it draws first, overlaps included: its draws follow `log_prob` exactly."""
        return CrystalFormer(self.genes, self.geometry, Tries.none()).eval()

    def train_keys(self) -> set[bytes]:
        """Keys of the training genes of the gene model."""
        return self.genes.train_keys()

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that genes and geometry both know."""
        return frozenset(self.config.elements) & self.genes.vocabulary

    # Sampling

    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables of crystals in row order; row i depends on (seed, i) alone.

        Columns beside those of the gene model: `closest` (smallest distance of two atoms over the sum of their covalent
        radii), `site_draws` (sites drawn again because they overlapped) and `crystal_draws`.

        A partial crystal keeps its sites and, if it has one, its cell: crystals come in the description in which it was
        given. This is not exact conditional sampling. Genes are drawn as for a partial gene, not knowing where the
        known sites are; given its gene, a geometry is one of 16 candidates, chosen by weight, which is exact only as
        their number grows (see `_complete`). `log_prob` is that of the whole crystal, `crystal_draws` counts
        candidates, and `closest` leaves out pairs of known sites where the cell is known.

        Args:
            conditions: hard constraints; impossible ones are refused before anything is drawn.
            seed: from 0 to 2^63 - 1.
            score: also compute `log_prob`, which is null otherwise.

        Raises:
            InfeasibleConditionsError: nothing satisfies the conditions; the message says why.
            InputError: an element outside the vocabulary is asked for, or the seed is outside its range.
        """
        row, partial = 0, None
        if conditions is not None and conditions.partial_crystal is not None:
            partial, conditions = conditions.partial_crystal, conditions.without_geometry()
        size = _ROWS_A_BLOCK if partial is None else _COMPLETED_A_BLOCK
        for block in self.genes.stream(conditions, seed=seed, score=False):
            for start in range(0, len(block), size):  # who wants a few does not wait for hundreds
                table = block[start : start + size]
                rows = np.arange(row, row + len(table))
                if partial is None:
                    crystals = self._with_geometry(table, seed, rows)
                else:
                    self.eval()
                    self.check_vocabulary(table.genes())
                    crystals = with_geometry(
                        table, *complete(self.geometry, table.genes(), partial, self._index, seed, rows, self.tries)
                    )
                scores = self.log_prob(crystals) if score else [None] * len(crystals)
                yield crystals.with_columns(
                    {"model": pa.array([self.name] * len(crystals)), "log_prob": pa.array(scores, pa.float64())}
                )
                row += len(table)

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = True) -> CrystalTable:
        """The first n crystals of `stream`: independent draws.

        Raises:
            InputError: n is negative, or see `stream`.
        """
        return first_rows(self.stream(conditions, seed=seed, score=score), n, "crystals")

    def writes(self, genes: GeneBatch) -> NDArray[np.bool_]:
        """(n,) whether genes have elements of the vocabulary alone."""
        return np.asarray(np.isin(genes.elements, (0, *self.config.elements)).all(axis=1))

    def realize(self, table: CrystalTable, *, seed: int, failures: list[Failure] | None = None) -> CrystalTable:
        """Gives genes of any model a geometry; every gene gets one.

        Args:
            table: n genes; a row's geometry depends on its id, its gene and the seed.
            seed: from 0 to 2^63 - 1.
            failures: nothing is added to it.

        Raises:
            InputError: an element outside the vocabulary.
        """
        return self._with_geometry(table, seed, streams_of(table))

    def _with_geometry(self, table: CrystalTable, seed: int, rows: NDArray[np.int64]) -> CrystalTable:
        """The genes of a table with geometry, in one of their settings each."""
        self.eval()
        genes = table.genes()
        self.check_vocabulary(genes)
        settings, owner = settings_of(genes)
        count = np.bincount(owner, minlength=len(genes))
        first = np.cumsum(count) - count
        places = first + (uniforms(seed, rows, _SETTING, 1)[:, 0] * count).astype(np.int64)
        chosen = settings.take(np.argsort(owner, kind="stable")[places])
        parts = []
        for start in range(0, len(genes), _ROWS_A_BLOCK):
            part = np.arange(start, min(len(genes), start + _ROWS_A_BLOCK))
            parts.append(draw_geometry(self.geometry, chosen.take(part), self._index, seed, rows[part], self.tries))
        return with_geometry(table, chosen, Drawn.joined(parts, chosen.wyckoffs.shape))

    # Scoring

    def log_prob(self, table: CrystalTable) -> NDArray[np.float64]:
        """Exact log-probability density (n,) in nats of crystals, the same for every equivalent description.

        The measure counts genes, and is Lebesgue's for free parameters in [0, 1) (in polar groups without those of the
        site on the origin) and for the free cell parameters of the reduced cell in Angstrom and degrees. What was drawn
        again because it overlapped is not accounted for.

        Args:
            table: crystals with geometry.

        Raises:
            TableError: a row is a gene.
            InputError: an element outside the vocabulary.
        """
        return self.log_prob_parts(table)["total"]

    @torch.no_grad()
    def log_prob_parts(self, table: CrystalTable) -> dict[str, NDArray[np.float64]]:
        """`log_prob` as `total`, with its parts.

        They are `letters` (space group and template), `elements`, `lattice` (setting and cell) and `coordinates`. Where
        a crystal has several sequences with unlike cells, `lattice` is their mean, weighted by what each contributes.
        """
        table.check_geometry()
        self.eval()
        genes = table.genes()
        self.check_vocabulary(genes)
        parts = _gene_parts(self.genes, genes)
        _, owner = settings_of(genes)
        settings = np.bincount(owner, minlength=len(genes))
        cell, sites = self._log_geometry(table)
        parts["lattice"] = cell - np.log(settings)
        parts["coordinates"] = sites
        return {"total": np.sum(list(parts.values()), axis=0), **parts}

    def _log_geometry(self, table: CrystalTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-density (n,) of cells and of coordinates, given genes; their sum is exact."""
        # In double precision: the descriptions of a crystal differ in the last bits.
        network = copy.deepcopy(self.geometry).double()
        cell, sites = np.zeros(len(table)), np.zeros(len(table))
        cut: list[str] = []
        for start in range(0, len(table), _ROWS_A_BLOCK):
            part = table[start : start + _ROWS_A_BLOCK]
            rows = slice(start, start + len(part))
            found = sequences_of(part)
            cell[rows], sites[rows] = by_crystal(*log_sequences(network, found, self._index), found.owner, len(part))
            cut += [part.ids[row] for row in np.unique(found.owner[found.cut]).tolist()]
        if cut:
            warnings.warn(
                f"{len(cut)} crystals, first {cut[0]!r}, have more than {MOST} sequences: their scores are lower bounds"
                "; leave them out where a figure must be exact",
                stacklevel=4,
            )
        return cell, sites

    def score_geometry(self, table: CrystalTable) -> Tensor:
        """(n,) log-density of cells and coordinates given gene and setting; gradients flow to the geometry.

        Raises:
            TableError: a row is a gene.
        """
        table.check_geometry()
        return score_crystals(self.geometry, table, self._index)

    def check_vocabulary(self, genes: GeneBatch) -> None:
        """Refuses genes with elements that the geometry was not trained on.

        Raises:
            InputError: naming the element and the row.
        """
        refuse_unknown_elements(genes, self._index, "train on data that holds it")

    # Keeping

    def settings(self) -> dict[str, Any]:
        """What `load` builds the model from, as JSON values."""
        return {
            "family": FAMILY,
            "variant": "default",
            "tables_sha256": tables().sha256,
            "canonical_version": CANONICAL_VERSION,
            "model": to_dict(replace(self.geometry.config, genes=self.genes.name)),
            "genes": _shipped_name(self.genes) or self.genes.settings(),  # type: ignore[attr-defined]
        }

    def tensors(self) -> dict[str, Tensor]:
        """Weights by name; those of a gene model that ships are left to it."""
        own = {_GEOMETRY + name: tensor for name, tensor in self.geometry.state_dict().items()}
        if _shipped_name(self.genes) is None:
            own |= {_GENES + name: tensor for name, tensor in self.genes.tensors().items()}  # type: ignore[attr-defined]
        return own

    def save(self, directory: str | Path, *, card: str = "", half: bool = True) -> None:
        """Writes a checkpoint folder.

        Raises:
            OutputError: the folder cannot be written; an earlier checkpoint is unchanged.
        """
        save_checkpoint(directory, self.settings(), self.tensors(), card, half=half)

    @staticmethod
    def from_checkpoint(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> CrystalFormer:
        """The model of a checkpoint that was read with `load_checkpoint`.

        Raises:
            CheckpointError: it was made with other symmetry tables, or its tensors do not fit its configuration.
            UnknownNameError: its gene model was shipped with another release.
        """
        from aristotype.models._registry import load, model_of

        config: GeometryConfig = checked_config(GeometryConfig, settings)
        geometry = GeometryNetwork(config)
        own = {n.removeprefix(_GEOMETRY): t for n, t in tensors.items() if n.startswith(_GEOMETRY)}
        geometry.load_state_dict(fit_to_template(own, geometry.state_dict()))
        named = settings.get("genes")
        if isinstance(named, str):
            genes = load(named)
        else:
            genes = model_of(named, {n.removeprefix(_GENES): t for n, t in tensors.items() if n.startswith(_GENES)})
            genes.name = config.genes
        return CrystalFormer(genes, geometry).eval()


def _shipped_name(genes: GeneModel) -> str | None:
    """The name of a gene model that ships with the package."""
    from aristotype.models._registry import shipped_models

    return genes.name if genes.name in shipped_models() else None


def _gene_parts(model: GeneModel, genes: GeneBatch) -> dict[str, NDArray[np.float64]]:
    """Letters and elements of the log-probability of genes."""
    parts = getattr(model, "log_prob_parts", None)
    if parts is None:
        return {"letters": np.zeros(len(genes)), "elements": model.log_prob(genes)}
    found = parts(genes)
    letters = found["group"] + found["template"]
    return {"letters": letters, "elements": found["total"] - letters}
