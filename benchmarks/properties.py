"""Properties from genes: errors, what a user would take instead, and whether the uncertainty can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from aristotype.calculators import single_points
from aristotype.crystal import GeneBatch
from aristotype.datasets import open_dataset
from aristotype.evaluate import compositions, magpie_fingerprints, read_hull
from aristotype.models.gene_encoder import Labelled
from aristotype.predict import TrainingRows, coverage, errors_of, labelled_rows, target_named, training_rows
from benchmarks.core import Context, Outcome, Section, Skipped
from benchmarks.data import data_folder, encoder, split

LEVELS = (0.5, 0.8, 0.9, 0.95)
CHGNET_ROWS = 300
SHARES = (0.8, 0.1, 0.1)
"""Train, val and test of tables that come without splits, drawn by the keys of genes."""
WBM = "wbm"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A property, and where its values are."""

    target: str
    data: str  # a registered name or a file of the data folder
    split: tuple[float, float, float] | None = None
    added: tuple[str, ...] = ()  # further sources of training rows


EXPERIMENTS = (
    Experiment(target="formation_energy", data="mp_20", added=(WBM,)),
    Experiment(target="band_gap", data="mp_20", added=(WBM,)),
    *(
        Experiment(target=name, data="aflow_thermo_elastic.parquet")
        for name in ("bulk_modulus", "shear_modulus", "debye_temperature", "thermal_conductivity", "thermal_expansion")
    ),
    Experiment(target="phonon_peak", data="matbench_phonons.parquet", split=SHARES),
    Experiment(target="refractive_index", data="mp_dielectric_petousis2017.parquet", split=SHARES),
    Experiment(target="piezoelectric_modulus", data="mp_piezoelectric_dejong2015.parquet", split=SHARES),
)


def properties(context: Context) -> Outcome:
    """MAE on the test rows of every property with a model, beside the mean and Magpie with gradient boosting."""
    head = ["property", "unit", "train / val / test", "from genes: MAE (95 %)", "mean predictor", "ratio"]
    head += ["Magpie + gradient boosting (95 %)", "ours / theirs"]
    errors = [f"| {' | '.join(head)} |", "|---|" + "---|" * (len(head) - 1)]
    spread = [f"| property | {' | '.join(f'{q:.0%}' for q in LEVELS)} | rank correlation |", "|---|" + "---|" * 5]
    for experiment, model in _models(context):
        rows = _rows(experiment, data_folder(context))
        error, covered = _judged(model, rows, experiment, context.seed)
        errors.append(error)
        spread.append(covered)
    if len(errors) == 2:
        raise Skipped("no model of a property is at hand: give --encoder or --properties")
    about = (
        "Mean absolute errors on test rows, intervals by 1,000 bootstrap resamples of the rows. mp_20 is 76.7 % of its "
        "train split, of which 6,048 rows have an energy; with it learn the labelled rows of the WBM sample that share "
        "neither formula and group nor id with a val or test row. AFLOW: the published splits. Phonons, refractive "
        f"index, piezoelectric modulus: splits {SHARES} by the keys of genes. Genes without a prediction are not "
        "counted (see the test column). Gradient boosting: scikit-learn's histogram trees on 132 Magpie features, "
        "absolute error, up to 2,000 trees, stopped on the val rows; the same training rows."
    )
    yield Section(title="Properties from genes", text="\n".join([about, "", *errors]))
    told = (
        "Share of test rows within the central interval of the predicted Laplace distribution, and Spearman's "
        "correlation of predicted width and absolute error. The width is calibrated on val rows."
    )
    yield Section(title="Uncertainty of properties", text="\n".join([told, "", *spread]))


