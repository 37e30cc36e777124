"""Search that is given tensors of a device, and indexes on a GPU, against the CPU."""

import faiss
import numpy as np
import pytest
import torch

from lib.index import METRICS, VectorSearchIndex
from lib.index.exact import topk_exact
from lib.metrics import hit_rate_at_k
from tests.gpu.conftest import NEEDS_CUDA
from tests.index.clusters import clustered

BASE, QUERIES = clustered(2000, seed=1), clustered(50, seed=2)


def test_exact_search_takes_tensors_from_where_they_are(device):
    tensors = [torch.from_numpy(rows).to(device) for rows in (QUERIES, BASE)]
    for metric in METRICS:
        scores, ids = topk_exact(*tensors, 10, metric)
        expected_scores, expected_ids = topk_exact(QUERIES, BASE, 10, metric)
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(scores, expected_scores)
        index = VectorSearchIndex(BASE.shape[1], "Flat", metric)
        index.add(tensors[1])
        np.testing.assert_array_equal(index.search(tensors[0], 10)[1], expected_ids)
    targets = [[int(row[0])] for row in expected_ids]
    assert hit_rate_at_k(torch.from_numpy(expected_ids).to(device), targets, 1).mean() == 1


# tests/index/test_gpu.py has the same with a stand-in for faiss's GPU.
@pytest.mark.parametrize("_", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "index_type, options",
    [("Flat", {}), ("IVF", {"nlist": 8, "nprobe": 8}), ("IVF-PQ", {"nlist": 8, "code_bytes": 8})],
)
def test_use_gpu(_, metric, index_type, options):
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        pytest.skip(f"faiss {faiss.__version__} as installed has no GPU code, or sees no GPU")
    found = []
    for on in (True, False):
        index = VectorSearchIndex(BASE.shape[1], index_type, metric, use_gpu=on, **options)
        index.train(BASE)
        index.add(BASE)
        found.append(index.search(QUERIES, 10))
    (scores, ids), (expected_scores, expected_ids) = found
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids, expected_ids)])
    assert shared > 0.95  # sums in another order: near ties at the cut-off may change places
    np.testing.assert_allclose(scores[:, 0], expected_scores[:, 0], rtol=1e-3, atol=1e-3)
