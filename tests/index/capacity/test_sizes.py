"""Every byte formula against what faiss writes; what differs must be a header that does not depend
on n.
"""

import numpy as np
import pytest

from lib.index.capacity import sizes
from tests.index.oracle import refused

faiss = pytest.importorskip("faiss")
HEADER = 600  # bytes; no family of faiss 1.15 writes more
D, NLIST = 16, 32
N_TRAIN = 39 * 256
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((N_TRAIN, D), dtype=np.float32)


def serialised(index) -> int:
    return faiss.serialize_index(index).size


def quantiser():
    return faiss.IndexFlatIP(D)


def rotated(index):
    rotation = faiss.OPQMatrix(D, 4)
    rotation.niter = rotation.niter_pq = rotation.niter_pq_0 = 1
    return faiss.IndexPreTransform(rotation, index)


def trained(index):
    """Quickly: sizes do not depend on how good the centroids are."""
    for part in (index, getattr(index, "pq", None)):
        if hasattr(part, "cp"):
            part.cp.niter = 1
    index.train(ROWS)
    return index


def headers(index, formula) -> set[int]:
    """What remains of the serialised bytes at three sizes, two of them no multiple of 32."""
    remains = set()
    for n in (1200, 1000, 640):
        index.reset()
        index.add(ROWS[:n])
        remains.add(serialised(index) - sum(formula(n, index).values()))
    return remains


def list_sizes(index) -> np.ndarray:
    return np.array([index.invlists.list_size(cell) for cell in range(index.nlist)])