def beside_chgnet(context: Context) -> Outcome:
    """Formation energies of random test rows from the gene alone, and by CHGNet from the DFT geometry."""
    model = encoder(context.encoder)
    test = split(context, "test")
    target = target_named("formation_energy")
    rows, values = labelled_rows(test, target)
    drawn = np.sort(np.random.default_rng(context.seed).permutation(len(rows))[:CHGNET_ROWS])
    few, known = test.take(rows[drawn]), values[drawn]
    total = single_points(few, "chgnet", device="cpu")
    theirs = read_hull(context.hull).formation_energies(compositions(few.genes()), total)
    ours, _ = model.predict(few.genes())
    both = np.isfinite(theirs) & np.isfinite(ours)
    lines = [
        f"| {name} | {int(both.sum())} | {_text(errors_of(found[both], known[both], seed=context.seed))} |"
        for name, found in ((f"`{model.name}`, gene alone", ours), ("CHGNet 0.3.0, DFT geometry", theirs))
    ]
    about = (
        f"{CHGNET_ROWS} random labelled rows of mp_20_test, seed {context.seed}, eV/atom. CHGNet was trained on "
        "relaxations of the Materials Project, these crystals most likely among them; its energies are relative to the "
        "elements of the shipped hull."
    )
    head = ["| energies | rows | MAE (95 %) |", "|---|---|---|"]
    yield Section(title="Formation energies beside CHGNet", text="\n".join([about, "", *head, *lines]))


def _models(context: Context) -> Iterator[tuple[Experiment, Any]]:
    """The experiments of which a model is at hand: the shipped encoder for its own target, else a folder of runs."""
    shipped = encoder(context.encoder)
    for experiment in EXPERIMENTS:
        folder = Path(context.properties or "") / experiment.target / "best"
        if context.properties and (folder / "config.json").is_file():
            yield experiment, encoder(str(folder))
        elif shipped.config.target == experiment.target:
            yield experiment, shipped


def _rows(experiment: Experiment, folder: Path) -> TrainingRows:
    def prepared(name: str, split: tuple[float, float, float] | None = None) -> Any:
        file = folder / name
        if file.is_file():
            return open_dataset(file, split=split, max_gap=math.inf).table()
        return open_dataset(name, source=folder).table()

    return training_rows(
        prepared(experiment.data, experiment.split),
        target_named(experiment.target),
        added=[(name, prepared(name)) for name in experiment.added],
    )


def _judged(model: Any, rows: TrainingRows, experiment: Experiment, seed: int) -> tuple[str, str]:
    """A line of errors and a line of coverage."""
    from scipy.stats import spearmanr

    assert rows.test is not None
    known = model.known(rows.test.genes)
    test = Labelled(rows.test.genes.take(known), rows.test.values[known])
    values, deviations = model.predict(test.genes)
    ours = errors_of(values, test.values, seed=seed)
    blind = errors_of(np.full(len(test.values), rows.train.values.mean()), test.values, seed=seed)
    boosted = errors_of(_boosted(rows, test.genes, seed), test.values, seed=seed)
    left = len(rows.test.values) - len(test.values)
    sizes = f"{len(rows.train.values):,} / {len(rows.val.values):,} / {len(test.values):,}"
    cells = [
        experiment.target,
        target_named(experiment.target).unit or "-",
        sizes + (f" (of {left + len(test.values):,})" if left else ""),
        _text(ours),
        f"{blind.mae:.4g}",
        f"{ours.mae / blind.mae:.3f}",
        _text(boosted),
        f"{ours.mae / boosted.mae:.2f}",
    ]
    held = coverage(values, deviations, test.values, LEVELS)
    rank = spearmanr(deviations, np.abs(values - test.values)).statistic
    line = " | ".join([experiment.target, *(f"{100 * share:.1f} %" for share in held.values()), f"{rank:.2f}"])
    return f"| {' | '.join(cells)} |", f"| {line} |"


def _text(errors: Any) -> str:
    return f"{errors.mae:.4g} ({errors.low:.4g} to {errors.high:.4g})"


def _boosted(rows: TrainingRows, genes: GeneBatch, seed: int) -> np.ndarray:
    """Predictions of gradient boosting on compositions alone."""
    if find_spec("sklearn") is None:
        raise Skipped("gradient boosting needs scikit-learn: pip install scikit-learn")
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(
        loss="absolute_error", learning_rate=0.05, max_iter=2000, max_leaf_nodes=63, l2_regularization=1.0,
        early_stopping=True, n_iter_no_change=50, random_state=seed,
    )  # fmt: skip
    features = [magpie_fingerprints(part) for part in (rows.train.genes, rows.val.genes, genes)]
    trees.fit(features[0], rows.train.values, X_val=features[1], y_val=rows.val.values)
    found: np.ndarray = trees.predict(features[2])
    return found
