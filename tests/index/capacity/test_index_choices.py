import numpy as np
import pytest

from lib.index.capacity.index_choices import (
    cells_for,
    index_choices,
    predicted_codes_scanned,
    training_flop,
)
from lib.index.from_scratch.cells import assign, first_centroids, inverted_lists, search_cells
from tests.index.clusters import clustered
from tests.index.oracle import refused

N, D = 5_850_000_000, 512


def test_an_inverted_file_reads_its_share_of_the_codes_and_centroids():
    options = index_choices(N, D, nprobe=64, nlist=2**17, imbalance=1.0)
    option = next(option for option in options if option.name == "IVF-PQ, 64 bytes")
    assert option.codes_read == 64 * N / 2**17 * 64 == pytest.approx(183e6, rel=0.002)
    assert option.vectors_read == 2 * 64 * 64 * 4 * D  # the most in a walk among the centroids
    small = next(option for option in index_choices(10_000, D, nprobe=2) if option.kind == "codes")
    assert small.vectors_read == 256 * 4 * D and "coarse graph" not in small.ram


def test_codes_that_do_not_divide_d_are_left_out():
    names = [option.name for option in index_choices(1000, 6)]
    assert "Flat, float32" in names and not any("PQ" in name or "SSD" in name for name in names)


def test_codes_scanned_by_hand():
    assert predicted_codes_scanned(1000, 10, 2) == 200
    assert predicted_codes_scanned(1000, 10, 2, 1.5) == pytest.approx(300)
    assert predicted_codes_scanned(1000, 10, 10, 1.5) == 1000  # there are no more


def test_queries_like_the_base_meet_what_is_predicted():
    rows = clustered(6000, seed=1)
    centroids = first_centroids(rows, 40)  # not trained, because then lists differ in length
    lists = inverted_lists(assign(rows, centroids), 40)
    imbalance = 40 * np.square(np.diff(lists[1]) / 6000).sum()
    assert imbalance > 1.3
    scored = search_cells(clustered(4000, seed=2), rows, centroids, lists, 1, 1)[2]
    predicted = predicted_codes_scanned(6000, 40, 1, imbalance)
    assert scored.mean() == pytest.approx(predicted, rel=0.03)


def test_training_flop_grows_with_the_square_of_the_cells():
    assert training_flop(100, 8, n_train=1000, iterations=10) == 2 * 1000 * 100 * 8 * 10
    assert training_flop(2**20, 512) == pytest.approx(721e15, rel=0.001)
    assert training_flop(2**20, 512) / training_flop(2**17, 512) == 64


def test_cells():
    nlists = {1: 1, 10_000: 256, 100_000: 1024, 10**6: 2048, 3 * 10**6: 2**16, 10**8: 2**20}
    assert {n: cells_for(n) for n in nlists} == nlists and cells_for(10**10) == 2**20
    sizes = (50, 999, 123_456, 2_600_000, 10_300_000, 99_999_999, 10**9)
    assert [n for n in sizes if n / cells_for(n) < 39] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: predicted_codes_scanned(10, 4, 5), "nprobe = 5 is more than the 4 cells"),
        (lambda: predicted_codes_scanned(10, 4, 1, 0.0), "imbalance must be between .*got 0.0"),
        (lambda: cells_for(0), "n must be at least 1"),
        (lambda: index_choices(N, D, nprobe=0), "nprobe must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()
