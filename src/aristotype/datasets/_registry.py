"""The datasets that are known by name: where they are published, how large their splits are, whom to cite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aristotype.errors import UnknownNameError

SPLITS = ("train", "val", "test")
"""The values of the column `split`."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One published file.

    Attributes:
        name: Its name, here and in a folder of data files.
        split: The split that all its rows belong to.
        address: Where it is published.
        checksum: `sha256:` or `md5:` and the hexadecimal digest; None where the publisher gives none.
        labels: Whether it holds properties by id, to be joined to the structures, and no structures.
    """

    name: str
    split: str
    address: str
    checksum: str | None = None
    labels: bool = False


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """What is known about a published dataset.

    Attributes:
        name: Its name here.
        title: Its full name.
        official_rows: Rows of each split as published.
        remote: The published files.
        parts: Names of files with a part of a split, by split; taken where no whole one is there.
        known_sha256: Digests of converted files by file name.
        renamed: Published column names to ours.
        licence: What may be done with the data.
        citation: Whom to cite.
        note: What a user must know about it.
    """

    name: str
    title: str
    official_rows: Mapping[str, int]
    remote: tuple[RemoteFile, ...]
    licence: str
    citation: str
    parts: Mapping[str, str] = field(default_factory=dict)
    known_sha256: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it was published with."""
        return tuple(self.official_rows)


_CDVAE = "https://raw.githubusercontent.com/txie-93/cdvae/main/data"
_DIFFCSP = "https://raw.githubusercontent.com/jiaor17/DiffCSP/main/data"
_FIGSHARE = "https://figshare.com/ndownloader/files"
_XIE = "T. Xie et al., Crystal diffusion variational autoencoder for periodic material generation, ICLR 2022"
_JAIN = "A. Jain et al., APL Materials 1, 011002 (2013), doi:10.1063/1.4812323"


def _csv_splits(root: str, name: str) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name=f"{split}.csv", split=split, address=f"{root}/{name}/{split}.csv") for split in SPLITS)


