"""Load open_clip models: find the weights, check them, build network, transform and tokenizer."""

import copy
import hashlib
import os
import re
import socket
import textwrap
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import huggingface_hub
import numpy as np
import open_clip
import torch
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.models.open_clip_folder import (
    CONFIG,
    folder_config,
    refuse_local,
    text_tower_files,
    tokenizer_files,
)

WEIGHTS = (  # the names in a folder, in open_clip's order of preference
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
TRANSFORM = ("mean", "std", "interpolation", "resize_mode")
MARK = re.compile("<((start|end)_of_text>)", re.IGNORECASE)
OTHER_ARCHITECTURE = "Pass the architecture that it was trained with"


@dataclass(frozen=True, eq=False, repr=False)
class Towers:
    """A loaded model as two towers, and the functions that prepare its inputs.

    Attributes:
        network: in evaluation mode; it computes the features, on whatever device it is.
        dim: dimension of the embeddings.
        read: images of any size and mode to the input of the image tower, on the CPU.
        tokenize: texts to ids `(n, context_length)`.
        too_long: for each text, whether `tokenize` cuts it.
        image_features, text_features: `(n, ...)` to `(n, dim)`, not normalised.
        identity: everything that decides an embedding: `model`, `tag`, `transform`, `tokenizer`,
            `weights_sha256`...
        notes: warnings for the user.
    """

    network: nn.Module
    dim: int
    read: Callable[[Sequence[Image.Image]], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    too_long: Callable[[list[str]], np.ndarray]
    image_features: Callable[[Tensor], Tensor]
    text_features: Callable[[Tensor], Tensor]
    identity: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelSource:
    """The weights file of a model, its architecture and the transform that its authors state."""

    model: str
    tag: str
    weights: Path
    config: dict
    transform: dict = field(default_factory=dict)
    quick_gelu: bool = False
    notes: tuple[str, ...] = ()
    folder: Path | None = None  # holds the files of tokenizer and text tower, if not on the hub


def open_clip_towers(model: str, pretrained: str, cache_dir: str | Path | None = None) -> Towers:
    """Load the towers of an open_clip model.

    Args:
        model: an architecture of open_clip, or any label where `pretrained` is a folder.
        pretrained: a tag of it; a file of weights; or a folder with `open_clip_config.json` and
            `open_clip_model.safetensors`, as in open_clip's hub repositories. A tag comes before a
            file or folder of that name.
        cache_dir: download folder, instead of the default.
    """
    source = find_source(model, pretrained, cache_dir)
    shapes = tensor_shapes(source.weights)
    _refuse_size(len(shapes), source)
    network = _build_network(source)
    _refuse_interpolation(shapes, network, source)
    tokenizer = _build_tokenizer(source, cache_dir)
    stated = {**source.transform, "size": network.visual.image_size}
    try:
        settings = PreprocessCfg(**stated)
        transform = image_transform_v2(settings, is_train=False)
    except Exception as error:  # open_clip asserts that it knows a mode
        raise RetrievalInputError(
            f"{source.model}: preprocess_cfg must be one that open_clip supports, got {stated}."
            " Correct it in the config"
        ) from error
    length = tokenizer.context_length

    def too_long(texts: list[str]) -> np.ndarray:
        # With one more id, a text that fits keeps its ids and a text that was cut shows another.
        ids = tokenizer(texts, context_length=length)
        longer = tokenizer(texts, context_length=length + 1)
        return (ids != longer[:, :length]).any(dim=1).numpy()

    def read(images: Sequence[Image.Image]) -> Tensor:
        # RGB before resizing: a palette cannot be interpolated.
        rgb = (image if image.mode == "RGB" else image.convert("RGB") for image in images)
        return torch.stack([transform(image) for image in rgb])

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
            "transform": _describe_transform(settings),
            "tokenizer": f"{type(tokenizer).__name__}, context {length}",
            "activation": "quick_gelu" if source.quick_gelu else "as the architecture names it",
            "weights_sha256": weights_digest(network),
        },
        notes=source.notes,
    )


