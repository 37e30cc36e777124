"""Published checkpoints: read as tensors alone, and the open_clip model that they fill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors import safe_open

from lib.checks import RetrievalInputError
from lib.files import MissingFileError
from lib.models.sources import SUFFIXES, Source, find_source, first_line
from lib.models.towers import Towers, weights_digest


def published(model: str, pretrained: str, cache_dir: str | Path | None = None) -> Towers:
    """The towers of an open_clip model.

    Args:
        model: an open_clip architecture, for example `"ViT-B-32"`; only a label where `pretrained`
            is a folder, whose config says what it is.
        pretrained: one of its tags; a file of weights; or a folder with `open_clip_config.json` and
            `open_clip_model.safetensors`, as open_clip's hub repositories have.
        cache_dir: where downloads are kept, instead of the usual cache.

    Raises:
        RetrievalInputError: an unknown name or tag; a file that holds more than tensors, or does not fit.
        MissingFileError: weights or tokenizer that are not here and cannot be fetched.
    """
    source = find_source(model, str(pretrained), cache_dir)
    shapes = tensor_shapes(source.weights)
    network = _filled(source, cache_dir)
    _refuse_stretched(shapes, network, source)
    tokenizer = _tokenizer(source, cache_dir)
    settings = PreprocessCfg(**network.visual.preprocess_cfg)
    transform = image_transform_v2(settings, is_train=False)
    length = tokenizer.context_length

    def too_long(texts: list[str]) -> np.ndarray:
        # With room for one id more a text that fits keeps its ids, and one that was cut shows another.
        cut, longer = tokenizer(texts, context_length=length), tokenizer(texts, context_length=length + 1)
        return (cut != longer[:, :length]).any(dim=1).numpy()

    def read(pictures) -> torch.Tensor:
        # First RGB, then resized: a palette cannot be interpolated.
        return torch.stack([transform(p if p.mode == "RGB" else p.convert("RGB")) for p in pictures])

    return Towers(
        network=network.eval(),
        dim=source.config["embed_dim"],
        read=read,
        tokenize=tokenizer,
        too_long=too_long,
        image_features=network.encode_image,
        text_features=network.encode_text,
        identity={
            "model": source.model,
            "tag": source.tag,
            "transform": _transform_text(settings),
            "tokenizer": f"{type(tokenizer).__name__}, context {length}",
            "activation": "quick_gelu" if source.quick_gelu else "as the architecture names it",
            "weights_sha256": weights_digest(network),
        },
        notes=source.notes,
    )


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a checkpoint; refuses a file that holds anything else.

    open_clip reads with `weights_only` too, but falls back to full unpickling on some errors; what has passed
    here holds tensors and plain containers, so nothing in it can run.

    Raises:
        RetrievalInputError: another suffix, a damaged file, or objects that would run code when read.
    """
    if path.suffix not in SUFFIXES:
        raise RetrievalInputError(f"{path} is no checkpoint that is read here: one of {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as stream:
                return {key: tuple(stream.get_slice(key).get_shape()) for key in stream.keys()}  # noqa: SIM118
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            state = torch.load(path, map_location="cpu", weights_only=True)  # the format before torch 1.6
    except Exception as error:  # a file of any kind makes the readers raise anything; none of it is loaded
        raise RetrievalInputError(
            f"{path} is not loaded: {first_line(error)} It is damaged, or it holds more than tensors, which "
            f"could run code when read. If you trust its source, save its state_dict as .safetensors"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise RetrievalInputError(f"{path} holds no state_dict: expected tensors by name")
    return {
        key.removeprefix("module."): tuple(value.shape)
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _filled(source: Source, cache_dir: str | Path | None) -> torch.nn.Module:
    folder = source.name.startswith("local-dir:")
    try:
        return open_clip.create_model(
            source.name,
            None if folder else str(source.weights),
            force_quick_gelu=source.quick_gelu,
            force_preprocess_cfg=source.transform,
            cache_dir=None if cache_dir is None else str(cache_dir),
            require_pretrained=True,
            weights_only=True,
        )
    except Exception as error:  # open_clip, timm and transformers each raise their own
        raise RetrievalInputError(
            f"{source.weights} does not fill {source.model}: {first_line(error)} Pass the architecture that "
            f"it was trained with"
        ) from error


def _refuse_stretched(shapes: dict, network: torch.nn.Module, source: Source) -> None:
    """open_clip interpolates position embeddings of another image or context size without a word."""
    for key, value in network.state_dict().items():
        stored = shapes.get(key, tuple(value.shape))
        if "positional_embedding" in key and stored != tuple(value.shape):
            raise RetrievalInputError(
                f"{source.weights} has {key} of shape {stored}, {source.model} {tuple(value.shape)}: it was "
                f"made for another image size or text length. Pass the architecture of that size"
            )


def _tokenizer(source: Source, cache_dir: str | Path | None) -> Callable:
    try:
        options = {} if cache_dir is None else {"cache_dir": str(cache_dir)}
        return open_clip.get_tokenizer(source.name, **options)
    except Exception as error:  # transformers is missing, or its vocabulary is not here
        raise MissingFileError(
            f"the tokenizer of {source.model} cannot be made: {first_line(error)} It comes through the "
            f"package transformers and is fetched once; without a network, pass a folder with its files"
        ) from error


def _transform_text(settings: PreprocessCfg) -> str:
    height, width = (settings.size,) * 2 if isinstance(settings.size, int) else settings.size
    mean, std = (" ".join(f"{value:.6g}" for value in values) for values in (settings.mean, settings.std))
    return (
        f"size {height} x {width}, {settings.resize_mode}, {settings.interpolation}, {settings.mode}, "
        f"fill {settings.fill_color}, mean {mean}, std {std}"
    )
