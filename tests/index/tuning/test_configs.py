"""Bytes before an index is built are those of the built one."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index.tuning.configs import PQ_NEEDS, Config, formula_bytes, training_rows
from lib.index.tuning.rows import ArrayRows
from lib.index.tuning.trials import build

CONFIGS = [
    Config("a", "Flat"),
    Config("a", "IVF", {"nlist": 16}),
    Config("a", "HNSW", {"links": 8}),
    Config("a", "PQ", {"code_bytes": 4}),
    Config("a", "PQ", {"code_bytes": 4, "fast_scan": True}, ({"rerank": 4},)),
    Config("a", "IVF-PQ", {"nlist": 16, "code_bytes": 4, "rotate": True}),
    Config("a", "IVF-PQ", {"nlist": 16, "code_bytes": 2, "fast_scan": True}, ({"rerank": 4},)),
    Config("a", "LSH", {"n_bits": 24}),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.index_type)
def test_bytes_are_known_before_the_build(config):
    rows = np.random.default_rng(0).standard_normal((PQ_NEEDS, 8)).astype(np.float32)
    ids = np.arange(len(rows)) + 5
    built = build(config, ArrayRows(rows), ids=ids).index.bytes_by_part()["total"]
    assert formula_bytes(config, *rows.shape) == pytest.approx(built, rel=0.01)


def test_bytes_worked_by_hand():
    # vectors 4 n d, norms and order of ties 8 n each, ids 8 n
    assert formula_bytes(Config("a", "Flat"), 100, 4) == 100 * (16 + 8 + 8 + 8)
    # vectors, ids of the lists, centroids, lists, ids
    assert formula_bytes(Config("a", "IVF", {"nlist": 2}), 100, 4) == 1600 + 800 + 32 + 16 + 800
    with pytest.raises(RetrievalInputError, match="n must be at least 1"):
        formula_bytes(Config("a", "Flat"), 0, 4)


def test_training_rows_grow_with_the_lists():
    assert (training_rows(1_000), training_rows(10**6)) == (1_000, 65_536)
    assert training_rows(10**6, 4_096) == 64 * 4_096
