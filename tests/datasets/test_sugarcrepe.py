"""SugarCrepe: seven files of one image and two captions, and what can be wrong in them."""

import json
import shutil

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import sugarcrepe
from lib.datasets.completeness import MINIATURE, MissingMediaError
from lib.datasets.miniatures.choices import GAP, SPACED
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sugarcrepe") / "root"
    CORPORA["sugarcrepe"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    """Copy the annotations without the pictures."""
    shutil.copytree(root, tmp_path / "root", ignore=shutil.ignore_patterns("*.jpg"))
    return tmp_path / "root"


def change(copy, name, edit):
    path = copy / "data" / f"{name}.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def test_published_counts():
    assert list(sugarcrepe.FILES) == [
        "add_att", "add_obj", "replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj"
    ]  # fmt: skip
    assert sugarcrepe.PUBLISHED["test"]["examples"] == 7_511
    assert sugarcrepe.PUBLISHED["test"]["examples of swap_obj"] == 245


def test_records_of_the_miniature(root):
    corpus = sugarcrepe.load_sugarcrepe(root)
    assert corpus.name == "sugarcrepe (miniature)" and len(corpus.example_ids) == 180
    assert len(corpus.item_ids) == 40 and len(corpus.texts) == 360  # images repeat
    assert corpus.subset_names == tuple(sugarcrepe.FILES) and corpus.by_subset
    at = corpus.example_ids.index("swap_att/0")
    right, wrong = (corpus.texts[text] for text in corpus.captions[at])
    assert right == "two blue squares at the top and one black triangle at the bottom"
    assert wrong == "two black squares at the top and one blue triangle at the bottom"
    assert corpus.item_ids[corpus.images[at, 0]] == "000000900001"
    assert [corpus.text_ids[text] for text in corpus.captions[at]] == [
        "swap_att/0/caption", "swap_att/0/negative_caption"
    ]  # fmt: skip
    assert corpus.media.names[0] == "val2017/000000900001.jpg" and corpus.media[0].size == (64, 64)
    wrong = {
        corpus.subsets[example]: corpus.texts[corpus.captions[example, 1]]
        for example in range(len(corpus.example_ids))
        if corpus.images[example, 0] == 0
    }
    assert wrong == {
        "add_att": "two blue squares at the top and one small black triangle at the bottom",
        "add_obj": (
            "two blue squares at the top and one black triangle at the bottom and a red diamond"
        ),
        "replace_att": "two blue squares at the top and one red triangle at the bottom",
        "replace_obj": "two blue squares at the top and one black rhombus at the bottom",
        "replace_rel": ("two blue squares on the left and one black triangle on the right"),
        "swap_att": "two black squares at the top and one blue triangle at the bottom",
        "swap_obj": "one black triangle at the top and two blue squares at the bottom",
    }


def test_traps_of_the_files(root):
    corpus = sugarcrepe.load_sugarcrepe(root)
    keys = [name.split("/")[1] for name in corpus.example_ids if name.startswith("add_att/")]
    assert str(GAP) not in keys and keys[GAP] == str(GAP + 1)
    texts = dict(zip(corpus.text_ids, corpus.texts))
    assert texts[f"swap_obj/{SPACED + 1}/caption"].endswith(" ")  # as typed
    assert corpus.clusters[:20].tolist() == list(range(20))
    assert corpus.clusters[20:40].tolist() == list(range(20))  # the same images


def test_swaps_exchange_words_and_add_none(root):
    corpus = sugarcrepe.load_sugarcrepe(root, need_media=False)
    for example, subset in enumerate(corpus.subsets):
        right, wrong = (corpus.texts[at].split() for at in corpus.captions[example])
        assert right != wrong
        if subset.startswith("swap"):
            plain = [sorted("a" if word == "an" else word for word in w) for w in (right, wrong)]
            assert plain[0] == plain[1]


def test_annotations_anywhere_and_images_of_2014(root, copy):
    for path in (copy / "data").iterdir():
        path.rename(copy / path.name)
    (copy / "val2014").mkdir()
    for path in (root / "val2017").iterdir():
        shutil.copy(path, copy / "val2014" / f"COCO_val2014_{path.name}")
    corpus, whole = sugarcrepe.load_sugarcrepe(copy), sugarcrepe.load_sugarcrepe(root)
    assert corpus.media.names[0] == "val2014/COCO_val2014_000000900001.jpg"
    assert corpus.checksum(media=False) == whole.checksum(media=False)


def test_missing_images_and_files(root, copy):
    with pytest.raises(MissingMediaError, match="found 0 of 40 images"):
        sugarcrepe.load_sugarcrepe(copy)
    for number in range(900_001, 900_031):
        shutil.copy(root / "val2017" / f"{number:012d}.jpg", copy / "val2017")
    part = sugarcrepe.load_sugarcrepe(copy, allow_partial=True)
    assert "found 160 of 180 examples" in part.describe() and len(part.missing) == 10
    assert "found 30 of 40 examples of swap_att" in part.describe()
    (copy / "data" / "swap_obj.json").unlink()
    with pytest.raises(MissingFileError, match=r"swap_obj\.json.*data download sugarcrepe"):
        sugarcrepe.load_sugarcrepe(copy)


def test_other_counts_are_announced(copy):
    change(copy, "swap_obj", lambda data: data.pop("7"))
    with pytest.raises(RetrievalInputError, match="found 39 of 40 examples of swap_obj"):
        sugarcrepe.load_sugarcrepe(copy, need_media=False)
    corpus = sugarcrepe.load_sugarcrepe(copy, need_media=False, allow_partial=True)
    assert len(corpus.example_ids) == 179
    (copy / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 179 of 7,511 examples"):
        sugarcrepe.load_sugarcrepe(copy, need_media=False)


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda e: e.pop("caption"), "'caption' must be str, got None"),
        (lambda e: e.update(negative_caption=" "), "'negative_caption' must be words"),
        (lambda e: e.update(negative_caption="\ud800"), "'negative_caption' must be words"),
        (lambda e: e.update(negative_caption=["a"]), "'negative_caption' must be str"),
        (lambda e: e.update(filename="../secret.jpg"), "'filename' must be the name of a .jpg"),
        (lambda e: e.update(filename="a.png"), "'filename' must be the name of a .jpg"),
        (lambda e: e.update(filename=".jpg"), "'filename' must be the name of a .jpg"),
        (lambda e: e.update(filename=7), "'filename' must be str"),
    ],
)
def test_wrong_entries_are_named(copy, edit, message):
    change(copy, "swap_att", lambda data: edit(data["9"]))
    with pytest.raises(RetrievalInputError, match=rf"swap_att\.json, entry '9': {message}"):
        sugarcrepe.load_sugarcrepe(copy, need_media=False)


@pytest.mark.parametrize(
    "content, error, message",
    [
        ("[]", RetrievalInputError, "must hold an entry for each key, got a list"),
        ('{"0": 3}', RetrievalInputError, "'filename' must be str, got the entry 3"),
        ('{"0": {', DamagedFileError, "not a JSON file"),
        ("", DamagedFileError, "not a JSON file"),
        ("{}", RetrievalInputError, "found 0 of 20 examples of add_obj"),
    ],
)
def test_wrong_files_are_named(copy, content, error, message):
    (copy / "data" / "add_obj.json").write_text(content)
    with pytest.raises(error, match=message):
        sugarcrepe.load_sugarcrepe(copy, need_media=False)


def test_wrong_options(root):
    with pytest.raises(RetrievalInputError, match="split must be one of"):
        sugarcrepe.load_sugarcrepe(root, "val")
