"""Which architecture, weights file and transform a name stands for; nothing is loaded here."""

import os
import socket
import textwrap
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
import open_clip
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.models.folders import CONFIG, folder_config

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
    `lib.models.checkpoints.published`.
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
