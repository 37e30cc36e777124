"""COCO: three galleries, two file formats, folds, and judgements aligned by ids."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import coco, coco_judgements
from lib.datasets.annotations import Record
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.media.files import PictureFiles
from lib.datasets.miniatures import images as miniature

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
def copy(root, tmp_path):
    """The annotations alone, to be changed; pictures are looked for in vain."""
    shutil.copytree(root, tmp_path / "root", ignore=shutil.ignore_patterns("*.jpg"))
    return tmp_path / "root"


def edit(root, change, name="dataset_coco.json"):
    path = root / name
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


# ---- what is published


def test_published_counts_add_up():
    sizes = coco.PUBLISHED
    assert sizes["train"]["images"] == 113_287
    for what in ("images", "captions, all"):
        assert sizes["train"][what] == sizes["train_only"][what] + sizes["restval"][what]
    parts = ("train", "val", "test")
    assert sum(sizes[part]["images"] for part in parts) == 123_287
    assert sum(sizes[part]["captions, all"] for part in parts) == 616_767
    assert sizes["test"]["captions, first 5"] == 25_000


# ---- galleries


def test_the_three_galleries(root):
    galleries = {captions: coco.load_coco(root, captions=captions) for captions in coco.CAPTIONS}
    sizes = {captions: (len(c.texts), c.qrels.items.size) for captions, c in galleries.items()}
    assert sizes == {"all": (501, 501), "first 5": (500, 500), "unique": (498, 499)}
    assert {c.name for c in galleries.values()} == {"coco (miniature)"}
    assert len({c.checksum() for c in galleries.values()}) == 3


def test_six_captions(corpus, root):
    first_five = coco.load_coco(root, captions="first 5")
    assert corpus.qrels.T.counts[miniature.SIX_CAPTIONS] == 6
    assert (first_five.qrels.T.counts == 5).all()
    assert set(corpus.text_ids) - set(first_five.text_ids) == {"950000"}


def test_texts_are_as_typed(corpus):
    assert sum(text.endswith(". ") for text in corpus.texts) == 1
    assert any(text.endswith(", déjà vu") for text in corpus.texts)


def test_one_text_of_two_images(root, corpus):
    unique = coco.load_coco(root, captions="unique")
    (shared,) = np.flatnonzero(unique.qrels.counts == 2)
    assert unique.qrels.row(shared)[0].tolist() == list(miniature.SHARED)
    assert unique.task("text_to_image").query_groups[shared] == miniature.SHARED[0]
    assert (
        unique.text_ids[shared]
        == corpus.text_ids[int(corpus.qrels.T.row(miniature.SHARED[0])[0][-1])]
    )
    # Two captions that read the same when tidied.
    assert unique.qrels.T.counts[miniature.REPEATED] == 4


@pytest.mark.parametrize(
    ("typed", "tidied"),
    [
        ("a man on a moped. ", "A man on a moped."),
        ("a man\r", "A man."),
        ('"a sign"', "A sign."),
        ("Where?", "Where?"),
        ("éclair", "Éclair."),
        ("A dog ", "A dog."),
        ("  ", ""),
    ],
)
def test_tidy(typed, tidied):
    assert coco.tidy(typed) == tidied


def test_unique_by_hand():
    records = [
        Record("", "1", (("10", "a dog"), ("11", "A dog. "), ("12", "a cat"))),
        Record(
            "",
            "2",
            (("20", "a cow"), ("21", "A cat."), ("22", "x"), ("23", "y"), ("24", "z"), ("25", "w")),
        ),
    ]
    texts, text_ids, qrels = coco.unique_texts(records)
    # The sixth caption is not among five.
    assert texts == ["A dog.", "A cat.", "A cow.", "X.", "Y.", "Z."]
    assert text_ids == ["10", "12", "20", "22", "23", "24"]
    assert [qrels.row(text)[0].tolist() for text in range(6)] == [[0], [0, 1], [1], [1], [1], [1]]


def test_unique_is_published_for_test_only(root):
    with pytest.raises(RetrievalInputError, match="split must be 'test' .* got 'val'"):
        coco.load_coco(root, "val", captions="unique")
    with pytest.raises(RetrievalInputError, match="Did you mean 'first 5'"):
        coco.load_coco(root, captions="first5")


# ---- splits and ids


def test_splits(root):
    sizes = {split: len(coco.load_coco(root, split).item_ids) for split in coco.SPLITS}
    assert sizes == {"test": 100, "val": 6, "train": 10, "train_only": 6, "restval": 4}
    train = coco.load_coco(root, "train")
    assert {name.split("/")[0] for name in train.media.names} == {"train2014", "val2014"}
    ids = [set(coco.load_coco(root, split).item_ids) for split in ("test", "val", "train")]
    assert not ids[0] & ids[1] and not ids[0] & ids[2] and not ids[1] & ids[2]


def test_ids_are_those_of_coco(root, corpus):
    known = coco_judgements.load_judgements()
    assert corpus.item_ids[0] == "391895"
    assert corpus.text_ids[:5] == ("770337", "771687", "772707", "776154", "781998")
    assert set(corpus.item_ids) <= {str(image) for image in known.image_ids}
    first_five = coco.load_coco(root, captions="first 5").text_ids
    assert set(first_five) <= {str(caption) for caption in known.caption_ids}


def test_pictures_are_read(corpus):
    assert corpus.media[99].size == (64, 64) and corpus.media[99].mode == "RGB"
    assert corpus.media.names[0] == "val2014/COCO_val2014_000000391895.jpg"


def test_images_in_a_folder_of_their_own(root, corpus, copy):
    (copy / "images").mkdir()
    shutil.rmtree(copy / "val2014")
    shutil.copytree(root / "val2014", copy / "images" / "val2014")
    moved = coco.load_coco(copy)
    assert moved.media.names[0] == "images/val2014/COCO_val2014_000000391895.jpg"
    assert moved.texts == corpus.texts


# ---- the file of CLIP_benchmark


@pytest.mark.parametrize("captions", coco.CAPTIONS)
def test_clip_benchmark_file(root, copy, captions):
    (copy / "dataset_coco.json").unlink()
    shutil.rmtree(copy / "val2014")
    (copy / "val2014").symlink_to(root / "val2014")
    # A folder outside the root is not followed.
    with pytest.raises(RetrievalInputError, match="by a link"):
        coco.load_coco(copy)
    (copy / "val2014").unlink()
    shutil.copytree(root / "val2014", copy / "val2014")
    theirs, ours = coco.load_coco(copy, captions=captions), coco.load_coco(root, captions=captions)
    assert theirs.item_ids == tuple(sorted(ours.item_ids, key=int)) != ours.item_ids
    pairs = [
        {
            (c.text_ids[text], c.item_ids[item])
            for text, item in zip(c.qrels.query_index, c.qrels.items)
        }
        for c in (theirs, ours)
    ]
    # Which of two equal texts gives its id depends on the order of the images.
    assert captions == "unique" or pairs[0] == pairs[1]
    assert sorted(theirs.texts) == sorted(ours.texts)
    if captions == "first 5":
        with pytest.raises(RetrievalInputError, match="must be in the order of Karpathy's file"):
            coco.folds(theirs)
    with pytest.raises(MissingFileError, match=r"not have dataset_coco\.json"):
        coco.load_coco(copy, "restval")


def test_file_of_blip(root, copy):
    """The same pictures and captions in the same order, without COCO's caption ids."""
    images = json.loads((copy / "dataset_coco.json").read_text())["images"]
    listed = [
        {
            "image": f"{image['filepath']}/{image['filename']}",
            "caption": [sentence["raw"] for sentence in image["sentences"]],
        }
        for image in images
        if image["split"] == "test"
    ]
    (copy / "dataset_coco.json").unlink()
    shutil.rmtree(copy / "annotations")
    (copy / "coco_karpathy_test.json").write_text(json.dumps(listed))
    blip = coco.load_coco(copy, need_media=False)
    whole = coco.load_coco(root)
    assert blip.item_ids == whole.item_ids and blip.texts == whole.texts
    assert blip.qrels == whole.qrels and blip.media.names == whole.media.names
    assert blip.text_ids[5].endswith("#5") or blip.text_ids[4].endswith("#4")
    with pytest.raises(RetrievalInputError, match="BLIP's file does not have"):
        coco.judgements(blip, "eccv", "text_to_image")
    one_each = [
        {"image": entry["image"], "caption": text, "image_id": "x"}
        for entry in listed
        for text in entry["caption"]
    ]
    (copy / "coco_karpathy_test.json").write_text(json.dumps(one_each))  # as training files are
    assert coco.load_coco(copy, need_media=False).texts == whole.texts
    for wrong, message in [
        ({}, "must be a list"),
        ([{"image": "cat.jpg", "caption": ["a cat"]}], "12 digits, got 'cat.jpg'"),
        ([{"image": "a", "caption": []}], "must hold texts"),
        ([{"image": "a", "caption": ["x"]}] * 2, "picture 1: 'a' occurs twice"),
        ([{"image": 3, "caption": ["x"]}], "'image' must be str"),
    ]:
        (copy / "coco_karpathy_test.json").write_text(json.dumps(wrong))
        with pytest.raises(RetrievalInputError, match=message):
            coco.load_coco(copy, need_media=False)


