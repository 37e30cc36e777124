"""The corpus of choices: positions, clusters of shared images, and what is left out with them."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.choices import ChoiceCorpus, Example, choice_corpus
from lib.datasets.completeness import Count, MissingMediaError
from lib.datasets.media.files import PictureFiles


def corpus(shown, n_captions=2, **fields):
    images = np.asarray(shown)
    n, n_items = len(images), int(images.max()) + 1
    texts = [f"text {at}" for at in range(n * n_captions)]
    given = {
        "name": "toys",
        "split": "test",
        "media": [f"picture {at}" for at in range(n_items)],
        "item_ids": tuple(f"i{at}" for at in range(n_items)),
        "texts": tuple(texts),
        "text_ids": tuple(f"t{at}" for at in range(len(texts))),
        "example_ids": tuple(f"e{at}" for at in range(n)),
        "images": images,
        "captions": np.arange(len(texts)).reshape(n, n_captions),
        "subsets": ("a",) * n,
        "by_subset": True,
        "counts": (Count("examples", n, n), Count("examples of a", n, n)),
    }
    return ChoiceCorpus(**{**given, **fields})


def test_examples_that_share_an_image_are_one_cluster():
    assert corpus([[0], [1], [0], [2]]).clusters.tolist() == [0, 1, 0, 3]
    assert corpus([[0, 1], [2, 3], [1, 4], [5, 6]]).clusters.tolist() == [0, 1, 0, 3]
    chain = corpus([[0, 1], [2, 3], [3, 4], [4, 0]])  # through two others
    assert chain.clusters.tolist() == [0, 0, 0, 0]


def test_examples_are_left_out_with_their_images():
    whole = corpus([[0], [1], [0], [2]], subsets=("a", "a", "b", "b"))
    part = whole.without_items([0])
    assert part.example_ids == ("e1", "e3") and part.item_ids == ("i1", "i2")
    assert part.images.tolist() == [[0], [1]] and part.subsets == ("a", "b")
    assert [part.texts[at] for at in part.captions.ravel()] == [
        "text 2", "text 3", "text 6", "text 7"
    ]  # fmt: skip
    assert [(count.what, count.found) for count in part.counts] == [
        ("examples", 2), ("examples of a", 1)
    ]  # fmt: skip
    assert part.missing == ("i0",) and part.checksum(media=False) != whole.checksum(media=False)
    pairs = corpus([[0, 1], [2, 3]]).without_items([3])
    assert pairs.item_ids == ("i0", "i1") and pairs.example_ids == ("e0",)
    with pytest.raises(RetrievalInputError, match="no example is left"):
        whole.without_items([0, 1, 2])


def test_it_describes_itself():
    assert corpus([[0], [1]]).describe() == (
        "toys, test split: 2 examples of one image and 2 captions, 2 images"
    )
    assert "2 examples of 2 images" in corpus([[0, 1], [2, 3]]).describe()
    assert corpus([[0], [1]], n_captions=5).subset_names == ("a",)


@pytest.mark.parametrize(
    "images, fields, message",
    [
        (
            [[0], [1]],
            {"captions": np.array([[0, 1], [2, 4]])},
            "captions must be positions among 4",
        ),
        ([[0], [1]], {"images": np.array([[0], [-1]])}, "images must be positions among 2"),
        ([[0], [1]], {"images": np.array([[0]])}, "got 2 examples and shape"),
        ([[0], [1]], {"captions": np.array([[0], [1]])}, "one image and several captions"),
        ([[0, 1, 2]], {}, "got 3 and 2"),
        ([[0], [1]], {"images": np.array([[0.0], [1.0]])}, "rows of whole numbers"),
        ([[0], [1]], {"subsets": ("a",)}, "2 entries have 1 names"),
        ([[0], [1]], {"item_ids": ("i0", "i0")}, "item ids must differ"),
        ([[0], [1]], {"example_ids": ("e0", "e0")}, "example ids must differ"),
        ([[0], [1]], {"text_ids": ("t",) * 4}, "text ids must differ"),
    ],
)
def test_corpora_that_do_not_fit_are_refused(images, fields, message):
    with pytest.raises(RetrievalInputError, match=message):
        corpus(images, **fields)


def test_built_from_examples(tmp_path):
    examples = [
        Example("0", "a", ("x",), (("0/right", "a dog"), ("0/wrong", "a cat"))),
        Example("1", "b", ("y",), (("1/right", "a car"), ("1/wrong", "a bus"))),
    ]
    options = {"name": "toys", "split": "test", "by_subset": False, "datasheet": "toys"}
    options["published"] = {"examples": 2, "examples of b": 1}
    media = PictureFiles(tmp_path, ["x.png", "y.png"])

    def build(**changed):
        return choice_corpus(examples, ["x", "y"], media, **{**options, **changed})

    (tmp_path / "x.png").write_bytes(b"no picture, but a file")
    with pytest.raises(MissingMediaError, match=r"found 1 of 2 images; first missing: y\.png"):
        build()
    assert build(need_media=False).example_ids == ("0", "1")
    part = build(allow_partial=True)
    assert part.example_ids == ("0",) and part.texts == ("a dog", "a cat")
    assert "found 1 of 2 examples; found 0 of 1 examples of b" in part.describe()
    with pytest.raises(RetrievalInputError, match="found 2 of 3 examples"):
        build(published={"examples": 3}, need_media=False)
    with pytest.raises(RetrievalInputError, match="have no example"):
        choice_corpus([], [], media, **options)
    same = build(need_media=False)
    assert same.checksum() != replace(same, texts=(*same.texts[:3], "a tram")).checksum()
