"""Discrete diffusion: a training step and its memory, genes by number of steps, and what fewer steps cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from aristotype.crystal import gene_keys
from aristotype.evaluate import KnownKeys, frechet_gene, gene_embedding, gene_report
from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome, Section, Skipped, run_python
from benchmarks.data import encoder, model, random_rows, split
from benchmarks.speed_sample import PEAK

STEPS = 8
BATCH = 256
MANY = 1_000  # steps of the noise
GENES = 64
CHAINS = (1_000, 250, 100, 50, 25)
BOUNDED = 500  # genes whose bound is estimated
EVALUATIONS = 20
RUN_BOUNDED = 1_000
FEW_EVALUATIONS = 10
_TRAIN = """
import sys, time, torch
from aristotype.datasets import load_dataset
from aristotype.models.wyckoffdiff import WyckoffDiff, WyckoffDiffConfig
from aristotype.models.wyckoffdiff._source import OccupationSource
from aristotype.symmetry import tables
from aristotype.training import load_config
torch.set_num_threads(int(sys.argv[4]))
network, steps, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
paper = {"network": "gnn", "width": 256, "layers": 3, "loss": "published", "told_sizes": False}
paper = paper if network == "gnn" else {}
genes = load_dataset("mp_20", "train").genes()
torch.manual_seed(0)
learner = WyckoffDiff.for_training(WyckoffDiffConfig(**paper), genes).train()
mean = tables().num_positions[genes.space_group].mean()
size = len(learner.config.elements)
source = OccupationSource(genes, learner.vocabulary_index, elements=size, positions=int(batch * mean), seed=0)
optimizer = torch.optim.AdamW(learner.parameters())
rows = 0
for number, part in zip(range(steps + 1), source.batches(0, 0, 1)):
    if number == 1:
        begin, rows = time.process_time(), 0
    optimizer.zero_grad()
    learner.loss(part)[0].backward()
    optimizer.step()
    rows += len(part.rows)
