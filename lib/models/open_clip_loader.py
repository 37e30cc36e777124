"""Load open_clip models: find the weights, check them, build the network, transform and tokenizer."""

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
from PIL import Image, ImageOps
from safetensors import safe_open
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.datasets.user_drawings import as_icon
from lib.models.dual_encoder import DualEncoder, image_tensor, text_features
from lib.models.open_clip_folder import (
    CONFIG,
    folder_config,
    refuse_local,
    text_tower_files,
    tokenizer_files,
)
from lib.models.trained_models import load_model


@dataclass(frozen=True, eq=False, repr=False)
class Towers:
    """A model of two towers.

    Attributes:
        network: in evaluation mode; the features below are computed by it, on whichever device it
            is.
        dim: of the space.
        read: pictures of any size and mode to what the image tower takes, on the CPU.
        tokenize: texts to ids `(n, context_length)`.
        too_long: for each text whether `tokenize` cut it.
        image_features, text_features: `(n, ...)` to `(n, dim)`, not normalised.
        identity: what decides an embedding; `model`, `tag`, `transform`, `tokenizer`,
            `weights_sha256`...
        notes: what a reader of the numbers should know.
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


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all weights: the same in a file of another format."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def trained_here(name: str) -> Towers:
    """The towers of a committed artifact.

    A model of colour (`"scenes"`) gets the picture's central square at its own size. A model of one
    channel (`"icons"`) gets the picture as an icon, ink bright on black (see
    `lib.datasets.user_drawings.as_icon`); what is an icon already, gray at the model's size on a
    black border, is taken as it is. A text that is too long is cut, as by published tokenizers, and
    counted; `DualEncoder.encode_text` refuses it.

    Raises:
        MissingFileError, DamagedFileError: as `lib.models.trained_models.load_model`.
        RetrievalInputError: an artifact of another kind, which has no vector for each side.
    """
    model = load_model(name)
    if not isinstance(model, DualEncoder):
        raise RetrievalInputError(
            f"{name!r} is a {type(model).__name__}, which has no one vector for each picture and"
            " text; load a dual encoder, for example 'scenes' or 'icons'"
        )
    channels, size = model.config["channels"], model.config["image_size"]
    as_read = _square if channels == 3 else _icon
    shown = "central square, bicubic" if channels == 3 else "ink of a drawing, centred"
    return Towers(
        network=model.network,
        dim=model.dim,
        read=lambda pictures: image_tensor(
            np.stack([as_read(picture, size) for picture in pictures]), channels, size
        ),
        tokenize=lambda texts: torch.from_numpy(model.tokenizer.encode(texts, cut=True)),
        too_long=lambda texts: model.tokenizer.lengths(texts) > model.tokenizer.context_length,
        image_features=model.network.encode_image,
        text_features=lambda tokens: text_features(model.network, tokens),
        identity={
            "model": name,
            "tag": "trained here",
            "transform": f"size {size} x {size}, {shown}, {channels} channels in [0, 1]",
            "tokenizer": f"byte pairs of the model, context {model.tokenizer.context_length}",
            "weights_sha256": weights_digest(model.network),
        },
    )


def _square(picture: Image.Image, size: int) -> np.ndarray:
    """uint8 `(size, size, 3)`; a picture of that size keeps its pixels."""
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _icon(picture: Image.Image, size: int) -> np.ndarray:
    """uint8 `(size, size)`, ink bright on black."""
    if picture.size == (size, size):
        pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
        gray = pixels if pixels.ndim == 2 else pixels[..., 0]
        border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
        is_gray = (pixels.reshape(size, size, -1) == gray[..., None]).all()
        if is_gray and gray.any() and np.median(border) == 0:
            return gray
    return as_icon(picture)


# In a folder, in open_clip's order of preference.
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
TRANSFORM = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Source:
    """Where a model comes from: its weights file, and what its maker states of architecture and
    transform.
    """

    model: str
    tag: str
    weights: Path
    config: dict
    transform: dict = field(default_factory=dict)
    quick_gelu: bool = False
    notes: tuple[str, ...] = ()
    folder: Path | None = None  # where the files of tower and tokenizer are, if not on the hub


def find_source(model: str, pretrained: str, cache_dir: str | Path | None) -> Source:
    """Finds the weights of an open_clip model, and fetches them where they are published and not
    here.

    A tag comes before a file or folder of that name. Arguments and errors as for
    `lib.models.open_clip_loader.published`.
    """
    name = model.replace("/", "-")  # as open_clip does: ViT-B/32 is ViT-B-32
    path = Path(pretrained).expanduser()
    stated = get_pretrained_cfg(name, pretrained)
    if not stated and path.is_dir():
        return _of_folder(model, path)
    check_choice(name, open_clip.list_models(), "model")
    config = open_clip.get_model_config(name)
    gelu = bool(config.get("quick_gelu"))
    if stated:
        weights = _fetched(name, pretrained, stated, cache_dir)
        transform = {key: stated[key] for key in TRANSFORM if key in stated}
        # open_clip only warns when weights trained with x * sigmoid(1.702 x) are put into a
        # plain-GELU architecture; the numbers then drop by points without an error. The maker's
        # word decides.
        trained_with = gelu or bool(stated.get("quick_gelu"))
        return Source(name, pretrained, weights, config, transform, trained_with)
    if path.is_file():
        transform, notes = _usual_transform(name)
        notes += _doubt_of_activation(name, gelu)
        return Source(name, path.name, path.resolve(), config, transform, gelu, notes)
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise MissingFileError(f"the checkpoint {path} is missing: neither a file nor a folder")
    tags = list_pretrained_tags_by_model(name)
    if not tags:
        raise RetrievalInputError(
            f"open_clip has no weights for {name}; pass a file of weights as pretrained"
        )
    check_choice(pretrained, tags, f"pretrained of {name}, unless it is a path,")
    raise AssertionError("a tag that is listed has a description")  # pragma: no cover


def _of_folder(label: str, folder: Path) -> Source:
    config, transform = folder_config(folder)
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise MissingFileError(f"{folder} holds no weights; expected one of {', '.join(WEIGHTS)}")
    gelu = bool(config.get("quick_gelu"))
    return Source(label, weights.name, weights, config, transform, gelu, folder=folder)


def _fetched(name: str, tag: str, stated: dict, cache_dir: str | Path | None) -> Path:
    cache_dir = None if cache_dir is None else str(cache_dir)
    hub = stated.get("hf_hub", "")
    kept = _kept(hub, cache_dir) if hub else None
    if kept is not None:
        return kept
    try:
        _check_reachable(huggingface_hub.constants.ENDPOINT if hub else stated.get("url"))
        return Path(download_pretrained(stated, cache_dir=cache_dir))
    except (
        Exception
    ) as error:  # whatever the network, the proxy, the hub's client or the disk raise
        hub = hub.rstrip("/")
        # The config goes with the file: it says transform and activation, which the name alone does
        # not.
        files = (
            f"{CONFIG}, {WEIGHTS[0]} and any tokenizer files of {hub}" if hub else stated.get("url")
        )
        raise MissingFileError(
            f"the weights of {name}, tag {tag!r}, are not in {cache_dir or _usual_cache(hub)} and"
            f" could not be fetched: {first_line(error)} With a network this is done once, by"
            f" itself. Without one, copy that folder from a machine that has it, or put {files}"
            " into a folder and pass it as pretrained"
        ) from error


def _kept(hub: str, cache_dir: str | None) -> Path | None:
    """The file of an earlier download, looked for in open_clip's order; no server is asked."""
    repository, name = os.path.split(hub)
    names = (Path(name).with_suffix(".safetensors").name, name) if name else WEIGHTS
    found = [
        huggingface_hub.try_to_load_from_cache(repository, one, cache_dir=cache_dir)
        for one in names
    ]
    return next((Path(one) for one in found if isinstance(one, str)), None)


