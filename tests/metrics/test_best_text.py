"""Many sentences a clip, as CLIP4Clip evaluates MSVD: its arithmetic, written out, is the oracle.

From text: in the scores (clips, most sentences of a clip, clips), padded with -inf, the rank of a
sentence is the place of its own clip in a double argsort. From clip: the maximum over the sentences
of each clip gives (clips, clips), and a rank is every place of the sorted row whose score equals
that of the clip itself, so that ties count several times.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.metrics import evaluate_by_best_text, evaluate_embeddings

KS = (1, 5, 10)


def padded(scores, owner):
    """Scores `(n_texts, n_clips)` as `(n_clips, most, n_clips)`, -inf where there is no text."""
    n_clips = scores.shape[1]
    sizes = np.bincount(owner, minlength=n_clips)
    tensor = np.full((n_clips, sizes.max(), n_clips), -np.inf)
    for clip in range(n_clips):
        tensor[clip, : sizes[clip]] = scores[owner == clip]
    return tensor


def clip4clip_from_text(tensor):
    """Rank of each sentence, 0 is first, in the order of clips."""
    order = np.argsort(-tensor, axis=-1, kind="stable")
    places = np.argsort(order, axis=-1, kind="stable")
    clips = np.arange(len(tensor))
    own, score = places[clips, :, clips], tensor[clips, :, clips]
    return own[np.isfinite(score)]


def clip4clip_from_clip(tensor):
    """Ranks of the clips; a row with ties gives several."""
    best = tensor.max(axis=1).T  # (clips that ask, clips)
    ordered = np.sort(-best, axis=1)
    return np.where(ordered + np.diag(best)[:, None] == 0)[1]


def printed(ranks):
    """R@K in percent and the mean rank, as the code prints them."""
    return {f"R@{k}": 100 * np.mean(ranks < k) for k in KS} | {"MeanR": np.mean(ranks) + 1}


def ours(evaluation):
    values = {f"R@{k}": 100 * evaluation.value(f"R@{k}") for k in KS}
    return values | {"MeanR": evaluation.value("MeanR")}


def tensor_of(items, texts, owner):
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (items, texts)]
    return padded(unit[1] @ unit[0].T, owner)


def evaluated(items, texts, owner):
    qrels, tensor = Qrels.from_owner(owner, len(items)), tensor_of(items, texts, owner)
    from_text = evaluate_embeddings(texts, items, qrels.T)
    from_clip = evaluate_by_best_text(items, texts, qrels)
    return from_text, from_clip, clip4clip_from_text(tensor), clip4clip_from_clip(tensor)


def sentences_of(rng, n_clips, most):
    """Owners of the sentences, grouped by clip as in a list of clips."""
    return np.repeat(np.arange(n_clips), rng.integers(1, most + 1, n_clips))


@pytest.mark.parametrize("seed, noise", [(0, 0.5), (1, 1.5), (2, 4.0), (3, 50.0)])
def test_noisy_rows_give_the_numbers_of_clip4clip(seed, noise):
    rng = np.random.default_rng(seed)
    owner = sentences_of(rng, 67, 41)
    items = rng.normal(size=(67, 12))
    texts = items[owner] + noise * rng.normal(size=(owner.size, 12))
    from_text, from_clip, theirs_text, theirs_clip = evaluated(items, texts, owner)
    assert theirs_text.size == owner.size and theirs_clip.size == 67  # no ties
    assert ours(from_text) == pytest.approx(printed(theirs_text), abs=1e-9)
    assert ours(from_clip) == pytest.approx(printed(theirs_clip), abs=1e-9)
    assert from_clip.value("MedR") == np.median(theirs_clip) + 1
    assert from_clip.n_gallery == from_clip.n_queries == 67


def test_planted_ranks_come_out():
    # Clip i scores the best sentence of clip j by a matrix with a known rank in every row.
    rng = np.random.default_rng(4)
    n, planted = 30, np.random.default_rng(5).permutation(30)
    scores = np.empty((n, n))
    for clip in range(n):
        others = rng.permutation(n - 1)
        row = np.insert(others.astype(float), clip, n - 1.5 - planted[clip])
        scores[clip] = 1e-2 * row
    # Items are the unit vectors; a text's coordinates are its scores, and a last one makes it unit.
    owner = np.repeat(np.arange(n), 2)
    best = np.concatenate([scores.T, np.zeros((n, 1))], axis=1)
    worse = best - 0.5  # the second sentence of each clip is always below
    texts = np.stack([best, worse], axis=1).reshape(2 * n, n + 1)
    texts[:, -1] = np.sqrt(np.maximum(9 * n - (texts[:, :-1] ** 2).sum(axis=1), 0))
    items = np.eye(n, n + 1)
    _, from_clip, _, theirs = evaluated(items, texts, owner)
    assert from_clip.first_ranks.tolist() == (planted + 1).tolist()
    assert ours(from_clip) == pytest.approx(printed(theirs), abs=1e-9)


def test_ties_count_against_here_and_several_times_there():
    # Two clips with the same sentence: each row has two equal scores.
    items, owner = np.eye(3), np.array([0, 1, 2])
    texts = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    from_clip = evaluate_by_best_text(items, texts, Qrels.from_owner(owner, 3), ks=[1])
    theirs = clip4clip_from_clip(tensor_of(items, texts, owner))
    assert sorted(theirs.tolist()) == [0, 0, 0, 1, 1]  # five ranks of three clips
    assert from_clip.first_ranks.tolist() == [2, 2, 1]
    assert from_clip.tie_share == pytest.approx(2 / 3)
    assert from_clip.bounds["R@1"] == pytest.approx((1 / 3, 1.0))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 6))
def test_any_rows_agree_and_are_never_below_the_other_protocol(seed, n_clips, most):
    rng = np.random.default_rng(seed)
    owner = sentences_of(rng, n_clips, most)
    items = rng.normal(size=(n_clips, 4))
    texts = items[owner] + 2 * rng.normal(size=(owner.size, 4))
    ks = [k for k in KS if k <= n_clips]
    qrels = Qrels.from_owner(owner, n_clips)
    best = evaluate_by_best_text(items, texts, qrels, ks=ks)
    every = evaluate_embeddings(items, texts, qrels, ks=[k for k in ks if k <= owner.size])
    theirs = clip4clip_from_clip(tensor_of(items, texts, owner))
    for k in ks:
        assert 100 * best.value(f"R@{k}") == pytest.approx(100 * np.mean(theirs < k), abs=1e-9)
        assert best.value(f"R@{k}") >= every.value(f"R@{k}") - 1e-12
    assert best.value("R@1") == every.value("R@1")


def test_shared_texts_and_bad_names_are_refused():
    qrels = Qrels.from_pairs([0, 1], [0, 0], shape=(2, 1))
    with pytest.raises(RetrievalInputError, match="text 0 has 2"):
        evaluate_by_best_text(np.eye(2), np.ones((1, 2)), qrels, ks=[1])
    own = Qrels.from_owner([0, 1], 2)
    with pytest.raises(RetrievalInputError, match="ties must be one of"):
        evaluate_by_best_text(np.eye(2), np.eye(2), own, ks=[1], ties="expected")