def test_clip_benchmark_file_with_a_stray_annotation(copy):
    (copy / "dataset_coco.json").unlink()
    name = "annotations/coco_test_karpathy.json"
    edit(
        copy,
        lambda data: data["annotations"].append({"image_id": 1, "id": 2, "caption": "x"}),
        name,
    )
    with pytest.raises(
        RetrievalInputError, match="annotation 501: image_id 1 is not in the 100 images"
    ):
        coco.load_coco(copy)


# ---- what can be wrong


def test_missing_annotations(tmp_path):
    with pytest.raises(
        MissingFileError, match=r"not have dataset_coco\.json.*crossmodal data download coco"
    ):
        coco.load_coco(tmp_path)


def test_truncated_annotations(copy):
    path = copy / "dataset_coco.json"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DamagedFileError, match=r"dataset_coco\.json is not a JSON file"):
        coco.load_coco(copy)


def test_a_miniature_is_not_the_real_thing(copy):
    (copy / MINIATURE).unlink()
    with pytest.raises(
        RetrievalInputError, match=r"coco, test split: found 100 of 5,000 images; found 501 of 25,"
    ):
        coco.load_coco(copy)


def test_a_caption_too_few(copy):
    edit(copy, lambda data: data["images"][-1]["sentences"].pop())
    with pytest.raises(RetrievalInputError, match="found 500 of 501 captions"):
        coco.load_coco(copy)


