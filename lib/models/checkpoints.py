"""Published checkpoints: read as tensors alone, and the open_clip model that they fill."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors import safe_open

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.models.folders import refuse_local, text_tower_files, tokenizer_files
from lib.models.sources import SUFFIXES, Source, find_source, first_line
from lib.models.towers import Towers, weights_digest

MARK = re.compile("<((start|end)_of_text>)", re.IGNORECASE)


def published(model: str, pretrained: str, cache_dir: str | Path | None = None) -> Towers:
    """The towers of an open_clip model.

    Args:
        model: an open_clip architecture, for example `"ViT-B-32"`; only a label where `pretrained`
            is a folder, whose config says what it is.
        pretrained: one of its tags; a file of weights; or a folder with `open_clip_config.json` and
            `open_clip_model.safetensors`, as open_clip's hub repositories have.
        cache_dir: where downloads are kept, instead of the usual cache.

    Raises:
        RetrievalInputError: an unknown name or tag; a file that holds more than tensors, or does
            not fit.
        MissingFileError: weights or tokenizer that are not here and cannot be fetched.
    """
    source = find_source(model, str(pretrained), cache_dir)
    shapes = tensor_shapes(source.weights)
    _refuse_size(len(shapes), source)
    network = _filled(source)
    _refuse_stretched(shapes, network, source)
    tokenizer = _tokenizer(source, cache_dir)
    wanted = {**source.transform, "size": network.visual.image_size}
    try:
        settings = PreprocessCfg(**wanted)
        transform = image_transform_v2(settings, is_train=False)
    except Exception as error:  # open_clip asserts that it knows a mode
        raise RetrievalInputError(
            f"{source.model}: preprocess_cfg {wanted} is none that open_clip knows. Mend it in the"
            " config"
        ) from error
    length = tokenizer.context_length

    def too_long(texts: list[str]) -> np.ndarray:
        # With room for one id more a text that fits keeps its ids, and one that was cut shows
        # another.
        cut, longer = (
            tokenizer(texts, context_length=length),
            tokenizer(texts, context_length=length + 1),
        )
        return (cut != longer[:, :length]).any(dim=1).numpy()

    def read(pictures) -> torch.Tensor:
        # First RGB, then resized: a palette cannot be interpolated.
        return torch.stack(
            [transform(p if p.mode == "RGB" else p.convert("RGB")) for p in pictures]
        )

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

    open_clip reads with `weights_only` too, but falls back to full unpickling on some errors; what
    has passed here holds tensors and plain containers, so nothing in it can run.

    Raises:
        RetrievalInputError: another suffix, a damaged file, or objects that would run code when
            read.
    """
    if path.suffix not in SUFFIXES:
        raise RetrievalInputError(
            f"{path} is no checkpoint that is read here: one of {', '.join(SUFFIXES)}"
        )
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as stream:
                return {key: tuple(stream.get_slice(key).get_shape()) for key in stream.keys()}
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            state = torch.load(
                path, map_location="cpu", weights_only=True
            )  # the format before torch 1.6
    except (
        Exception
    ) as error:  # a file of any kind makes the readers raise anything; none of it is loaded
        raise RetrievalInputError(
            f"{path} is not loaded: {first_line(error)} It is damaged, or it holds more than"
            " tensors, which could run code when read. If you trust its source, save its"
            " state_dict as .safetensors"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not any(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise RetrievalInputError(f"{path} holds no state_dict: expected tensors by name")
    return {
        key.removeprefix("module."): tuple(value.shape)
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _filled(source: Source) -> torch.nn.Module:
    """The network of the config that was checked, as `open_clip.create_model` builds it from a
    file.
    """
    config = copy.deepcopy(source.config) | {"quick_gelu": source.quick_gelu}
    tower = config["text_cfg"].get("hf_model_name")
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) or tower else open_clip.CLIP
    kind = open_clip.CoCa if config.get("multimodal_cfg") else kind
    config["vision_cfg"]["timm_model_pretrained"] = False
    try:
        with TemporaryDirectory() as room:
            if tower:
                files = text_tower_files(tower, source.folder, Path(room))
                config["text_cfg"] |= {"hf_model_name": str(files), "hf_model_pretrained": False}
            network = kind(**config)
        open_clip.load_checkpoint(network, str(source.weights), weights_only=True)
    except (RetrievalInputError, MissingFileError):
        raise
    except Exception as error:  # open_clip, timm and transformers each raise their own
        raise RetrievalInputError(
            f"{source.weights} does not fill {source.model}: {first_line(error)} Pass the"
            " architecture that it was trained with"
        ) from error
    return network


def _refuse_size(n_tensors: int, source: Source) -> None:
    """Refuse a config that would take hours or all memory to build before the weights turn out not
    to fit.
    """
    text = source.config["text_cfg"]
    words, n_bytes = (
        (text.get("vocab_size") or 0) * (text.get("width") or 0),
        source.weights.stat().st_size,
    )
    if words > n_bytes:  # a weight takes a byte at least
        raise RetrievalInputError(
            f"{source.weights} has {n_bytes:,} bytes, too few for the {words:,} word weights of"
            f" text_cfg of {source.model}. Pass the architecture that it was trained with"
        )
    for part in ("vision_cfg", "text_cfg", "multimodal_cfg"):
        layers = (source.config.get(part) or {}).get("layers") or 0
        deep = sum(layers) if isinstance(layers, list | tuple) else layers
        if deep > n_tensors:
            raise RetrievalInputError(
                f"{source.weights} holds {n_tensors:,} tensors, too few for the {deep:,} layers of"
                f" {part} of {source.model}. Pass the architecture that it was trained with"
            )


def _refuse_stretched(shapes: dict, network: torch.nn.Module, source: Source) -> None:
    """open_clip interpolates position embeddings of another image or context size without a
    word.
    """
    for key, value in network.state_dict().items():
        stored = shapes.get(key, tuple(value.shape))
        if "positional_embedding" in key and stored != tuple(value.shape):
            raise RetrievalInputError(
                f"{source.weights} has {key} of shape {stored}, {source.model}"
                f" {tuple(value.shape)}: it was made for another image size or text length. Pass"
                " the architecture of that size"
            )


def _tokenizer(source: Source, cache_dir: str | Path | None) -> Callable:
    """The tokenizer that open_clip would choose; a mark such as `<end_of_text>` in a text is
    text.
    """
    text = source.config["text_cfg"]
    name, options = text.get("hf_tokenizer_name"), text.get("tokenizer_kwargs") or {}
    options = {"context_length": text.get("context_length") or DEFAULT_CONTEXT_LENGTH, **options}
    try:
        if not name:
            tokenizer = SimpleTokenizer(**options)
            clean = tokenizer.clean_fn  # it also makes marks, of &lt;end_of_text&gt;
            tokenizer.clean_fn = lambda text: MARK.sub(r"< \1", clean(text))
            return tokenizer
        with TemporaryDirectory() as room:
            if source.folder is not None:
                name = str(tokenizer_files(source.folder, Path(room)))
            else:
                refuse_local(name)
            tokenizer = HFTokenizer(
                name,
                cache_dir=None if cache_dir is None else str(cache_dir),
                tokenizer_mode=text.get("tokenizer_mode"),
                trust_remote_code=False,
                **options,
            )
        tokenizer.tokenizer.split_special_tokens = True
        return tokenizer
    except (RetrievalInputError, MissingFileError):
        raise
    except Exception as error:  # transformers is missing, or its vocabulary is not here
        raise MissingFileError(
            f"the tokenizer of {source.model} cannot be made: {first_line(error)} It comes through"
            " the package transformers and is fetched once; without a network, pass a folder with"
            " its files"
        ) from error


def _transform_text(settings: PreprocessCfg) -> str:
    height, width = (settings.size,) * 2 if isinstance(settings.size, int) else settings.size
    mean, std = (
        " ".join(f"{value:.6g}" for value in values) for values in (settings.mean, settings.std)
    )
    return (
        f"size {height} x {width}, {settings.resize_mode}, {settings.interpolation},"
        f" {settings.mode}, fill {settings.fill_color}, mean {mean}, std {std}"
    )