print((time.process_time() - begin) / steps, rows / steps, sum(p.numel() for p in learner.parameters()) / 1e6)
"""


def diffusion_speed(context: Context) -> Outcome:
    """Training steps of both networks with their memory, and genes a CPU second."""
    for network, name, limit in (("transformer", "default", None), ("gnn", "`paper`", published.DIFFUSION_STEP)):
        printed, clock = run_python(_TRAIN + PEAK, network, str(STEPS), str(BATCH), str(context.threads))
        *_, figures, peak = printed.strip().splitlines()
        seconds, rows, size = map(float, figures.split())
        yield Measurement(
            work=f"WyckoffDiff {name}, a training step of {BATCH} genes",
            value=seconds * BATCH / rows,
            unit="CPU s",
            count=f"{STEPS} steps of {rows:.0f} genes on average",
            cpu_seconds=clock.cpu,
            published=limit,
            better="less",
            seed=0,
            note=f"{size:.2f} M parameters; peak memory of the process {int(peak) / 1e9:.2f} GB (published: 4.3 GB)",
        )
    drawer = _drawer(context)
    for steps, count in ((drawer.config.steps, 4 * GENES), (MANY, GENES)):
        chosen = drawer.with_config(steps=steps)
        chosen.sample(8, None, seed=context.seed + 1, score=False)
        with Clock() as clock:
            table = chosen.sample(count, None, seed=context.seed, score=False)
        yield Measurement(
            work=f"WyckoffDiff, genes drawn in {steps} steps",
            value=int(table.genes().legal().sum()) / clock.cpu,
            unit="legal genes a CPU second",
            count=f"{count} genes",
            cpu_seconds=clock.cpu,
            published=published.DIFFUSION_SAMPLED,
            seed=context.seed,
            note=f"`{context.model}`",
        )


def diffusion_steps(context: Context) -> Outcome:
    """Genes of chains of different lengths, each beside the test part and beside the longest chain."""
    drawer = _drawer(context)
    test = gene_embedding(split(context, "test").genes())
    judged = split(context, "val").genes().take(range(BOUNDED))
    known = drawer.train_keys()
    lines = [
        "| steps | genes a CPU second | Fréchet distance of genes | bound on mp_20_val (nats) | novel | sites a gene |",
        "|---|---|---|---|---|---|",
    ]
    for steps in CHAINS:
        chosen = drawer.with_config(steps=steps)
        with Clock() as clock:
            genes = chosen.sample(context.genes, None, seed=context.seed, score=False).genes()
        found = frechet_gene(gene_embedding(genes), test)
        novel = np.mean([key not in known for key in gene_keys(genes, merge_enantiomorphs=True).tolist()])
        value, error = chosen.bound(judged, EVALUATIONS)
        spread = np.sqrt((error**2).sum()) / len(error)
        cells = [
            f"{steps}",
            f"{len(genes) / clock.cpu:.1f}",
            f"{found.distance.value:.4f}",
            f"{-value.mean():.2f} (standard error {spread:.2f})",
            f"{novel:.1%}",
            f"{genes.num_sites.mean():.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    note = (
        f"`{context.model}`, {context.genes:,} genes for each number of steps, seed {context.seed}, against "
        f"mp_20_test. {found.note}. The bound is that of {BOUNDED:,} genes of mp_20_val, estimated from "
        f"{EVALUATIONS} steps each. "
        "Novelty is counted against the part of the train split at hand."
    )
    yield Section(title="Chains of fewer steps", text=note + "\n\n" + "\n".join(lines))


def diffusion_runs(context: Context) -> Outcome:
    """Trained models side by side: their bounds, and their genes beside the validation split."""
    if not context.runs:
        raise Skipped("it compares runs, and none is given: name checkpoint folders with --runs")
    val, train = split(context, "val").genes(), KnownKeys.of(split(context, "train").genes())
    judged = random_rows(split(context, "val"), RUN_BOUNDED, context.seed).genes()
    lines = [
        "| run | network | prior | loss | bound on mp_20_val, nats | Fréchet distance of genes | the same, novel genes "
        "| novel | EMD number of elements | EMD number of sites | SMACT | novel templates per 1,000 |",
        "|---|" + "---|" * 11,
    ]
    for folder in context.runs:
        drawer = _diffusion(folder)
        genes = drawer.sample(context.genes, None, seed=context.seed, score=False).genes()
        found = gene_report(genes, val, train_keys=train, resamples=0, encoder=encoder(context.encoder))["metrics"]
        new = [key not in train.merged_genes for key in gene_keys(genes, merge_enantiomorphs=True).tolist()]
        apart = frechet_gene(genes.take(np.flatnonzero(new)), val, encoder=encoder(context.encoder)).distance.value
        known = np.isin(judged.elements, (0, *drawer.config.elements)).all(axis=1)
        value, error = drawer.bound(judged.take(np.flatnonzero(known)), FEW_EVALUATIONS)
        lost = np.isinf(value)
        spread = np.sqrt((error[~lost] ** 2).sum()) / (~lost).sum()
        config = drawer.config
        cells = [
            folder,
            config.network,
            config.prior,
            config.loss,
            f"{-value[~lost].mean():.2f} (of the estimate {spread:.2f}; {(~known).sum() + lost.sum()} not scored)",
            f"{found['frechet_gene']['value']:.3f}",
            f"{apart:.3f}",
            f"{np.mean(new):.1%}",
            f"{found['emd_elements']['value']:.3f}",
            f"{found['emd_sites']['value']:.3f}",
            f"{found['smact']['value']:.1%}",
            f"{found['novel_templates_1000']['value']:.0f}" if "novel_templates_1000" in found else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    note = (
        f"{context.genes:,} genes of each run, seed {context.seed}, in the steps of its configuration, against "
        f"mp_20_val; bounds of {RUN_BOUNDED:,} of its genes, {FEW_EVALUATIONS} steps each. Novelty is against the part "
        "of the train split at hand."
    )
    yield Section(title="Runs of the diffusion side by side", text=note + "\n\n" + "\n".join(lines))


def diffusion_nll(context: Context) -> Outcome:
    """The bound on the negative log-likelihood of held-out genes."""
    drawer = _drawer(context)
    lines = ["| genes of | n | bound, nats | median | not scored |", "|---|---|---|---|---|"]
    for name in ("val", "test"):
        genes = split(context, name).genes()
        known = np.isin(genes.elements, (0, *drawer.config.elements)).all(axis=1)
        value = -drawer.bound(genes.take(np.flatnonzero(known)), FEW_EVALUATIONS)[0]
        finite = value[np.isfinite(value)]
        error = finite.std(ddof=1) / np.sqrt(len(finite))
        lines.append(
            f"| mp_20_{name} | {len(genes):,} | {finite.mean():.2f} ± {error:.2f} | {np.median(finite):.2f} | "
            f"{len(genes) - len(finite)} |"
        )
    note = (
        "An upper bound, p(group) and the number of equivalent descriptions included, estimated from "
        f"{FEW_EVALUATIONS} of the {drawer.config.steps} steps of a chain each; standard errors over genes hold the "
        "noise of the estimate. Not scored: an element or a count that the model does not write."
    )
    yield Section(title=f"Bound of the NLL under `{context.model}`", text=note + "\n\n" + "\n".join(lines))


def _drawer(context: Context) -> Any:
    return _diffusion(context.model)


def _diffusion(name: str) -> Any:
    found = model(name)
    if not hasattr(getattr(found, "config", None), "timesteps"):
        raise Skipped(f"the model {name} is no diffusion; take wyckoffdiff-mp20 or a run of `train wyckoffdiff`")
    return found
