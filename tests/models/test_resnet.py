"""The towers trained here: built by open_clip from a name, for one and three channels and for
either size.
"""

import open_clip
import pytest
import timm
import torch

from lib.models.dual_encoder import build_network
from tests.models.toy import toy_config


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("name", "channels", "size", "shape"),
    [
        ("cm_resnet_gray", 1, 64, (2, 384, 2, 2)),
        ("cm_resnet_gray", 1, 48, (2, 384, 2, 2)),
        ("cm_resnet_rgb", 3, 64, (2, 192, 4, 4)),
        ("cm_resnet_rgb", 3, 48, (2, 192, 3, 3)),
        ("cm_resnet_small_gray", 1, 32, (2, 128, 2, 2)),
        ("cm_resnet_small_rgb", 3, 32, (2, 128, 2, 2)),
    ],
)
def test_last_map_for_both_sizes_used_in_training(name, channels, size, shape):
    tower = timm.create_model(name, num_classes=0).eval()
    with torch.no_grad():
        assert tower.forward_features(torch.rand(2, channels, size, size)).shape == shape
    if size == (32 if "small" in name else 64):
        assert tower.default_cfg["pool_size"] == shape[2:]


@pytest.mark.parametrize(("name", "channels"), [("cm_resnet_gray", 1), ("cm_resnet_rgb", 3)])
def test_open_clip_builds_it_from_a_plain_dict(name, channels):
    vision = {"timm_model_name": name, "image_size": 64, "timm_proj": "linear"}
    network = build_network(toy_config(channels, 64, vision=vision)).eval()
    assert isinstance(network, open_clip.CustomTextCLIP)
    with torch.no_grad():
        assert network.encode_image(torch.rand(2, channels, 64, 64)).shape == (2, 16)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("cm_resnet_gray", 3.4),
        ("cm_resnet_rgb", 0.7),
        ("cm_resnet_small_gray", 0.3),
        ("cm_resnet_small_rgb", 0.3),
    ],
)
def test_number_of_parameters_is_what_the_docstring_says(name, millions):
    tower = timm.create_model(name, num_classes=0)
    assert round(sum(p.numel() for p in tower.parameters()) / 1e6, 1) == millions


def test_an_asked_for_number_of_channels_wins():
    tower = timm.create_model("cm_resnet_gray", num_classes=0, in_chans=2)
    assert tower.stem.conv.weight.shape[1] == 2
