"""WyckoffTransformer, our default: space group, template, number of different elements k, elements.

    p(gene) = p(G) p(T | G) p(k | T) sum over descriptions E of p(E | T, k)

Notable, against the paper (arXiv:2503.02407) and measured in docs/models.md:
- the template (multiset of positions) is drawn as a whole, from a memory of the training templates mixed with a network
  that can write any legal template; the elements are placed with all positions in view;
- templates are canonical under the affine normalizer, so that only the relabellings that keep the template remain to be
  averaged over, in training by drawing one at random each epoch, in scoring by an exact sum;
- all probability is on legal genes; one network pass gives every target of a structure in training.
`log_prob` is exact: nothing is estimated.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aristotype.crystal import (
    CANONICAL_VERSION,
    Conditions,
    CrystalTable,
    GeneBatch,
    equivalents,
    gene_keys,
    template_descriptions,
    templates_of,
)
from aristotype.datasets import TrainingBatch
from aristotype.errors import ConfigError, InputError
from aristotype.models._parts import (
    checked_config,
    elements_of,
    first_rows,
    keys_of,
    log_sum_by_row,
    log_sum_of_rows,
    refuse_known_geometry,
    refuse_unknown_elements,
    vocabulary_index,
)
from aristotype.models._targets import meets_targets
from aristotype.models.wyckoff_transformer._config import WyckoffTransformerConfig
from aristotype.models.wyckoff_transformer._elements import ElementNetwork
from aristotype.models.wyckoff_transformer._memory import TemplateMemory
from aristotype.models.wyckoff_transformer._writer import TemplateWriter
from aristotype.symmetry import tables
from aristotype.training import fit_to_template, save_checkpoint, to_dict

FAMILY = "wyckoff-transformer"
_KEYS = "train_keys"
_EARLIER = "earlier_keys"
_WRITTEN = "memory.log_writer"
_PARTS = ("group", "template", "distinct", "elements", "known")
_TOKENS_A_PASS = 6000
MOST_REJECTED = 0.6
"""Largest share of the draws of one template that is drawn again: bounds the number of attempts."""


class WyckoffTransformer(nn.Module):
    """The gene model of family WyckoffTransformer, configuration `default`."""

    def __init__(
        self,
        config: WyckoffTransformerConfig,
        memory: TemplateMemory,
        train_keys: NDArray[np.uint8] | None = None,
        earlier_keys: NDArray[np.uint8] | None = None,
    ) -> None:
        """A model with fresh weights.

        Args:
            config: sizes and settings.
            memory: templates of the training genes.
            train_keys: (n, 16) keys of the training genes, hands merged.
            earlier_keys: (n, 16) keys of what the weights were trained on before, if the model was fine-tuned.

        Raises:
            ConfigError: the memory holds a template longer than the model can write.
        """
        super().__init__()
        longest = int(memory.templates.num_sites.max(initial=0))
        if longest > config.max_sites:
            raise ConfigError(
                f"the training table holds a gene of {longest} sites, and max_sites is {config.max_sites}; "
                "raise max_sites or leave out longer genes"
            )
        self._train_keys = np.empty((0, 16), np.uint8) if train_keys is None else train_keys
        self._earlier_keys = np.empty((0, 16), np.uint8) if earlier_keys is None else earlier_keys
        self.config = replace(config, remembered=len(memory))
        self.memory = memory
        self.writer = TemplateWriter(config)
        members = nn.ModuleList(ElementNetwork(config) for _ in range(config.members))
        self.members = cast("Sequence[ElementNetwork]", members)
        self.name = FAMILY
        self._index = vocabulary_index(config.elements)
        self._written: NDArray[np.float64] | None = None  # (remembered,) `log_writer` of the memory's templates
        self._known = frozenset(key.tobytes() for key in self._train_keys)
        self.register_load_state_dict_post_hook(lambda *_: self._forget())

    @staticmethod
    def for_training(config: WyckoffTransformerConfig, genes: GeneBatch) -> WyckoffTransformer:
        """A fresh model whose vocabulary and memory come from the training genes."""
        config = replace(config, elements=elements_of(genes))
        return WyckoffTransformer(config, TemplateMemory.from_genes(genes), keys_of(genes))

    def adapted(self, genes: GeneBatch) -> WyckoffTransformer:
        """A copy to fine-tune on other genes: groups, templates and numbers of elements are theirs from the start.

        Elements that are new join the vocabulary, known by their features alone. `novel` means unlike these genes and
        unlike those that the weights were trained on before.
        """
        elements = tuple(sorted({*self.config.elements, *elements_of(genes)}))
        config = replace(self.config, elements=elements, temperature=1.0, known_rejection=0.0)
        earlier = np.unique(np.concatenate([self._earlier_keys, self._train_keys]), axis=0)
        model = WyckoffTransformer(config, TemplateMemory.from_genes(genes), keys_of(genes), earlier)
        places = torch.tensor([elements.index(number) for number in self.config.elements])
        weights = model.state_dict()
        for name, old in self.state_dict().items():
            if weights[name].shape == old.shape:
                weights[name] = old
            else:  # a row an element
                mean = old.mean(dim=0, keepdim=True) if name.endswith("bias") else torch.zeros_like(old[:1])
                weights[name] = mean.repeat(len(elements), *[1] * (old.dim() - 1)).index_copy(0, places, old)
        model.load_state_dict(weights)
        return model.eval()

    def train_keys(self) -> set[bytes]:
        """Keys of all genes that it was trained on, enantiomorphic groups merged: what `novel` is measured against."""
        return {key.tobytes() for keys in (self._earlier_keys, self._train_keys) for key in keys}

    @property
    def vocabulary(self) -> frozenset[int]:
        """Atomic numbers of the elements that it knows."""
        return frozenset(self.config.elements)

    # Sampling

    @meets_targets
    def stream(self, conditions: Conditions | None = None, *, seed: int, score: bool = False) -> Iterator[CrystalTable]:
        """Endless tables of genes in row order; row i depends on (seed, i) alone.

        Args:
            conditions: hard constraints; impossible ones are refused before anything is drawn.
            seed: from 0 to 2^63 - 1.
            score: also compute `log_prob` (about as much work again); the column is null otherwise.

        Raises:
            InfeasibleConditionsError: nothing satisfies the conditions; the message says why.
            InputError: an element outside the vocabulary, coordinates that are known, or a seed outside its range.
        """
        from aristotype.models.wyckoff_transformer._plan import Plan
        from aristotype.models.wyckoff_transformer._sampler import draw_blocks

        if not 0 <= seed < 1 << 63:
            raise InputError(f"the seed is {seed}; it must be from 0 to 2^63 - 1")
        refuse_known_geometry(conditions, self.name)
        plan = Plan(self.config, self.memory, conditions or Conditions())
        return self._tables(draw_blocks(self, plan, seed), seed, score)

    def _tables(self, blocks: Iterator[GeneBatch], seed: int, score: bool) -> Iterator[CrystalTable]:
        start = 0
        for genes in blocks:
            rows = range(start, start + len(genes))
            table = CrystalTable.from_genes(genes, ids=[f"{seed}-{row}" for row in rows]).with_columns(
                {
                    "model": pa.array([self.name] * len(genes)),
                    "seed": pa.array([seed] * len(genes), pa.int64()),
                    "log_prob": pa.nulls(len(genes), pa.float64()),
                }
            )
            yield self.scored(table) if score else table
            start += len(genes)

    def scored(self, table: CrystalTable) -> CrystalTable:
        """The table with `log_prob` filled in."""
        return table.with_columns({"log_prob": pa.array(self.log_prob(table.genes()), pa.float64())})

    def sample(self, n: int, conditions: Conditions | None = None, *, seed: int, score: bool = True) -> CrystalTable:
        """The first n genes of `stream`: independent draws, so that a gene can come twice.

        Raises:
            InputError: n is negative, or see `stream`.
        """
        return first_rows(self.stream(conditions, seed=seed, score=score), n, "genes")

    def save(self, directory: str | Path, *, card: str = "", half: bool = True) -> None:
        """Writes a checkpoint folder: weights, counted templates, configuration, model card.

        Raises:
            OutputError: the folder cannot be written; an earlier checkpoint is unchanged.
        """
        tensors = self.tensors()
        writer = copy.deepcopy(self.writer)
        if half:  # the sums of what a reader gets
            writer.load_state_dict(
                {k: v.half().float() if v.is_floating_point() else v for k, v in writer.state_dict().items()}
            )
        with np.errstate(invalid="ignore"):  # weights that are not numbers are refused below, by name
            tensors[_WRITTEN] = torch.from_numpy(self._sum_writer(writer, self.memory.templates))
        save_checkpoint(directory, self.settings(), tensors, card, half=half)

    def settings(self) -> dict[str, Any]:
        """What `load` builds the model from, as JSON values."""
        return {
            "family": FAMILY,
            "variant": "default",
            "tables_sha256": tables().sha256,
            "canonical_version": CANONICAL_VERSION,
            "model": to_dict(self.config),
        }

    def tensors(self) -> dict[str, Tensor]:
        """Weights and memory by name."""
        keys = {_KEYS: self._train_keys, _EARLIER: self._earlier_keys}
        kept = {name: torch.from_numpy(array.copy()) for name, array in keys.items() if len(array)}
        return {**self.state_dict(), **self.memory.tensors(), **kept}

    @staticmethod
    def from_checkpoint(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> WyckoffTransformer:
        """The model of a checkpoint that was read with `load_checkpoint`.

        Raises:
            CheckpointError: it was made with other symmetry tables, or its tensors do not fit its configuration.
        """
        config: WyckoffTransformerConfig = checked_config(WyckoffTransformerConfig, settings)
        memory, weights = TemplateMemory.from_tensors(tensors)
        keys, earlier = (weights.pop(name, torch.empty(0, 16, dtype=torch.uint8)) for name in (_KEYS, _EARLIER))
        written = weights.pop(_WRITTEN, None)
        model = WyckoffTransformer(config, memory, keys.numpy(), earlier.numpy())
        model.load_state_dict(fit_to_template(weights, model.state_dict()))
        model.eval()
        if written is not None and len(written) == len(memory):
            model._written = written.double().numpy()
        return model

    def with_config(self, **changes: Any) -> WyckoffTransformer:
        """A copy with the same weights under another configuration of the same sizes.

        Raises:
            ConfigError: a setting that does not exist or is out of range.
        """
        settings = self.settings()
        settings["model"] = to_dict(replace(self.config, **changes))
        return WyckoffTransformer.from_checkpoint(settings, self.tensors())

    # Training

    def loss(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood in nats of one description a gene, and its two parts; members' losses are added."""
        template = -self.writer.log_prob(batch.group, batch.any_wyckoffs).sum() / batch.mean_rows
        members = [member.log_prob(batch.group, batch.wyckoffs, batch.elements).sum() for member in self.members]
        elements = -torch.stack(members) / batch.mean_rows
        parts = {"template": template.detach(), "elements": elements.mean().detach()}
        return template + elements.sum(), parts

    def train(self, mode: bool = True) -> WyckoffTransformer:
        """Switches dropout on or off; what was cached from the weights is forgotten."""
        if mode:
            self._forget()
        super().train(mode)
        return self

    def _forget(self) -> None:
        """Drops what was computed from weights that may change."""
        self._written = None

    # Scoring

    def log_prob(self, genes: Any) -> NDArray[np.float64]:
        """Exact log-probability (n,) in nats of genes, the same for every equivalent description.

        The measure is counting over genes, equivalence under the affine normalizer divided out. Genes that are not
        legal, or longer than the model can write, have probability zero (-inf).

        Args:
            genes: a GeneBatch, or a table with `.genes()`.

        Raises:
            InputError: an element outside the vocabulary.
        """
        return self.log_prob_parts(genes)["total"]

    @torch.no_grad()
    def log_prob_parts(self, genes: Any) -> dict[str, NDArray[np.float64]]:
        """`log_prob` as `total`, with its parts, each given those before it.

        They are `group`, `template`, `distinct` (the number of different elements), `elements`, and `known` (the
        correction for training genes, see `known_correction`).
        """
        genes = genes if isinstance(genes, GeneBatch) else genes.genes()
        self.check_vocabulary(genes)
        self.eval() if self.training else None
        legal = genes.legal() & (genes.num_sites <= self.config.max_sites)
        parts = {name: np.full(len(genes), -np.inf) for name in (*_PARTS, "total")}
        kept = genes.take(np.flatnonzero(legal))
        if len(kept):
            groups = self.memory.group_probabilities(self.config.group_smoothing)
            parts["group"][legal] = np.log(groups[kept.space_group])
            found = self.memory.find(kept)
            parts["template"][legal] = self.memory.log_prob(kept, found, self.log_writer(kept, found))
            distinct = self.memory.distinct_probabilities(found, kept.num_sites, len(self.config.elements))
            with np.errstate(divide="ignore"):
                parts["distinct"][legal] = np.log(distinct[np.arange(len(kept)), kept.num_elements])
            parts["elements"][legal] = self.log_elements(kept)
            parts["known"][legal] = self.known_correction(kept, found)
            parts["total"][legal] = sum(parts[name][legal] for name in _PARTS)
        return parts

    def is_known(self, genes: GeneBatch) -> NDArray[np.bool_]:
        """(n,) whether each gene, or its mirror image in an enantiomorphic group, is a training gene."""
        keys = gene_keys(genes, merge_enantiomorphs=True).tolist()
        return np.array([key in self._known for key in keys], dtype=bool)

    def rejection(self, found: NDArray[np.int64], kinds: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(n,) the probability with which a training gene is drawn again, and that of all of them, by template and k.

        Args:
            found: (n,) templates' indices in the memory, -1 for others, where nothing is drawn again.
            kinds: (n,) numbers of different elements.
        """
        inside = (found >= 0) & (kinds < self.memory.known.shape[1])
        mass = np.where(inside, self.memory.known[found, np.where(inside, kinds, 0)], 0.0)
        most = np.divide(MOST_REJECTED, mass, out=np.ones_like(mass), where=mass > MOST_REJECTED)
        return np.where(inside, np.minimum(self.config.known_rejection, most), 0.0), mass

    def known_correction(self, genes: GeneBatch, found: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) what is added to the log-probability because training genes come again too often.

        A network that has seen a gene sixty times gives it more than its share. Given the template and the number of
        elements, training genes of mass m are drawn again with probability r: a factor (1 - r) for them and
        1 / (1 - r m) for all, so that templates keep their probability and training genes recur as often as they do in
        held-out data.
        """
        rejected, mass = self.rejection(found, genes.num_elements)
        return np.log1p(-rejected) * self.is_known(genes) - np.log1p(-rejected * mass)

    @torch.no_grad()
    def log_writer(self, genes: GeneBatch, found: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """(n,) the writer's log-probability of each gene's template, summed over all its descriptions.

        Args:
            genes: n genes whose elements are not looked at.
            found: (n,) their indices in the memory, if they are known already.
        """
        self.eval() if self.training else None
        found = self.memory.find(genes) if found is None else found
        if self._written is None:
            self._written = self._sum_writer(self.writer, self.memory.templates)
        new = np.flatnonzero(found < 0)
        values = np.append(self._written, np.nan)[found]
        values[new] = self._sum_writer(self.writer, genes.take(new))
        return values

    @torch.no_grad()
    def _sum_writer(self, writer: TemplateWriter, genes: GeneBatch) -> NDArray[np.float64]:
        """`log_writer` of genes by a writer."""
        templates = templates_of(genes)
        described, owner = equivalents(templates)
        values = np.empty(len(described))
        for index, group, wyckoffs, _ in self._passes(described):
            values[index] = writer.log_prob(group, wyckoffs).double().cpu().numpy()
        return log_sum_by_row(values, owner, len(templates))

    @torch.no_grad()
    def log_elements(self, genes: GeneBatch) -> NDArray[np.float64]:
        """(n,) log-probability of the elements given the template, summed over the descriptions, members mixed."""
        return self.score_elements(genes).cpu().numpy()

    def score_elements(self, genes: GeneBatch) -> Tensor:
        """`log_elements` as a tensor, through which gradients flow to the element networks."""
        described, owner = template_descriptions(genes)
        passes = list(self._passes(described))
        if not passes:
            return torch.zeros(0, dtype=torch.float64)
        scores = [torch.stack([member.log_prob(*batch) for member in self.members]).double() for _, *batch in passes]
        order = np.argsort(np.concatenate([rows for rows, *_ in passes]))
        mixed = torch.logsumexp(torch.cat(scores, dim=1)[:, order], dim=0) - math.log(len(self.members))
        return log_sum_of_rows(mixed, owner, len(genes))

    def _passes(self, genes: GeneBatch) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor, Tensor]]:
        """Genes of equal length together, in pieces of bounded size: rows, groups, letters, vocabulary indices."""
        device = self.writer.stop.weight.device
        sites = genes.num_sites
        for length in np.unique(sites).tolist():
            rows = np.flatnonzero(sites == length)
            for piece in np.array_split(rows, max(1, len(rows) * length // _TOKENS_A_PASS)):
                yield (
                    piece,
                    torch.from_numpy(genes.space_group[piece].astype(np.int64)).to(device),
                    torch.from_numpy(genes.wyckoffs[piece, :length].astype(np.int64)).to(device),
                    torch.from_numpy(self._index[genes.elements[piece, :length]]).to(device),
                )

    def check_vocabulary(self, genes: GeneBatch) -> None:
        """Refuses genes with elements that the model was not trained on.

        Raises:
            InputError: naming the element and the row.
        """
        refuse_unknown_elements(genes, self._index)
