"""ScaNN beside faiss, codes at equal bytes: sizes are equal, and missing libraries are named."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex, topk_exact
from lib.index.from_scratch import hyperplanes
from lib.studies.ann import corpora, equal_bytes
from tests.studies.ann.toy import two_cones


@pytest.fixture(scope="module")
def cones():
    return two_cones(9_984, 64, 0.5, n_queries=40)


def no_scann():
    raise RetrievalInputError("index type 'ScaNN' needs the package scann")


def test_exact_answers_have_full_recall_and_wrong_ones_none(cones):
    exact = equal_bytes.recall_percent(
        cones, lambda queries: topk_exact(queries, cones.vectors(), 10, metric="cosine")[1]
    )
    assert exact == {"image": 100.0, "text": 100.0}
    missing = equal_bytes.recall_percent(cones, lambda queries: [[-1] * 10] * len(queries))
    assert missing == {"image": 0.0, "text": 0.0}


def test_codes_of_one_name_take_the_bytes_they_are_said_to_take():
    for name, (family, build) in equal_bytes.CODES.items():
        index = VectorSearchIndex(64, family, **build(8))
        if family == "LSH":
            assert index.build_options["n_bits"] == 64, name
        else:
            assert index.build_options["code_bytes"] == 8, name


def test_reranked_codes_find_no_less(cones):
    results = equal_bytes.compare_codes(cones, {"LSH": (8,), "PQ": (8,)}, rerank=4)
    assert list(results) == [("LSH", 8, 4), ("LSH", 8, 0), ("PQ", 8, 4), ("PQ", 8, 0)]
    for name in ("LSH", "PQ"):
        for kind in ("image", "text"):
            assert results[name, 8, 4][kind].shape == (40,)
            assert results[name, 8, 4][kind].mean() > results[name, 8, 0][kind].mean()


def test_a_query_that_keeps_its_numbers_finds_more_with_the_same_bits(cones):
    results = equal_bytes.compare_codes(cones, {"LSH": (8,), equal_bytes.WHOLE: (8,)})
    for kind in ("image", "text"):
        assert results[equal_bytes.WHOLE, 8, 0][kind].mean() > results["LSH", 8, 0][kind].mean()


def test_product_codes_are_turned_as_lsh_is_by_rotations_that_change_no_distance(cones):
    base = cones.vectors()
    for name in equal_bytes.CODES:
        turn = equal_bytes._rotation(name, base, 8)
        assert np.allclose(turn @ turn.T, np.eye(64), atol=1e-5), name
    assert np.array_equal(
        equal_bytes._rotation("PQ, turned", base, 8), hyperplanes.draw_frame(64, 64).T
    )
    pieces = np.var(base @ equal_bytes._rotation("PQ, dealt", base, 8), axis=0).reshape(16, 4)
    assert (np.diff(pieces, axis=1) <= 0).all()  # each piece has its share of the large directions


def test_the_two_libraries_get_equal_cells_and_codes():
    family, build, _ = equal_bytes.SCANN_SYSTEMS["IVF-PQ"]
    assert family == "IVF-PQ" and build["nlist"] == equal_bytes.CELLS
    for name in ("ScaNN, T = 0", "ScaNN, T = 0.2"):
        assert equal_bytes.SCANN_SYSTEMS[name][1]["n_leaves"] == equal_bytes.CELLS
    # ScaNN's default blocks of two dimensions, half a byte each: 64 bytes of 256 dimensions
    assert build["code_bytes"] * 2 * 2 == 256
    assert equal_bytes.SCANN_SYSTEMS["IVF-PQ, dot product"][1] == build | {
        "metric": "inner_product"
    }


def test_without_scann_its_rows_are_those_committed(monkeypatch):
    monkeypatch.setattr(equal_bytes, "scann_library", no_scann)
    monkeypatch.setattr(equal_bytes, "_measure_cells", lambda corpus, system: [{"system": system}])
    rows, here = equal_bytes.compare_scann_with_faiss(corpora.icons())
    assert not here and rows[:2] == [{"system": "IVF-PQ"}, {"system": "IVF-PQ, dot product"}]
    committed = equal_bytes.committed_scann_table()
    assert len(rows) == 2 + committed["system"].str.startswith("ScaNN").sum()
    assert set(committed["system"]) == set(equal_bytes.SCANN_SYSTEMS)


def test_without_scann_another_corpus_has_no_rows(monkeypatch, cones):
    monkeypatch.setattr(equal_bytes, "scann_library", no_scann)
    with pytest.raises(RetrievalInputError, match="needs the package scann"):
        equal_bytes.compare_scann_with_faiss(cones)


def test_the_board_is_in_order_and_says_who_is_closed():
    board = equal_bytes.published_ood_board()
    rates = [row["qps"] for row in board]
    assert rates == sorted(rates, reverse=True) and len(rates) == 13  # all entries of the file
    assert {row["source"] for row in board} == {"open", "closed"}
