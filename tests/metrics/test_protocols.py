import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics import (
    Qrels,
    bootstrap_interval,
    contiguous_folds,
    evaluate,
    evaluate_both,
    evaluate_both_ways,
    evaluate_embeddings,
    evaluate_folds,
    rsum,
)

OWNER = np.repeat(np.arange(10), 3)  # ten images of three captions
CAPTIONS = Qrels.from_owner(OWNER, 10)


def pairs(seed=0, noise=0.8):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(10, 8))
    return images, images[OWNER] + noise * rng.normal(size=(30, 8))


# ---- one direction


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["id", "pessimistic", "optimistic"]),
    st.integers(1, 2),
)
def test_equals_the_evaluation_of_a_full_ranking(seed, ties, hit_grade):
    rng = np.random.default_rng(seed)
    # Small whole numbers: scores are exact, and many are tied.
    queries, gallery = rng.integers(-2, 3, (10, 3)), rng.integers(-2, 3, (30, 3))
    grades = rng.integers(1, 4, 30)
    grades[::3] = 2
    qrels = Qrels.from_pairs(OWNER, np.arange(30), grades, shape=(10, 30))
    scores = queries @ gallery.T
    ids = np.argsort(-scores, axis=1, kind="stable")
    run = np.take_along_axis(scores, ids, axis=1), ids
    metrics = (
        "R",
        "recall@2",
        "P@3",
        "nDCG@1",
        "nDCG@4",
        "MRR",
        "MAP",
        "MAP@5",
        "R-precision",
        "MAP@R",
    )
    options = {"ks": (1, 5), "ties": ties, "metrics": metrics, "hit_grade": hit_grade}
    expected = evaluate(run, qrels, **options)
    actual = evaluate_embeddings(queries, gallery, qrels, metric="inner_product", **options)
    assert list(actual.per_query) == ["R@1", "R@5", *metrics[1:]]
    for name in actual.per_query:
        theirs = f"{name}@30" if name in ("MRR", "MAP") else name
        assert (actual.per_query[name] == expected.per_query[theirs]).all(), name
        assert actual.bounds[name] == expected.bounds[theirs], name
        assert actual.chance[name] == expected.chance[theirs], name
    assert (actual.first_ranks == expected.first_ranks).all()
    for name in ("MedR", "MeanR"):
        mine, theirs = (result.rows([name], ties=True)[0] for result in (actual, expected))
        assert {**mine, "tie_share": 0} == {**theirs, "tie_share": 0}


def test_a_collapsed_model_is_told_from_a_good_one():
    images, captions = np.ones((10, 8)), np.ones((30, 8))
    found = {
        ties: evaluate_embeddings(captions, images, CAPTIONS.T, ks=(1, 5), ties=ties)
        for ties in ("pessimistic", "expected", "optimistic")
    }
    assert [result.mean("R@1") for result in found.values()] == [0, pytest.approx(0.1), 1]
    assert [result.mean("R@5") for result in found.values()] == [0, pytest.approx(0.5), 1]
    assert [result.median_rank for result in found.values()] == [10, 5.5, 1]
    for ties, result in found.items():
        row = result.rows(["R@1"], ties=True)[0]
        assert (row["ties"], row["tie_share"], row["pessimistic"], row["optimistic"]) == (
            ties,
            1,
            0,
            1,
        )
        assert row["chance"] == pytest.approx(0.1)


def test_skipping_queries_keeps_the_rest_aligned():
    images, captions = pairs()
    some = Qrels.from_pairs([1, 4], [3, 12], [1, 2], shape=(10, 30))
    groups = np.arange(10) // 2
    result = evaluate_embeddings(
        images, captions, some, hit_grade=2, groups=groups, no_relevant="skip"
    )
    assert result.queries.tolist() == [4] and result.groups.tolist() == [2]
    assert (result.n_without_relevant, result.hit_grade, result.n_gallery) == (9, 2, 30)
    zero = evaluate_embeddings(images, captions, some, no_relevant="zero")
    assert zero.n_queries == 10 and zero.mean("MRR") <= 0.2 and zero.mean_rank == np.inf
    assert np.isfinite(zero.first_ranks).sum() == 2


# ---- both directions


