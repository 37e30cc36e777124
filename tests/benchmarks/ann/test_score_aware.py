"""ScaNN beside faiss, and codes at equal bytes: what is compared is equal, and what is missing is said."""

from __future__ import annotations

import pytest

from lib.benchmarks.ann import boards, corpora, equal_bytes, score_aware
from lib.checks import RetrievalInputError
from lib.index import VectorSearchIndex, topk_exact


@pytest.fixture(scope="module")
def cones():
    return corpora.two_cones(9_984, 64, 0.5, n_queries=40)


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
    rows = equal_bytes.compare(cones, {"LSH": (8,), "PQ, 4 bits": (8,)}, rerank=4)
    assert [(row["codes"], row["rerank"]) for row in rows] == [
        ("LSH", 4), ("LSH", 0), ("PQ, 4 bits", 4), ("PQ, 4 bits", 0)
    ]  # fmt: skip
    for best, alone in zip(rows[::2], rows[1::2], strict=True):
        assert best["image"] > alone["image"] and best["text"] > alone["text"]


def test_the_two_libraries_get_equal_cells_and_codes():
    family, build, _ = score_aware.SYSTEMS["IVF-PQ"]
    assert family == "IVF-PQ" and build["nlist"] == score_aware.CELLS
    for name in ("ScaNN, T = 0", "ScaNN, T = 0.2"):
        assert score_aware.SYSTEMS[name][1]["n_leaves"] == score_aware.CELLS
    # ScaNN's default blocks of two dimensions, half a byte each: 64 bytes of 256 dimensions
    assert build["code_bytes"] * 2 * 2 == 256
    assert score_aware.SYSTEMS["IVF-PQ, dot product"][1] == build | {"metric": "inner_product"}


def test_without_scann_its_rows_are_those_committed(monkeypatch):
    monkeypatch.setattr(score_aware, "scann_library", no_scann)
    monkeypatch.setattr(score_aware, "_measured", lambda corpus, system: [{"system": system}])
    rows, here = score_aware.side_by_side(corpora.icons())
    assert not here and rows[:2] == [{"system": "IVF-PQ"}, {"system": "IVF-PQ, dot product"}]
    kept = score_aware.committed()
    assert len(rows) == 2 + kept["system"].str.startswith("ScaNN").sum()
    assert set(kept["system"]) == set(score_aware.SYSTEMS)


def test_without_scann_another_corpus_has_no_rows(monkeypatch, cones):
    monkeypatch.setattr(score_aware, "scann_library", no_scann)
    with pytest.raises(RetrievalInputError, match="needs the package scann"):
        score_aware.side_by_side(cones)


def test_the_board_is_in_order_and_says_who_is_closed():
    rates = [row["qps"] for row in boards.OOD_2023]
    assert rates == sorted(rates, reverse=True)
    assert {row["source"] for row in boards.OOD_2023} == {"open", "closed"}