def weights_digest(network: nn.Module) -> str:
    """Hash names, shapes and bytes of all weights, independently of the file format."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _describe_transform(settings: PreprocessCfg) -> str:
    height, width = (settings.size,) * 2 if isinstance(settings.size, int) else settings.size
    mean, std = (
        " ".join(f"{value:.6g}" for value in values) for values in (settings.mean, settings.std)
    )
    return (
        f"size {height} x {width}, {settings.resize_mode}, {settings.interpolation},"
        f" {settings.mode}, fill {settings.fill_color}, mean {mean}, std {std}"
    )


# ---- where the weights are


def find_source(model: str, pretrained: str, cache_dir: str | Path | None) -> ModelSource:
    """Find the weights of an open_clip model; download published ones that are not in the cache."""
    name = model.replace("/", "-")  # as in open_clip: ViT-B/32 is ViT-B-32
    path = Path(pretrained).expanduser()
    stated = get_pretrained_cfg(name, pretrained)
    if not stated and path.is_dir():
        return _folder_source(model, path)
    check_choice(name, open_clip.list_models(), "model")
    config = open_clip.get_model_config(name)
    quick_gelu = bool(config.get("quick_gelu"))
    if stated:
        weights = _download_weights(name, pretrained, stated, cache_dir)
        transform = {key: stated[key] for key in TRANSFORM if key in stated}
        # open_clip only warns when weights trained with x * sigmoid(1.702 x) are put into a
        # plain-GELU architecture; the numbers then drop by points without an error. What the
        # authors of the weights state decides.
        quick_gelu = quick_gelu or bool(stated.get("quick_gelu"))
        return ModelSource(name, pretrained, weights, config, transform, quick_gelu)
    if path.is_file():
        transform, notes = _transform_of_tags(name)
        notes += _activation_notes(name, quick_gelu)
        return ModelSource(name, path.name, path.resolve(), config, transform, quick_gelu, notes)
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise MissingFileError(f"the checkpoint {path} is missing: neither a file nor a folder")
    tags = list_pretrained_tags_by_model(name)
    if not tags:
        raise RetrievalInputError(
            f"open_clip has no weights for {name}; pass a file of weights as pretrained"
        )
    check_choice(pretrained, tags, f"pretrained of {name}, unless it is a path,")
    raise AssertionError("a listed tag has a description")  # pragma: no cover


def _folder_source(label: str, folder: Path) -> ModelSource:
    config, transform = folder_config(folder)
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise MissingFileError(f"{folder} holds no weights; expected one of {', '.join(WEIGHTS)}")
    quick_gelu = bool(config.get("quick_gelu"))
    return ModelSource(label, weights.name, weights, config, transform, quick_gelu, folder=folder)


def _download_weights(name: str, tag: str, stated: dict, cache_dir: str | Path | None) -> Path:
    cache_dir = None if cache_dir is None else str(cache_dir)
    hub, url = stated.get("hf_hub", ""), stated.get("url")
    cached = _cached_weights(hub, cache_dir) if hub else None
    if cached is not None:
        return cached
    try:
        check_reachable(huggingface_hub.constants.ENDPOINT if hub else url)
        return Path(download_pretrained(stated, cache_dir=cache_dir))
    except Exception as error:  # network, proxy, the hub's client and the disk raise anything
        default = huggingface_hub.constants.HF_HUB_CACHE if hub else Path("~/.cache/clip")
        # The config goes with the file: the name alone does not say transform and activation.
        files = f"{CONFIG}, {WEIGHTS[0]} and any tokenizer files of {hub.rstrip('/')}"
        raise MissingFileError(
            f"the weights of {name}, tag {tag!r}, are not in"
            f" {cache_dir or Path(default).expanduser()} and could not be downloaded:"
            f" {first_line(error)} With a network this happens once, automatically. Without one,"
            f" copy that folder from another machine, or put {files if hub else url} into a folder"
            " and pass it as pretrained"
        ) from error


def _cached_weights(hub: str, cache_dir: str | None) -> Path | None:
    """Find an earlier download, in open_clip's order of names, without asking a server."""
    repository, name = os.path.split(hub)
    names = (Path(name).with_suffix(".safetensors").name, name) if name else WEIGHTS
    for file in names:
        path = huggingface_hub.try_to_load_from_cache(repository, file, cache_dir=cache_dir)
        if isinstance(path, str):
            return Path(path)
    return None


def check_reachable(address: str | None) -> None:
    """Refuse an unknown host at once; the hub's client would try twelve times, for a minute."""
    if address is None or urllib.request.getproxies():
        return  # a local file, or a proxy, which looks up names itself
    host = urlsplit(address).hostname
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise ConnectionError(f"the host {host} is unknown: there is no network") from error


def _transform_of_tags(name: str) -> tuple[dict, tuple[str, ...]]:
    """Return the transform on which all tags of an architecture agree: a file states none."""
    tags = [get_pretrained_cfg(name, tag) for tag in list_pretrained_tags_by_model(name)]
    transforms = [{key: stated[key] for key in TRANSFORM if key in stated} for stated in tags]
    if all(transform == transforms[0] for transform in transforms):
        return (transforms[0] if transforms else {}), ()
    return {}, (
        f"the weights of {name} are published with several transforms; this file got the default"
        " of open_clip",
    )


def _activation_notes(name: str, quick_gelu: bool) -> tuple[str, ...]:
    tags = list_pretrained_tags_by_model(name)
    if quick_gelu or not any(get_pretrained_cfg(name, tag).get("quick_gelu") for tag in tags):
        return ()
    return (
        f"some weights of {name} were trained with quick GELU, such as OpenAI's; for a file of"
        f" those pass the model {name}-quickgelu",
    )


