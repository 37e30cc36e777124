"""Sketches as queries: one layout for strokes and pictures, the tower, words beside a sketch."""

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.datasets.sketches import draw_sketches
from lib.datasets.strokes import Drawing
from lib.search import picture_retriever, sketches
from lib.search.collection.query_encoders import PicturesQueries
from lib.search.sketches import sketch_page, sketch_pixels, tower_of_sketches

TURNS = np.linspace(0, 2 * np.pi, 60)
CIRCLE = np.stack([np.cos(TURNS), np.sin(TURNS)], axis=1)
HOUSE = np.array([[0, 1], [0, 3], [2, 3], [2, 1], [0, 1], [1, 0], [2, 1]], float)
FACE = Drawing((CIRCLE, [[-0.4, -0.3]], [[0.4, -0.3]], [[-0.5, 0.3], [0, 0.6], [0.5, 0.3]]))


def test_strokes_are_drawn_as_in_training():
    pixels = sketch_pixels([FACE, Drawing((HOUSE,))])
    np.testing.assert_array_equal(pixels, draw_sketches([FACE, Drawing((HOUSE,))]))
    assert pixels.dtype == np.uint8 and pixels.shape == (2, 64, 64, 3)


@pytest.mark.parametrize(("scale", "shift"), [(0.001, 0), (400, -1000), (1e5, 10)])
def test_size_and_place_on_the_canvas_do_not_matter(scale, shift):
    moved = FACE.with_points(FACE.points * scale + shift)
    difference = np.abs(sketch_pixels([moved]).astype(int) - sketch_pixels([FACE]))
    assert difference.max() <= 2


@pytest.mark.parametrize("drawing", [FACE, Drawing((HOUSE,))])
def test_a_picture_of_the_strokes_lies_where_the_strokes_lie(drawing):
    strokes = 255 - sketch_pixels([drawing])[0, ..., 0]
    picture = 255 - sketch_pixels([sketch_page(drawing)])[0, ..., 0]
    both = np.minimum(strokes, picture).sum() / np.maximum(strokes, picture).sum()
    assert both > 0.6  # half a pixel apart
    white = np.invert(np.asarray(sketch_page(drawing)))
    np.testing.assert_array_equal(sketch_pixels([Image.fromarray(white)])[0, ..., 0], 255 - picture)


def test_dots_and_lines_have_a_picture():
    pixels = sketch_pixels([Drawing(([[5, 5]],)), Drawing(([[0, 0], [9, 0]],))])
    assert ((pixels < 128).any(axis=(1, 2, 3))).all()


def test_a_page_keeps_a_picture_as_it_is():
    picture = Image.new("RGB", (9, 5))
    assert sketch_page(picture) is picture
    assert sketch_page(FACE).size == (512, 512)


@pytest.mark.parametrize("wrong", [CIRCLE, [[1], [2]], "cat.png"])
def test_what_is_no_sketch(wrong):
    with pytest.raises(RetrievalInputError, match="a sketch must be a Drawing or a picture, got"):
        sketch_pixels([wrong])


def test_a_blank_picture_is_refused():
    with pytest.raises(RetrievalInputError, match="the sketch is blank"):
        sketch_pixels([Image.new("RGB", (40, 40), "white")])


def test_the_sketch_tower_is_taken_where_there_is_one(tmp_path):
    assert tower_of_sketches(tmp_path) == "pictures"
    (tmp_path / "sketches").mkdir()
    (tmp_path / "sketches" / "model.safetensors").touch()
    assert tower_of_sketches(tmp_path) == "sketches"


def test_collections_and_pictures_encode_a_sketch_alike():
    retriever, queries = picture_retriever(), PicturesQueries()
    (row,) = queries.encode_sketch([FACE])
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
    mine = retriever.encode([FACE], "sketch")[0].astype(float)
    assert mine @ row / np.linalg.norm(mine) > 0.999
    expected = sketches.load_sketch_encoder().encode_image(draw_sketches([FACE]))[0]
    np.testing.assert_allclose(row, expected, atol=1e-6)


def test_words_beside_a_sketch_move_the_query_half_way():
    retriever = picture_retriever(["emoji"])
    alone, words = retriever.by_sketch(FACE, 5), retriever.by_text("cat", 5)
    both = retriever.by_sketch(FACE, 5, text="cat")
    assert [hit.position for hit in retriever.by_sketch(FACE, 5, text=" ")] == [
        hit.position for hit in alone
    ]
    rows = [retriever.encode([FACE], "sketch")[0], retriever.encode(["cat"], "text")[0]]
    mean = sum(row / np.linalg.norm(row.astype(float)) for row in rows)
    best = retriever._rows @ mean / np.sqrt(retriever._squares)
    order = retriever.positions[np.argsort(-best)]
    assert {hit.position for hit in both} <= set(order[:10].tolist())
    assert {hit.position for hit in both} != {hit.position for hit in words}
