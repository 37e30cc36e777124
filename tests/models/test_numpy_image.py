"""The image tower in numpy: the embeddings of torch, without torch and without the text tower."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.core.writing import write_checksum
from lib.datasets.sketches import draw_sketches
from lib.datasets.strokes import Drawing
from lib.models import numpy_image as parts
from lib.models.dual_encoder import DualEncoder
from lib.models.gradients import gradient_features
from lib.models.numpy_image import KIND, load_image_encoder, load_sketch_tower
from lib.models.published_weights import PublishedTower
from lib.models.trained_models import load_model, save_model
from tests.models.toy import install_published_tower, tower_config, toy_config, toy_encoder

ATOL = 1e-4  # roots of votes near 0, in units of a small spread, magnify the rounding of float32
VISION = {"timm_model_name": KIND, "timm_proj": "linear", "image_size": 64}


def with_other_statistics(encoder: DualEncoder) -> DualEncoder:
    """Give every buffer values of its own: those of a fresh network are 0 and 1."""
    with torch.no_grad():
        for name, value in encoder.network.visual.named_buffers():
            if value.is_floating_point():
                value.uniform_(*((-0.3, 0.3) if "mean" in name else (0.5, 2)))
    return encoder


def pictures(n: int) -> np.ndarray:
    """Draw n pictures of rectangles in colour on white, uint8 (n, 64, 64, 3)."""
    rng = np.random.default_rng(0)
    images = np.full((n, 64, 64, 3), 255, np.uint8)
    for image in images:
        top, left = rng.integers(0, 40, 2)
        image[top : top + 20, left : left + 10] = rng.integers(0, 256, 3)
    return images


# ---- the parts, by hand and as in torch


def test_silu_by_hand():
    np.testing.assert_allclose(parts.silu(np.array([0.0, np.log(3)])), [0, np.log(3) * 0.75])


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_a_convolution_is_torchs(k, stride):
    torch.manual_seed(0)
    x, filters = torch.randn(3, 8, 8), torch.randn(5, 3, k, k)
    mean, variance, gain, bias = torch.randn(5), torch.rand(5) + 0.5, torch.randn(5), torch.randn(5)
    expected = F.conv2d(x[None], filters, stride=stride, padding=k // 2)
    expected = F.batch_norm(expected, mean, variance, gain, bias)[0].permute(1, 2, 0)
    names = "conv.weight", "bn.running_mean", "bn.running_var", "bn.weight", "bn.bias"
    values = filters, mean, variance, gain, bias
    weights = {f"a.{name}": value.numpy() for name, value in zip(names, values, strict=True)}
    found = parts.convolve(x.permute(1, 2, 0).numpy(), weights, "a", stride)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_gradients_are_those_of_torch():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = parts.image_gradients(image.astype(np.float32) / 255)
    np.testing.assert_allclose(found, gradient_features(image[None])[0], atol=1e-6)


# ---- whole towers


@pytest.mark.parametrize("bits", [8, 16])
def test_embeddings_are_those_of_torch(tmp_path, bits):
    torch.manual_seed(0)
    encoder = with_other_statistics(DualEncoder(toy_config(3, 64, vision=VISION)))
    save_model(encoder, tmp_path / "toy", {}, bits=bits)
    images = np.concatenate([pictures(3), np.full((1, 64, 64, 3), 255, np.uint8)])
    expected = load_model("toy", tmp_path / "toy").encode_image(images)
    rows = load_image_encoder("toy", tmp_path / "toy").encode_image(images)
    assert rows.dtype == np.float32 and np.abs(rows[0] - rows[1]).max() > 1e-2
    np.testing.assert_allclose(rows, expected, atol=ATOL)


def test_the_committed_model_encodes_as_in_torch():
    images = pictures(4)
    expected = load_model("pictures").encode_image(images)
    rows = load_image_encoder("pictures").encode_image(images)
    np.testing.assert_allclose(rows, expected, atol=ATOL)


def test_the_text_tower_is_not_read(tmp_path, monkeypatch):
    files = install_published_tower(tmp_path, monkeypatch, tmp_path / "hub")
    config = {**tower_config(files), "vision": VISION, "image_size": 64, "channels": 3}
    save_model(DualEncoder(config), tmp_path / "toy", {})
    (tmp_path / "published" / "text_towers.toml").unlink()
    monkeypatch.setattr(PublishedTower, "file", lambda *_: pytest.fail("a tower was read"))
    encoder = load_image_encoder("toy", tmp_path / "toy")
    assert encoder.encode_image(pictures(2)).shape == (2, 16) == (2, encoder.dim)
    assert all(name.startswith(("trunk.", "head.")) for name in encoder._state)


def test_nothing_gives_nothing_and_bad_pictures_are_refused():
    encoder = load_image_encoder("pictures")
    assert encoder.encode_image(pictures(0)).shape == (0, 256)
    for wrong in (pictures(1)[0], pictures(1)[:, :32], pictures(1).astype(np.float32)):
        with pytest.raises(RetrievalInputError, match=r"images must be uint8 \(n, 64, 64, 3\)"):
            encoder.encode_image(wrong)


def test_refuses_another_tower(tmp_path):
    save_model(toy_encoder(), tmp_path / "toy", {})
    with pytest.raises(RetrievalInputError, match=f"must be {KIND}, got .*load_model"):
        load_image_encoder("toy", tmp_path / "toy")


# ---- a sketch tower


def write_sketch_tower(folder, weights):
    """Write the file of a tower that trained some weights of `toy` again."""
    folder.mkdir(exist_ok=True)
    metadata = {"config": json.dumps({"name": "lines", "shared": "toy"}), "card": "{}"}
    save_file(weights, folder / "model.safetensors", metadata)
    write_checksum(folder / "model.safetensors")


def test_a_sketch_tower_replaces_some_weights(tmp_path):
    torch.manual_seed(0)
    encoder = with_other_statistics(DualEncoder(toy_config(3, 64, vision=VISION)))
    save_model(encoder, tmp_path / "toy", {})
    head = dict(encoder.network.visual.named_parameters())["head.proj.weight"]
    fresh = torch.randn(head.shape).half()
    write_sketch_tower(tmp_path / "lines", {"own.head/proj/weight": fresh})
    rows = load_sketch_tower("lines", tmp_path / "lines", tmp_path / "toy").encode_image(
        pictures(2)
    )
    with torch.no_grad():
        head.copy_(fresh.float())
    np.testing.assert_allclose(rows, encoder.encode_image(pictures(2)), atol=2e-3)  # float16 rows
    for key, value in (("own.head/none", fresh), ("head/proj/weight", fresh),
                       ("own.head/proj/weight", fresh[:2].clone())):  # fmt: skip
        write_sketch_tower(tmp_path / "lines", {key: value})
        with pytest.raises(DamagedFileError, match=f"'lines' does not fit .* weight {key}"):
            load_sketch_tower("lines", tmp_path / "lines", tmp_path / "toy")


def test_the_committed_sketch_tower_encodes_as_in_torch():
    drawings = [Drawing((points,)) for points in np.random.default_rng(0).random((3, 9, 2))]
    sketches, model = draw_sketches(drawings), load_model("sketches")
    rows = load_sketch_tower("sketches").encode_image(sketches)
    np.testing.assert_allclose(rows, model.encode_sketch(sketches), atol=ATOL)
    assert np.abs(rows - model.encode_image(sketches)).max() > 0.01
