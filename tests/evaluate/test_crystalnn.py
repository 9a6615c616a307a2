"""CrystalNN fingerprints: textbook environments, all atoms against one a site, matminer, processes and the cache."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.errors import InputError, MissingDependencyError, TableError
from aristotype.evaluate import _fingerprints as module
from aristotype.evaluate import crystalnn_fingerprints
from aristotype.evaluate._crystalnn import site_fingerprints
from tests.evaluate.crystals import concatenated, crystal, random_crystals

CUBE = [90.0, 90.0, 90.0]
SALT = crystal(225, [11, 17], "ab", [5.64, 5.64, 5.64, *CUBE])
DIAMOND = crystal(227, [6], "a", [3.567, 3.567, 3.567, *CUBE])
CHLORIDE = crystal(221, [55, 17], "ab", [4.12, 4.12, 4.12, *CUBE])


def starts() -> dict[int, int]:
    """Where the numbers of each coordination number start: its weight, then its motifs."""
    motifs = {1: 1, 2: 5, 3: 3, 4: 5, 5: 3, 6: 3, 7: 2, 8: 2, 9: 3, 10: 3, 11: 3, 12: 4}
    place, out = 0, {}
    for coordination in range(1, 25):
        out[coordination] = place
        place += 1 + motifs.get(coordination, 0)
    assert place == 61
    return out


@pytest.mark.parametrize(("table", "coordination", "motif"), [(SALT, 6, 2), (DIAMOND, 4, 2), (CHLORIDE, 8, 1)])
def test_textbook_environments_are_recognised(table, coordination, motif):
    """Octahedra in rock salt, tetrahedra in diamond, cubes in caesium chloride: weight and order parameter near 1.

    In caesium chloride the six second neighbours of the same element take a few per cent of the weight.
    """
    found = crystalnn_fingerprints(table)[0]
    start = starts()[coordination]
    assert found[start] == pytest.approx(1.0, abs=0.1)
    assert found[start + motif] / found[start] == pytest.approx(1.0, abs=0.02)
    assert sum(found[place] for place in starts().values()) == pytest.approx(1.0, abs=1e-6)


def test_one_atom_a_site_is_enough():
    """The same crystals in P1, where every atom is a site of its own; ties between neighbours may break otherwise."""
    table = random_crystals(0, (2, 14, 62, 99, 148, 166, 194, 198, 221))
    rows = []
    for place, structure in enumerate(table.to_structures(primitive=True)):
        rows.append(
            CrystalTable.from_arrays(
                space_group=[1],
                num_sites=[len(structure)],
                elements=[site.specie.Z for site in structure],
                wyckoffs=np.zeros(len(structure)),
                free=structure.frac_coords.ravel() % 1.0 % 1.0,
                lattice=[structure.lattice.parameters],
                ids=[str(place)],
            )
        )
    every, owner, _ = site_fingerprints(CrystalTable.concatenate(rows))
    means = [every[owner == row].mean(axis=0) for row in range(len(table))]
    # CrystalNN rounds weights to three digits.
    np.testing.assert_allclose(crystalnn_fingerprints(table), means, atol=2e-3)


def test_fingerprints_are_matminers():
    """matminer 0.10.1 wants pandas below 3 and so is not among the dependencies."""
    fingerprint = pytest.importorskip("matminer.featurizers.site.fingerprint")
    table = concatenated(random_crystals(1, (2, 62, 139, 194, 225)), SALT, DIAMOND, CHLORIDE)
    featurizer = fingerprint.CrystalNNFingerprint.from_preset("ops")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [
            np.mean([featurizer.featurize(structure, index) for index in range(len(structure))], axis=0)
            for structure in table.to_structures(primitive=True)
        ]
    np.testing.assert_allclose(crystalnn_fingerprints(table), expected, atol=2e-3)


def test_deviations_are_those_of_all_atoms():
    table = random_crystals(3, (5, 62, 148, 221))
    sites, rows, counts = site_fingerprints(table)
    found = crystalnn_fingerprints(table, deviations=True)
    assert found.shape == (4, 122)
    np.testing.assert_array_equal(found[:, :61], crystalnn_fingerprints(table))
    for row in range(len(table)):
        atoms = np.repeat(sites[rows == row], counts[rows == row], axis=0)
        np.testing.assert_allclose(found[row], np.concatenate([atoms.mean(axis=0), atoms.std(axis=0)]), atol=1e-12)


def test_weights_are_shares_and_orders_are_at_most_their_weight():
    found = crystalnn_fingerprints(random_crystals(2, (1, 5, 33, 88, 146, 174)))
    assert found.shape == (6, 61)
    weights = found[:, list(starts().values())]
    assert weights.min() >= 0.0 and (weights.sum(axis=1) <= 1.0 + 1e-9).all()
    ends = [*list(starts().values())[1:], 61]
    for weight, (start, end) in zip(weights.T, zip(starts().values(), ends, strict=True), strict=True):
        assert (np.abs(found[:, start:end]) <= weight[:, None] + 1e-9).all()


def test_a_site_that_crystalnn_cannot_take_leaves_none(monkeypatch):
    from aristotype.evaluate import _crystalnn

    finder, motifs = _crystalnn._tools()

    class Failing:
        def get_nn_data(self, structure, index):
            if structure[index].specie.symbol == "Cl":
                raise ValueError("no Voronoi neighbours")
            return finder.get_nn_data(structure, index)

    monkeypatch.setattr(_crystalnn, "_tools", lambda: (Failing(), motifs))
    found = crystalnn_fingerprints(concatenated(SALT, DIAMOND))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


@pytest.mark.slow
def test_processes_and_cache_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROWS_A_TASK", 2)
    table = concatenated(SALT, DIAMOND, CHLORIDE)
    alone = crystalnn_fingerprints(table)
    np.testing.assert_array_equal(crystalnn_fingerprints(table, processes=2, cache=tmp_path), alone)
    assert [path.suffix for path in (tmp_path / "crystalnn").iterdir()] == [".parquet"]
    monkeypatch.setattr(module, "structure_fingerprints", None)  # it is not called again
    np.testing.assert_array_equal(crystalnn_fingerprints(table.with_columns(name="x"), cache=tmp_path), alone)


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROWS_A_TASK", 1)
    table = concatenated(SALT, DIAMOND, CHLORIDE)
    done: list[str] = []
    compute = module.structure_fingerprints

    def counted(part):
        done.extend(part.ids)
        if len(done) == 3:
            raise KeyboardInterrupt
        return compute(part)

    monkeypatch.setattr(module, "structure_fingerprints", counted)
    with pytest.raises(KeyboardInterrupt):
        crystalnn_fingerprints(table, cache=tmp_path)
    found = crystalnn_fingerprints(table, cache=tmp_path)
    assert done == [*table.ids, table.ids[-1]]
    monkeypatch.undo()
    np.testing.assert_array_equal(found, crystalnn_fingerprints(table))


def test_a_pymatgen_with_other_motifs_is_refused(monkeypatch):
    from pymatgen.core import local_env

    from aristotype.evaluate import _crystalnn

    monkeypatch.setattr(local_env, "CN_OPT_PARAMS", dict(list(local_env.CN_OPT_PARAMS.items())[1:]))
    monkeypatch.setattr(_crystalnn, "_tools", _crystalnn._tools.__wrapped__)
    with pytest.raises(MissingDependencyError, match="motifs for 56 numbers"):
        crystalnn_fingerprints(SALT)


def test_what_has_no_fingerprints_is_refused():
    with pytest.raises(TableError, match="no geometry"):
        crystalnn_fingerprints(CrystalTable.from_genes(GeneBatch.from_lists([225], [[11]], [[0]])))
    with pytest.raises(InputError, match="processes is 0"):
        crystalnn_fingerprints(SALT, processes=0)
    assert crystalnn_fingerprints(SALT[:0]).shape == (0, 61)
