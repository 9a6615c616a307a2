"""Named embeddings: what must not change them, and the package that they come from."""

from __future__ import annotations

import numpy as np
import pytest

from aristotype.crystal import CrystalTable, GeneBatch
from aristotype.errors import TableError, UnknownNameError
from aristotype.evaluate import embed, embedding_names, frechet_distance, magpie_fingerprints
from tests.evaluate.crystals import concatenated, crystal, random_crystals

CUBE = [90.0, 90.0, 90.0]


@pytest.fixture(scope="module")
def table() -> CrystalTable:
    return random_crystals(0, (2, 14, 62, 99, 148, 166, 194, 225))


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # the package's own
def test_chgnet_crystal_is_the_packages_over_the_number_of_atoms(table):
    from chgnet.model.model import CHGNet

    network = CHGNet.load(use_device="cpu", verbose=False)
    found = embed(table, "chgnet-crystal", device="cpu")
    assert found.shape == (len(table), 64)
    for row, structure in enumerate(table.to_structures(primitive=False)[:4]):
        theirs = network.predict_structure(structure, return_crystal_feas=True)["crystal_fea"]
        np.testing.assert_allclose(found[row], theirs / len(structure), atol=5e-5)


def test_rows_do_not_depend_on_each_other(table):
    whole = embed(table, "chgnet-crystal", device="cpu")
    parts = [embed(table[row : row + 1], "chgnet-crystal", device="cpu") for row in range(len(table))]
    np.testing.assert_allclose(whole, np.vstack(parts), atol=5e-5)


def test_an_unknown_element_has_no_embedding():
    salt = crystal(225, [11, 17], "ab", [5.64, 5.64, 5.64, *CUBE])
    curium = crystal(225, [96, 17], "ab", [5.64, 5.64, 5.64, *CUBE])
    found = embed(concatenated(curium, salt), "chgnet-crystal", device="cpu")
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_magpie_is_the_fingerprint_and_needs_no_geometry(table):
    genes = CrystalTable.from_genes(table.genes())
    np.testing.assert_array_equal(embed(genes, "magpie"), magpie_fingerprints(table.genes()))
    assert embedding_names() == ["chgnet-crystal", "magpie"]


def test_distances_name_their_embedding(table):
    rows = embed(table, "magpie")
    assert frechet_distance(rows, rows, embedding="magpie").note.startswith("magpie, 132 dimensions, 8 rows against 8")


def test_what_has_no_embedding_is_refused():
    genes = CrystalTable.from_genes(GeneBatch.from_lists([225], [[11]], [[0]]))
    with pytest.raises(TableError, match="no geometry"):
        embed(genes, "chgnet-crystal")
    with pytest.raises(UnknownNameError, match="give chgnet-crystal, magpie"):
        embed(genes, "soap")
