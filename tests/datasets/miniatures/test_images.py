"""The miniatures of COCO and Flickr30K: deterministic, true to the formats, and recognisable."""

import json

import numpy as np
import pytest

from lib.datasets import coco, coco_judgements
from lib.datasets.miniatures import images as miniature
from lib.datasets.registry import CORPORA
from lib.datasets.scenes import captions, render, swap_colours, swap_relation

pytestmark = pytest.mark.skipif(
    not coco_judgements.available(),
    reason="eccv-caption is not installed: pip install eccv-caption==0.1.0",
)


@pytest.fixture
def root(coco_miniature):
    return coco_miniature


def test_writing_twice_gives_the_same_bytes(root, tmp_path):
    again = tmp_path / "coco"
    CORPORA["coco"].write_miniature(again)
    CORPORA["coco"].write_miniature(again)  # over an old one, too
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert len(files) == 116 + 6
    assert all((root / file).read_bytes() == (again / file).read_bytes() for file in files)
    assert sum((root / file).stat().st_size for file in files) < 800_000


def test_records_have_the_fields_of_the_format(root):
    data = json.loads((root / "dataset_coco.json").read_text())
    assert set(data) == {"images", "dataset"} and data["dataset"] == "coco"
    for number, image in enumerate(data["images"]):
        assert set(image) == {
            "filepath",
            "sentids",
            "filename",
            "imgid",
            "split",
            "sentences",
            "cocoid",
        }
        assert image["imgid"] == number
        assert image["sentids"] == [sentence["sentid"] for sentence in image["sentences"]]
        assert {"tokens", "raw", "imgid", "sentid"} == set(image["sentences"][0])
        assert image["filename"] == f"COCO_{image['filepath']}_{image['cocoid']:012d}.jpg"
    assert data["images"][0]["split"] != "test"  # a test image is not the first record


def test_pictures_survive_jpeg(root):
    corpus = coco.load_coco(root)
    drawn = render(miniature.coco_scenes()).astype(int)
    read = np.stack([np.asarray(picture) for picture in corpus.media]).astype(int)
    assert (
        np.abs(drawn - read).mean() < 2
        and (np.abs(drawn - read).reshape(100, -1).mean(axis=1) < 4).all()
    )


def test_folds_hold_twenty_images_and_a_doubtful_caption(root):
    known = coco_judgements.load_judgements()
    images = miniature.coco_positions()
    assert (np.diff(images) > 0).all() and np.bincount(images // 1000).tolist() == [20] * 5
    confirmed = coco.judgements(
        coco.load_coco(root, captions="first 5"), "cxc", "image_to_text"
    ).counts
    assert confirmed.min() < 5
    assert known.image_ids[images[0]] == 391895


def test_twins_stand_in_the_same_fold_and_in_another():
    texts_by_scene = captions(miniature.coco_scenes())
    for exchange, n_pairs in ((swap_relation, 2 * 7), (swap_colours, 2 * 8)):
        exchanged = captions(exchange(miniature.coco_scenes()))
        # A scene in one colour is its own twin.
        pairs = [
            (at, texts_by_scene.index(texts))
            for at, texts in enumerate(exchanged)
            if texts in texts_by_scene
        ]
        twin = {at: other for at, other in pairs if at != other}
        assert len(twin) == 60  # every scene of a family has both twins
        same_fold = [at for at, other in twin.items() if at // 20 == other // 20]
        assert len(same_fold) == 2 * n_pairs and all(abs(twin[at] - at) == 1 for at in same_fold)


def test_flickr30k_files(tmp_path):
    for name in ("one", "two"):
        CORPORA["flickr30k"].write_miniature(tmp_path / name)
    files = sorted(
        path.relative_to(tmp_path / "one")
        for path in (tmp_path / "one").rglob("*")
        if path.is_file()
    )
    assert len(files) == 32 + 7
    assert all(
        (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        for file in files
    )
    data = json.loads((tmp_path / "one" / "dataset_flickr30k.json").read_text())
    for image in data["images"]:
        assert set(image) == {
            "sentids",
            "imgid",
            "sentences",
            "split",
            "filename",
        }  # no filepath, no cocoid
    lines = (tmp_path / "one" / "results.csv").read_text().splitlines()
    assert lines[0] == "image_name| comment_number| comment"
    assert [line.count("|") for line in lines].count(1) == 1  # the row that lacks its second bar


def test_release_tokens():
    assert miniature.release_tokens("a dog, running") == "a dog , running ."
    assert miniature.release_tokens('a "sign", photo.jpg, big') == 'a " sign " , photo.jpg , big .'
