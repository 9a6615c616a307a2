"""Which files a dataset is read from: the folder given, `ARISTOTYPE_DATA`, the cache, the network; or a user's own."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aristotype._files import printable
from aristotype.crystal import is_structure_file
from aristotype.datasets._download import digest, download_folder, fetch
from aristotype.datasets._registry import DATASETS, SPLITS, DatasetSpec
from aristotype.errors import DataUnavailableError, InputError, UnknownNameError

Kind = Literal["parquet", "csv", "zip", "files"]
SPLIT_ALIASES = {name: name for name in SPLITS} | {"training": "train", "valid": "val", "validation": "val"}
"""Spellings of the splits, in columns and in names of folders."""
_STRUCTURE_FILES = ".cif, .vasp, .poscar, POSCAR*, CONTCAR*, .xyz, .extxyz"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of rows, or several structure files together.

    Attributes:
        name: What the report calls it.
        kind: How it is read.
        paths: The file, or the structure files.
        ids: Names of the structure files' rows; empty for the other kinds.
        split: The split of rows that do not say; None to leave it open.
        sha256: Digest of the content (of structure files: of their names and digests).
        status: `verified`, `unverified` (no checksum is known) or `differs` (from the known checksum).
        labels: A CSV file with more columns, joined by id.
    """

    name: str
    kind: Kind
    paths: tuple[Path, ...]
    split: str | None
    sha256: str
    ids: tuple[str, ...] = ()
    status: str = "unverified"
    labels: Path | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(path.stat().st_size for path in self.paths)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a dataset is made of.

    Attributes:
        name: The dataset's name; for files of the user's own the stem of the path.
        origin: Where the files come from, in words.
        items: The files.
        spec: What is known about it, for a registered dataset.
    """

    name: str
    origin: str
    items: tuple[Source, ...] = field(default=())
    spec: DatasetSpec | None = None


def find_sources(name_or_path: str | os.PathLike[str], source: str | os.PathLike[str] | None = None) -> Sources:
    """The files behind a name or a path; downloads what is nowhere at hand.

    Args:
        name_or_path: A registered name, or a CSV file with a `cif` column, a Parquet file, a structure file, a zip
            archive of structure files, or a folder of structure files or of files `train`, `val` and `test` (CSV or
            Parquet).
        source: For a registered name: the only folder to look in.

    Raises:
        UnknownNameError: neither a registered name nor a path that exists.
        InputError: `source` is no folder or goes with a path, or the path is of an unknown kind.
        DataUnavailableError: the files are not in `source`, or could not be downloaded.
    """
    spec = DATASETS.get(os.fspath(name_or_path)) if isinstance(name_or_path, str) else None
    if spec is not None:
        return _of_dataset(spec, None if source is None else Path(source))
    if source is not None:
        raise InputError(
            f"a source folder goes with a registered dataset ({', '.join(DATASETS)}), not with "
            f"{printable(name_or_path)}; give the path alone"
        )
    path = Path(name_or_path)
    if not path.exists():
        raise UnknownNameError(
            f"{printable(name_or_path)} is neither a registered dataset ({', '.join(DATASETS)}) nor a path that exists"
        )
    return Sources(name=_stem(path), origin=printable(path), items=_of_path(path))


def _of_dataset(spec: DatasetSpec, source: Path | None) -> Sources:
    if source is not None:
        items = _in_folder(spec, _existing(source, "--source"), alone=True)
        if not items:
            raise DataUnavailableError(
                f"{printable(source)} holds no file of {spec.name}; looked for {_looked_for(spec, alone=True)}. "
                f"The published files: {', '.join(remote.address for remote in spec.remote)}"
            )
        return Sources(name=spec.name, origin=printable(source), items=items, spec=spec)
    given = os.environ.get("ARISTOTYPE_DATA")
    if given and (items := _in_folder(spec, _existing(Path(given), "ARISTOTYPE_DATA"), alone=False)):
        return Sources(name=spec.name, origin=f"ARISTOTYPE_DATA ({printable(given)})", items=items, spec=spec)
    for remote in spec.remote:
        fetch(spec, remote)
    items = _in_folder(spec, download_folder(spec), alone=True)
    return Sources(name=spec.name, origin="downloaded", items=items, spec=spec)


def _existing(folder: Path, what: str) -> Path:
    if not folder.is_dir():
        raise InputError(f"{what} is {printable(folder)}, which is no folder; correct it or leave it out")
    return folder


def _candidates(spec: DatasetSpec, split: str, alone: bool) -> list[str]:
    """Names under which a split is looked for, whole ones first; `alone`: the folder holds this dataset only."""
    stems = [f"{spec.name}_{split}", f"{spec.name}/{split}"] + ([split] if alone else [])
    if len(spec.splits) == 1:
        stems.append(spec.name)
    names = [f"{stem}{suffix}" for stem in stems for suffix in (".parquet", ".csv", ".csv.gz")]
    published = [remote.name for remote in spec.remote if remote.split == split and not remote.labels]
    names += [f"{spec.name}/{name}" for name in published] + (published if alone else [])
    part = spec.parts.get(split)
    return list(dict.fromkeys([*names, *([part, f"{spec.name}/{part}"] if part else [])]))


def _looked_for(spec: DatasetSpec, alone: bool) -> str:
    return ", ".join(name for split in spec.splits for name in _candidates(spec, split, alone))


def _in_folder(spec: DatasetSpec, folder: Path, alone: bool) -> tuple[Source, ...]:
    items = []
    for split in spec.splits:
        found = [folder / name for name in _candidates(spec, split, alone) if (folder / name).is_file()]
        if found:
            items.append(_of_split(spec, split, found[0]))
    return tuple(items)


def _of_split(spec: DatasetSpec, split: str, path: Path) -> Source:
    kind = _kind(path)
    names = [remote.name for remote in spec.remote if remote.labels and remote.split == split and kind == "zip"]
    labels = next((path.parent / name for name in names if (path.parent / name).is_file()), None)
    sha256 = digest(path)
    return Source(
        name=path.name,
        kind=kind,
        paths=(path,),
        split=split,
        # Joined labels are part of the content.
        sha256=sha256 if labels is None else hashlib.sha256((sha256 + digest(labels)).encode()).hexdigest(),
        status=_status(spec, path, sha256),
        labels=labels,
    )


def _status(spec: DatasetSpec, path: Path, sha256: str) -> str:
    known = spec.known_sha256.get(path.name)
    if known is not None:
        return "verified" if known == sha256 else "differs"
    published = next((r.checksum for r in spec.remote if r.name == path.name and r.checksum), None)
    if published is None:
        return "unverified"
    algorithm, _, expected = published.partition(":")
    return "verified" if digest(path, algorithm) == expected else "differs"


def _of_path(path: Path) -> tuple[Source, ...]:
    if not path.is_dir():
        if _kind(path) == "files":
            return (_of_structures([path], path.parent, None, path.name),)
        return (_of_file(path, None),)
    tables: dict[str, Path] = {}
    for split in SPLITS:
        for suffix in (".parquet", ".csv", ".csv.gz"):
            if (path / f"{split}{suffix}").is_file():
                tables.setdefault(split, path / f"{split}{suffix}")
    if tables:
        return tuple(_of_file(file, split) for split, file in tables.items())
    files = sorted(file for file in path.rglob("*") if file.is_file() and is_structure_file(file))
    if not files:
        raise InputError(
            f"{printable(path)} holds neither train/val/test files (.csv, .parquet) nor a structure file "
            f"({_STRUCTURE_FILES}); name another folder or a file"
        )
    by_split: dict[str | None, list[Path]] = {}
    for file in files:
        first = file.relative_to(path).parts[0]
        by_split.setdefault(SPLIT_ALIASES.get(first.lower()) if first != file.name else None, []).append(file)
    return tuple(
        _of_structures(group, path, split, printable(path.name or path) + (f"/{split}" if split else ""))
        for split, group in by_split.items()
    )


def _of_file(path: Path, split: str | None) -> Source:
    return Source(name=printable(path.name), kind=_kind(path), paths=(path,), split=split, sha256=digest(path))


def _of_structures(files: list[Path], folder: Path, split: str | None, name: str) -> Source:
    ids = _names(files, folder)
    content = hashlib.sha256()
    for row, file in zip(ids, files, strict=True):
        content.update(f"{row}\0{file.name.encode(errors='surrogateescape')!r}\0{digest(file)}\n".encode())
    return Source(name=name, kind="files", paths=tuple(files), ids=tuple(ids), split=split, sha256=content.hexdigest())


def _names(files: list[Path], folder: Path) -> list[str]:
    """Stems (of POSCAR and CONTCAR the folder's name) where they are distinct, else paths in the folder."""
    stems = [_stem(file.parent if file.name.lower() in ("poscar", "contcar") else file) for file in files]
    if max(Counter(stems).values()) == 1:
        return stems
    return [printable(file.relative_to(folder).as_posix()) for file in files]


def _stem(path: Path) -> str:
    name = printable(path.absolute().name)
    return name.removesuffix(".gz").rpartition(".")[0] or name if not path.is_dir() else name


def _kind(path: Path) -> Kind:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith((".csv", ".csv.gz")):
        return "csv"
    if name.endswith(".zip"):
        return "zip"
    if is_structure_file(path):
        return "files"
    raise InputError(
        f"{printable(path)} is of no known kind; known are .csv, .csv.gz, .parquet, .zip and structure files "
        f"({_STRUCTURE_FILES})"
    )
