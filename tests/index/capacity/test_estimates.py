import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index.capacity.estimates import (
    cells_for,
    imbalance,
    predicted_codes_scanned,
    training_flop,
)
from lib.index.from_scratch.cells import assign, first_centroids, inverted_lists, search_cells
from tests.index.clusters import clustered


def test_imbalance_by_hand():
    assert imbalance([5, 5, 5]) == 1.0
    assert imbalance([6, 0, 0]) == 3.0
    assert imbalance([3, 1]) == pytest.approx(2 * 10 / 16)


def test_codes_scanned_by_hand():
    assert predicted_codes_scanned(1000, 10, 2) == 200
    assert predicted_codes_scanned(1000, 10, 2, 1.5) == pytest.approx(300)
    assert predicted_codes_scanned(1000, 10, 10, 1.5) == 1000  # there are no more


def test_queries_like_the_base_meet_what_is_predicted():
    rows = clustered(6000, seed=1)
    centroids = first_centroids(rows, 40)  # not trained, so that lists differ in length
    lists = inverted_lists(assign(rows, centroids), 40)
    sizes = np.diff(lists[1])
    assert imbalance(sizes) > 1.3
    scored = search_cells(clustered(4000, seed=2), rows, centroids, lists, 1, 1)[2]
    assert scored.mean() == pytest.approx(
        predicted_codes_scanned(6000, 40, 1, imbalance(sizes)), rel=0.03
    )


def test_training_flop_grows_with_the_square_of_the_cells():
    assert training_flop(100, 8, n_train=1000, iterations=10) == 2 * 1000 * 100 * 8 * 10
    assert training_flop(2**20, 512) == pytest.approx(721e15, rel=0.001)
    assert training_flop(2**20, 512) / training_flop(2**17, 512) == 64


@pytest.mark.parametrize(
    ("n", "nlist"),
    [
        (1, 1),
        (10_000, 256),
        (100_000, 1024),
        (1_000_000, 2048),
        (3_000_000, 2**16),
        (10**8, 2**20),
        (10**10, 2**20),
    ],
)
def test_cells(n, nlist):
    assert cells_for(n) == nlist


@pytest.mark.parametrize("n", [50, 999, 123_456, 2_600_000, 10_300_000, 99_999_999, 10**9])
def test_n_can_train_its_cells(n):
    assert n / cells_for(n) >= 39


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: imbalance([]), "at least one vector, got .."),
        (lambda: imbalance([3, -1]), "got .3, -1."),
        (lambda: predicted_codes_scanned(10, 4, 5), "nprobe = 5 is more than the 4 cells"),
        (
            lambda: predicted_codes_scanned(10, 4, 1, 0.0),
            "imbalance must be a finite number above 0, got 0.0",
        ),
        (lambda: cells_for(0), "n must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
