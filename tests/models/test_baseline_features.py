"""Hand-made features: edges by direction, words by hash."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.models.baselines import (
    GRID,
    ORIENTATIONS,
    gradient_features,
    hashed_parts,
    hashed_text_features,
)


def ramp(axis: int, falls: bool = False) -> np.ndarray:
    """An image that gets 2 brighter from each pixel to the next along one axis, or darker."""
    values = np.arange(64, dtype=np.uint8) * 2
    values = values[::-1] if falls else values
    return np.broadcast_to(values if axis == 1 else values[:, None], (64, 64)).copy()


@pytest.mark.parametrize(
    ("axis", "falls", "direction"), [(1, False, 0), (0, False, 2), (1, True, 4), (0, True, 6)]
)
def test_a_ramp_votes_for_its_direction_alone(axis, falls, direction):
    cells = gradient_features(ramp(axis, falls)[None]).reshape(1 + ORIENTATIONS, GRID, GRID)
    votes = cells[1:].mean(axis=(1, 2))
    assert votes.argmax() == direction
    # Two pixels apart the ramp rises by 4 of 255; one minus cos 45 is the height of the vote.
    inside = cells[1 + direction, 1:-1, 1:-1]
    assert np.allclose(inside**2, 4 / 255 * (1 - np.sqrt(0.5)), rtol=1e-4)
    assert np.allclose(np.delete(votes, direction), 0, atol=1e-3)


def test_first_cells_are_the_mean_colour():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    cells = gradient_features(image).reshape(3 + ORIENTATIONS, GRID, GRID)
    assert np.allclose(cells[1, 0, 0], image[0, :8, :8, 1].mean() / 255, atol=1e-6)


def test_a_blank_image_has_no_edges_and_chunks_change_nothing():
    blank = np.full((300, 16, 16), 7, np.uint8)
    features = gradient_features(blank)
    assert features.shape == (300, GRID**2 * (1 + ORIENTATIONS)) and features.dtype == np.float32
    assert np.allclose(features[:, GRID**2 :], 0)
    assert np.array_equal(features[0], features[299])


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 64, 64)), np.zeros(64, np.uint8), np.zeros((1, 60, 64), np.uint8)]
)
def test_gradient_features_refuse_what_is_no_image(bad):
    with pytest.raises(RetrievalInputError, match="uint8|divide"):
        gradient_features(bad)


def test_hashed_rows_are_unit_and_depend_on_the_text_alone():
    rows = hashed_text_features(["alarm clock", "Clock, alarm", "clocks", "alarm clock", "--"])
    assert np.allclose(np.linalg.norm(rows[:4], axis=1), 1) and not rows[4].any()
    assert np.array_equal(rows[0], rows[3])
    assert not np.array_equal(rows[0], rows[1]), "neighbours count"
    near, far = rows[0] @ rows[2], hashed_text_features(["tree"])[0] @ rows[2]
    assert near > 0.2 > far, "letter triples make clocks similar to clock"


def test_hashing_by_hand():
    # One word of one letter has two pieces: itself and <a>. CRC-32 decides place and sign.
    import zlib

    expected = np.zeros(16, np.float32)
    for part in ("a", "<a>"):
        code = zlib.crc32(part.encode())
        expected[code % 16] += 1 if code >> 31 else -1
    row = hashed_text_features(["a"], dim=16)[0]
    assert np.allclose(row, expected / np.linalg.norm(expected))


@pytest.mark.parametrize(
    ("texts", "dim", "message"), [("one", 8, "list"), ([3], 8, "list"), (["a"], 0, "dim")]
)
def test_hashed_features_refuse(texts, dim, message):
    with pytest.raises(RetrievalInputError, match=message):
        hashed_text_features(texts, dim)


def test_parts_of_a_text_are_those_of_its_words_and_pairs():
    whole, red, cars, none = hashed_parts(["red cars"], 1000, words=3)[0]
    pair = hashed_parts(["red cars"], 1000, words=1)[0, 0]
    np.testing.assert_array_equal(whole, pair)
    # red: the word and <re red ed>, of which one is the word again; cars: the word and <ca car ars
    # rs>.
    assert [np.count_nonzero(row) for row in (whole, red, cars, none)] == [3 + 5 + 1, 3, 5, 0]
    np.testing.assert_array_equal(red, hashed_parts(["red"], 1000)[0, 1])
    assert set(red) | set(cars) <= set(whole)


def test_parts_count_what_the_features_count():
    text, dim = "alarm clock", 64
    parts = hashed_parts([text], dim)[0, 0]
    counted = hashed_text_features([text], dim)[0]
    assert set(np.flatnonzero(counted)) <= set(parts[parts > 0] - 1)


@pytest.mark.parametrize(
    ("texts", "message"), [(["car", "?!"], "holds no letter or digit"), ("car", "list of strings")]
)
def test_hashed_parts_refuse(texts, message):
    with pytest.raises(RetrievalInputError, match=message):
        hashed_parts(texts, 10)
