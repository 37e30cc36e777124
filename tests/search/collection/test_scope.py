"""Sources of several runs: none loses the pictures of another, none holds a picture twice."""

import os

import pytest

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection
from tests.search.collection.conftest import paint
from tests.search.collection.test_building import counts, paths


def test_one_file_of_a_folder_leaves_the_others(build, pictures, tmp_path):
    build(pictures / "red" / "red_0.png")
    build(pictures / "red" / "red_20.png")
    assert len(Collection(tmp_path / "collection")) == 2
    build(pictures)
    assert len(Collection(tmp_path / "collection")) == 9
    paint(pictures / "new.png", "blue", shade=9)
    (pictures / "red" / "red_0.png").unlink()
    assert counts(build(pictures / "new.png")) == (1, 0, 0, 0, 0)
    assert len(Collection(tmp_path / "collection")) == 10


def test_a_folder_takes_over_the_sources_inside(build, pictures, encoder, tmp_path):
    build(pictures / "red")
    build(pictures / "blue" / "blue_0.png")
    assert counts(build(pictures)) == (5, 4, 0, 4, 0) and encoder.n_encoded == 9
    collection = Collection(tmp_path / "collection", verify=True)
    assert len(collection) == 9 and "red/red_0.png" in paths(collection)
    assert [root.files for root in collection.manifest.roots] == [(), (), None]
    assert counts(build(pictures)) == (0, 0, 9, 0, 0)


@pytest.mark.parametrize("inner", ["red", "red/red_0.png"])
def test_a_source_inside_a_known_folder_is_refused(build, pictures, inner, tmp_path):
    build(pictures)
    with pytest.raises(RetrievalInputError, match=f"lies in {pictures}, which .* holds as a whole"):
        build(pictures / inner)
    assert len(Collection(tmp_path / "collection")) == 9


def test_pictures_stay_whose_folder_cannot_be_listed(build, pictures, monkeypatch):
    build(pictures)
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith(blocked):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    blocked = "/red"
    report = build(pictures)
    assert counts(report) == (0, 0, 6, 0, 1) and report.rows == 9
    assert "red/: the folder cannot be listed: Permission denied" in report.failures[0].sentence
    blocked = "/pictures"
    with pytest.raises(RetrievalInputError, match="cannot be listed: Permission denied"):
        build(pictures)


def test_pictures_stay_whose_folder_is_empty(build, pictures, tmp_path):
    build(pictures)
    pictures.rename(tmp_path / "elsewhere")
    pictures.mkdir()
    report = build(pictures)
    assert report.rows == 9 and "Is its disk mounted?" in report.failures[0].reason
    pictures.rmdir()
    (tmp_path / "elsewhere").rename(pictures)
    assert counts(build(pictures)) == (0, 0, 9, 0, 0)
