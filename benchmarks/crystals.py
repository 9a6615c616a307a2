"""Models of crystals: how fast they are, how probable real crystals are, and whether what they draw is valid."""

from __future__ import annotations

import warnings
from itertools import islice
from typing import Any

import numpy as np

from aristotype.crystal import Conditions, CrystalTable
from aristotype.evaluate import geometry, validity
from benchmarks import published
from benchmarks.core import Clock, Context, Measurement, Outcome, Section
from benchmarks.data import crystal_model, model, random_rows, split

CRYSTALS = 512
ROWS = 2_500
STEPS = 30
GROUP_SAMPLES = 500
GROUPS = (2, 12, 62, 139, 166, 194, 225)
PARTS = ("letters", "elements", "lattice", "coordinates")
TOUCHING = 0.7
"""Of the sum of two covalent radii: nearer atoms overlap."""


def crystals_speed(context: Context) -> Outcome:
    """Crystals to tokens, training steps, and crystals drawn, by one thread."""
    yield _tokens(context)
    yield _training(context)
    yield _training_published(context)
    yield from _sampling(context)
    yield _sampling_published(context)


def _tokens(context: Context) -> Measurement:
    """From a table to the arrays that a network reads."""
    from aristotype.models.crystalformer._arrays import arrays_of
    from aristotype.models.crystalformer._sequences import sequences_of

    table = split(context, "val")
    arrays_of(sequences_of(table[:50]))  # reads the shipped tables
    with Clock() as clock:
        found = sequences_of(table)
        first = found.take(np.unique(found.owner, return_index=True)[1])
        arrays_of(first)
    return Measurement(
        work="crystals to tokens, a CPU second",
        value=len(table) / clock.cpu,
        unit="crystals/s",
        count=f"{len(table):,} crystals of mp_20_val",
        cpu_seconds=clock.cpu,
        published=published.TOKENISED_PER_SECOND,
        seed=context.seed,
        note=f"all {len(found):,} sequences of them found",
    )


def _training(context: Context) -> Measurement:
    """Training steps of the shipped network."""
    from aristotype.models.crystalformer._places import maker_of_places

    network = crystal_model(context).geometry
    model.cache_clear()  # training changes the weights in place: others get a fresh copy
    note = "{millions} M parameters (published: 4.8 M)"
    return _steps(context, "training of crystals, CPU seconds a sample", network, maker_of_places, 700, note)


def _training_published(context: Context) -> Measurement:
    """Training steps of the published network in its size, with fresh weights."""
    from aristotype.models.crystalformer.paper._tokens import maker_of_tokens

    network = _published_size(context).network
    note = "{millions} M parameters, {tokens:.0f} tokens a crystal"
    return _steps(context, "the same, configuration `paper`", network, maker_of_tokens, 460, note)


def _steps(context: Context, work: str, network: Any, maker: Any, sites: int, note: str) -> Measurement:
    """Training steps, forward, backward and optimiser, on batches of about so many sites that `maker` makes."""
    import torch

    from aristotype.models._crystal_source import CrystalSource
    from aristotype.models.crystalformer._sequences import first_of_each, sequences_of

    sequences = first_of_each(sequences_of(random_rows(split(context, "train"), ROWS, context.seed)))
    make = maker(sequences, network.config.elements)
    source = CrystalSource(sequences, make, tokens=sites, seed=context.seed)
    optimiser = torch.optim.AdamW(network.train().parameters(), 1e-5)
    shapes = []
    with Clock() as clock:
        for batch in islice(source.batches(0, 0, 1), STEPS):
            optimiser.zero_grad()
            (-torch.stack(network.log_prob(batch)).sum() / len(batch.group)).backward()
            optimiser.step()
            shapes.append(batch.wyckoffs.shape)
    rows, length = np.array(shapes).T
    crystals = int(rows.sum())
    return Measurement(
        work=work,
        value=clock.cpu / crystals,
        unit="CPU s",
        count=f"{len(rows)} steps, {crystals:,} crystals",
        cpu_seconds=clock.cpu,
        published=published.CRYSTAL_TRAINED_SECONDS,
        better="less",
        seed=context.seed,
        note=note.format(millions=_millions(network), tokens=np.average(5 * length + 1, weights=rows)),
    )


def _sampling_published(context: Context) -> Measurement:
    """Crystals drawn by the published network in its size, with fresh weights."""
    fresh = _published_size(context).eval()
    fresh.sample(16, seed=context.seed + 1, score=False)
    with Clock() as clock:
        table = fresh.sample(CRYSTALS, seed=context.seed, score=False)
    return Measurement(
        work="crystals drawn, configuration `paper`, a CPU second",
        value=len(table) / clock.cpu,
        unit="crystals/s",
        count=f"{len(table):,} crystals",
        cpu_seconds=clock.cpu,
        published=published.CRYSTALS_PER_SECOND,
        seed=context.seed,
        note=f"fresh weights, {_millions(fresh)} M parameters, {table.genes().num_sites.mean():.1f} sites a crystal",
    )


