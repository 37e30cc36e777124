"""Baselines: features without training, and small models on top of them."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.models.baselines import (
    Heads,
    WordTemplates,
    hashed_parts,
    hashed_text_features,
)

# ---- features that are not learned


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


# ---- word templates


def picture(*rows):
    return np.array(rows, dtype=np.uint8)


LEFT, RIGHT, TOP = (
    picture([255, 0], [255, 0]),
    picture([0, 255], [0, 255]),
    picture([255, 255], [0, 0]),
)
UNIT_TOP = np.array([0.5, 0.5, -0.5, -0.5])
# The mean of the three is a third of UNIT_TOP: left and right cancel out.
UNIT_LEFT = np.array([0.5, -0.5, 0.5, -0.5]) - UNIT_TOP / 3
UNIT_LEFT /= np.linalg.norm(UNIT_LEFT)


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
    both = np.concatenate([image, 255 - image])  # their mean is zero
    embeddings = WordTemplates(["x", "y"], both, side=2).encode_image(image)
    flat = np.zeros(8)
    flat[0] = 150
    flat -= flat.mean()
    np.testing.assert_allclose(embeddings[0], flat / np.linalg.norm(flat), atol=1e-6)


def test_the_mean_of_the_training_images_is_taken_off():
    rng = np.random.default_rng(0)
    common = rng.integers(0, 128, size=(16, 16))
    images = (common + rng.integers(0, 64, size=(50, 16, 16))).astype(np.uint8)
    embeddings = WordTemplates(["x"] * 50, images).encode_image(images)
    assert np.linalg.norm(embeddings.mean(axis=0)) < 0.05


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
    embeddings = baseline.encode_text(["Top, left bar!", "left", "bar", "zebra"])
    np.testing.assert_allclose(embeddings[0], expected, atol=1e-6)
    np.testing.assert_allclose(embeddings[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_array_equal(embeddings[2:], 0)
    assert embeddings.dtype == np.float32


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


def test_the_same_bits_whatever_the_hash_seed(capsys):
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
    exec(code, {})  # with the seed of this process, 0 or unknown
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == capsys.readouterr().out


def test_refuses_bad_input(baseline):
    with pytest.raises(RetrievalInputError, match="got 1 texts and 2 images"):
        WordTemplates(["x"], np.stack([LEFT, TOP]), side=2)
    with pytest.raises(RetrievalInputError, match="at least one: got 0 texts"):
        WordTemplates([], np.zeros((0, 2, 2), np.uint8), side=2)
    with pytest.raises(RetrievalInputError, match="images of 2 x 2 do not divide into 16 x 16"):
        WordTemplates(["x"], LEFT[None])
    with pytest.raises(RetrievalInputError, match=r"3 or 4 axes, got shape \(2, 2\)"):
        baseline.encode_image(LEFT)


# ---- small heads


def test_shapes_and_interface_of_a_dual_encoder():
    torch.manual_seed(0)
    heads = Heads(torch.randn(50, 12), 7, dim=5, width=9).eval()
    assert heads.encode_image(torch.randn(3, 12)).shape == (3, 5)
    assert heads.encode_text(torch.randn(4, 7)).shape == (4, 5)
    assert heads.logit_scale.shape == heads.logit_bias.shape == ()


def test_scale_and_shift_of_a_feature_do_not_matter():
    torch.manual_seed(0)
    images = torch.randn(50, 12)
    moved = images * torch.linspace(0.5, 20, 12) + torch.arange(12.0)
    torch.manual_seed(1)
    plain = Heads(images, 7).eval()
    torch.manual_seed(1)
    other = Heads(moved, 7).eval()
    assert torch.allclose(plain.encode_image(images), other.encode_image(moved), atol=1e-4)


def test_a_constant_feature_stays_finite():
    images = torch.randn(50, 4)
    images[:, 2] = 3.0
    assert Heads(images, 7).eval().encode_image(images).isfinite().all()
