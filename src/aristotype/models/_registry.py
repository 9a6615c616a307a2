"""Shipped checkpoints by name, and loading of any checkpoint folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aristotype._files import printable
from aristotype.errors import CheckpointError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from aristotype.models._protocol import GeneModel
    from aristotype.models.gene_encoder import GeneEncoder

# (family, variant) of a checkpoint to the class that reads it.
_READERS: Mapping[tuple[str, str], str] = {
    ("wyckoff-transformer", "default"): "aristotype.models.wyckoff_transformer:WyckoffTransformer",
    ("wyckoff-transformer", "paper"): "aristotype.models.wyckoff_transformer.paper:WyckoffTransformerPaper",
    ("crystalformer", "default"): "aristotype.models.crystalformer:CrystalFormer",
    ("crystalformer", "paper"): "aristotype.models.crystalformer.paper:CrystalFormerPaper",
    ("wyckoffdiff", "default"): "aristotype.models.wyckoffdiff:WyckoffDiff",
    ("wyckoff-augen", "default"): "aristotype.models.wyckoff_augen:WyckoffAugen",
    ("wyckoff-augen", "grids"): "aristotype.models.wyckoff_augen:WyckoffAugenGrids",
    ("wyckoff-augen", "paper"): "aristotype.models.wyckoff_augen:WyckoffAugenPaper",
    ("gene-encoder", "default"): "aristotype.models.gene_encoder:GeneEncoder",
}
_ENCODERS = frozenset({"gene-encoder"})
"""Families that predict and cannot be sampled."""
DEFAULT_MODEL = "wyckoff-transformer-mp20"


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A shipped checkpoint."""

    name: str
    path: Path
    family: str
    variant: str
    description: str  # first sentence of the model card's text
    megabytes: float
    sha256: str = ""  # of the weights


def shipped_models() -> dict[str, ModelInfo]:
    """The checkpoints inside the package, by name."""
    root = Path(str(files("aristotype.models"))) / "checkpoints"
    found = {}
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if (folder / "config.json").is_file():
            record = json.loads((folder / "config.json").read_text())
            config = record["config"]
            paragraphs = (folder / "README.md").read_text().split("\n\n")
            first = next((text for text in paragraphs if text and text[0] != "#"), "").replace("\n", " ")
            found[folder.name] = ModelInfo(
                name=folder.name,
                path=folder,
                family=config["family"],
                variant=config["variant"],
                description=first.split(". ")[0].rstrip("."),
                megabytes=sum(file.stat().st_size for file in folder.iterdir()) / 1e6,
                sha256=record["weights"]["sha256"],
            )
    return found


def load(name: str | Path) -> GeneModel:
    """A model by shipped name, or from a checkpoint folder, in evaluation mode on the CPU.

    Raises:
        UnknownNameError: neither a shipped name nor a folder; the message lists the names.
        CheckpointError: the folder is damaged, of another version, of a family that this release does not know, or of
            one that predicts properties and generates nothing (see `load_encoder`).
    """
    model, family = _loaded(name)
    if family in _ENCODERS:
        raise CheckpointError(
            f"{printable(str(name))} is a {family}, which predicts and generates nothing; use it with `aristotype "
            "predict`, and name a generative model here"
        )
    generative: GeneModel = model
    return generative


def load_encoder(name: str | Path) -> GeneEncoder:
    """An encoder of genes by shipped name, or from a checkpoint folder, in evaluation mode on the CPU.

    Raises:
        UnknownNameError: neither a shipped name nor a folder; the message lists the names.
        CheckpointError: the folder is damaged, of another version, or holds a generative model.
    """
    from aristotype.training import weights_sha256

    model, family = _loaded(name)
    if family not in _ENCODERS:
        raise CheckpointError(
            f"{printable(str(name))} is a {family}, which generates and predicts nothing; name an encoder, such as "
            "gene-encoder-mp20 or one of `aristotype train property`"
        )
    encoder: GeneEncoder = model
    encoder.sha256 = weights_sha256(_folder(name))
    return encoder


def predictor_of(name: str | Path) -> GeneEncoder:
    """The shipped model of a property, or the encoder of a checkpoint folder.

    Raises:
        UnknownNameError: there is neither; the message lists the properties that have a shipped model.
        CheckpointError: the folder is damaged, or holds no model of a property.
    """
    shipped = [info.name for info in shipped_models().values() if info.family in _ENCODERS]
    encoders = {encoder.config.target: encoder for encoder in map(load_encoder, shipped)}
    if str(name) in encoders:
        return encoders[str(name)]
    if str(name) in shipped or Path(name).is_dir():
        return load_encoder(name)
    raise UnknownNameError(
        f"there is no predictor {printable(str(name))!r}: models of {', '.join(encoders) or 'nothing'} are shipped; "
        "`aristotype train property --target NAME --data TABLE --out DIR` trains one, to be named as DIR/best"
    )


def _loaded(name: str | Path) -> tuple[Any, str]:
    """A model of any family, and the family."""
    from aristotype.training import load_checkpoint

    path = _folder(name)
    settings, tensors = load_checkpoint(path)
    model = _reader(settings, path)(settings, tensors)
    model.name = printable(Path(path.name))  # a table cannot hold a name that is not UTF-8
    return model, str(settings["family"])


def _folder(name: str | Path) -> Path:
    """The folder of a shipped name, or the one that is given."""
    shipped = shipped_models()
    path = shipped[str(name)].path if str(name) in shipped else Path(name)
    if not path.is_dir():
        raise UnknownNameError(
            f"there is no model {str(name)!r}; shipped are {', '.join(shipped) or 'none'}, or give a checkpoint folder"
        )
    return path


def model_of(settings: Any, tensors: Mapping[str, Tensor]) -> GeneModel:
    """A model that is part of another's checkpoint.

    Raises:
        CheckpointError: it is damaged, or of a family that this release does not know.
    """
    model: GeneModel = _reader(settings, "the checkpoint of a part")(settings, tensors)
    return model


def _reader(settings: Any, path: Path | str) -> Callable[..., Any]:
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"the configuration in {path} is no table of settings; copy the checkpoint again")
    key = (str(settings.get("family")), str(settings.get("variant")))
    if key not in _READERS:
        known = ", ".join(" ".join(pair) for pair in _READERS)
        raise CheckpointError(
            f"{path} is of family {key[0]} {key[1]}, which this release does not know; it knows {known}"
        )
    module, name = _READERS[key].split(":")
    reader: Callable[..., Any] = getattr(import_module(module), name).from_checkpoint
    return reader
