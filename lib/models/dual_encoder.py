"""Dual encoders: one network for images and one for texts, into one space; their token states."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CustomTextCLIP
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lib.core.checks import RetrievalInputError, check_count
from lib.models import image_towers  # noqa: F401  registers the towers with timm
from lib.models.published_tokenizer import PublishedTokenizer
from lib.models.text_tower import PublishedTextTower
from lib.models.tokenizer import PAD, Tokenizer

Progress = Callable[[int], None]


class DualEncoder:
    """Encode images and texts as unit vectors of one space; `<image, text>` is their cosine.

    Args:
        config: plain data: `name`, `embed_dim`, `vision` and `text` (open_clip's `vision_cfg` and
            `text_cfg`), `channels`, `image_size`, `dims` (the Matryoshka dimensions that it was
            trained for), `tokenizer` (`to_dict` of a tokenizer). Vocabulary and context length come
            from the tokenizer. With `hf_model_name` in it, `text` holds the arguments of a
            `PublishedTextTower`; its frozen weights and its vocabulary are read with the first
            text, so that images are encoded without them.
        network: a network with these weights; an untrained one by default.

    Attributes:
        network: `open_clip.model.CustomTextCLIP`, in evaluation mode.
        tokenizer: texts to ids.
    """

    def __init__(self, config: dict, network: CustomTextCLIP | None = None) -> None:
        self.config = config
        self.tokenizer = build_tokenizer(config["tokenizer"])
        self.network = (build_network(config) if network is None else network).eval()

    @property
    def dim(self) -> int:
        return self.config["embed_dim"]

    @torch.inference_mode()
    def encode_image(
        self, images: np.ndarray, *, batch_size: int = 256, progress: Progress | None = None
    ) -> np.ndarray:
        """Encode images.

        Args:
            images: uint8 (n, size, size), or (n, size, size, 3) for a colour model.
            batch_size: images per forward pass. It changes the last bits of a row, which `to_int8`
                rounds away nearly always.
            progress: called with the number of images after each forward pass.

        Returns:
            float32 (n, dim), rows of length 1.
        """

        def features(chunk: np.ndarray) -> Tensor:
            tensor = image_tensor(chunk, self.config["channels"], self.config["image_size"])
            return self.network.encode_image(tensor.to(device_of(self.network)))

        return self._encode(images, batch_size, progress, features)

    @torch.inference_mode()
    def encode_text(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> np.ndarray:
        """Encode a list of texts; arguments and result as for `encode_image`.

        An empty text, or one beyond the context length, is an error.
        """

        def features(chunk: np.ndarray) -> Tensor:
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


def build_tokenizer(stored: dict) -> Tokenizer | PublishedTokenizer:
    """Rebuild a tokenizer from its `to_dict`."""
    published = "published" in stored
    return PublishedTokenizer(**stored) if published else Tokenizer.from_dict(stored)


def build_network(config: dict) -> CustomTextCLIP:
    """Build the untrained network of a config (see `DualEncoder`); weights follow torch's seed."""
    tokenizer, text = build_tokenizer(config["tokenizer"]), config["text"]
    length = tokenizer.context_length
    published = "hf_model_name" in text
    # open_clip would build a transformer of its own for each network: a tiny tower stands in
    # until the published one takes its place.
    own = {"width": 8, "heads": 1, "layers": 1} if published else text
    sizes = {"context_length": length, "vocab_size": 2 if published else tokenizer.vocab_size}
    network = CustomTextCLIP(config["embed_dim"], config["vision"], {**own, **sizes})
    if published:
        network.text = PublishedTextTower(config["embed_dim"], length, **text)
        network.vocab_size = network.text.vocab_size
    return network.to(memory_format=torch.channels_last)


