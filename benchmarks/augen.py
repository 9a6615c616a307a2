"""WyckoffAUGen: how fast it is, how probable real crystals are, and the table of its paper by one evaluator."""

from __future__ import annotations

import resource
import sys
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aristotype.crystal import CrystalTable
from aristotype.evaluate import distribution_metrics, evaluate, geometry, load_reference, symmetry_metrics
from benchmarks.core import Clock, Context, Measurement, Outcome, Section
from benchmarks.crystals import TOUCHING
from benchmarks.data import model, random_rows, split
from benchmarks.gene_distances import peers

MODEL = "augen-mp20"
CRYSTALS = 512
STEPS = 30
SCORED = 500
DRAWN, ONCE, FINGERPRINTS = 10_000, 2_000, 1_000
PEERS = ("DiffCSP", "DiffCSP++")
PUBLISHED_PER_SECOND = 250.0  # a batch of 500 in 2 s on an A40
PUBLISHED = {  # Table 1 of the paper: structure, composition, U.N., W density, W elements, groups, dimensions, CMD
    "WyckoffAUGen, published": (82.35, 82.20, 34.3, 0.337, 0.038, 0.275, 0.107, 0.223),
    "DiffCSP, published": (99.92, 82.21, 85.6, 0.145, 0.400, 0.464, 0.233, 0.177),
    "DiffCSP++, published": (99.92, 85.94, 84.7, 0.166, 0.500, 0.161, 0.045, 0.108),
}
_DISTANCES = ("emd_density", "emd_elements", "group_root_jsd", "wyckoff_dimension_root_jsd")
_PARTS = ("space", "cell", "letters", "elements", "coordinates")


def augen_model(context: Context) -> Any:
    """The model asked for, `augen-mp20` where none is."""
    return model(context.crystal_model if context.crystal_model != Context().crystal_model else MODEL)


def augen_speed(context: Context) -> Outcome:
    """WyckoffAUGen: crystals drawn a second, a training step, memory; by one thread."""
    from aristotype.models.wyckoff_augen import Tries

    drawer = augen_model(context)
    kept = drawer.tries
    for tries, name in ((Tries.none(), "as they come"), (kept, "overlaps drawn again")):
        drawer.tries = tries
        drawer.sample(128, seed=context.seed + 1, score=False)  # what is found out once
        with Clock() as clock:
            table = drawer.sample(CRYSTALS, seed=context.seed, score=False)
        apart = geometry(table).closeness >= TOUCHING
        yield Measurement(
            work=f"WyckoffAUGen: crystals drawn, {name}, a CPU second",
            value=len(table) / clock.cpu,
            unit="crystals/s",
            count=f"{len(table):,} crystals",
            cpu_seconds=clock.cpu,
            published=PUBLISHED_PER_SECOND,
            seed=context.seed,
            note=f"published on an A40; {apart.mean():.1%} without atoms below {TOUCHING} of the sum of their radii",
        )
    drawer.tries = kept
    yield _training(context)


def _training(context: Context) -> Measurement:
    """Training steps of the configuration, with fresh weights, once descriptions are known."""
    import torch

    from aristotype.models._crystal_source import CrystalSource
    from aristotype.models._fitting import SITES_A_ROW
    from aristotype.models.wyckoff_augen import WyckoffAugen, WyckoffAugenConfig
    from aristotype.models.wyckoff_augen._sequences import descriptions_of, first_of_each

    rows = random_rows(split(context, "train"), 2_500, context.seed)
    fresh = WyckoffAugen.for_training(WyckoffAugenConfig(), rows.genes()).train()
    learnt = first_of_each(descriptions_of(rows))
    source = CrystalSource(learnt, fresh.batches(learnt, 0), tokens=int(128 * SITES_A_ROW), seed=context.seed)
    list(source.batches(0, 0, 1))  # what is found out once
    optimiser = torch.optim.AdamW(fresh.parameters(), 1e-5)
    crystals = steps = 0
    with Clock() as clock:
        for batch in islice(source.batches(1, 0, 1), STEPS):
            optimiser.zero_grad()
            fresh.loss(batch)[0].backward()
            optimiser.step()
            crystals, steps = crystals + len(batch.group), steps + 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    millions = sum(weights.numel() for weights in fresh.parameters()) / 1e6
    return Measurement(
        work="WyckoffAUGen: a training step, CPU seconds",
        value=clock.cpu / steps,
        unit="CPU s",
        count=f"{steps} steps, {crystals:,} crystals",
        cpu_seconds=clock.cpu,
        better="less",
        seed=context.seed,
        note=f"{millions:.1f} M parameters, {memory / 2**30:.1f} GiB of memory for 2,500 crystals",
    )


