"""CxC ratings: grades, thresholds, and rows that are wrong."""

import dataclasses
import shutil

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import coco, coco_judgements, cxc
from lib.datasets.completeness import Count

pytestmark = pytest.mark.skipif(
    not coco_judgements.available(),
    reason="eccv-caption is not installed: pip install eccv-caption==0.1.0",
)


@pytest.fixture
def root(coco_miniature):
    return coco_miniature


@pytest.fixture(scope="module")
def corpus(coco_miniature):
    return coco.load_coco(coco_miniature)


@pytest.fixture
def sheet(root, tmp_path):
    shutil.copytree(root / "cxc", tmp_path / "data")
    return tmp_path / "data" / "sits_test.csv"


def test_load(root):
    ratings = cxc.load_ratings(root)
    assert len(ratings) == 539 and ratings.methods.count("c2i_original") == 500
    assert (
        ratings.text_ids[0] == "770337"
        and ratings.item_ids[0] == "391895"
        and ratings.scores[0] == 5
    )
    assert ratings.counts == (
        Count("ratings", 539, 539),
        Count("ratings of original pairs", 500, 500),
    )
    assert {5.0, 4.2, 3.0, 2.99, 0.0} <= set(ratings.scores.tolist())
    assert len(cxc.load_ratings(root, "val")) == 5


def test_published_counts():
    # 25,000 original pairs and 19,833 that were found to be similar.
    assert cxc.PUBLISHED["test"]["ratings"] == 25_000 + 19_833


def test_halves_go_up():
    scores = np.array([0, 0.4, 0.5, 1.49, 1.5, 2.5, 2.99, 3.0, 3.5, 4.49, 4.5, 5])
    ratings = cxc.Ratings((), (), scores, (), ())
    assert ratings.grades.tolist() == [
        0,
        0,
        1,
        1,
        2,
        3,
        3,
        3,
        4,
        4,
        5,
        5,
    ]  # numpy rounds 0.5 to 0, 2.5 to 2


@pytest.mark.parametrize("direction", coco_judgements.DIRECTIONS)
def test_threshold_gives_the_published_positives(root, corpus, direction):
    qrels, count = cxc.graded_qrels(
        cxc.load_ratings(root), corpus, direction, threshold=cxc.POSITIVE
    )
    assert qrels == coco.judgements(corpus, "cxc", direction)
    assert count == Count("rated pairs", 539, 539)


def test_grades(root, corpus):
    ratings = cxc.load_ratings(root)
    qrels, _ = cxc.graded_qrels(ratings, corpus, "text_to_image")
    assert qrels.max_grade == 5 and qrels.items.size == (ratings.scores >= 0.5).sum()
    text, item = (
        corpus.positions("text", ratings.text_ids),
        corpus.positions("item", ratings.item_ids),
    )
    for at in (0, 3, 7, 538):
        assert qrels.grades_of(np.full((501, 1), item[at]))[text[at], 0] == ratings.grades[at]
    assert cxc.graded_qrels(ratings, corpus, "image_to_text")[0] == qrels.T
    # An original pair that people rated below 3 keeps its own grade, which is no positive.
    unconfirmed = (ratings.scores < 3) & (np.array(ratings.methods) == "c2i_original")
    assert unconfirmed.sum() >= 5


def test_grades_of_a_corpus_in_one_call(root, corpus):
    qrels, count = cxc.load_grades(root, corpus, "image_to_text")
    assert qrels == cxc.graded_qrels(cxc.load_ratings(root), corpus, "image_to_text")[0]
    assert count == Count("rated pairs", 539, 539)
    train = coco.load_coco(root, "train")
    with pytest.raises(RetrievalInputError, match="split must be one of 'test', 'val'"):
        cxc.load_grades(root, train, "image_to_text")
    with pytest.raises(RetrievalInputError, match="CxC rates captions of COCO, not of flickr30k"):
        cxc.load_grades(root, dataclasses.replace(corpus, name="flickr30k"), "image_to_text")


def test_pairs_outside_the_corpus_are_counted(root, corpus):
    fold = coco.folds(corpus)[0]
    qrels, count = cxc.graded_qrels(
        cxc.load_ratings(root), fold, "text_to_image", threshold=cxc.POSITIVE
    )
    assert qrels == coco.judgements(fold, "cxc", "text_to_image")
    assert 100 <= count.found < count.published == 539


def test_refuses_other_corpora(root, corpus):
    ratings = cxc.load_ratings(root)
    with pytest.raises(RetrievalInputError, match="got 'unique'"):
        cxc.graded_qrels(ratings, coco.load_coco(root, captions="unique"), "text_to_image")
    with pytest.raises(RetrievalInputError, match="direction must be one of"):
        cxc.graded_qrels(ratings, corpus, "text_to_video")


def test_folders(sheet):
    assert len(cxc.load_ratings(sheet.parent)) == len(cxc.load_ratings(sheet.parent.parent)) == 539
    with pytest.raises(MissingFileError, match=r"no sits_test\.csv"):
        cxc.load_ratings(sheet.parent.parent.parent / "nowhere")


def test_wrong_counts(sheet):
    sheet.write_text(sheet.read_text().rsplit("\n", 2)[0] + "\n")
    with pytest.raises(
        RetrievalInputError, match=r"cxc \(miniature\), test split: found 538 of 539 ratings"
    ):
        cxc.load_ratings(sheet.parent)
    assert not cxc.load_ratings(sheet.parent, allow_partial=True).counts[0].ok
    (sheet.parent / "miniature.json").unlink()
    with pytest.raises(RetrievalInputError, match="found 538 of 44,833 ratings"):
        cxc.load_ratings(sheet.parent)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("agg_score", "score", "begin 'caption,image,agg_score,sampling_method'"),
        (",5.0,", ",5.1,", r"line 2: agg_score must be 0 to 5, got '5\.1'"),
        (",5.0,", ",nan,", "line 2: agg_score .* got 'nan'"),
        (",5.0,", ",,", "line 2: agg_score .* got ''"),
        (",5.0,", ",", "line 2: expected 4 columns"),
        ("sentid:770337", "sentid:x", "line 2: expected 'COCO_val2014:sentid:<id>'"),
        ("COCO_val2014_000000391895.jpg", "../391895.jpg", "line 2: expected"),
    ],
)
def test_malformed_rows(sheet, old, new, message):
    sheet.write_text(sheet.read_text().replace(old, new, 1))
    with pytest.raises(RetrievalInputError, match=message):
        cxc.load_ratings(sheet.parent)


def test_a_pair_rated_twice(sheet, corpus):
    text = sheet.read_text()
    sheet.write_text(text + text.splitlines()[1] + "\n")
    ratings = cxc.load_ratings(sheet.parent, allow_partial=True)
    with pytest.raises(RetrievalInputError, match="must be distinct"):
        cxc.graded_qrels(ratings, corpus, "text_to_image")


def test_not_utf8(sheet):
    sheet.write_bytes(sheet.read_bytes() + b"\xff\xfe")
    with pytest.raises(DamagedFileError, match=r"sits_test\.csv is not UTF-8 text: line"):
        cxc.load_ratings(sheet.parent)
