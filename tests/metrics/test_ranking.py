import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics import Qrels, hit_rate_at_k, mean_reciprocal_rank, recall_at_k, reciprocal_rank

# Two images ask for captions: image 0 owns captions 0, 1, 2 and image 1 owns 3, 4.
CAPTIONS = Qrels.from_owner([0, 0, 0, 1, 1], 2)
RUN = [[3, 1, 0], [2, 4, 3]]


def test_hit_rate_and_recall_by_hand():
    assert hit_rate_at_k(RUN, CAPTIONS, 1).tolist() == [0, 0]
    assert hit_rate_at_k(RUN, CAPTIONS, 2).tolist() == [1, 1]
    np.testing.assert_allclose(recall_at_k(RUN, CAPTIONS, 2), [1 / 3, 1 / 2])
    np.testing.assert_allclose(recall_at_k(RUN, CAPTIONS, 3), [2 / 3, 1])
    assert reciprocal_rank(RUN, CAPTIONS).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "ranking, relevant, k, hit, recall, rr",
    [
        ([0, 9], [0, 1, 2], 2, 1, 1 / 3, 1),  # two relevant items were never retrieved
        ([0, 8, 1, 9], [0, 1], 1, 1, 1 / 2, 1),
        ([5, 8, 6, 9], [5, 6, 1, 2, 3], 3, 1, 2 / 5, 1),
        ([8, 9, 5, 6], [5], 2, 0, 0, 0),  # the first relevant item is beyond k
        ([8, 9, 5, 6], [5], 4, 1, 1, 1 / 3),
        ([-1, -1], [0], 2, 0, 0, 0),  # nothing was returned
        ([7, -1, 0], [0], 3, 1, 1, 1 / 3),
    ],
)
def test_one_query_by_hand(ranking, relevant, k, hit, recall, rr):
    assert hit_rate_at_k([ranking], [relevant], k).tolist() == [hit]
    np.testing.assert_allclose(recall_at_k([ranking], [relevant], k), [recall])
    np.testing.assert_allclose(reciprocal_rank([ranking], [relevant], k), [rr])


def test_five_captions_per_image_cap_recall_at_one_at_a_fifth():
    captions = Qrels.from_owner(np.repeat(np.arange(4), 5), 4)
    perfect = np.arange(20).reshape(4, 5)
    assert hit_rate_at_k(perfect, captions, 1).tolist() == [1] * 4
    assert recall_at_k(perfect, captions, 1).tolist() == [0.2] * 4
    assert recall_at_k(perfect, captions, 5).tolist() == [1] * 4


def test_mean_reciprocal_rank_averages_over_all_queries():
    assert mean_reciprocal_rank([[3, 1, 2], [0, 1, 2]], [2, 0]) == pytest.approx((1 / 3 + 1) / 2)
    assert mean_reciprocal_rank([[3, 1, 2], [0, 1, 2]], [2, 0], k=2) == 0.5
    assert isinstance(mean_reciprocal_rank([[0]], [0]), float)


@pytest.mark.parametrize(
    "targets",
    [
        Qrels.from_pairs([0, 1], [1, 0], shape=(2, 5)),
        [1, 0],
        np.array([1, 0]),
        np.array([[1], [0]]),
        [[1], [0]],
        [{1}, (0,)],
        [1, [0]],
    ],
)
def test_targets_in_every_form(targets):
    assert hit_rate_at_k([[1, 0], [1, 0]], targets, 1).tolist() == [1, 0]


def test_a_grade_says_nothing_to_a_binary_metric():
    assert recall_at_k(
        [[1, 0]], Qrels.from_pairs([0, 0], [0, 1], [3, 1], shape=(1, 2)), 1
    ).tolist() == [0.5]


@pytest.mark.parametrize(
    "metric", [hit_rate_at_k, recall_at_k, reciprocal_rank, mean_reciprocal_rank]
)
def test_queries_without_relevant_items(metric):
    targets = Qrels.from_pairs([1], [0], shape=(4, 3))
    run = [[0, 1]] * 4
    with pytest.raises(
        RetrievalInputError, match=r"query 0 has no relevant item \(and 2 more queries\)"
    ):
        metric(run, targets, 1)
    assert np.mean(metric(run, targets, 1, no_relevant="zero")) == 0.25
    with pytest.raises(RetrievalInputError, match="no_relevant must be one of 'error', 'zero'"):
        metric(run, targets, 1, no_relevant="skip")