def augen_nll(context: Context) -> Outcome:
    """WyckoffAUGen: negative log-likelihoods of test crystals, beside CrystalFormer on the same ones."""
    ours, other = augen_model(context), model(Context().crystal_model)
    table = split(context, "test")
    known = np.isin(table.genes().elements, (0, *ours.config.elements)).all(axis=1)
    table = random_rows(table.filter(known), SCORED, context.seed)
    with Clock() as clock:
        parts = ours.log_prob_parts(table)
    theirs = -other.log_prob(table)
    both = np.isfinite(theirs) & np.isfinite(parts["total"])
    total = -parts["total"]
    means = " | ".join(f"{-parts[name][both].mean():.2f}" for name in _PARTS)
    apart = total[both] - theirs[both]
    lines = [
        f"| `{ours.name}` | {int(both.sum()):,} | {_mean(total[both])} | {np.median(total[both]):.2f} | {means} |",
        f"| `{other.name}` | {int(both.sum()):,} | {_mean(theirs[both])} | {np.median(theirs[both]):.2f} | - | - | - "
        "| - | - |",
    ]
    note = (
        f"{len(table):,} random crystals of mp_20_test, seed {context.seed}, on one measure: free parameters in [0, 1) "
        f"and free cell parameters in Angstrom and degrees. All sequences were summed for {parts['exact'].mean():.1%}; "
        f"of the others the sum is estimated. {clock.cpu / len(table):.2f} CPU s a crystal. Ours less the other: "
        f"{_mean(apart)} nats."
    )
    head = "| model | n | mean, nats | median | " + " | ".join(_PARTS) + " |\n" + "|---" * (4 + len(_PARTS)) + "|\n"
    yield Section(title="Likelihoods of WyckoffAUGen", text=f"{note}\n\n{head}" + "\n".join(lines))


def _mean(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}"


def augen_table(context: Context) -> Outcome:
    """WyckoffAUGen: Table 1 of the paper by the protocol `augen`, beside peers and a real sample of the same size."""
    from aristotype.models.wyckoff_augen import Tries

    drawer = augen_model(context)
    count = min(DRAWN, context.genes)
    sets: dict[str, CrystalTable] = {f"`{drawer.name}`": drawer.sample(count, seed=context.seed, score=False)}
    kept, drawer.tries = drawer.tries, Tries.none()
    sets[f"`{drawer.name}`, as drawn first"] = drawer.sample(min(ONCE, count), seed=context.seed, score=False)
    drawer.tries = kept
    found = peers(context)
    sets |= {name: random_rows(found[name], count, context.seed) for name in PEERS if name in found}
    sets["mp_20_val"] = random_rows(split(context, "val"), count, context.seed)
    reference = load_reference("mp_20", novel_against=("train",), compare="test")
    lines = []
    for name, table in sets.items():
        lines.append(_row(name, table, reference, context))
        print(lines[-1], file=sys.stderr, flush=True)  # each takes minutes
    for name, figures in PUBLISHED.items():
        valid = " | ".join(f"{value:.1f}" for value in figures[:2])
        lines.append(
            f"| {name} | 10,000 | {valid} | - | {figures[2]:.1f} | - | "
            + " | ".join(f"{value:.3f}" for value in figures[3:])
            + " |"
        )
    head = (
        "| model | n | structure, % | composition, % | no pair below .7, % | U.N., % of valid | U.N. | W density | "
        "W elements | root-JSD groups | root-JSD dimensions | CMD |\n" + "|---" * 12 + "|\n"
    )
    note = (
        f"Protocol `augen`; seed {context.seed}. Distances to mp_20_test are those of all unique and novel structures "
        "among the valid ones, in brackets those of as many random crystals of mp_20_val (all of them where there are "
        f"fewer); CMD is that of {FINGERPRINTS:,} of them and of {FINGERPRINTS:,} of mp_20_test. Novelty is against "
        "76.7 % of mp_20 train and reads high."
    )
    yield Section(title="Table 1 of WyckoffAUGen, recomputed", text=f"{note}\n\n{head}" + "\n".join(lines))


def _row(name: str, table: CrystalTable, reference: Any, context: Context) -> str:
    summary, _ = evaluate(
        table, reference=reference, protocol="augen", fingerprints=FINGERPRINTS, resamples=0, seed=context.seed
    )
    figures = {key: each["value"] for key, each in summary["metrics"].items()}
    size = summary["metrics"]["group_root_jsd"]["n"]
    floor = _floor(context, size)
    shares = [100.0 * figures[key] for key in ("valid_structure", "valid_charge")]
    apart = 100.0 * float(np.mean(geometry(table).closeness >= TOUCHING))
    distances = " | ".join(f"{figures[key]:.3f} ({floor[key]:.3f})" for key in _DISTANCES)
    return (
        f"| {name} | {len(table):,} | {shares[0]:.1f} | {shares[1]:.1f} | {apart:.1f} | "
        f"{100 * figures['unique_novel']:.1f} | {size:,} | {distances} | {figures['cmd']:.3f} |"
    )


def _floor(context: Context, size: int) -> dict[str, float]:
    """Distances of as many random crystals of mp_20_val."""
    real, test = random_rows(split(context, "val"), size, context.seed), split(context, "test")
    found = {
        **symmetry_metrics(real.genes(), test.genes(), resamples=0),
        **distribution_metrics(real, test, resamples=0),
    }
    return {key: found[key].value for key in _DISTANCES}
