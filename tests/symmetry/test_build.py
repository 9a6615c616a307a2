"""The tools that build the table reproduce the shipped one.

cctbx is a build-time tool and is not installed for development; where it is, a few groups are rebuilt here, in a
process of their own because cctbx and spglib do not share one. All groups take three minutes: set
ARISTOTYPE_REBUILD_TABLES=1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from aristotype.symmetry import relabellings, space_group, tables

TOOLS = Path(__file__).parents[2] / "tools"
FEW = (5, 68, 75, 136, 146, 212, 224)
SCRIPT = f"""
import json, sys
sys.path.insert(0, {str(TOOLS)!r})
from build_symmetry import normalizer, operations, wyckoff_positions
found = {{}}
for number in {FEW}:
    ops = operations(number)
    positions = wyckoff_positions(number, ops)
    group = normalizer(number, ops, positions)
    found[number] = {{
        "rotations": ops[0].tolist(), "translations": ops[1].tolist(),
        "positions": [
            [p.letter, p.multiplicity, p.freedom, p.site_symmetry, p.linear[:, :p.freedom].tolist(), p.origin.tolist()]
            for p in positions
        ],
        "affine": group.affine.tolist(), "euclidean": group.euclidean.tolist(), "normalizer": group.linear.tolist(),
    }}
print(json.dumps(found))
"""

pytestmark = pytest.mark.skipif(
    find_spec("cctbx") is None, reason="cctbx (extra build-tables) is not installed: the tables cannot be rebuilt"
)


def run(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_a_few_groups_are_rebuilt_as_shipped():
    found = json.loads(run("-c", SCRIPT))
    for number in FEW:
        group, rebuilt = space_group(number), found[str(number)]
        assert rebuilt["rotations"] == group.rotations.tolist()
        assert rebuilt["translations"] == group.translations.tolist()
        shipped = [
            [p.letter, p.multiplicity, p.freedom, p.site_symmetry, p.linear.tolist(), p.origin.tolist()]
            for p in group.positions
        ]
        assert rebuilt["positions"] == shipped
        for kind in ("affine", "euclidean"):
            assert rebuilt[kind] == relabellings(number, kind).tolist()
        assert rebuilt["normalizer"] == group.normalizer.linear.tolist()


@pytest.mark.slow
def test_asymmetric_units_are_rebuilt_as_shipped(tmp_path):
    rebuilt = tmp_path / "asymmetric_units.safetensors"
    run(str(TOOLS / "build_asymmetric_units.py"), str(rebuilt))
    with as_file(files("aristotype.symmetry") / rebuilt.name) as shipped:
        one, other = load_file(shipped), load_file(rebuilt)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("ARISTOTYPE_REBUILD_TABLES") != "1", reason="takes three minutes: set ARISTOTYPE_REBUILD_TABLES=1"
)
def test_the_whole_file_is_rebuilt_to_the_bit(tmp_path):
    out = run(str(TOOLS / "build_symmetry.py"), str(tmp_path / "spacegroups.safetensors"))
    # The last line is the metadata, then the size in bytes.
    metadata = json.loads(out.strip().splitlines()[-1].partition("}")[0] + "}")
    assert metadata["sha256"] == tables().sha256