def test_both_directions_and_their_sum():
    images, captions = pairs()
    there, back = evaluate_both(images, captions, CAPTIONS, ks=(1, 5, 10), groups=(None, OWNER))
    assert (there.direction, back.direction) == ("image_to_text", "text_to_image")
    assert (there.n_queries, there.n_gallery, back.n_queries, back.n_gallery) == (10, 30, 30, 10)
    alone = evaluate_embeddings(captions, images, CAPTIONS.T)
    assert all((alone.per_query[name] == back.per_query[name]).all() for name in alone.per_query)
    assert back.interval("R@1") == pytest.approx(bootstrap_interval(back.per_query["R@1"], OWNER))
    expected = 100 * sum(part.mean(f"R@{k}") for part in (there, back) for k in (1, 5, 10))
    assert rsum(there, back) == pytest.approx(expected)
    assert rsum(*evaluate_both(images, images, Qrels.from_owner(np.arange(10), 10))) == 600
    with pytest.raises(
        RetrievalInputError, match="rsum adds two directions, but both are 'image_to_text'"
    ):
        rsum(there, there)
    with pytest.raises(RetrievalInputError, match="metric must be one of 'R@1', .*; got 'R@2'"):
        rsum(there, back, ks=(1, 2))
    with pytest.raises(RetrievalInputError, match="directions must be two different names"):
        evaluate_both(images, captions, CAPTIONS, directions=("a", "a"))


@pytest.mark.parametrize("no_relevant", ["skip", "zero"])
@pytest.mark.parametrize("metrics", [["R", "MRR"], ["nDCG@3", "MAP@R", "R@1"]])
def test_directions_that_were_judged_by_themselves(no_relevant, metrics):
    images, captions = pairs()
    forth = {"qrels": Qrels.from_pairs([1, 4, 4], [3, 12, 5], [1, 2, 3], shape=(10, 30))}
    back = {"qrels": Qrels.from_pairs([0, 7, 7, 29], [9, 2, 3, 0], [2, 1, 2, 2], shape=(30, 10))}
    back |= {"groups": OWNER, "direction": "text_to_image", "ks": (1, 2)}
    shared = {"metrics": metrics, "hit_grade": 2, "no_relevant": no_relevant}
    together = evaluate_both_ways(images, captions, forth, back, **shared)
    alone = (
        evaluate_embeddings(images, captions, **forth, **shared),
        evaluate_embeddings(captions, images, **back, **shared),
    )
    for one, expected in zip(together, alone, strict=True):
        assert str(one.rows(ties=True)) == str(expected.rows(ties=True))  # NaN is not NaN
        for name, values in expected.per_query.items():
            np.testing.assert_array_equal(one.per_query[name], values)
        np.testing.assert_array_equal(one.first_ranks, expected.first_ranks)
        np.testing.assert_array_equal(one.queries, expected.queries)


# ---- folds


def test_folds_are_neighbours_with_a_gallery_of_their_own():
    folds = contiguous_folds(CAPTIONS, 5)
    assert [(asked.start, asked.stop) for asked, _, _ in folds] == [
        (0, 2),
        (2, 4),
        (4, 6),
        (6, 8),
        (8, 10),
    ]
    assert [(items.start, items.stop) for _, items, _ in folds][-1] == (24, 30)
    assert all(own == Qrels.from_owner([0, 0, 0, 1, 1, 1], 2) for _, _, own in folds)
    assert contiguous_folds(CAPTIONS, 1)[0][2] == CAPTIONS


