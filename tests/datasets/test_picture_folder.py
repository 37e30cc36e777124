"""A folder of real pictures: names, facts, pixels."""

import csv

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.datasets.picture_folder import FACTS, file_name_of, write_picture_folder
from lib.datasets.picture_gallery import load_gallery

EMOJI = 16_546  # position of the first


def test_writes_pictures_with_their_facts(tmp_path):
    positions = [3, EMOJI, 3]
    paths = write_picture_folder(tmp_path / "new", positions, size=48)
    gallery = load_gallery()
    assert paths[1].startswith("openmoji/") and paths[2] == paths[0].replace(".png", "_2.png")
    for path, pixels in zip(paths, gallery.pixels(positions, 48), strict=True):
        assert (np.asarray(Image.open(tmp_path / "new" / path)) == pixels).all()
    with open(tmp_path / "new" / FACTS, encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == paths
    assert rows[0]["name"] == gallery.names[3] and rows[1]["family"] == "openmoji"
    assert rows[0]["concept"] == str(gallery.groups[3])
    ink = (gallery.pixels([EMOJI], 48)[0].min(axis=2) < 250).mean()
    assert float(rows[1]["ink"]) == pytest.approx(100 * ink, abs=0.05)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("flag: åland islands", "flag_land_islands"),
        ("three o'clock", "three_o_clock"),
        ("#", "unnamed"),
    ],
)
def test_file_names(name, file):
    assert file_name_of(name) == file


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RetrievalInputError, match="a new or an empty folder"):
        write_picture_folder(tmp_path, [0])
