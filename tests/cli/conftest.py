"""A small trained model, a prepared table and structure files, as a user would have them; made once."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.symmetry import LETTERS

SRC = Path(__file__).parents[2] / "src"
# Group and letters of each element: rock salt, caesium chloride, zinc blende, perovskite, fluorite, rutile, wurtzite.
PROTOTYPES = [(225, "a b"), (221, "a b"), (216, "a c"), (221, "a b c"), (225, "a c"), (136, "a f"), (186, "b b")]
ELEMENTS = {2: (3, 11, 12, 20, 8, 17), 3: (38, 22, 8, 56)}
TINY = {
    "width": 16,
    "heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "element_width": 8,
    "template_width": 16,
    "template_heads": 2,
    "template_layers": 1,
    "max_sites": 8,
}


def handful() -> GeneBatch:
    """Some two hundred genes of seven prototypes."""
    groups, elements, letters = [], [], []
    for group, word in PROTOTYPES:
        sites = [LETTERS.index(letter) for letter in word.split()]
        for species in permutations(ELEMENTS[len(sites)], len(sites)):
            groups.append(group)
            elements.append(species)
            letters.append(sites)
    return GeneBatch.from_lists(groups, elements, letters)


@pytest.fixture(scope="session")
def table_file(tmp_path_factory) -> Path:
    """A table of genes with the splits train and val."""
    genes = handful()
    table = CrystalTable.from_genes(genes).with_columns(
        split=["val" if row % 5 == 0 else "train" for row in range(len(genes))]
    )
    path = tmp_path_factory.mktemp("table") / "handful.parquet"
    table.write(path)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A checkpoint folder of a small model after a few steps of training."""
    import torch

    from aristotype.models.wyckoff_transformer import WyckoffTransformerConfig, fit
    from aristotype.training import TrainingConfig

    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("tiny") / "run"
    genes = handful()
    training = TrainingConfig(max_steps=20, batch_size=64, tensorboard=False, prefetch=0, threads=1, device="cpu")
    fit(WyckoffTransformerConfig(**TINY), genes, genes.take(range(0, len(genes), 5)), training, out)
    return out / "best"


@pytest.fixture
def invoke():
    """Runs a command in this process: `invoke("generate", "--out", path)`."""

    def run(*arguments: object):
        from aristotype.cli._app import app

        return CliRunner().invoke(app, [os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])

    return run


def start(*arguments: object, **options) -> subprocess.Popen:
    """Starts a command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "aristotype",
        *(os.fsencode(a) if isinstance(a, Path) else str(a) for a in arguments),
    ]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **options
    )


@pytest.fixture
def spawn():
    """`start`; what is still running at the end of a test is killed."""
    running = []

    def run(*arguments: object, **options) -> subprocess.Popen:
        running.append(start(*arguments, **options))
        return running[-1]

    yield run
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()
