"""ScaNN beside faiss: sizes are equal, and missing libraries are named."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.ann import corpora, scann_beside_faiss
from tests.studies.ann.toy import two_cones


@pytest.fixture(scope="module")
def cones():
    return two_cones(9_984, 64, 0.5, n_queries=40)


def no_scann():
    raise RetrievalInputError("index type 'ScaNN' needs the package scann")


def test_the_two_libraries_get_equal_cells_and_codes():
    family, build, _ = scann_beside_faiss.SCANN_SYSTEMS["IVF-PQ"]
    assert family == "IVF-PQ" and build["nlist"] == scann_beside_faiss.CELLS
    for name in ("ScaNN, T = 0", "ScaNN, T = 0.2"):
        assert scann_beside_faiss.SCANN_SYSTEMS[name][1]["n_leaves"] == scann_beside_faiss.CELLS
    # ScaNN's default blocks of two dimensions, half a byte each: 64 bytes of 256 dimensions
    assert build["code_bytes"] * 2 * 2 == 256
    assert scann_beside_faiss.SCANN_SYSTEMS["IVF-PQ, dot product"][1] == build | {
        "metric": "inner_product"
    }


def test_without_scann_its_rows_are_those_committed(monkeypatch):
    monkeypatch.setattr(scann_beside_faiss, "scann_library", no_scann)
    monkeypatch.setattr(
        scann_beside_faiss, "_measure_cells", lambda corpus, system: [{"system": system}]
    )
    rows, here = scann_beside_faiss.compare_scann_with_faiss(corpora.icons())
    assert not here and rows[:2] == [{"system": "IVF-PQ"}, {"system": "IVF-PQ, dot product"}]
    committed = scann_beside_faiss.committed_scann_table()
    assert len(rows) == 2 + committed["system"].str.startswith("ScaNN").sum()
    assert set(committed["system"]) == set(scann_beside_faiss.SCANN_SYSTEMS)


def test_without_scann_another_corpus_has_no_rows(monkeypatch, cones):
    monkeypatch.setattr(scann_beside_faiss, "scann_library", no_scann)
    with pytest.raises(RetrievalInputError, match="needs the package scann"):
        scann_beside_faiss.compare_scann_with_faiss(cones)


def test_the_board_is_in_order_and_says_who_is_closed():
    board = scann_beside_faiss.published_ood_board()
    rates = [row["qps"] for row in board]
    assert rates == sorted(rates, reverse=True) and len(rates) == 13  # all entries of the file
    assert {row["source"] for row in board} == {"open", "closed"}