def test_missing_pictures(root, copy):
    with pytest.raises(
        RetrievalInputError, match="found 0 of 100 images; first missing: val2014/COCO_val2014_"
    ):
        coco.load_coco(copy)
    shutil.copytree(root / "val2014", copy / "val2014", dirs_exist_ok=True)
    (copy / "val2014" / "COCO_val2014_000000391895.jpg").unlink()
    with pytest.raises(
        RetrievalInputError, match=r"99 of 100 images.*`crossmodal data check coco --root DIR`"
    ):
        coco.load_coco(copy)
    partial = coco.load_coco(copy, allow_partial=True)
    assert partial.missing == ("val2014/COCO_val2014_000000391895.jpg",)
    assert partial.counts == (Count("images", 99, 100), Count("captions", 496, 501))
    with pytest.raises(RetrievalInputError, match=r"got 1 missing; later folds would move"):
        coco.folds(partial)


def test_a_missing_picture_leaves_the_text_it_shares(root, copy):
    shutil.copytree(root / "val2014", copy / "val2014", dirs_exist_ok=True)
    whole = coco.load_coco(root, captions="unique")
    (copy / whole.media.names[miniature.SHARED[0]]).unlink()
    partial = coco.load_coco(copy, captions="unique", allow_partial=True)
    # Four of its five texts go; the one that describes another image as well stays, with that
    # image.
    assert partial.counts == (
        Count("images", 99, 100),
        Count("captions", 494, 498),
        Count("judgements", 494, 499),
    )


def test_a_name_that_leaves_the_root(copy):
    edit(copy, lambda data: data["images"][-1].update(filename="../../../etc/passwd"))
    with pytest.raises(RetrievalInputError, match="relative path inside"):
        coco.load_coco(copy, allow_partial=True)


def test_the_file_of_another_corpus(copy):
    edit(copy, lambda data: [image.pop("cocoid") for image in data["images"]])
    with pytest.raises(RetrievalInputError, match="cocoid or filepath is missing"):
        coco.load_coco(copy)


def test_duplicate_images(copy):
    edit(copy, lambda data: data["images"].append(data["images"][-1]))
    with pytest.raises(RetrievalInputError, match="101 of 100 images"):
        coco.load_coco(copy)


# ---- folds


def test_folds_are_contiguous(corpus):
    folds = coco.folds(corpus)
    assert [len(fold.item_ids) for fold in folds] == [20] * 5
    assert [len(fold.texts) for fold in folds] == [101, 100, 100, 100, 100]
    assert sum((fold.item_ids for fold in folds), ()) == corpus.item_ids
    assert sum((fold.texts for fold in folds), ()) == corpus.texts
    known = coco_judgements.load_judgements()
    for number, fold in enumerate(folds):
        images = {str(image) for image in known.image_ids[known.fold(number)[0]]}
        assert set(fold.item_ids) <= images and fold.split == f"test (fold {number + 1} of 5)"


