"""Rows read by blocks, held out at random, and hits counted by score: worked by hand."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index import topk_exact
from lib.index.tuning.rows import (
    ArrayRows,
    RowsAt,
    blocks,
    exact_scores_by_block,
    halves,
    hits_by_score,
    hold_out,
)


def test_held_out_rows_are_drawn_at_random_and_no_rows_of_the_base():
    held, kept = hold_out(1_000)
    assert len(held) == 100 and sorted([*held, *kept]) == list(range(1_000))
    assert abs(held.mean() - 500) < 100  # the last hundred rows have the mean 949.5
    assert np.array_equal(held, hold_out(1_000)[0])
    assert not np.array_equal(held, hold_out(1_000, seed=1)[0])
    assert len(hold_out(10**6)[0]) == 2_000 and len(hold_out(2)[0]) == 1
    with pytest.raises(RetrievalInputError, match="at least 2 vectors to hold one out, got 1"):
        hold_out(1)


def test_halves_are_disjoint_and_drawn():
    choose, report = halves(9)
    assert len(choose) == 4 and sorted([*choose, *report]) == list(range(9))
    assert choose.tolist() != [0, 1, 2, 3]


def test_rows_of_rows_and_blocks(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(10, dtype=np.int8).reshape(5, 2))
    rows = RowsAt(ArrayRows(np.load(tmp_path / "a.npy", mmap_mode="r")), np.array([4, 0, 2]))
    assert len(rows) == 3 and rows.dim == 2 and rows.vectors(np.array([0])).dtype == np.float32
    found = [(start, block.tolist()) for start, block in blocks(rows, 2)]
    assert found == [(0, [[8, 9], [0, 1]]), (2, [[4, 5]])]


@pytest.mark.parametrize("metric", ["cosine", "l2", "inner_product"])
def test_blocks_give_the_scores_of_a_whole_search(metric):
    rng = np.random.default_rng(0)
    x, q = rng.standard_normal((50, 4)), rng.standard_normal((7, 4))
    x = x.astype(np.float32)
    whole, _ = topk_exact(q, x, 12, metric)
    assert np.array_equal(exact_scores_by_block(q, ArrayRows(x), 12, metric, block=9), whole)


def test_copies_of_a_neighbour_count_as_well_and_nothing_found_does_not():
    # From the query at 0 the distances are 1, 2, 2, 3: the second neighbour is either of two.
    rows = ArrayRows(np.array([[1.0, 0], [2, 0], [0, 2], [3, 0]]))
    query = np.zeros((1, 2))
    least = exact_scores_by_block(query, rows, 2, "l2")[:, -1]
    assert least.tolist() == [-4]
    for found, hits in {(0, 1): 2, (0, 2): 2, (0, 3): 1, (3, -1): 0, (0, -1): 1}.items():
        assert hits_by_score(query, np.array([found]), rows, least, "l2") == [hits]
