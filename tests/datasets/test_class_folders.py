"""Pictures in class folders: both layouts, names and templates, and what is refused."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.class_folders import load_class_folders
from lib.datasets.class_prompts import (
    PHOTO,
    load_class_names,
    load_templates,
)
from lib.datasets.registry import FORMS


@pytest.fixture
def root(tmp_path):
    """Two classes, with two pictures and one; nobody opens them."""
    for name in ("cat/b.jpg", "cat/a.JPG", "polar_bear/c.png", "cat/.hidden", "cat/Thumbs.db"):
        path = tmp_path / "animals" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
    return tmp_path / "animals"


def test_folders_in_the_root_by_hand(root):
    corpus = load_class_folders(root)
    assert corpus.name == "class-folders: animals" and corpus.split == "all"
    assert corpus.directions == ("image_to_text",)
    assert corpus.text_ids == ("cat/a.JPG", "cat/b.jpg", "polar_bear/c.png")
    assert corpus.item_ids == ("cat", "polar_bear") and corpus.media == ("cat", "polar bear")
    assert corpus.labels.tolist() == [0, 0, 1]
    assert corpus.prompts == ("a photo of a cat.", "a photo of a polar bear.")
    assert corpus.relevance == "names in 'a photo of a {}.'"
    assert [(one.what, one.found, one.published) for one in corpus.counts] == [
        ("pictures", 3, None), ("classes", 2, None),
    ]  # fmt: skip
    less = corpus.without_pictures([0])
    assert less.text_ids == ("cat/b.jpg", "polar_bear/c.png") and less.labels.tolist() == [0, 1]
    assert less.missing == ("cat/a.JPG",) and len(less.texts) == 2 and less.item_ids[0] == "cat"
    with pytest.raises(RetrievalInputError, match="no picture is left"):
        corpus.without_pictures([0, 1, 2])
    with pytest.raises(RetrievalInputError, match="no class can be left out, 'polar_bear'"):
        corpus.without_items([1])


def test_checksums_hold_names_templates_and_pictures(root):
    corpus, simple = load_class_folders(root), load_class_folders(root, templates="simple")
    assert corpus.checksum(media=False) != simple.checksum(media=False)
    assert len(simple.prompts) == 14 and simple.relevance.startswith("names in 7 templates (")
    (root / "cat" / "a.JPG").write_bytes(b"another")
    assert load_class_folders(root).checksum(media=False) == corpus.checksum(media=False)
    before = corpus.checksum()
    (root / "cat" / "a.JPG").write_bytes(b"a third picture")
    assert load_class_folders(root).checksum() != before


def test_the_miniature_and_its_traps(tmp_path):
    form = FORMS["class-folders"]
    form.write_miniature(tmp_path / "mini")
    corpus = form.load(tmp_path / "mini", "val")
    assert corpus.name == "class-folders: mini (miniature)"
    assert corpus.describe() == (
        "class-folders: mini (miniature), val split: 48 pictures of 6 classes, names in 8"
        f" templates ({corpus.relevance[-9:-1]})"
    )
    assert corpus.media[0] == "large spotted" and corpus.media[-1] == "small solid"
    assert np.bincount(corpus.labels).tolist() == [11, 8, 5, 11, 8, 5]
    assert corpus.text_ids[0] == "n90000001/val_5000.JPEG" and corpus.texts[0].size == (64, 64)
    assert (
        corpus.prompts[7] == "a large spotted moon"
        and len(form.load(tmp_path / "mini", "train").texts) == 12
    )
    (tmp_path / "mini" / "val" / "n90000001" / "val_5000.JPEG").unlink()
    with pytest.raises(RetrievalInputError, match="found 47 of 48 pictures"):
        form.load(tmp_path / "mini", "val")
    assert len(form.load(tmp_path / "mini", "val", allow_partial=True).texts) == 47
    with pytest.raises(RetrievalInputError, match="train and val, which are splits"):
        form.load(tmp_path / "mini")
    with pytest.raises(MissingFileError, match="it has val and train: name one with --split"):
        form.load(tmp_path / "mini", "test")


def test_class_rows_are_normalised_means_by_hand(root):
    (root / "templates.txt").write_text("a {}\nthe {c}\n")
    corpus = load_class_folders(root)
    assert corpus.prompts == ("a cat", "the cat", "a polar bear", "the polar bear")
    rows = corpus.class_rows(np.array([[2.0, 0], [0, 5], [1, 0], [3, 4]]))
    # (1, 0) and (0, 1) -> (1, 1) / sqrt 2; (1, 0) and (0.6, 0.8) -> (1.6, 0.8) / sqrt 3.2
    expected = [[2**-0.5, 2**-0.5], [1.6 / 3.2**0.5, 0.8 / 3.2**0.5]]
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    with pytest.raises(RetrievalInputError, match="3 prompt rows for 2 classes in 2 templates"):
        corpus.class_rows(np.ones((3, 2)))
    with pytest.raises(RetrievalInputError, match="the mean of a class's templates has only zeros"):
        corpus.class_rows(np.array([[1.0, 0], [-1, 0], [1, 0], [1, 0]]))


@pytest.mark.parametrize(
    "name, text, expected",
    [
        ("classnames.txt", "a tabby\nan ice bear\n", ("a tabby", "an ice bear")),
        ("classnames.txt", "polar_bear ice bear\n\ncat tabby cat\n", ("tabby cat", "ice bear")),
        ("classnames.txt", "\ufeffpolar_bear\tice bear\ncat\ttabby\n", ("tabby", "ice bear")),
        ("classnames.json", '["tabby", " bear "]', ("tabby", "bear")),
        ("classnames.json", '{"polar_bear": "bear", "cat": "tabby"}', ("tabby", "bear")),
    ],
)
def test_names_in_each_form(root, name, text, expected):
    (root / name).write_text(text, encoding="utf-8")
    assert load_class_folders(root).media == expected
    assert load_class_folders(root, classes="folders").media == ("cat", "polar bear")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("classnames.txt", b"one\n", "has 1 names for 2 folders"),
        ("classnames.txt", b"cat\ta\ndog\tb\n", "no name for the folder 'polar_bear'"),
        ("classnames.txt", b"cat\ta\npolar_bear\tb\nd\tc\n", "1 names of folders that do not"),
        ("classnames.txt", b"cat\ta\ncat\tb\n", "line 2: 'cat' has a name already"),
        ("classnames.txt", b"cat\t\npolar_bear\tb\n", "line 1: expected words, got ''"),
        ("classnames.txt", b"", "at least one"),
        ("classnames.txt", b"\xff\xfe\x00", "no UTF-8 text"),
        ("classnames.json", b"[1, 2]", "entry 1: expected words, got 1"),
        ("classnames.json", b'["a", null]', "entry 2: expected words, got None"),
        ("classnames.json", b'{"0": ["cat", "tabby"]}', "expected words, got"),
        ("classnames.json", b"{", "no JSON"),
        ("classnames.json", b"3", "must hold a list of texts"),
        ("templates.txt", b"a photo\n", "template 1: 'a photo' must hold {} once"),
        ("templates.txt", b"a {}\n{} and {}\n", "template 2: '{} and {}'"),
        ("templates.json", b"{}", "must hold a list of texts"),
        ("templates.json", b"[" * 100_000, "no JSON"),
    ],
)
def test_files_of_names_and_templates_that_are_refused(root, name, content, message):
    (root / name).write_bytes(content)
    with pytest.raises((RetrievalInputError, DamagedFileError)) as error:
        load_class_folders(root)
    assert message in str(error.value) and name in str(error.value)


def test_two_files_of_names_are_one_too_many(root):
    for name in ("templates.txt", "templates.json"):
        (root / name).write_text(json.dumps(["a {}"]))
    with pytest.raises(RetrievalInputError, match="both templates.txt and templates.json"):
        load_templates(root)
    assert load_templates(root, "photo") == (PHOTO,)


def test_more_names_than_folders_where_that_is_allowed(root):
    (root / "classnames.txt").write_text("cat\ta\npolar_bear\tb\nd\tc\n")
    assert load_class_folders(root, allow_partial=True).media == ("a", "b")


def test_folders_that_are_refused(root, tmp_path):
    with pytest.raises(MissingFileError, match="is not a folder. Check the path"):
        load_class_folders(tmp_path / "none")
    with pytest.raises(RetrievalInputError, match="'imagenet' need 1,000 folders, got 2"):
        load_class_folders(root, classes="imagenet")
    with pytest.raises(RetrievalInputError, match="is a WordNet id"):
        load_class_names(root, ["n01440764", "n01443537"])
    (root / "empty").mkdir()
    with pytest.raises(MissingFileError, match="1 of 3 class folders have no picture.*'empty'"):
        load_class_folders(root)
    assert load_class_folders(root, allow_partial=True).item_ids == ("cat", "empty", "polar_bear")
    (root / "empty" / "notes.txt").touch()
    with pytest.raises(RetrievalInputError, match="notes.txt is no picture"):
        load_class_folders(root)
    (root / "empty" / "notes.txt").unlink()
    (root / "empty" / "deeper").mkdir()
    with pytest.raises(RetrievalInputError, match="holds the folder 'deeper'"):
        load_class_folders(root)
    with pytest.raises(MissingFileError, match="has 1 folders; it must have one for each class"):
        load_class_folders(root / "empty")