def test_folds_refuse(root, corpus):
    for other in (
        coco.load_coco(root, "train"),
        coco.load_coco(root, captions="unique"),
        corpus.take_items([0, 1]),
    ):
        with pytest.raises(RetrievalInputError, match="must be the whole test split"):
            coco.folds(other)
    with pytest.raises(RetrievalInputError, match="must be in the order of Karpathy's file"):
        coco.folds(corpus.take_items(np.arange(100)[::-1]))
    with pytest.raises(RetrievalInputError, match="image 1 is not in the test split of COCO"):
        coco.folds(replace(corpus, item_ids=("1", *corpus.item_ids[1:])))


# ---- judgements


@pytest.mark.parametrize("name", ["cxc", "eccv"])
@pytest.mark.parametrize("direction", coco_judgements.DIRECTIONS)
def test_judgements_are_those_of_the_package(corpus, name, direction):
    """Cell by cell against the published lists, by id."""
    known = coco_judgements.load_judgements()
    published = known.qrels(name, direction)
    image_at = {str(image): at for at, image in enumerate(known.image_ids.tolist())}
    text_at = {str(text): at for at, text in enumerate(known.caption_ids.tolist())}
    images = [image_at[image] for image in corpus.item_ids]
    texts = [text_at.get(text, -1) for text in corpus.text_ids]
    rows, columns = (images, texts) if direction == "image_to_text" else (texts, images)
    aligned = coco.judgements(corpus, name, direction)
    assert aligned.shape == (len(rows), len(columns))
    for at, row in enumerate(rows):
        judged = set() if row < 0 else set(published.row(row)[0].tolist()) & set(columns)
        assert {columns[item] for item in aligned.row(at)[0]} == judged


def test_judgements_counts(corpus):
    queries, positives = coco.judgement_counts(corpus, "eccv", "image_to_text")
    assert queries.text() == "found 26 of 26 eccv queries"
    assert (
        positives.found
        == coco.judgements(corpus, "eccv", "image_to_text").items.size
        < positives.published
    )
    queries, positives = coco.judgement_counts(corpus, "cxc", "text_to_image")
    # Every fold has an image with a caption that CxC does not confirm; the sixth caption is
    # unjudged.
    assert 490 <= queries.found == queries.published <= 495 and positives.found > queries.found


def test_original_judgements_are_the_corpus_own(corpus):
    assert coco.judgements(corpus, "original", "text_to_image") == corpus.qrels
    assert coco.judgements(corpus, "original", "image_to_text") == corpus.qrels.T
    assert all(count.ok for count in coco.judgement_counts(corpus, "original", "text_to_image"))


def test_judgements_of_a_fold(corpus):
    fold = coco.folds(corpus)[2]
    inside = coco.judgements(fold, "cxc", "text_to_image")
    rows = corpus.positions("text", fold.text_ids)
    whole = coco.judgements(corpus, "cxc", "text_to_image").take_queries(rows)
    columns = corpus.positions("item", fold.item_ids)
    assert inside.items.size == np.isin(whole.items, columns).sum()


def test_the_whole_of_coco(root):
    """With all ids in Karpathy's order, judgements and folds equal those of the package."""
    known = coco_judgements.load_judgements()
    ids = [str(image) for image in known.image_ids]
    whole = CaptionedMedia(
        name="coco",
        split="test",
        modality="image",
        media=PictureFiles(root, [f"{image}.jpg" for image in ids]),
        item_ids=tuple(ids),
        texts=("a caption",) * 25_000,
        text_ids=tuple(str(text) for text in known.caption_ids),
        qrels=Qrels.from_owner(known.owner, 5_000).T,
        captions="first 5",
        counts=(),
    )
    for name in coco_judgements.JUDGEMENTS:
        for direction in coco_judgements.DIRECTIONS:
            assert coco.judgements(whole, name, direction) == known.qrels(name, direction)
            queries, positives = coco.judgement_counts(whole, name, direction)
            published = coco_judgements.PUBLISHED_COUNTS[name, direction]
            assert (queries.published, positives.published) == published and queries.ok
            unfindable = 2 if (name, direction) == ("eccv", "image_to_text") else 0
            assert positives.published - positives.found == unfindable
    for number, fold in enumerate(coco.folds(whole)):
        images, captions = known.fold(number)
        assert fold.item_ids == tuple(ids[image] for image in images)
        assert fold.text_ids == tuple(str(text) for text in known.caption_ids[captions])


def test_judgements_refuse(root, corpus):
    with pytest.raises(RetrievalInputError, match="got 'unique'"):
        coco.judgements(coco.load_coco(root, captions="unique"), "cxc", "text_to_image")
    with pytest.raises(RetrievalInputError, match="judgements must be one of"):
        coco.judgements(corpus, "cxx", "text_to_image")
    with pytest.raises(RetrievalInputError, match="direction must be one of"):
        coco.judgements(corpus, "cxc", "text_to_video")