def test_coco_has_five_folds_of_a_thousand_images():
    folds = contiguous_folds(Qrels.from_owner(np.arange(25000) // 5, 5000))
    assert [own.shape for *_, own in folds] == [(1000, 5000)] * 5
    assert (folds[3][0], folds[3][1]) == (slice(3000, 4000), slice(15000, 20000))
    assert all((own.counts == 5).all() for *_, own in folds)


@pytest.mark.parametrize("swap", [False, True])
def test_the_mean_of_the_folds(swap):
    images, captions = pairs(noise=1.5)
    queries, gallery, qrels = (
        (captions, images, CAPTIONS.T) if swap else (images, captions, CAPTIONS)
    )
    folded = evaluate_folds(queries, gallery, qrels, ks=(1, 2), split="test", direction="d")
    means = []
    for fold in range(5):
        own = Qrels.from_owner([0, 0, 0, 1, 1, 1], 2)
        image, text = images[2 * fold :][:2], captions[6 * fold :][:6]
        part = evaluate_embeddings(
            *((text, image, own.T) if swap else (image, text, own)), ks=(1, 2)
        )
        means.append(part.mean("R@1"))
    assert folded.mean("R@1") == pytest.approx(np.mean(means), abs=1e-15)
    assert folded.median_rank == np.mean([part.median_rank for part in folded.folds])
    assert folded.mean_rank == np.mean([part.mean_rank for part in folded.folds])
    row = folded.rows(["MedR"])[0]
    assert (row["value"], row["chance"]) == (
        folded.median_rank,
        np.mean([f.chance["MedR"] for f in folded.folds]),
    )
    row = folded.rows()[0]
    assert (row["metric"], row["value"], row["n_folds"]) == ("R@1", folded.mean("R@1"), 5)
    assert (row["lowest_fold"], row["highest_fold"]) == (min(means), max(means))
    assert (row["n_queries"], row["n_gallery"]) == (len(queries), len(gallery) // 5)
    whole = evaluate_embeddings(queries, gallery, qrels, ks=(1, 2))
    assert folded.mean("R@1") >= whole.mean("R@1")  # a smaller gallery is easier
    one = evaluate_folds(queries, gallery, qrels, n_folds=1, ks=(1, 2))
    assert one.mean("MRR") == whole.mean("MRR")


def test_groups_follow_their_queries_into_the_folds():
    images, captions = pairs()
    folded = evaluate_folds(captions, images, CAPTIONS.T, ks=(1,), groups=OWNER)
    assert [np.unique(fold.groups).tolist() for fold in folded.folds] == [
        [i, i + 1] for i in range(0, 10, 2)
    ]


def test_judgements_across_folds_are_dropped():
    crossing = Qrels.from_pairs([0, 0, 1], [0, 3, 2], [1, 2, 3], shape=(2, 4))
    first, second = contiguous_folds(crossing, 2)
    assert first[2] == Qrels.from_pairs([0], [0], [1], shape=(1, 2))
    assert second[2] == Qrels.from_pairs([0], [0], [3], shape=(1, 2))


# ---- bad input


def test_sides_in_different_orders_are_noticed():
    images, captions = pairs()
    shuffled = np.roll(np.arange(30), 6)
    qrels = Qrels.from_owner(OWNER[shuffled], 10)
    with pytest.raises(RetrievalInputError, match="query 0 has no relevant item"):
        evaluate_folds(images, captions[shuffled], qrels, ks=(1,))


@pytest.mark.parametrize(
    "measure, options, message",
    [
        (evaluate_folds, {"n_folds": 3}, "10 queries cannot be cut into 3 equal folds"),
        (evaluate_folds, {"n_folds": 0}, "n_folds must be at least 1"),
        (evaluate_folds, {"ks": (7,)}, "k must be between 1 and 6"),
        (evaluate_embeddings, {"ks": (31,)}, "k must be between 1 and 30"),
        (
            evaluate_embeddings,
            {"ties": "average"},
            "ties must be one of 'pessimistic', 'optimistic'",
        ),
        (
            evaluate_embeddings,
            {"metrics": ["ndcg"]},
            "metrics must be one of 'R', 'recall', .*Did you mean 'nDCG'",
        ),
        (
            evaluate_embeddings,
            {"metrics": ["MAP@R"], "ties": "expected"},
            "ties must be one of 'pessimistic'",
        ),
        (evaluate_embeddings, {"groups": [0]}, r"groups have shape \(1,\) for 10 queries"),
        (
            evaluate_embeddings,
            {"hit_grade": 2},
            r"query 0 has no relevant item \(and 9 more queries\)",
        ),
        (
            evaluate_embeddings,
            {"hit_grade": 2, "no_relevant": "skip"},
            "skipping them leaves nothing",
        ),
        (evaluate_embeddings, {"no_relevant": "drop"}, "no_relevant must be one of"),
        (evaluate_embeddings, {"qrels": CAPTIONS.T}, r"qrels have shape \(30, 10\).*qrels\.T"),
        (evaluate_folds, {"qrels": CAPTIONS.T}, r"qrels have shape \(30, 10\).*qrels\.T"),
        (evaluate_embeddings, {"qrels": OWNER}, "qrels must be Qrels, got ndarray"),
        (
            evaluate_embeddings,
            {"queries": np.full((10, 8), np.inf)},
            "queries has the value inf in row 0",
        ),
        (evaluate_embeddings, {"gallery": np.zeros((30, 8))}, "gallery has only zeros in row 0"),
    ],
)
def test_bad_input_is_named(measure, options, message):
    images, captions = pairs()
    with pytest.raises(RetrievalInputError, match=message):
        measure(**{"queries": images, "gallery": captions, "qrels": CAPTIONS, **options})
