"""The baseline that learns nothing, on images small enough to work out by hand."""

import math
import subprocess
import sys

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.models.baselines import WordTemplates


def picture(*rows):
    return np.array(rows, dtype=np.uint8)


LEFT, RIGHT, TOP = (
    picture([255, 0], [255, 0]),
    picture([0, 255], [0, 255]),
    picture([255, 255], [0, 0]),
)
UNIT_LEFT, UNIT_TOP = np.array([0.5, -0.5, 0.5, -0.5]), np.array([0.5, 0.5, -0.5, -0.5])


@pytest.fixture(scope="module")
def baseline():
    return WordTemplates(
        ["bar left", "bar right", "bar top left"], np.stack([LEFT, RIGHT, TOP]), side=2
    )


def test_images_by_hand(baseline):
    np.testing.assert_allclose(
        baseline.encode_image(np.stack([LEFT, TOP])), [UNIT_LEFT, UNIT_TOP], atol=1e-6
    )
    assert baseline.dim == 4


def test_images_are_averaged_down_per_channel():
    image = np.zeros((1, 4, 4, 2), dtype=np.uint8)
    image[0, :2, :2, 0] = [
        [100, 200],
        [100, 200],
    ]  # a mean of 150 in the first block of the first channel
    found = WordTemplates(["x"], image, side=2).encode_image(image)
    flat = np.zeros(8)
    flat[0] = 150
    flat -= flat.mean()
    np.testing.assert_allclose(found[0], flat / np.linalg.norm(flat), atol=1e-6)


def test_brightness_and_contrast_do_not_matter(baseline):
    faint = (LEFT // 3 + 20).astype(np.uint8)
    np.testing.assert_allclose(
        baseline.encode_image(faint[None]), baseline.encode_image(LEFT[None]), atol=1e-6
    )


def test_texts_by_hand(baseline):
    # "left" is in 2 of 3 texts, "top" in 1, "bar" in all of them and so weighs nothing.
    mean = (UNIT_LEFT + UNIT_TOP) / 2
    expected = math.log(3 / 2) * mean + math.log(3) * UNIT_TOP
    expected /= np.linalg.norm(expected)
    found = baseline.encode_text(["Top, left bar!", "left", "bar", "zebra"])
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_array_equal(found[2:], 0)
    assert found.dtype == np.float32


def test_a_word_said_twice_counts_once(baseline):
    np.testing.assert_array_equal(
        baseline.encode_text(["left left top"]), baseline.encode_text(["left top"])
    )


def test_finds_the_image_a_word_was_seen_with(baseline):
    scores = (
        baseline.encode_text(["left", "right", "top"])
        @ baseline.encode_image(np.stack([LEFT, RIGHT, TOP])).T
    )
    assert scores.argmax(axis=1).tolist() in (
        [0, 1, 2],
        [2, 1, 2],
    )  # "left" was seen with both, equally
    assert scores[0, 0] == pytest.approx(scores[0, 2], abs=1e-6)


def test_rows_are_unit_and_blank_images_are_zero(baseline):
    images = np.random.default_rng(0).integers(0, 256, size=(20, 2, 2), dtype=np.uint8)
    np.testing.assert_allclose(np.linalg.norm(baseline.encode_image(images), axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(baseline.encode_image(np.full((1, 2, 2), 77, dtype=np.uint8)), 0)


def test_the_same_bits_whatever_the_hash_seed():
    # Summing over a Python set would add in an order that changes from run to run.
    code = """
import numpy as np, hashlib
from lib.models.baselines import WordTemplates
rng = np.random.default_rng(0)
words = [f"w{i}" for i in range(40)]
texts = [" ".join(rng.choice(words, 8)) for _ in range(60)]
baseline = WordTemplates(texts, rng.integers(0, 256, size=(60, 16, 16), dtype=np.uint8))
print(hashlib.sha256(baseline.encode_text([" ".join(words)]).tobytes()).hexdigest())
"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout  # fmt: skip
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_refuses_bad_input(baseline):
    with pytest.raises(RetrievalInputError, match="got 1 texts and 2 images"):
        WordTemplates(["x"], np.stack([LEFT, TOP]), side=2)
    with pytest.raises(RetrievalInputError, match="at least one: got 0 texts"):
        WordTemplates([], np.zeros((0, 2, 2), np.uint8), side=2)
    with pytest.raises(RetrievalInputError, match="images of 2 x 2 do not divide into 16 x 16"):
        WordTemplates(["x"], LEFT[None])
    with pytest.raises(RetrievalInputError, match=r"3 or 4 axes, got shape \(2, 2\)"):
        baseline.encode_image(LEFT)
