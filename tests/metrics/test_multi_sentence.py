import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.metrics import Qrels, ranks_by_best_text, ranks_of_relevant


def ragged(seed, n_items=40, d=6):
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(n_items), rng.integers(1, 6, n_items)))
    items = rng.normal(size=(n_items, d))
    texts = items[owner] + 1.2 * rng.normal(size=(owner.size, d))
    return items, texts, owner, Qrels.from_owner(owner, n_items)


def test_by_hand():
    # Item 0 scores its texts .6 and 0; the two texts of item 1 score 1 and .8 there. Among all
    # texts its best own text is third, among the items it is second.
    items = [[1, 0], [0, 1]]
    texts = [[0.6, 0.8], [0, 1], [1, 0], [0.8, 0.6]]
    qrels = Qrels.from_owner([0, 0, 1, 1], 2)
    assert ranks_of_relevant(items, texts, qrels).first_rank().tolist() == [3, 3]
    assert ranks_by_best_text(items, texts, qrels).first_rank().tolist() == [2, 2]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_loop_and_never_below_the_other_protocol(seed):
    items, texts, owner, qrels = ragged(seed)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (items, texts)]
    cosines = unit[0] @ unit[1].T
    best = np.array([[row[owner == j].max() for j in range(len(items))] for row in cosines])
    expected = 1 + (best > np.diag(best)[:, None]).sum(axis=1)
    ranks = ranks_by_best_text(items, texts, qrels, block=7)
    assert ranks.first_rank().tolist() == expected.tolist()
    every = ranks_of_relevant(items, texts, qrels)
    assert np.array_equal(ranks.hit_rate_at_k(1), every.hit_rate_at_k(1))
    for k in (2, 5, 10):
        assert (ranks.hit_rate_at_k(k) >= every.hit_rate_at_k(k)).all()


def test_the_same_words_for_two_items_are_a_tie():
    items, text = np.eye(2), [[1.0, 1.0]]
    ranks = ranks_by_best_text(items, np.repeat(text, 2, axis=0), Qrels.from_owner([0, 1], 2))
    assert ranks.first_rank().tolist() == [2, 2] and ranks.first_rank("optimistic").tolist() == [
        1,
        1,
    ]


def test_shared_and_missing_texts_are_refused():
    items, texts = np.eye(2), np.eye(2)
    with pytest.raises(RetrievalInputError, match="text 0 has 2"):
        ranks_by_best_text(items, texts, Qrels.from_pairs([0, 1, 1], [0, 0, 1], shape=(2, 2)))
    with pytest.raises(RetrievalInputError, match="item 1 has no text"):
        ranks_by_best_text(items, texts, Qrels.from_owner([0, 0], 2))
