"""One model under many protocols, and under a loader that loses files."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.studies.published import evaluate_rows, protocol_sweep
from tests.studies.published.corpora import DIM, N_CAPTIONS, N_ITEMS, OWNER, corpus, rows

MEDIA, TEXTS = rows(noise=2.0)
EACH = len(OWNER)


def result_rows(of=None, media=MEDIA, texts=TEXTS, truth=None, **options):
    asked = protocol_sweep.protocols(corpus() if of is None else of, media, texts, truth, **options)
    return {(row["protocol"], row["direction"]): row for row in protocol_sweep.r1_rows(asked)}


@pytest.fixture(scope="module")
def found():
    return result_rows()


def test_what_evaluate_rows_says_too(found):
    for name, options in {
        "whole gallery": {},
        "mean of 5 folds": {"folds": 5},
        "first fold only": {"folds": 5, "first_fold": True},
        "first fold, dual softmax": {"folds": 5, "first_fold": True, "inference": "transductive"},
    }.items():
        result = evaluate_rows(MEDIA, TEXTS, corpus(), **options)
        for part in result.directions:
            row = found[name, part.direction]
            assert row["value"] == pytest.approx(part["R@1"].value)
            assert (row["n_queries"], row["n_gallery"]) == (part.n_queries, part.n_gallery)


def test_the_intervals_are_those_of_the_evaluation(found):
    result = evaluate_rows(MEDIA, TEXTS, corpus(), folds=5)
    for part in result.directions:
        row = found["mean of 5 folds", part.direction]
        assert (row["low"], row["high"]) == pytest.approx((part["R@1"].low, part["R@1"].high))


def test_the_first_caption_of_each(found):
    firsts = np.flatnonzero(np.diff(OWNER, prepend=-1))
    scores = (TEXTS[firsts] / np.linalg.norm(TEXTS[firsts], axis=1, keepdims=True)) @ (
        MEDIA / np.linalg.norm(MEDIA, axis=1, keepdims=True)
    ).T
    there = found["first caption only", "text_to_image"]
    assert there["value"] == pytest.approx((scores.argmax(1) == np.arange(N_ITEMS)).mean())
    back = found["first caption only", "image_to_text"]
    assert back["value"] == pytest.approx((scores.argmax(0) == np.arange(N_ITEMS)).mean())
    assert there["n_queries"] == back["n_gallery"] == N_ITEMS


def test_averaged_captions_are_mean_directions():
    media = np.eye(3)[[0, 1]]
    texts = np.array([[1, 0.2, 0], [0, 5, 0.1], [0, 4, 4]])  # the long text counts as one vote
    of = corpus([0, 0, 1], 2)
    row = result_rows(of, media, texts, n_folds=2)["captions averaged", "text_to_image"]
    assert (row["value"], row["n_queries"]) == (
        0.5,
        2,
    )  # item 0: (1, .2)/1.02 + (0, 1) leans to item 1


def test_equal_captions_are_one_text_with_two_answers():
    media, texts = np.eye(4, DIM), np.eye(4, DIM)[[0, 1, 2, 2]]
    of = replace(corpus([0, 1, 2, 3], 4), texts=("a", "b", "same", "same"))
    got = result_rows(of, media, texts, n_folds=2)
    assert (
        got["whole gallery", "text_to_image"]["value"] == 0.75
    )  # one of the two has the wrong image
    once = got["equal captions once", "text_to_image"]
    assert (once["value"], once["n_queries"]) == (1.0, 3)
    assert got["equal captions once", "image_to_text"]["n_gallery"] == 3


def test_more_truth_can_only_help(found):
    extra = np.stack(
        [np.repeat(np.arange(EACH), 2), np.stack([OWNER, (OWNER + 1) % N_ITEMS], 1).ravel()]
    )
    got = result_rows(truth=Qrels.from_pairs(*extra, shape=(EACH, N_ITEMS)))
    for direction in ("image_to_text", "text_to_image"):
        more = got["every true pair", direction]
        assert more["value"] >= found["whole gallery", direction]["value"]
        assert more["differs_in"] == "judgements: every true pair"
    assert ("every true pair", "text_to_image") not in found


def test_differences_in_words(found):
    words = {name: row["differs_in"] for (name, _), row in found.items()}
    assert words["whole gallery"] == ""
    assert words["first fold, dual softmax"] == "gallery: first of 5 folds, inference: transductive"
    lines = protocol_sweep.both_directions(list(found.values()))
    assert [line["protocol"] for line in lines] == list(dict.fromkeys(name for name, _ in found))
    assert lines[0]["differs_in"] == "-" and (lines[0]["texts"], lines[0]["media"]) == (
        EACH,
        N_ITEMS,
    )
    value = found["whole gallery", "image_to_text"]["value"]
    assert lines[0]["image_to_text"][0] == pytest.approx(100 * value)


def test_lost_media_take_their_texts_along():
    lost = protocol_sweep.lost_media_rows(corpus(), MEDIA, TEXTS, [0, 0.5])
    sizes = [(row["direction"], row["n_queries"], row["n_gallery"]) for row in lost]
    assert sizes[:2] == [("image_to_text", N_ITEMS, EACH), ("text_to_image", EACH, N_ITEMS)]
    assert sizes[2][1] == sizes[3][2] == N_ITEMS // 2
    kept = np.random.default_rng(0).permutation(N_ITEMS)[N_ITEMS // 2 :]
    assert sizes[2][2] == N_CAPTIONS[kept].sum()
    assert all(after["value"] >= before["value"] for before, after in zip(lost[:2], lost[2:]))


def test_scenes_have_the_shape_of_coco():
    of, images, texts, truth = protocol_sweep.stored_scenes()
    assert (len(images), len(texts)) == (len(of.item_ids), len(of.texts)) == (5000, 25_000)
    assert images.dtype == texts.dtype == np.int8
    assert (truth.grades_of(of.owners[:, None]) > 0).all()  # its own image is always right


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"media": MEDIA[:-1]}, "19 media rows for 20 ids of toys"),
        ({"texts": TEXTS[1:]}, f"{EACH - 1} text rows for {EACH} ids"),
        (
            {"of": corpus(qrels=Qrels.from_owner(np.full(EACH, 3), N_ITEMS).T)},
            "every item must have a text",
        ),
    ],
)
def test_what_does_not_fit(change, message):
    with pytest.raises(RetrievalInputError, match=message):
        result_rows(**change)


def test_a_share_below_one():
    with pytest.raises(RetrievalInputError, match=r"in \[0, 1\), got 1"):
        protocol_sweep.lost_media_rows(corpus(), MEDIA, TEXTS, [1])