def _check_reachable(address: str | None) -> None:
    """Refuses a host whose name is not known here; the hub's client would ask twelve times, for a
    minute.
    """
    if address is None or urllib.request.getproxies():
        return  # a file on this disk, or a proxy, which looks up names itself
    host = urlsplit(address).hostname
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise ConnectionError(f"{host} is not known here: there is no network") from error


def _usual_cache(hub: str) -> str:
    return (
        huggingface_hub.constants.HF_HUB_CACHE if hub else str(Path("~/.cache/clip").expanduser())
    )


def _usual_transform(name: str) -> tuple[dict, tuple[str, ...]]:
    """A file says nothing of its transform: that of the architecture's tags is taken, if they
    agree.
    """
    tags = [get_pretrained_cfg(name, tag) for tag in list_pretrained_tags_by_model(name)]
    known = [{key: stated[key] for key in TRANSFORM if key in stated} for stated in tags]
    if not known or all(one == known[0] for one in known):
        return (known[0] if known else {}), ()
    return {}, (
        (
            f"the weights of {name} are published with several transforms; the file got open_clip's"
            " usual"
        ),
    )


def _doubt_of_activation(name: str, gelu: bool) -> tuple[str, ...]:
    tags = list_pretrained_tags_by_model(name)
    if gelu or not any(get_pretrained_cfg(name, tag).get("quick_gelu") for tag in tags):
        return ()
    return (
        (
            f"some weights of {name} were trained with quick GELU, as OpenAI's; for a file of those"
            f" pass the model {name}-quickgelu"
        ),
    )


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line that ends with a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[0].rstrip(".:"), 200, placeholder="..") + "."


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
