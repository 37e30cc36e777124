"""The rate of encoding: what is measured, and what is stored."""

import numpy as np
from PIL import Image

from lib.studies import encode_rate
from lib.studies.peers.harness import measure_here
from tests.search.collection.conftest import ColourEncoder


def test_the_job_does_the_work_of_a_worker(tmp_path, monkeypatch):
    encode_rate.write_pictures(tmp_path, 5)
    with Image.open(tmp_path / "00004.jpg") as picture:
        assert picture.size == encode_rate.SIZE and picture.format == "JPEG"
    encoder = ColourEncoder()
    monkeypatch.setattr("lib.models.encoder.load_encoder", lambda *_, **__: encoder)
    arrays = {"folder": np.array(str(tmp_path)), "n": np.array(5)}
    cost = measure_here(encode_rate.JOBS["encode"], arrays, 2)
    assert cost.values == {"encoded": 5, "dim": 4} and len(cost.run) == 2
    assert encoder.n_encoded == 5 * 3  # the warm-up too


def test_the_committed_rate_is_that_of_its_seconds():
    row = encode_rate.measured_rate()
    assert row["pictures_per_s"] == round(row["pictures"] / row["seconds"], 4)
    assert row["fastest_s"] <= row["seconds"] <= row["slowest_s"] and row["pictures"] >= 500
    assert "pictures a second and core: pictures, JPEG files" in encode_rate.rate_note(row)
