"""The image towers trained here: small residual networks, registered with timm so that open_clip
finds them.

open_clip builds a vision tower from a plain dict; `{"timm_model_name": "cm_resnet_gray"}` is all it
takes to use one of these, exactly as `{"timm_model_name": "convnext_base"}` uses a published one.
"""

from timm.models import register_model
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg


def _residual(widths: tuple[int, ...], depths: tuple[int, ...], stem: int) -> ByoModelCfg:
    """A stem at half resolution, then residual stages that halve it again: 64 -> 32 -> 16 -> 8 ->
    4...
    """
    blocks = tuple(
        ByoBlockCfg(type="basic", d=depth, c=width, s=2, gs=0, br=1.0)
        for width, depth in zip(widths, depths, strict=True)
    )
    return ByoModelCfg(
        blocks=blocks, stem_chs=stem, stem_type="3x3", stem_pool="", act_layer="silu"
    )


def _build(cfg: ByoModelCfg, in_chans: int, kwargs: dict, size: int = 64) -> ByobNet:
    # create_model passes bookkeeping about published weights, which these networks have none of.
    for unused in ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(unused, None)
    kwargs.setdefault("in_chans", in_chans)
    network = ByobNet(cfg, **kwargs)
    # open_clip asks a timm trunk for the size of its last map.
    side = size // 2 ** (1 + len(cfg.blocks))
    network.default_cfg = {"pool_size": (side, side)}
    return network


@register_model
def cm_resnet_gray(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """One-channel images (icons): 3.4 million parameters, a 2 x 2 map of 384 channels."""
    return _build(_residual((48, 96, 192, 384), (1, 1, 2, 1), stem=24), 1, kwargs)


@register_model
def cm_resnet_rgb(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """Three-channel images (scenes): 0.7 million parameters, a 4 x 4 map of 192 channels."""
    return _build(_residual((48, 96, 192), (1, 1, 1), stem=24), 3, kwargs)


@register_model
def cm_resnet_small_gray(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """One-channel images of 32 x 32: 0.3 million parameters, a 2 x 2 map of 128 channels."""
    return _build(_residual((32, 64, 128), (1, 1, 1), stem=16), 1, kwargs, size=32)


@register_model
def cm_resnet_small_rgb(pretrained: bool = False, **kwargs: object) -> ByobNet:
    """Three-channel images of 32 x 32: 0.3 million parameters, a 2 x 2 map of 128 channels."""
    return _build(_residual((32, 64, 128), (1, 1, 1), stem=16), 3, kwargs, size=32)
