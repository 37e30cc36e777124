"""Dual encoders: one network for images, one for texts, one space for both."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CustomTextCLIP
from timm.models import register_model
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lib.core.checks import RetrievalInputError, check_count
from lib.models.tokenizer import PAD, Tokenizer

Progress = Callable[[int], None]


def image_tensor(images: np.ndarray, channels: int, size: int) -> torch.Tensor:
    """uint8 images as the network reads them.

    Args:
        images: uint8 (n, size, size) for one channel, (n, size, size, 3) for three.

    Returns:
        float32 (n, channels, size, size) in [0, 1], channels last in memory (several times faster
        on a CPU).

    Raises:
        RetrievalInputError: another dtype or shape.
    """
    images = np.asarray(images)
    expected = (size, size) if channels == 1 else (size, size, channels)
    if images.dtype != np.uint8 or images.shape[1:] != expected:
        one = "; pass a single image as image[None]" if images.shape == expected else ""
        raise RetrievalInputError(
            f"images must be uint8 (n, {', '.join(map(str, expected))}), "
            f"got {images.dtype} {images.shape}{one}"
        )
    # torch reads neither mirrored views nor, without a warning, read-only arrays: those are copied.
    tensor = torch.from_numpy(np.require(images, requirements=["C", "W"]))
    tensor = tensor.unsqueeze(1) if channels == 1 else tensor.permute(0, 3, 1, 2)
    return (tensor.float() / 255).contiguous(memory_format=torch.channels_last)


def device_of(network: torch.nn.Module) -> torch.device:
    """Where the weights are, and so where inputs must go."""
    return next(network.parameters()).device


def build_network(config: dict) -> CustomTextCLIP:
    """The untrained network of a config (see `DualEncoder`); weights follow torch's seed."""
    tokenizer = Tokenizer.from_dict(config["tokenizer"])
    text = {
        **config["text"],
        "context_length": tokenizer.context_length,
        "vocab_size": tokenizer.vocab_size,
    }
    return CustomTextCLIP(config["embed_dim"], config["vision"], text).to(
        memory_format=torch.channels_last
    )


def text_features(network: CustomTextCLIP, tokens: torch.Tensor) -> torch.Tensor:
    """(n, context_length) ids to (n, dim), not normalised; with gradient.

    Captions are short: the plain attention is twice as fast here as the fused one, made for long
    texts.
    """
    with sdpa_kernel(SDPBackend.MATH):
        return network.encode_text(tokens)


