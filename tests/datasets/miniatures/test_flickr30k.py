"""The miniature of Flickr30K: deterministic, and true to the formats."""

import json

from lib.datasets.miniatures import flickr30k as miniature


def test_files(tmp_path):
    for name in ("one", "two"):
        miniature.write_miniature(tmp_path / name)
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


def test_tokens():
    assert miniature.tokens("a dog, running") == "a dog , running ."
    assert miniature.tokens('a "sign", photo.jpg, big') == 'a " sign " , photo.jpg , big .'
