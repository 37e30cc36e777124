"""Image towers: histograms of gradients by hand, their scale, and the tower of pictures."""

import math

import pytest
import torch

from lib.models.dual_encoder import DualEncoder
from lib.models.image_towers import GRID, ORIENTATIONS, GradientFeatures, cm_resnet_on_white
from lib.models.trained_models import load_model, save_model


def table_of(images):
    """The squared roots as (n, orientation, row, column)."""
    return GradientFeatures.histograms(images).square().unflatten(1, (ORIENTATIONS, GRID, GRID))


def test_one_edge_by_hand():
    """White from column 20 on: both neighbours of the step have a gradient across, nowhere else."""
    image = torch.zeros(1, 1, 64, 64)
    image[..., 20:] = 1
    found = table_of(image)[0]
    expected = torch.zeros(ORIENTATIONS, GRID, GRID)
    # Columns 19 and 20 lie in the cells of columns 16 to 23: 8 equal cells, of length 1 / sqrt(8).
    expected[0, :, 2] = 1 / math.sqrt(8)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_an_edge_between_two_orientations_votes_for_both():
    """A ramp in the direction of 30 degrees: 30 / 20 = 1.5, half for bin 1 and half for bin 2."""
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    ramp = across * math.cos(math.radians(30)) + down * math.sin(math.radians(30))
    found = table_of(ramp[None, None] / 100)[0]
    inner = found[:, 2:-2, 2:-2]
    # Cells of the border lack a row or a column of gradients; 8 x 8 cells make the length.
    assert inner[1].min() == pytest.approx(float(inner[2].max()), rel=1e-3)
    others = [bin_ for bin_ in range(ORIENTATIONS) if bin_ not in (1, 2)]
    assert inner[others].max() < 1e-3 * inner[1].min()
    assert found.square().sum() == pytest.approx(1, abs=1e-5)


def test_light_on_dark_is_dark_on_light():
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = GradientFeatures.histograms(images)
    torch.testing.assert_close(GradientFeatures.histograms(1 - images), found, atol=1e-5, rtol=0)
    moved = images.roll(8, dims=3)  # the invariance is not that of a constant
    assert (GradientFeatures.histograms(moved) - found).abs().max() > 0.01


def test_brightness_and_contrast_do_not_count():
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = GradientFeatures.histograms(images)
    torch.testing.assert_close(
        GradientFeatures.histograms(0.3 + 0.5 * images), found, atol=1e-4, rtol=0
    )


def test_an_empty_image_has_finite_features():
    found = GradientFeatures.histograms(torch.ones(2, 3, 64, 64))
    assert torch.isfinite(found).all() and torch.equal(found[0], found[1])


def test_the_scale_is_that_of_the_images_it_is_fitted_to():
    features = GradientFeatures(8, dropout=0.0, later_dropout=0.0).eval()
    histograms = GradientFeatures.histograms(
        torch.rand(50, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    )
    histograms[:, 5] = 0.25  # a bin that never changes is not divided by nothing
    features.fit_scale(histograms)
    scaled = (histograms - features.mean) / features.spread
    others = torch.arange(scaled.shape[1]) != 5
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(576), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled[:, others].std(dim=0), torch.ones(575), atol=1e-4, rtol=0)
    assert features.spread[5] == pytest.approx(1e-3) and torch.isfinite(scaled).all()


def test_features_are_the_layer_of_the_scaled_histogram():
    torch.manual_seed(0)
    features = GradientFeatures(8, dropout=0.5, later_dropout=0.5).eval()
    images = torch.rand(3, 3, 64, 64)
    features.fit_scale(GradientFeatures.histograms(torch.rand(9, 3, 64, 64)))
    linear = features.layers[1]
    scaled = (GradientFeatures.histograms(images) - features.mean) / features.spread
    expected = torch.nn.functional.gelu(scaled @ linear.weight.T + linear.bias)
    torch.testing.assert_close(features(images), expected)


def test_the_tower_of_pictures_joins_its_map_and_the_gradients():
    torch.manual_seed(0)
    tower = cm_resnet_on_white(num_classes=0, global_pool="avg").eval()
    images = torch.rand(2, 3, 64, 64)
    found = tower(images)
    assert found.shape == (2, tower.num_features) == (2, 384 + 512)
    torch.testing.assert_close(found[:, 384:], tower.gradients(images))
    # White paper is 0 for the filters: a frame of paper around it changes no bias of a border.
    assert torch.equal(tower.stem[0](torch.ones(1, 3, 4, 4)), torch.zeros(1, 3, 4, 4))


def test_the_scale_is_stored_in_the_artifact(tmp_path):
    config = {
        "name": "tiny",
        "embed_dim": 8,
        "channels": 3,
        "image_size": 64,
        "dims": [8],
        "vision": {
            "timm_model_name": "cm_resnet_on_white", "timm_proj": "linear", "image_size": 64
        },
        "text": {"width": 8, "heads": 2, "layers": 1},
        "tokenizer": {"alphabet": "ab", "merges": [], "context_length": 4},
    }  # fmt: skip
    model = DualEncoder(config)
    gradients = model.network.visual.trunk.gradients
    gradients.fit_scale(GradientFeatures.histograms(torch.rand(9, 3, 64, 64)))
    save_model(model, tmp_path, {"data": "none", "metrics": []}, bits=8)
    loaded = load_model("tiny", tmp_path).network.visual.trunk.gradients
    torch.testing.assert_close(loaded.mean, gradients.mean.half().float())
    torch.testing.assert_close(loaded.spread, gradients.spread.half().float())


def test_the_committed_scale_is_fitted():
    gradients = load_model("pictures").network.visual.trunk.gradients
    assert gradients.mean.min() > 0 and gradients.spread.unique().numel() > 100
