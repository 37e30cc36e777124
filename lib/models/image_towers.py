"""Image towers, registered with timm: open_clip builds one from its name.

`{"timm_model_name": "cm_resnet_gray"}` works exactly as the published `"convnext_base"` does.
"""

import torch
from timm.models import register_model
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from torch import Tensor, nn

from lib.models.gradients import GradientFeatures


def _residual(widths: tuple[int, ...], depths: tuple[int, ...], stem: int) -> ByoModelCfg:
    """Configure a stem at half resolution and residual stages that halve it: 64 -> 32 -> 16..."""
    blocks = tuple(
        ByoBlockCfg(type="basic", d=depth, c=width, s=2, gs=0, br=1.0)
        for width, depth in zip(widths, depths, strict=True)
    )
    return ByoModelCfg(
        blocks=blocks, stem_chs=stem, stem_type="3x3", stem_pool="", act_layer="silu"
    )


def _build_tower(
    cfg: ByoModelCfg, in_chans: int, kwargs: dict, size: int = 64, kind: type[ByobNet] = ByobNet
) -> ByobNet:
    # timm's create_model passes settings of published weights, which these networks do not have.
    for unused in ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(unused, None)
    kwargs.setdefault("in_chans", in_chans)
    network = kind(cfg, **kwargs)
    # open_clip reads the size of the last map from a timm tower.
    side = size // 2 ** (1 + len(cfg.blocks))
    network.default_cfg = {"pool_size": (side, side)}
    return network


@register_model
def cm_resnet_gray(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """Build the tower of icons: one channel, 3.4 million parameters, a 2 x 2 map of 384."""
    return _build_tower(_residual((48, 96, 192, 384), (1, 1, 2, 1), stem=24), 1, kwargs)


@register_model
def cm_resnet_rgb(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """Build the tower of scenes: three channels, 0.7 million parameters, a 4 x 4 map of 192."""
    return _build_tower(_residual((48, 96, 192), (1, 1, 1), stem=24), 3, kwargs)


@register_model
def cm_resnet_on_white(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """Build the tower of pictures: three channels, white paper, and gradients beside its map.

    3.8 million parameters, a 2 x 2 map of 384 whose mean is joined by 512 gradient features.
    """
    cfg = _residual((48, 96, 192, 384), (1, 1, 2, 1), stem=24)
    network = _build_tower(cfg, 3, kwargs, kind=_ResnetWithGradients)
    network.stem = nn.Sequential(_Negative(), network.stem)
    return network


class _ResnetWithGradients(ByobNet):
    """A residual network whose features are joined by those of `GradientFeatures`."""

    def __init__(self, cfg: ByoModelCfg, **kwargs: object) -> None:
        super().__init__(cfg, **kwargs)
        # With the 0.1 of the head, 0.3 of the features are dropped in all.
        self.gradients = GradientFeatures(512, dropout=0.3, later_dropout=1 - 0.7 / 0.9)
        self.num_features += 512

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([super().forward(images), self.gradients(images)], dim=1)


class _Negative(nn.Module):
    """Turn white paper to 0, the padding of convolutions: else each border is an edge."""

    def forward(self, images: Tensor) -> Tensor:
        return 1 - images


@register_model
def cm_resnet_small_gray(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """Build a tower for 32 x 32, one channel: 0.3 million parameters, a 2 x 2 map of 128."""
    return _build_tower(_residual((32, 64, 128), (1, 1, 1), stem=16), 1, kwargs, size=32)


@register_model
def cm_resnet_small_rgb(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """Build a tower for 32 x 32, three channels: 0.3 million parameters, a 2 x 2 map of 128."""
    return _build_tower(_residual((32, 64, 128), (1, 1, 1), stem=16), 3, kwargs, size=32)
