"""Counts: the sentence, the refusal, and a miniature that states its own."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.completeness import (
    MINIATURE,
    Count,
    check_counts,
    check_media,
    published_counts,
    write_miniature_card,
)

PUBLISHED = {
    "test": {"images": 5000, "captions": 25010},
    "val": {"images": 5000, "captions": 25010},
}


def test_text():
    assert Count("clips", 883, 975).text() == "found 883 of 975 clips"
    assert Count("captions", 25_000, 25_010).text() == "found 25,000 of 25,010 captions"
    assert Count("clips", 975, 975).ok and not Count("clips", 976, 975).ok


def test_check_lists_every_wrong_count():
    counts = [Count("clips", 883, 975), Count("captions", 4411, 4875), Count("classes", 3, 3)]
    with pytest.raises(
        RetrievalInputError, match=r"883 of 975 clips; found 4,411 of 4,875 captions\. .*partial"
    ):
        check_counts(counts, "audiocaps")
    check_counts(counts, "audiocaps", allow_partial=True)
    check_counts(counts[2:], "audiocaps")


def test_check_media():
    missing = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    message = (
        r"vgg: found 1 of 5 clips; first missing: a.mp4, b.mp4, c.mp4, \.\.\.; `crossmodal data"
        r" check vgg "
    )
    with pytest.raises(RetrievalInputError, match=message):
        check_media(Count("clips", 1, 5), missing, "vgg")
    check_media(Count("clips", 1, 5), missing, "vgg", allow_partial=True)
    check_media(Count("clips", 5, 5), (), "vgg")
    # Nothing to evaluate, whatever is allowed.
    with pytest.raises(RetrievalInputError, match="Check the root"):
        check_media(Count("clips", 0, 4), missing, "vgg", allow_partial=True)


def test_published_counts_of_the_real_thing(tmp_path):
    assert published_counts(tmp_path, "coco", "val", PUBLISHED) == ("coco", PUBLISHED["val"])
    with pytest.raises(RetrievalInputError, match="split must be one of 'test', 'val'"):
        published_counts(tmp_path, "coco", "tset", PUBLISHED)


def test_miniature_states_its_own(tmp_path):
    write_miniature_card(tmp_path, "coco", {"test": {"images": 10, "captions": 51}})
    assert published_counts(tmp_path, "coco", "test", PUBLISHED) == (
        "coco (miniature)",
        {"images": 10, "captions": 51},
    )
    with pytest.raises(RetrievalInputError, match="must state images, captions of the split 'val'"):
        published_counts(tmp_path, "coco", "val", PUBLISHED)
    with pytest.raises(RetrievalInputError, match="miniature of 'coco', expected 'msrvtt'"):
        published_counts(tmp_path, "msrvtt", "test", PUBLISHED)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"name": "coco"}', '{"name": "coco", "splits": {"test": {}}}']
)
def test_damaged_card(tmp_path, text):
    (tmp_path / MINIATURE).write_text(text)
    with pytest.raises(RetrievalInputError, match="data fixture coco"):
        published_counts(tmp_path, "coco", "test", PUBLISHED)


def test_card_with_a_count_that_is_none(tmp_path):
    write_miniature_card(tmp_path, "coco", {"test": {"images": -1, "captions": 51}})
    with pytest.raises(RetrievalInputError, match="images"):
        published_counts(tmp_path, "coco", "test", PUBLISHED)


def test_a_wrong_count_of_a_miniature_is_named_with_its_file(tmp_path):
    write_miniature_card(tmp_path, "toy", {"test": {"images": -1, "captions": 2}})
    with pytest.raises(RetrievalInputError, match=r"miniature\.json: images must be at least 0"):
        published_counts(tmp_path, "toy", "test", PUBLISHED)
