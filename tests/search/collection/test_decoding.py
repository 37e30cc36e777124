"""Decoding ahead: pictures are held only until their batch is encoded."""

import numpy as np
from PIL import Image

from lib.search.collection import encoding
from tests.search.collection.conftest import paint
from tests.search.collection.test_building import counts


def test_a_batch_is_bounded_by_pixels(build, pictures, encoder, monkeypatch):
    monkeypatch.setattr(encoding, "BATCH_PIXELS", 3 * 32 * 24)
    sizes = []
    encode = encoder.encode_image
    encoder.encode_image = lambda batch: (sizes.append(len(batch)), encode(batch))[1]
    build(pictures)
    assert sizes == [3, 3, 3]


def test_equal_pictures_of_two_steps_are_encoded_once(build, encoder, tmp_path):
    for number in range(12):
        paint(tmp_path / "p" / f"{number:02d}.png", "red", shade=number // 2)
    assert counts(build(tmp_path / "p", step=3)) == (6, 6, 0, 0, 0)
    assert encoder.n_encoded == 6


def test_a_file_of_another_kind_than_its_name_says(build, tmp_path):
    (tmp_path / "p").mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "p" / "a.jpg", "PNG")
    (tmp_path / "p" / "b.jpg").write_text("<svg/>")
    report = build(tmp_path / "p")
    assert report.encoded == 1 and "is a SVG or XML file" in report.failures[0].reason