def in_chunks(
    inputs: np.ndarray, batch_size: int, progress: Progress | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Which rows, and the inputs there, `batch_size` at a time; then tells `progress` how many were
    done.
    """
    check_count(batch_size, "batch_size")
    for start in range(0, len(inputs), batch_size):
        chunk = inputs[start : start + batch_size]
        yield slice(start, start + len(chunk)), chunk
        if progress is not None:
            progress(len(chunk))


class DualEncoder:
    """Images and texts to unit vectors of one space; `<image, text>` is their cosine.

    Args:
        config: plain data: `name`, `embed_dim`, `vision` and `text` (open_clip's `vision_cfg` and
            `text_cfg`), `channels`, `image_size`, `dims` (the Matryoshka truncations it was trained
            for), `tokenizer` (`Tokenizer.to_dict`). Vocabulary and context length are the
            tokenizer's.
        network: with these weights; an untrained one by default.

    Attributes:
        network: `open_clip.model.CustomTextCLIP`, in evaluation mode.
        tokenizer: texts to ids.
    """

    def __init__(self, config: dict, network: CustomTextCLIP | None = None) -> None:
        self.config = config
        self.tokenizer = Tokenizer.from_dict(config["tokenizer"])
        self.network = (build_network(config) if network is None else network).eval()

    @property
    def dim(self) -> int:
        return self.config["embed_dim"]

    @torch.inference_mode()
    def encode_image(
        self, images: np.ndarray, *, batch_size: int = 256, progress: Progress | None = None
    ) -> np.ndarray:
        """Unit embeddings of images.

        Args:
            images: uint8 (n, size, size), or (n, size, size, 3) where the model sees colour.
            batch_size: images per forward pass.
            progress: called with the number of images done after each pass.

        Returns:
            float32 (n, dim), rows of length 1.

        Raises:
            RetrievalInputError: images of another shape or dtype.

        Relations: the batch size moves the last bits of a row, which `to_int8` rounds away nearly
        always.
        """
        channels, size = self.config["channels"], self.config["image_size"]

        def features(chunk: np.ndarray) -> torch.Tensor:
            return self.network.encode_image(
                image_tensor(chunk, channels, size).to(device_of(self.network))
            )

        return self._encode(images, batch_size, progress, features)

    @torch.inference_mode()
    def encode_text(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> np.ndarray:
        """Unit embeddings of texts; arguments and result as for `encode_image`.

        Raises:
            RetrievalInputError: not a list of strings, an empty text, or one that is too long.
        """

        def features(chunk: np.ndarray) -> torch.Tensor:
            return text_features(self.network, torch.from_numpy(chunk).to(device_of(self.network)))

        return self._encode(self.tokenizer.encode(texts), batch_size, progress, features)

    def _encode(
        self, inputs: np.ndarray, batch_size: int, progress: Progress | None, features: Callable
    ) -> np.ndarray:
        self.network.eval()
        out = np.empty((len(inputs), self.dim), dtype=np.float32)
        for rows, chunk in in_chunks(inputs, batch_size, progress):
            out[rows] = F.normalize(features(chunk), dim=-1).float().cpu().numpy()
        return out


def untrained(encoder: DualEncoder, seed: int, images: np.ndarray) -> DualEncoder:
    """The same architecture with fresh weights: what a space looks like before the first step.

    Batch normalisation gets its statistics from `images`, as in the first step of training; without
    any, the signal of a fresh network fades layer by layer until nothing is left to compare.

    Args:
        encoder: whose architecture to copy.
        seed: of the fresh weights.
        images: uint8, as for `encode_image`.
    """
    # no_grad and not inference_mode, in which the weights themselves would be made unfit for
    # training.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        fresh = DualEncoder(encoder.config)
        for module in fresh.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = (
                    1.0  # keep the statistics of this pass, no mixture with the start values
                )
        fresh.network.train()
        fresh.network.encode_image(
            image_tensor(images, encoder.config["channels"], encoder.config["image_size"])
        )
    fresh.network.eval()
    return fresh


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


def image_states(network: CustomTextCLIP, images: Tensor, maps: int = 1) -> Tensor:
    """The last feature maps of the image tower, patches row by row; with gradient.

    Args:
        network: whose `visual` is a timm tower.
        images: (n, channels, H, W), as from `image_tensor`.
        maps: 1 takes the last map, 2 the one before it, whose patches are a quarter as large.

    Returns:
        (n, patches, channels).
    """
    if maps == 1:
        states = network.visual.trunk.forward_features(images)
    else:
        (states,) = network.visual.trunk.forward_intermediates(
            images, indices=[-maps], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
    return states.flatten(2).transpose(1, 2)


def text_states(network: CustomTextCLIP, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The text tower's states of every piece, and which of them are no padding; with gradient.

    In a tower with a causal mask a state knows the pieces to its left alone.

    Args:
        network: see `image_states`.
        tokens: (n, length) ids, as from `Tokenizer.encode`.

    Returns:
        (n, length, width) states and (n, length) bool mask.
    """
    tower = network.text
    embedded, causal = tower._embeds(tokens)
    with sdpa_kernel(SDPBackend.MATH):  # the quicker one for short texts, see `text_features`
        states = tower.ln_final(tower.transformer(embedded, attn_mask=causal))
    return states, tokens != PAD


def transformer(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerEncoder:
    """Self-attention without a causal mask, normalised before each step."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
