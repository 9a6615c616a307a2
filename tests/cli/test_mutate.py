"""`aristotype mutate` and `aristotype guide` as a user calls them, on the shipped model."""

from __future__ import annotations

import json
import signal
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from aristotype.crystal import CrystalTable, template_keys

ROCK_SALT = """data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {angle}
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
CORNERS = ((0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARISTOTYPE_CACHE", str(tmp_path / "cache"))


def salt(path, *, cation="Na", anion="Cl", angle=90.0, occupancy=1.0, shift=0.0):
    rows = [f"{cation} {cation} {x} {y} {z} {occupancy}" for x, y, z in CORNERS]
    rows += [f"{anion} {anion} {x + 0.5 + shift} {y} {z} 1" for x, y, z in CORNERS]
    path.write_text(ROCK_SALT.format(angle=angle) + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def start(tmp_path):
    return salt(tmp_path / "salt.cif")


BRIEF = ["--steps", "6", "--chains", "2", "--seed", "3"]


def test_relatives_of_rock_salt(invoke, start, tmp_path):
    out = tmp_path / "out"
    result = invoke("mutate", start, "--substitute", "Na=Li,K", "--substitute", "Cl=Br", *BRIEF, "--out", out)
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(out / "crystals.parquet")
    assert len(table) == 4
    assert set(table.space_group.tolist()) == {225}
    assert len(set(template_keys(table.genes()).tolist())) == 1
    assert set(table.genes().elements.ravel().tolist()) <= {3, 11, 19, 17, 35}
    assert len(list((out / "cif").iterdir())) == 4
    trace = pq.read_table(out / "trace.parquet")
    assert trace.num_rows == 2 * 7
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["chains"], summary["steps"], summary["seed"]) == (2, 6, 3)
    assert sum(move["tried"] for move in summary["moves"].values()) == 12
    assert "2 chains of 6 steps" in result.stdout
    # The same seed gives the same crystals; what is there is not overwritten.
    asked = ["mutate", start, "--substitute", "Na=Li,K", "--substitute", "Cl=Br", *BRIEF]
    assert invoke(*asked, "--out", out).exit_code == 2
    assert invoke(*asked, "--out", tmp_path / "again").exit_code == 0
    assert CrystalTable.read(tmp_path / "again" / "crystals.parquet") == table


def test_an_estimate_writes_nothing(invoke, start, tmp_path):
    result = invoke("mutate", start, *BRIEF, "--dry-run", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "2 chains of 6 steps: about" in result.stdout
    assert not (tmp_path / "out").exists()


WRONG = [
    (["--chains", "0"], "0 chains are asked for; ask for 1 to"),
    (["--steps", "0"], "0 steps are asked for; ask for at least 1"),
    (["--temperature", "0"], "a temperature is 0.0; it must be a number above 0"),
    (["--substitute", "Na=Xx"], "'Xx' is not a chemical element"),
    (["--substitute", "Na=Og"], "Og is not among the 88 elements that the model knows; leave it out"),
    (["--substitute", "Na="], "--substitute 'Na=' cannot be read"),
    (["--substitute", "Na,,K"], "has an empty entry"),
    (["--substitute", "Na=Na", "--moves", "substitute"], "nothing may change (substitute: the allowed elements leave"),
    (["--moves", "displace"], "nothing may change (displace: no position has a free coordinate)"),
    (["--formula", "KBr"], "the formula KBr is asked for and the template is that of 'salt', NaCl Fm-3m (225)"),
    (["--space-group", "300"], "space group 300 does not exist; numbers go from 1 to 230"),
    (["--space-group", "221"], "'salt' has space group 225 at a tolerance of 0.1 Angstrom, and 221 is expected"),
    (["--closest", "1.5"], "the limit is 1.5; relax the crystal, or lower the limit"),
    (["--guide", "density=5"], "--guide 'density=5' cannot be read; write NAME=TARGET:WEIGHT"),
    (["--guide", "beauty=5:1"], "there is no property 'beauty'; there are density, volume, energy, e-above-hull"),
    (["--model", "wyckoff-transformer-mp20"], "draws genes without geometry"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_bad_requests_are_refused_and_nothing_is_written(invoke, start, tmp_path, options, message):
    result = invoke("mutate", start, *BRIEF, *options, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_starts_that_are_no_ordered_symmetric_crystals_are_refused(invoke, tmp_path):
    disordered = salt(tmp_path / "disordered.cif", occupancy=0.5)
    distorted = salt(tmp_path / "distorted.cif", angle=92.0, shift=0.03)
    unknown = salt(tmp_path / "unknown.cif", cation="Fm")
    for path, options, message in (
        (disordered, [], "partially occupied; order it"),
        (distorted, ["--space-group", "225"], "225 is expected; a larger --tolerance finds more symmetry"),
        (distorted, ["--space-group", "225", "--tolerance", "0.001"], "at a tolerance of 0.001 Angstrom"),
        (
            distorted,
            [],
            "and 225 at 0.3; take --tolerance 0.3 to search in the higher one, or say --space-group",
        ),
        (unknown, [], "Fm is not among the 88 elements that the model knows; leave it out of the start"),
        (tmp_path / "missing.cif", [], "does not exist"),
    ):
        result = invoke("mutate", path, *BRIEF, *options, "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert not (tmp_path / "out").exists()


def test_a_crystal_that_is_distorted_by_nature_is_searched_around_where_that_is_said(invoke, tmp_path):
    distorted = salt(tmp_path / "distorted.cif", angle=92.0, shift=0.03)
    result = invoke("mutate", distorted, *BRIEF, "--out", tmp_path / "refused")
    group = result.stderr.split("--space-group ")[1].split()[0]
    for number, options in ((group, ["--space-group", group]), ("225", ["--tolerance", "0.3"])):
        out = tmp_path / number
        result = invoke("mutate", distorted, *BRIEF, *options, "--out", out)
        assert result.exit_code == 0, result.output
        assert set(CrystalTable.read(out / "crystals.parquet").space_group.tolist()) == {int(number)}
    # A table says which group its crystals have.
    again = invoke("mutate", tmp_path / group / "crystals.parquet", *BRIEF, "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output


def test_an_interrupted_run_leaves_nothing_behind(spawn, start, tmp_path):
    process = spawn("mutate", start, "--steps", "100000", "--chains", "2", "--out", tmp_path / "out")
    lock = tmp_path / "out.lock"
    for _ in range(1200):
        if lock.exists():
            break
        time.sleep(0.05)
    assert lock.exists()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Interrupted" in errors
    assert {path.name for path in tmp_path.iterdir()} <= {"salt.cif", "cache"}


def test_guided_crystals_and_their_conditions(invoke, tmp_path):
    out = tmp_path / "out"
    asked = ["--guide", "density=6:20", "--guide", "volume:0.01", "--space-group", "225", "--elements", "Li,O,Na,Cl"]
    result = invoke("guide", *asked, "--steps", "6", "--chains", "2", "--out", out)
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(out / "crystals.parquet")
    assert len(table) == 4
    assert set(table.space_group.tolist()) == {225}
    assert set(table.genes().elements.ravel().tolist()) <= {0, 3, 8, 11, 17}
    assert {"density", "volume"} <= set(table.columns)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["conditions"]["space_groups"] == [225]
    assert summary["guides"][0] == {"name": "density", "weight": 20.0, "target": 6.0}


def test_a_pattern_guides(invoke, start, tmp_path):
    from aristotype.crystal import encode
    from aristotype.discover import PatternLikeness

    likeness = PatternLikeness.of_crystal(encode(start))
    pattern = tmp_path / "observed.xy"
    np.savetxt(pattern, np.column_stack([likeness.angles, likeness.profiles(encode(start))[0]]))
    result = invoke("mutate", start, "--pattern", pattern, *BRIEF, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    table = CrystalTable.read(tmp_path / "out" / "crystals.parquet")
    assert (table.column("pattern").to_numpy() > 0.5).all()
    trace = pq.read_table(tmp_path / "out" / "trace.parquet")
    assert trace["pattern"][0].as_py() == pytest.approx(50.0, abs=0.5)
    for content, message in (("1 2 3\n" * 30, "has 3 columns"), ("much\n", "cannot be read")):
        pattern.write_text(content)
        result = invoke("guide", "--pattern", pattern, "--out", tmp_path / "none")
        assert result.exit_code == 2
        assert message in result.stderr


def test_bad_guidance_is_refused(invoke, tmp_path):
    for options, message in (
        ([], "no property is given; give --guide NAME=TARGET:WEIGHT or --pattern FILE"),
        (["--guide", "density=5:-1"], "must not be below 0"),
        (["--guide", "density=5:1", "--guide", "density=4:1"], "a property is called 'density'"),
        (["--guide", "density=5:1", "--formula", "Li5Cl", "--z", "1", "--space-group", "225"], "space group 225"),
        (["--guide", "density=5:1", "--model", "wyckoff-transformer-mp20"], "draws genes without geometry"),
    ):
        result = invoke("guide", *options, "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert not (tmp_path / "out").exists()