@pytest.mark.parametrize("metric", [hit_rate_at_k, recall_at_k, reciprocal_rank])
@pytest.mark.parametrize(
    "run, targets, k, message",
    [
        ([[0, 1], [2, 2]], [0, 0], 1, "id 2 is twice in row 1 of the run"),
        (
            [[0, 1], [0, 5]],
            Qrels.from_owner([0, 1], 2),
            1,
            r"id 5 in row 1 of the run is outside -1\.\.1",
        ),
        ([[0, 1], [0, -2]], [0, 0], 1, "id -2 in row 1 of the run is outside -1 or more"),
        ([[0, 1]], [0], 3, "k = 3 is deeper than the run, which holds 2 items"),
        ([[0, 1]], [0], 0, "k must be at least 1, got 0"),
        ([[0, 1]], [0], True, "k must be a whole number"),
        ([[0, 1]], [0, 1], 1, "targets are for 2 queries, the run has 1 rows"),
        ([[0.0, 1.0]], [0], 1, r"a run must be whole numbers.*got float64 \(1, 2\)"),
        ([0, 1], [0], 1, r"shape \(n_queries, depth\).*got int64 \(2,\)"),
        (np.empty((0, 3), int), [], 1, r"neither 0, got int64 \(0, 3\)"),
        ([[0, 1]], ["0"], 1, "targets.* must be a list of"),
        ([[0, 1]], [0.5], 1, "targets.* must be a list of"),
        ([[0, 1]], [[0, 0]], 1, "given twice"),
        ([[0, 1]], [-1], 1, "item -1"),
        ([[0, 1]], [[]], 1, "query 0 has no relevant item, so its metrics are undefined"),
    ],
)
def test_bad_input_is_named(metric, run, targets, k, message):
    with pytest.raises(RetrievalInputError, match=message):
        metric(run, targets, k)


def test_missing_items_may_repeat():
    assert hit_rate_at_k([[2, -1, -1, -1]], [2], 4).tolist() == [1]


@st.composite
def runs(draw):
    n_queries, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth = draw(st.integers(1, n_items))
    ids = rng.permuted(np.tile(np.arange(n_items), (n_queries, 1)), axis=1)[:, :depth]
    relevant = rng.random((n_queries, n_items)) < 0.3
    relevant[np.arange(n_queries), rng.integers(n_items, size=n_queries)] = True
    return ids, relevant


def qrels_of(relevant):
    return Qrels.from_pairs(*np.nonzero(relevant), shape=relevant.shape)


@settings(deadline=None)
@given(runs())
def test_every_metric_against_a_loop(run):
    ids, relevant = run
    depth = ids.shape[1]
    for k in range(1, depth + 1):
        hit, recall, rr = [], [], []
        for row, truth in zip(ids, relevant, strict=True):
            ranks = [rank for rank, item in enumerate(row[:k], start=1) if truth[item]]
            hit.append(float(bool(ranks)))
            recall.append(len(ranks) / truth.sum())
            rr.append(1 / ranks[0] if ranks else 0)
        assert hit_rate_at_k(ids, qrels_of(relevant), k).tolist() == hit
        np.testing.assert_allclose(recall_at_k(ids, qrels_of(relevant), k), recall)
        np.testing.assert_allclose(reciprocal_rank(ids, qrels_of(relevant), k), rr)


@settings(deadline=None)
@given(runs())
def test_metrics_are_ordered(run):
    ids, relevant = run
    qrels, depth = qrels_of(relevant), ids.shape[1]
    previous = np.zeros(len(ids))
    for k in range(1, depth + 1):
        hit, recall, rr = (m(ids, qrels, k) for m in (hit_rate_at_k, recall_at_k, reciprocal_rank))
        assert (hit >= previous).all() and (recall <= hit).all()
        assert (hit_rate_at_k(ids, qrels, 1) <= rr).all() and (rr <= hit).all()
        assert (recall <= np.minimum(k, qrels.counts) / qrels.counts + 1e-12).all()
        single = qrels.counts == 1
        assert (recall[single] == hit[single]).all()
        previous = hit


@settings(deadline=None)
@given(runs(), st.integers(0, 2**32 - 1))
def test_names_of_items_and_order_of_queries_do_not_matter(run, seed):
    ids, relevant = run
    rng = np.random.default_rng(seed)
    new_name = rng.permutation(relevant.shape[1])
    shuffled = rng.permutation(len(ids))
    renamed = np.empty_like(relevant)
    renamed[:, new_name] = relevant
    for metric in (hit_rate_at_k, recall_at_k, reciprocal_rank):
        before = metric(ids, qrels_of(relevant), ids.shape[1])
        after = metric(new_name[ids][shuffled], qrels_of(renamed[shuffled]), ids.shape[1])
        assert (before[shuffled] == after).all()