_SPECS = (
    DatasetSpec(
        name="mp_20",
        title="MP-20",
        official_rows={"train": 27_136, "val": 9_047, "test": 9_046},
        remote=_csv_splits(_CDVAE, "mp_20"),
        parts={"train": "mp_20_train_part.parquet"},
        known_sha256={
            "mp_20_train_part.parquet": "28470af64df66052ee38f18082ac35addd5ff02c8a5d1df19e97bcb5568e973e",
            "mp_20_val.parquet": "457a9912c355d5eda5c3d5fa89184c74695880724a9f61325912a873acb4c49d",
            "mp_20_test.parquet": "2f2ec4cb555dd4d00bd57e3d8b4f242097d8bcc0936dbb35e67ca6567eeeae0c",
        },
        licence="CC BY 4.0 (Materials Project); the splits MIT (CDVAE repository)",
        citation=f"{_JAIN}; {_XIE}",
        note="Materials Project entries from the ICSD with at most 20 atoms in the primitive cell.",
    ),
    DatasetSpec(
        name="mpts_52",
        title="MPTS-52",
        official_rows={"train": 27_380, "val": 5_000, "test": 8_096},
        remote=_csv_splits(_DIFFCSP, "mpts_52"),
        parts={"train": "mpts_52_train_part.parquet"},
        known_sha256={
            "mpts_52_train_part.parquet": "8d8d9367edcd3671c5663cde8bf9f7062860e8ac3ce867a33d63b2b4bbd3a86d",
            "mpts_52_val.parquet": "567967854933fcdffb0db198b5bf159d7a123ee1c752f3778755d85e4d44da0f",
        },
        licence="CC BY 4.0 (Materials Project); the splits MIT (DiffCSP repository)",
        citation=f"{_JAIN}; R. Jiao et al., Crystal structure prediction by joint equivariant diffusion, NeurIPS 2023",
        note="Split by year of publication, at most 52 atoms. It shares ids with MP-20 across splits: never train on "
        "the one and evaluate on the other without removing them.",
    ),
    DatasetSpec(
        name="perov_5",
        title="Perov-5",
        official_rows={"train": 11_356, "val": 3_787, "test": 3_785},
        remote=_csv_splits(_CDVAE, "perov_5"),
        known_sha256={
            "perov_5_train.parquet": "838ad70a8be0f3822ae92aaf37518d9c7ffe9f3a0eceedf73676ed3e96dc0bd1",
            "perov_5_val.parquet": "ca75dec9c704f63f39b977b51e443c6bbb1d96ea86e214fbba143fbf5eca8ffa",
            "perov_5_test.parquet": "a9eb2e7b6c2b3678ce8c503950730250d3c0fb6a417e320fa31395fdceb9a6cd",
        },
        licence="as published by the Computational Materials Repository; the splits MIT (CDVAE repository)",
        citation=f"I. E. Castelli et al., Energy Environ. Sci. 5, 5814 and 5, 9034 (2012); {_XIE}",
        note="18,928 perovskites ABX3 with five atoms; most are not stable.",
    ),
    DatasetSpec(
        name="carbon_24",
        title="Carbon-24",
        official_rows={"train": 6_091, "val": 2_032, "test": 2_030},
        remote=_csv_splits(_CDVAE, "carbon_24"),
        known_sha256={
            "carbon_24_train.parquet": "e4cbabe210d1ce5ba41f0ffb8b2f786f860795118bad7b9aa927e9c7993247f7",
            "carbon_24_val.parquet": "ffe2b59c3b5c7188fede54ac6eb121926d8f3266d08c5f24f5fa31010fa29f09",
            "carbon_24_test.parquet": "48e3d75a896319f2b629e86740fa20b771414e9d02be71672f7836efd2df59d0",
        },
        licence="CC BY 4.0 (Materials Cloud); the splits MIT (CDVAE repository)",
        citation=f"C. J. Pickard, Materials Cloud (2020), doi:10.24435/materialscloud:2020.0026/v1; {_XIE}",
        note="Carbon at 10 GPa by random structure search: the tenth with the lowest energies.",
    ),
    DatasetSpec(
        name="wbm",
        title="WBM",
        official_rows={"test": 256_963},
        remote=(
            RemoteFile(
                name="2024-08-04-wbm-relaxed-atoms.extxyz.zip",
                split="test",
                address=f"{_FIGSHARE}/48169600",
                checksum="md5:4726643ac0dfbab69a4284454c891e68",
            ),
            RemoteFile(
                name="2023-12-13-wbm-summary.csv.gz",
                split="test",
                address=f"{_FIGSHARE}/64706751",
                checksum="md5:1555268d3aa59d20262cb9d01ce0994b",
                labels=True,
            ),
        ),
        parts={"test": "wbm_10k_sample.parquet"},
        known_sha256={"wbm_10k_sample.parquet": "63d5265914cc85790b87c968a432dad17197ca300b48ebee1f9d5a6956d8e214"},
        renamed={
            "e_form_per_atom_mp2020_corrected": "formation_energy_per_atom",
            "e_above_hull_mp2020_corrected_ppd_mp": "e_above_hull",
            "bandgap_pbe": "band_gap",
        },
        licence="CC BY 4.0",
        citation="H.-C. Wang, S. Botti, M. A. L. Marques, npj Comput. Mater. 7, 12 (2021); J. Riebesell et al., "
        "Matbench Discovery, Nat. Mach. Intell. 7, 836 (2025)",
        note="Element substitutions in Materials Project structures, relaxed by DFT; a test set without a train split.",
    ),
)

DATASETS: Mapping[str, DatasetSpec] = {spec.name: spec for spec in _SPECS}
"""All registered datasets by name."""


def dataset_spec(name: str) -> DatasetSpec:
    """A registered dataset.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in DATASETS:
        raise UnknownNameError(f"no dataset is called {name!r}; registered are {', '.join(DATASETS)}")
    return DATASETS[name]
