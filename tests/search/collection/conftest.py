"""An encoder that needs no model: the mean colour of a picture, and a word for each colour."""

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.search.collection import build_collection
from lib.search.collection import collection as opened
from lib.search.sketches import sketch_page

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 200)}
GREY = (90, 90, 90)  # of every other word
MODEL = {"name": "colours", "pretrained": None, "artifact_sha256": None}


class ColourEncoder:
    """Unit vectors of mean colours, with a constant: no picture is a row of zeros."""

    dim = 4

    def __init__(self, version: str = "1") -> None:
        self.identity = {"model": "colours", "version": version}
        self.n_encoded = 0

    def encode_image(self, pictures):
        rows = np.array(
            [[*np.asarray(p.convert("RGB")).reshape(-1, 3).mean(0), 60.0] for p in pictures]
        )
        if any(p.size == (13, 13) for p in pictures):
            raise RetrievalInputError("a picture of 13 x 13 pixels brings bad luck")
        self.n_encoded += len(pictures)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_sketch(self, sketches):
        return self.encode_image([sketch_page(sketch) for sketch in sketches])

    def encode_text(self, texts):
        rows = np.array([[*COLOURS.get(text, GREY), 60.0] for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def doubts_about(self, text):
        return []


@pytest.fixture
def encoder(monkeypatch):
    made = ColourEncoder()
    monkeypatch.setattr(opened, "load_query_encoder", lambda manifest: made)
    return made


def paint(path, colour, size=(32, 24), shade=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = tuple(min(255, c + shade) for c in COLOURS[colour])
    Image.new("RGB", size, rgb).save(path, **options)


@pytest.fixture
def pictures(tmp_path):
    """Nine pictures in two folders: three shades of three colours."""
    for colour in COLOURS:
        for shade in (0, 20, 40):
            paint(tmp_path / "pictures" / colour / f"{colour}_{shade}.png", colour, shade=shade)
    return tmp_path / "pictures"


@pytest.fixture
def build(tmp_path, encoder):
    def run(*sources, out=tmp_path / "collection", **options):
        return build_collection(sources, out, options.pop("encoder", encoder), MODEL, **options)

    return run
