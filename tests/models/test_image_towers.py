"""The tower of pictures: gradients beside its map, and what its artifact stores."""

import torch

from lib.models.dual_encoder import DualEncoder
from lib.models.gradients import image_gradients
from lib.models.image_towers import cm_resnet_on_white
from lib.models.trained_models import load_model, save_model


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
    gradients.fit_scale(image_gradients(torch.rand(9, 3, 64, 64)))
    save_model(model, tmp_path, {"data": "none", "metrics": []}, bits=8)
    loaded = load_model("tiny", tmp_path).network.visual.trunk.gradients
    torch.testing.assert_close(loaded.mean, gradients.mean.half().float())
    torch.testing.assert_close(loaded.spread, gradients.spread.half().float())


def test_the_committed_scale_is_fitted():
    gradients = load_model("pictures").network.visual.trunk.gradients
    assert gradients.mean.min() > 0 and gradients.spread.unique().numel() > 100