def first_line(error: Exception) -> str:
    """Return the first line of another library's error, with a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[0].rstrip(".:"), 200, placeholder="..") + "."


# ---- tensors, network and tokenizer


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes of the tensors in a checkpoint; refuse a file that holds other objects.

    open_clip reads with `weights_only` too, but falls back to full unpickling after some errors. A
    file that passes here holds tensors and plain containers, so nothing in it can run.
    """
    if path.suffix not in SUFFIXES:
        raise RetrievalInputError(
            f"{path} is no checkpoint that can be read: its suffix must be one of"
            f" {', '.join(SUFFIXES)}"
        )
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as stream:
                names = stream.keys()
                return {name: tuple(stream.get_slice(name).get_shape()) for name in names}
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            # The format before torch 1.6 cannot be mapped.
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers raise anything on a file of another kind
        raise RetrievalInputError(
            f"{path} is not loaded: {first_line(error)} It is damaged, or it holds more than"
            " tensors, which could run code when read. If you trust its source, save its"
            " state_dict as .safetensors"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    shapes = {
        key.removeprefix("module."): tuple(value.shape)
        for key, value in (state.items() if isinstance(state, dict) else ())
        if isinstance(value, Tensor)
    }
    if not shapes:
        raise RetrievalInputError(f"{path} holds no state_dict: expected tensors by name")
    return shapes


def _build_network(source: ModelSource) -> nn.Module:
    """Build the network of the checked config, as `open_clip.create_model` does, with weights."""
    config = copy.deepcopy(source.config) | {"quick_gelu": source.quick_gelu}
    tower = config["text_cfg"].get("hf_model_name")
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) or tower else open_clip.CLIP
    kind = open_clip.CoCa if config.get("multimodal_cfg") else kind
    config["vision_cfg"]["timm_model_pretrained"] = False
    try:
        with TemporaryDirectory() as folder:
            if tower:
                files = text_tower_files(tower, source.folder, Path(folder))
                config["text_cfg"] |= {"hf_model_name": str(files), "hf_model_pretrained": False}
            network = kind(**config)
        open_clip.load_checkpoint(network, str(source.weights), weights_only=True)
    except (RetrievalInputError, MissingFileError):
        raise
    except Exception as error:  # open_clip, timm and transformers each raise their own
        raise RetrievalInputError(
            f"{source.weights} does not fill {source.model}: {first_line(error)}"
            f" {OTHER_ARCHITECTURE}"
        ) from error
    return network


def _refuse_size(n_tensors: int, source: ModelSource) -> None:
    """Refuse a config that would take hours or all memory before its weights do not fit."""
    text, n_bytes = source.config["text_cfg"], source.weights.stat().st_size
    words = (text.get("vocab_size") or 0) * (text.get("width") or 0)
    if words > n_bytes:  # a weight takes at least one byte
        raise RetrievalInputError(
            f"{source.weights} has {n_bytes:,} bytes, too few for the {words:,} word weights of"
            f" text_cfg of {source.model}. {OTHER_ARCHITECTURE}"
        )
    for part in ("vision_cfg", "text_cfg", "multimodal_cfg"):
        layers = (source.config.get(part) or {}).get("layers") or 0
        layers = sum(layers) if isinstance(layers, list | tuple) else layers
        if layers > n_tensors:
            raise RetrievalInputError(
                f"{source.weights} holds {n_tensors:,} tensors, too few for the {layers:,} layers"
                f" of {part} of {source.model}. {OTHER_ARCHITECTURE}"
            )


def _refuse_interpolation(shapes: dict, network: nn.Module, source: ModelSource) -> None:
    """Refuse position embeddings of another size, which open_clip interpolates silently."""
    for key, value in network.state_dict().items():
        stored = shapes.get(key, tuple(value.shape))
        if "positional_embedding" in key and stored != tuple(value.shape):
            raise RetrievalInputError(
                f"{source.weights} has {key} of shape {stored}, {source.model}"
                f" {tuple(value.shape)}: it was made for another image size or text length. Pass"
                " the architecture of that size"
            )


def _build_tokenizer(source: ModelSource, cache_dir: str | Path | None) -> Callable:
    """Build open_clip's tokenizer; a mark such as `<end_of_text>` inside a text stays text."""
    text = source.config["text_cfg"]
    name, options = text.get("hf_tokenizer_name"), text.get("tokenizer_kwargs") or {}
    options = {"context_length": text.get("context_length") or DEFAULT_CONTEXT_LENGTH, **options}
    try:
        if not name:
            tokenizer = SimpleTokenizer(**options)
            clean = tokenizer.clean_fn  # it also turns &lt;end_of_text&gt; into a mark
            tokenizer.clean_fn = lambda text: MARK.sub(r"< \1", clean(text))
            return tokenizer
        with TemporaryDirectory() as folder:
            if source.folder is not None:
                name = str(tokenizer_files(source.folder, Path(folder)))
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
    except Exception as error:  # transformers or its vocabulary is missing
        raise MissingFileError(
            f"the tokenizer of {source.model} cannot be made: {first_line(error)} It needs the"
            " package transformers and one download; without a network, pass a folder with its"
            " files"
        ) from error