IP = faiss.METRIC_INNER_PRODUCT
FAMILIES = {
    "Flat": (lambda: faiss.IndexFlatIP(D), lambda n, index: sizes.flat(n, D)),
    "IVF": (
        lambda: faiss.IndexIVFFlat(quantiser(), D, NLIST, IP),
        lambda n, index: sizes.ivf(n, D, NLIST),
    ),
    "PQ": (lambda: faiss.IndexPQ(D, 4, 8, IP), lambda n, index: sizes.pq(n, D, 4)),
    "PQ fast scan": (
        lambda: faiss.IndexPQFastScan(D, 8, 4, IP),
        lambda n, index: sizes.pq(n, D, 4, fast_scan=True),
    ),
    "PQ fast scan, re-ranked": (
        lambda: faiss.IndexRefineFlat(faiss.IndexPQFastScan(D, 8, 4, IP)),
        lambda n, index: sizes.pq(n, D, 4, fast_scan=True, rerank=True),
    ),
    "IVF-PQ": (
        lambda: faiss.IndexIVFPQ(quantiser(), D, NLIST, 4, 8, IP),
        lambda n, index: sizes.ivf_pq(n, D, NLIST, 4, list_sizes=list_sizes(index)),
    ),
    "OPQ": (
        lambda: rotated(faiss.IndexPQ(D, 4, 8, IP)),
        lambda n, index: sizes.pq(n, D, 4, rotate=True),
    ),
    "IVF-PQ fast scan": (
        lambda: faiss.IndexIVFPQFastScan(quantiser(), D, NLIST, 8, 4, IP),
        lambda n, index: sizes.ivf_pq(n, D, NLIST, 4, fast_scan=True, list_sizes=list_sizes(index)),
    ),
    "LSH": (lambda: faiss.IndexLSH(D, 100, True, False), lambda n, index: sizes.lsh(n, D, 100)),
    "LSH of signs": (
        lambda: faiss.IndexLSH(D, 12, False, False),
        lambda n, index: sizes.lsh(n, D, 12, False),
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_faiss_writes_what_the_formula_says_and_a_header(family):
    make, formula = FAMILIES[family]
    (header,) = headers(trained(make()), formula)
    assert 0 <= header < HEADER


def test_mostly_empty_cells_are_left_out():
    index = trained(faiss.IndexIVFFlat(quantiser(), D, NLIST, IP))
    remains = set()
    for n in (0, 1, 5, 1000):
        index.reset()
        index.add(ROWS[:n])
        remains.add(
            serialised(index) - sum(sizes.ivf(n, D, NLIST, list_sizes=list_sizes(index)).values())
        )
    assert len(remains) == 1


@pytest.mark.parametrize("links", [4, 16])
def test_hnsw_given_its_levels(links):
    index = faiss.IndexHNSWFlat(D, links, IP)
    index.hnsw.efConstruction = 8
    remains = set()
    for n in (200, 700):
        index.reset()
        index.add(ROWS[:n])
        n_links = index.hnsw.neighbors.size()
        remains.add(serialised(index) - sum(sizes.hnsw(n, D, links, n_links).values()))
    (header,) = remains
    assert 0 < header < HEADER


def test_expected_links_are_the_mean_over_drawn_levels():
    # P(level above the bottom >= l) = M^-l, so M = 4 gives a third of a level per vector, and 4 / 3
    # more links.
    expected = sizes.hnsw(3000, D, 4)["links"]
    assert expected == 4 * (3000 * 8 + 3000 * 4 // 3)
    levels_above = np.floor(-np.log(RNG.random(200_000)) / np.log(4))
    assert 4 * (8 + 4 * levels_above.mean()) == pytest.approx(expected / 3000, rel=0.005)


def test_the_expected_padding_is_half_a_block_a_list():
    guess = sizes.ivf_pq(100_000, D, 100, 4, fast_scan=True)
    drawn = np.bincount(RNG.choice(100, 100_000, p=RNG.dirichlet(np.full(100, 5.0))), minlength=100)
    known = sizes.ivf_pq(100_000, D, 100, 4, fast_scan=True, list_sizes=drawn)
    assert guess["codes"] == (100_000 + 1550) * 4
    assert guess["codes"] == pytest.approx(known["codes"], rel=0.005)
    assert {**guess, "codes": 0} == {**known, "codes": 0}


def test_a_coarse_graph_is_an_hnsw_without_its_vectors():
    parts = sizes.hnsw(1024, 64, 32)
    assert sum(parts.values()) == parts["vectors"] + sizes.coarse_graph(1024, 64)["coarse graph"]


def test_scann_saves_what_the_estimate_counts_and_a_byte_a_block(tmp_path):
    scann = pytest.importorskip("scann")
    n, leaves = 2000, 20
    builder = scann.scann_ops_pybind.builder(ROWS[:n], 10, "dot_product").tree(
        leaves, 4, training_sample_size=n
    )
    builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(50).build().serialize(
        str(tmp_path)
    )
    parts = sizes.scann(n, D, leaves)
    bytes_of = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert bytes_of["dataset.npy"] - parts["vectors"] == 128  # the header of .npy
    assert bytes_of["hashed_dataset.npy"] - 128 == n * D // 2
    assert (
        parts["codes"] == 20 * 128 * D // 4
    )  # half a byte a block; 100 vectors a leaf are padded to 128
    assert bytes_of["datapoint_to_token.npy"] - 128 == 4 * n
    assert parts["centroids"] < bytes_of["serialized_partitioner.pb"] < 2.5 * parts["centroids"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sizes.flat(-1, 8), "n must be at least 0, got -1"),
        (lambda: sizes.flat(5.85e9, 8), "n must be a whole number"),
        (lambda: sizes.pq(10, 16, 5), "5 sub-quantisers, which do not divide d = 16"),
        (lambda: sizes.pq(10, 16, 16, fast_scan=True), "32 sub-quantisers"),
        (
            lambda: sizes.ivf(10, 8, 2, list_sizes=[3, 4]),
            "2 numbers of sum 10, got .2,. with sum 7",
        ),
        (lambda: sizes.hnsw(10, 8, 1), "links must be at least 2"),
        (lambda: sizes.lsh(10, 8, 0), "n_bits must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()