def untrained(encoder: DualEncoder, seed: int, images: np.ndarray) -> DualEncoder:
    """Build the same architecture with fresh weights: the space before the first training step.

    Batch normalisation takes its statistics from `images`, as in the first step of training.
    Without them the signal of a fresh network fades layer by layer.

    Args:
        encoder: the architecture to copy.
        seed: seed of the fresh weights.
        images: uint8, as for `encode_image`.
    """
    # Not inference_mode, which would make the weights unfit for training.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        fresh = DualEncoder(encoder.config)
        for module in fresh.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # statistics of this pass alone, not of the start values
        fresh.network.train()
        fresh.network.encode_image(
            image_tensor(images, encoder.config["channels"], encoder.config["image_size"])
        )
    fresh.network.eval()
    return fresh


# ---- inputs and features


def image_tensor(images: np.ndarray, channels: int, size: int) -> Tensor:
    """Convert uint8 images to the input of the image tower.

    Args:
        images: uint8 (n, size, size) for one channel, (n, size, size, 3) for three.

    Returns:
        float32 (n, channels, size, size) in [0, 1], channels last in memory (several times faster
        on a CPU).
    """
    images = np.asarray(images)
    expected = (size, size) if channels == 1 else (size, size, channels)
    if images.dtype != np.uint8 or images.shape[1:] != expected:
        advice = "; pass a single image as image[None]" if images.shape == expected else ""
        raise RetrievalInputError(
            f"images must be uint8 (n, {', '.join(map(str, expected))}), "
            f"got {images.dtype} {images.shape}{advice}"
        )
    # torch cannot read mirrored views, and warns of read-only arrays: those are copied.
    tensor = torch.from_numpy(np.require(images, requirements=["C", "W"]))
    tensor = tensor.unsqueeze(1) if channels == 1 else tensor.permute(0, 3, 1, 2)
    return (tensor.float() / 255).contiguous(memory_format=torch.channels_last)


def device_of(network: nn.Module) -> torch.device:
    """Return the device of the weights, where inputs must be too."""
    return next(network.parameters()).device


def in_chunks(
    inputs: np.ndarray, batch_size: int, progress: Progress | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows and inputs, `batch_size` at a time; report each finished chunk to `progress`."""
    check_count(batch_size, "batch_size")
    for start in range(0, len(inputs), batch_size):
        chunk = inputs[start : start + batch_size]
        yield slice(start, start + len(chunk)), chunk
        if progress is not None:
            progress(len(chunk))


def text_features(network: CustomTextCLIP, texts: Tensor | tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Encode texts as (n, dim), not normalised; with gradient.

    Captions are short: plain attention is twice as fast here as the fused one.

    Args:
        texts: ids (n, context_length), or frozen states from `TextStates.batch`.
    """
    with sdpa_kernel(SDPBackend.MATH):
        if isinstance(texts, tuple):
            return network.text.features_of_states(*texts)
        return network.encode_text(texts)


# ---- token states: the input of late interaction and cross-encoders


def image_states(network: CustomTextCLIP, images: Tensor, maps: int = 1) -> Tensor:
    """Compute a feature map of the image tower before pooling; with gradient.

    Args:
        network: a network with a timm tower as `visual`.
        images: (n, channels, H, W), as from `image_tensor`.
        maps: 1 for the last map, 2 for the one before it, with patches a quarter as large.

    Returns:
        (n, patches, channels), patches row by row.
    """
    if maps == 1:
        states = network.visual.trunk.forward_features(images)
    else:
        (states,) = network.visual.trunk.forward_intermediates(
            images, indices=[-maps], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
    return states.flatten(2).transpose(1, 2)


def text_states(network: CustomTextCLIP, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the states of the text tower before pooling, with gradient, and their mask.

    In a tower with a causal mask, a state depends only on the pieces to its left.

    Args:
        network: see `image_states`.
        tokens: (n, length) ids, as from `Tokenizer.encode`.

    Returns:
        (n, length, width) states and (n, length) bool mask, False for padding.
    """
    tower = network.text
    embedded, causal = tower._embeds(tokens)
    with sdpa_kernel(SDPBackend.MATH):  # as in `text_features`
        states = tower.ln_final(tower.transformer(embedded, attn_mask=causal))
    return states, tokens != PAD
