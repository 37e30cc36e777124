import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index.exact import topk_exact
from lib.metrics import ndcg_at_k, paired_bootstrap_interval
from lib.studies import readme_results
from lib.studies.metrics import query_expansion

# Three items on the circle at 0, 60 and 90 degrees; the query at 20 degrees is nearest to item 0,
# then 1.
ANGLES = np.radians([0, 60, 90])
GALLERY = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
QUERY = np.array([[np.cos(np.radians(20)), np.sin(np.radians(20))]])


def angle(x):
    return np.degrees(np.arctan2(x[:, 1].astype(float), x[:, 0].astype(float)))


def test_moves_a_query_towards_its_answers():
    # One answer: halfway from 20 to 0 degrees. Two: their mean has length cos 30 and points to 30
    # degrees.
    towards = QUERY[0] + np.cos(np.radians(30)) * np.array(
        [np.cos(np.radians(30)), np.sin(np.radians(30))]
    )
    for m, middle in ((1, 10), (2, np.degrees(np.arctan2(*towards[::-1])))):
        assert angle(query_expansion.expand_queries(QUERY, GALLERY, m))[0] == pytest.approx(
            middle, abs=0.5
        )


def test_length_of_query_and_items_does_not_matter():
    same = query_expansion.expand_queries(7 * QUERY, GALLERY * np.array([[3.0], [1.0], [0.5]]), 2)
    assert np.array_equal(same, query_expansion.expand_queries(QUERY, GALLERY, 2))


def test_one_answer_stays_first():
    queries, gallery = readme_results.stored_embeddings("icons", "image_to_text")
    first = topk_exact(queries[:200], gallery, 1)[1]
    moved = query_expansion.expand_queries(queries[:200], gallery, 1)
    assert moved.dtype == np.int8 and moved.shape == (200, queries.shape[1])
    assert np.array_equal(topk_exact(moved, gallery, 1)[1], first)


def test_rows_are_what_the_metrics_say():
    names = ("R@1", "nDCG@10", "MAP@100")
    rows = query_expansion.expansion_rows("icons", "image_to_text", (1, 4), names, gain="linear")
    assert [(row["added"], row["metric"]) for row in rows] == [
        (m, name) for m in (1, 4) for name in names
    ]
    assert rows[0]["change"] == 0  # one answer stays first
    task, (queries, gallery) = (
        readme_results.load_test_task("icons", "image_to_text"),
        readme_results.stored_embeddings("icons", "image_to_text"),
    )
    moved = query_expansion.expand_queries(queries, gallery, 4)
    new, old = (
        ndcg_at_k(topk_exact(asked, gallery, 10)[1], task.qrels, 10, gain="linear")
        for asked in (moved, queries)
    )
    row = rows[4]
    assert row["plain"] == pytest.approx(old.mean()) and row["expanded"] == pytest.approx(
        new.mean()
    )
    assert row["change"] == pytest.approx(row["expanded"] - row["plain"])
    interval = paired_bootstrap_interval(new, old, task.query_groups)
    assert (row["change_low"], row["change_high"]) == pytest.approx(interval)
    assert row["change_low"] <= row["change"] <= row["change_high"]
    assert (row["n_queries"], row["n_gallery"]) == task.qrels.shape


def test_the_gain_turns_the_sign():
    (linear,), (exponential,) = (
        query_expansion.expansion_rows("icons", "image_to_text", (4,), ("nDCG@10",), gain=gain)
        for gain in ("linear", "exponential")
    )
    assert linear["change_low"] > 0 > exponential["change"]


def test_bad_input():
    with pytest.raises(RetrievalInputError, match="metric must be one of .*; got 'R@3'"):
        query_expansion.expansion_rows("icons", "image_to_text", (1,), ("R@3",))
    with pytest.raises(RetrievalInputError, match="at least one name"):
        query_expansion.expansion_rows("icons", "image_to_text", (1,), ())
    with pytest.raises(RetrievalInputError, match="k must be between 1 and "):
        query_expansion.expand_queries(QUERY, GALLERY, 4)
