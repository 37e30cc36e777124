"""Captioned media: tasks of both directions, parts, missing media, and the checksum."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count
from lib.datasets.media.files import PictureFiles

# Three pictures with 2, 1 and 3 texts; the last text describes pictures 0 and 2, one describes
# nothing.
PAIRS = ([0, 1, 2, 3, 4, 4], [0, 0, 1, 2, 0, 2])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("captioned")
    for name in "abc":
        Image.new("RGB", (2, 2), (ord(name), 0, 0)).save(root / f"{name}.png")
    return CaptionedMedia(
        name="toy",
        split="test",
        modality="image",
        media=PictureFiles(root, ["a.png", "b.png", "c.png"]),
        item_ids=("7", "8", "9"),
        texts=("a one", "a two", "b one ", "c one", "a and c", "nothing"),
        text_ids=("7", "11", "12", "13", "14", "15"),  # "7" is an item's id as well
        qrels=Qrels.from_pairs(*PAIRS, shape=(6, 3)),
        captions="all",
        counts=(Count("images", 3, 3), Count("captions", 6, 6)),
        datasheet="toy",
    )


def test_task_text_to_image(corpus):
    task = corpus.task("text_to_image")
    assert (
        task.queries == corpus.texts and task.gallery is corpus.media and task.qrels == corpus.qrels
    )
    assert task.query_groups.tolist() == [0, 0, 1, 2, 0, 8]  # the last describes nothing: alone
    assert task.describe().startswith(
        "toy, test split, text to image: 6 queries, 3 items, 6 judgements"
    )


def test_task_image_to_text(corpus):
    task = corpus.task("image_to_text")
    assert task.qrels == corpus.qrels.T and task.query_groups is None
    assert task.qrels.row(2)[0].tolist() == [3, 4]
    with pytest.raises(
        RetrievalInputError, match="direction must be one of 'text_to_image', 'image_to_text'"
    ):
        corpus.task("text_to_video")


def test_take_items(corpus):
    part = corpus.take_items([2, 1], "fold 1 of 2")
    assert part.split == "test (fold 1 of 2)" and part.item_ids == ("9", "8")
    assert part.media.names == ("c.png", "b.png")
    assert part.texts == ("b one ", "c one")  # "a and c" is true of a picture outside
    assert part.qrels.items.tolist() == [1, 0]
    assert corpus.take_items(np.array([True, False, True])).text_ids == ("7", "11", "13", "14")


def test_take_all_items_keeps_judgements(corpus):
    part = corpus.take_items([0, 1, 2])
    assert part.qrels == corpus.qrels.take_queries([0, 1, 2, 3, 4])


@pytest.mark.parametrize("index", [[3], [-1], [0, 0], []])
def test_take_items_refuses(corpus, index):
    with pytest.raises(RetrievalInputError):
        corpus.take_items(index)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item_ids": ("7", "8")}, "3 media have 2 ids"),
        ({"text_ids": ("1",)}, "6 texts have 1"),
        ({"item_ids": ("7", "8", "7")}, "item ids must differ, got '7' at 0 and 2"),
        ({"text_ids": ("1", "2", "3", "4", "2", "6")}, "text ids must differ, got '2' at 1 and 4"),
        ({"texts": ("a", "b", " ", "c", "d", "e")}, r"text 2 \(id 12\) must be words, got ' '"),
        ({"texts": ("a", "b", None, "c", "d", "e")}, r"text 2 \(id 12\) must be words, got None"),
        ({"modality": "smell"}, "modality must be one of"),
        ({"qrels": Qrels.from_pairs([0], [0], shape=(3, 6))}, r"shape \(6, 3\) .* got \(3, 6\)"),
    ],
)
def test_bad_fields(corpus, change, message):
    with pytest.raises(RetrievalInputError, match=message):
        replace(corpus, **change)


def test_checksum_sees_everything(corpus):
    changes = [
        {"name": "other"},
        {"split": "val"},
        {"captions": "unique"},
        {"item_ids": ("7", "8", "10")},
        {"text_ids": ("7", "11", "12", "13", "14", "16")},
        {"texts": ("a one", "a two", "b one", "c one", "a and c", "nothing")},  # a space less
        {"texts": ("a one", "a twob", " one ", "c one", "a and c", "nothing")},  # equal when joined
        {"qrels": Qrels.from_pairs(*PAIRS, [1, 1, 1, 1, 1, 2], shape=(6, 3))},
        {"media": PictureFiles(corpus.media.root, ["a.png", "b.png", "b.png"])},
    ]
    sums = [corpus.checksum(), *(replace(corpus, **change).checksum() for change in changes)]
    assert len(set(sums)) == len(sums)
    # Decides no embedding.
    assert replace(corpus, datasheet="elsewhere").checksum() == corpus.checksum()


def test_checksum_of_decoded_media(corpus):
    frames = [
        np.zeros((2, 4, 4, 3), np.uint8),
        np.ones((1, 4, 4, 3), np.uint8),
        np.ones((2, 4, 4, 3), np.uint8),
    ]
    clips = replace(corpus, modality="video", media=frames)
    assert clips.checksum() != replace(clips, media=frames[::-1]).checksum()
    assert clips.take_items([1]).media[0] is frames[1]
