"""Tables of what compressed tokens and candidates cost, on documents small enough to know the
answer.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.index import TokenIndex
from lib.studies.architectures.token_compression import STORAGES, candidate_rows, storage_rows

N, LENGTH, DIM = 60, 4, 16
ENCODER = SimpleNamespace(
    dim=DIM, device="cpu"
)  # tokens are given, so that nothing else of it is read


@pytest.fixture(scope="module")
def corpus() -> tuple[RetrievalTask, Tokens, Tokens]:
    """Documents of random unit tokens, each asked for by two noisy copies of two of them."""
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((N, LENGTH, DIM))
    documents /= np.linalg.norm(documents, axis=2, keepdims=True)
    queries = np.repeat(documents[:, :2], 2, axis=0) + 0.28 * rng.standard_normal((2 * N, 2, DIM))
    queries /= np.linalg.norm(queries, axis=2, keepdims=True)
    owner = np.arange(2 * N) // 2
    qrels = Qrels.from_pairs(np.arange(2 * N), owner, shape=(2 * N, N))
    names = [str(i) for i in range(2 * N)]
    task = RetrievalTask("toy", "test", "text_to_image", names, names[:N], qrels, owner)
    return task, Tokens(queries), Tokens(documents)


SMALL = {name: STORAGES[name] for name in ("float32", "int8", "1 bit, 1 centroid")}


def test_bytes_are_what_the_formulas_say_and_fewer_cost_quality(corpus):
    rows = {row["storage"]: row for row in storage_rows(ENCODER, *corpus, SMALL)}
    assert [row["bytes_an_item"] for row in rows.values()] == [
        LENGTH * 4 * DIM,
        LENGTH * DIM,
        LENGTH * (DIM // 8 + 1),  # a bit a dimension, and the number of the one centroid
    ]
    assert rows["int8"]["shared_kb"] == 8 / 1e3  # the scale
    assert rows["1 bit, 1 centroid"]["shared_kb"] == (4 * DIM + 3 * 4) / 1e3
    assert rows["float32"]["p (Holm)"] is None
    coarse, exact = rows["1 bit, 1 centroid"], rows["float32"]
    assert coarse["mAP"][0] < exact["mAP"][0] and coarse["p (Holm)"] < 0.05
    assert all(
        low <= value <= high
        for row in rows.values()
        for value, low, high in (row["R@1"], row["mAP"])
    )


def test_every_storage_of_the_table_can_be_built(corpus):
    task, queries, documents = corpus
    many = Tokens(np.concatenate([documents.vectors] * 2))  # 64 centroids need as many tokens
    twice = RetrievalTask(
        "toy", "test", "text_to_image", task.queries, [*task.gallery, *task.gallery],
        Qrels.from_pairs(np.arange(2 * N), np.arange(2 * N) // 2, shape=(2 * N, 2 * N)), task.query_groups,
    )  # fmt: skip
    rows = storage_rows(ENCODER, twice, queries, many)
    assert [row["storage"] for row in rows] == list(STORAGES)
    bytes_of = {row["storage"]: row["bytes_an_item"] for row in rows}
    assert bytes_of["float32"] > bytes_of["int8"] > bytes_of["2 bits"] > bytes_of["1 bit"]


def test_needs_something_to_compare_with(corpus):
    with pytest.raises(RetrievalInputError, match="float32"):
        storage_rows(ENCODER, *corpus, {"int8": STORAGES["int8"]})


def test_with_all_centroids_nothing_is_left_out(corpus):
    task, queries, documents = corpus
    index = TokenIndex(DIM, "int8", n_centroids=8)
    index.add(documents)
    few, every = candidate_rows(ENCODER, task, queries, index, (1, 8))
    assert (every["found"], every["scored"]) == (100, 100)
    assert every["R@1"] == every["exhaustive R@1"]
    assert few["found"] < 100 and few["scored"] < 100
