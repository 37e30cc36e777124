"""Searching on a GPU, with a stand-in for it: what is moved there, and when."""

import faiss
import numpy as np
import pytest

from lib.index import METRICS, VectorSearchIndex, gpu
from tests.index.clusters import clustered
from tests.index.oracle import refused

BASE, QUERIES = clustered(700, seed=1), clustered(10, seed=2)


def test_a_build_without_gpu_code_says_how_to_get_one(monkeypatch):
    monkeypatch.delattr(faiss, "StandardGpuResources", raising=False)
    with refused("conda package faiss-gpu in its place, or leave use_gpu = False"):
        VectorSearchIndex(16, "IVF", use_gpu=True)


def test_no_gpu_in_sight(monkeypatch):
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    with refused("faiss sees no GPU: check the driver"):
        VectorSearchIndex(16, use_gpu=True)


@pytest.fixture
def moved(monkeypatch):
    """A GPU that is a copy in memory; the list of what was moved to it."""
    moved = []

    def to_gpu(resources, device, index):
        assert device == 0
        moved.append(index.ntotal)
        return faiss.clone_index(index)

    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", to_gpu, raising=False)
    gpu._resources.cache_clear()
    yield moved
    gpu._resources.cache_clear()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("index_type, options", [("Flat", {}), ("IVF", {"nlist": 4, "nprobe": 2})])
def test_searches_run_on_a_copy_that_follows_changes(moved, tmp_path, metric, index_type, options):
    both = [
        VectorSearchIndex(16, index_type, metric, use_gpu=on, **options) for on in (True, False)
    ]
    for index in both:
        index.train(BASE)
        index.add(BASE)
    with_gpu, without = both

    def agree(index):
        found, expected = index.search(QUERIES, 5), without.search(QUERIES, 5)
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)

    agree(with_gpu)
    agree(with_gpu)
    assert moved == [700]
    for index in both:
        index.remove([3, 4])
        index.add(BASE[3:5] / 2, [3, 4])
    agree(with_gpu)
    assert moved == [700, 700]
    with_gpu.save(tmp_path / "a")
    agree(VectorSearchIndex.load(tmp_path / "a", use_gpu=True))
    assert len(moved) == 3
    assert with_gpu.bytes_by_part()["total"] == without.bytes_by_part()["total"]


def test_int8_vectors_are_floats_there(moved):
    codes = np.random.default_rng(0).integers(-127, 128, (50, 16), np.int8)
    both = [VectorSearchIndex(16, use_gpu=on) for on in (True, False)]
    for index in both:
        index.add(codes)
    found, expected = (index.search(codes[:5], 3) for index in both)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)


def test_what_a_gpu_cannot(moved):
    with refused(r"'HNSW' runs on the CPU only. Types that can: Flat, IVF, IVF-PQ"):
        VectorSearchIndex(16, "HNSW", use_gpu=True)
    with refused("fast_scan must be False on a GPU"):
        VectorSearchIndex(16, "IVF-PQ", use_gpu=True, fast_scan=True, code_bytes=2)
    index = VectorSearchIndex(16, "IVF", use_gpu=True, nlist=4)
    index.train(BASE)
    index.add(BASE)
    assert index.search(QUERIES, 2).work == {"centroids": 40, "lists": 40}
    with refused("'IVF' on a GPU cannot restrict a search"):
        index.search(QUERIES, 2, [1])