def _published_size(context: Context) -> Any:
    import torch

    from aristotype.models.crystalformer.paper import CrystalFormerPaper, PaperConfig

    torch.manual_seed(context.seed)
    return CrystalFormerPaper.for_training(PaperConfig(), split(context, "train").genes())


def _millions(network: Any) -> str:
    return f"{sum(weights.numel() for weights in network.parameters()) / 1e6:.1f}"


def _sampling(context: Context) -> Outcome:
    """Crystals drawn without scores, as they come and with overlaps drawn again."""
    from aristotype.models.crystalformer import Tries

    drawer = crystal_model(context)
    for tries, name in ((Tries.none(), "as they come"), (Tries(), "overlaps drawn again")):
        drawer.tries = tries
        drawer.sample(16, seed=context.seed + 1, score=False)
        with Clock() as clock:
            table = drawer.sample(CRYSTALS, seed=context.seed, score=False)
        apart = table.column("closest").to_numpy() >= TOUCHING
        yield Measurement(
            work=f"crystals drawn, {name}, a CPU second",
            value=len(table) / clock.cpu,
            unit="crystals/s",
            count=f"{len(table):,} crystals",
            cpu_seconds=clock.cpu,
            published=published.CRYSTALS_PER_SECOND,
            seed=context.seed,
            note=f"genes included; {apart.mean():.1%} without atoms below {TOUCHING} of the sum of their radii",
        )
    drawer.tries = Tries()


def crystals_nll(context: Context) -> Outcome:
    """Negative log-likelihoods of test and validation crystals, by part."""
    scorer = crystal_model(context)
    rows = []
    for name in ("test", "val"):
        table = split(context, name)
        known = np.isin(table.genes().elements, (0, *scorer.config.elements)).all(axis=1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            parts = scorer.log_prob_parts(table.filter(known))
        finite = np.isfinite(parts["total"])
        total = -parts["total"][finite]
        means = " | ".join(
            f"{-parts[key][finite].mean():.2f}" for key in ("letters", "elements", "lattice", "coordinates")
        )
        rows.append(
            f"| mp_20_{name} | {len(table):,} | {total.mean():.2f} ± {total.std() / np.sqrt(len(total)):.2f} | "
            f"{np.median(total):.2f} | {means} | {len(table) - int(finite.sum())} | {len(caught)} |"
        )
    head = (
        "| crystals of | n | mean, nats | median | letters | elements | lattice | coordinates | not scored | bounds |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
    )
    note = (
        "Exact densities of crystals, all sequences summed: by free parameters in [0, 1) and free cell parameters in "
        "Angstrom and degrees. `bounds`: warnings that a score is a lower bound only."
    )
    yield Section(title=f"NLL of crystals under `{context.crystal_model}`", text=f"{note}\n\n{head}" + "\n".join(rows))


def crystals_validity(context: Context) -> Outcome:
    """Structural and compositional validity by space group, as drawn first and with overlaps drawn again."""
    from aristotype.models.crystalformer import Tries

    drawer = crystal_model(context)
    lines = [
        "| space group | published structure / composition | ours, as drawn first | ours, overlaps drawn again | "
        "no overlap, as drawn first | no overlap, drawn again | sites drawn again a crystal | draws a crystal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    drawn = drawer.sample(GROUP_SAMPLES, seed=context.seed, score=False).space_group
    for number in (1,) if np.mean(drawn == 1) > 0.9 else (*GROUPS, None):  # a model of crystals as P1 has one row
        conditions = None if number is None else Conditions(space_groups=[number])
        theirs = published.CRYSTAL_VALIDITY.get(number)
        shown = "-" if theirs is None else f"{theirs[0]:.1f} / {theirs[1]:.1f}"
        once = _drawn(drawer, Tries.none(), conditions, context.seed)
        cells = [str(number or "all"), shown, _valid(once), "-", f"{_apart(once):.1%}", "-", "-", "-"]
        if "site_draws" in once.columns:  # the model draws again what overlaps
            again = _drawn(drawer, Tries(), conditions, context.seed)
            site, crystal = (again.column(name).to_numpy().mean() for name in ("site_draws", "crystal_draws"))
            cells[3], cells[5:] = _valid(again), [f"{_apart(again):.1%}", f"{site:.2f}", f"{crystal:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    drawer.tries = Tries()
    note = (
        f"{GROUP_SAMPLES} samples each, seed {context.seed}; structure: no two atoms below .5 Angstrom and a volume of "
        "at least .1 cubic Angstrom; composition: SMACT. No overlap: no two atoms below .7 of the sum of their "
        "covalent radii."
    )
    yield Section(title=f"Validity of crystals of `{context.crystal_model}`", text=note + "\n\n" + "\n".join(lines))


def _drawn(drawer: Any, tries: Any, conditions: Conditions | None, seed: int) -> CrystalTable:
    drawer.tries = tries
    table: CrystalTable = drawer.sample(GROUP_SAMPLES, conditions, seed=seed, score=False)
    return table


def _apart(table: CrystalTable) -> float:
    return float(np.mean(geometry(table).closeness >= TOUCHING))


def _valid(table: CrystalTable) -> str:
    found = validity(table)
    return f"{100 * found.structure.mean():.1f} / {100 * found.charge.mean():.1f}"
