"""Save and load trained models: weights, config and card in one sealed safetensors file."""

import copy
import json
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError, check_count
from lib.core.reading import DamagedFileError
from lib.core.writing import atomic_path, write_checksum
from lib.models.artifact_files import (
    CARD,
    SCALE,
    WEIGHTS,
    read_artifact,
    rebuild_advice,
    unpacked,
)

# Module and class of each kind of model. They are imported when they are asked for: those that read
# pictures import open_clip, which takes seconds.
KINDS = {
    "dual_encoder": ("dual_encoder", "DualEncoder"),
    "late_interaction": ("late_interaction", "LateInteraction"),
    "cross_encoder": ("cross_encoder", "CrossEncoder"),
    "sketch_tower": ("sketch_tower", "SketchEncoder"),
    "contour_encoder": ("contour_encoder", "ContourEncoder"),
}
SHARED = "tokens."  # prefix of weights that come from the artifact `config["shared"]`


class Model(Protocol):
    """A trained model of one of `KINDS`: its network, and the config that describes it."""

    config: dict
    network: nn.Module


def class_of(kind: str) -> type[Model]:
    """Import and return the class of a kind of model, a key of `KINDS`."""
    module, name = KINDS[kind]
    return getattr(import_module(f"lib.models.{module}"), name)


def save_model(model: Model, folder: Path, card: dict, *, bits: int = 16) -> None:
    """Write weights, config and card of a model.

    Args:
        model: the trained model.
        folder: usually `artifacts_dir() / name`.
        card: training and measurements as plain JSON values: `data`, `loss`, `plan`, `metrics` (a
            list of rows)... Stored inside the weights file and in a readable `card.md`.
        bits: 16 stores float16. 8 stores matrices and filters as int8 with one scale per row, in
            half the size. A weight beyond float16 (NaN, or above 65504) is an error.
    """
    folder = Path(folder)
    state = model.network.state_dict()
    if "shared" in model.config:  # these weights are frozen and have their own artifact
        state = {key: value for key, value in state.items() if not key.startswith(SHARED)}
    tensors = _pack(state, bits)
    path = folder / WEIGHTS
    content = save(tensors, {"config": json.dumps(model.config), "card": json.dumps(card)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(_in_order(content))
    write_checksum(path)
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(card_text(model.config["name"], card))


def round_weights(network: nn.Module, bits: int) -> nn.Module:
    """Copy a network with the weights that `save_model` would store, for measurements."""
    rounded = copy.deepcopy(network)
    packed = _pack(network.state_dict(), bits)
    rounded.load_state_dict(_state({key: value.cpu().numpy() for key, value in packed.items()}))
    return rounded


def _pack(state: dict[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Pack weights as float16, or as int8 = round(127 x / row maximum) with row scales."""
    if bits not in (8, 16):
        raise RetrievalInputError(f"bits must be 8 or 16, got {bits!r}")
    tensors = {}
    for key, value in state.items():
        stored = value.half() if value.is_floating_point() else value
        if not torch.isfinite(stored).all():
            raise RetrievalInputError(
                f"{key} has a value that is not finite in float16; nothing is written"
            )
        if bits == 8 and value.is_floating_point() and value.ndim > 1:
            scale = (value.float().flatten(1).abs().amax(dim=1) / 127).clamp(min=torch.finfo().tiny)
            tensors[key + SCALE] = scale
            stored = (value.float() / _per_row(scale, value)).round().to(torch.int8)
        tensors[key] = stored.contiguous()
    return tensors


def _state(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in unpacked(arrays).items()}


def _per_row(scale: Tensor, value: Tensor) -> Tensor:
    return scale.reshape(-1, *(1,) * (value.ndim - 1))


def _in_order(content: bytes) -> bytes:
    """Sort the header of safetensors, which the library writes in another order each run."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def _check_config(config: dict) -> None:
    """Check sizes and the tokenizer, which no weights depend on: loading would not notice."""
    for key in config.keys() & {"embed_dim", "image_size", "channels"}:
        check_count(config[key], key)
    if config.get("channels", 1) not in (1, 3):
        raise RetrievalInputError(f"channels must be 1 or 3, got {config['channels']}")
    size, tower_size = config.get("image_size"), config.get("vision", {}).get("image_size")
    if size != tower_size:
        raise RetrievalInputError(f"image_size is {size}, that of the tower {tower_size}")
    # Models of hashed features have no tokenizer.
    tokenizer = config.get("tokenizer") or {"alphabet": "", "merges": []}
    if "published" in tokenizer:  # its vocabulary has a published checksum
        return
    pairs_of_texts = all(list(map(type, pair)) == [str] * 2 for pair in tokenizer["merges"])
    if not isinstance(tokenizer["alphabet"], str) or not pairs_of_texts:
        raise RetrievalInputError("the tokenizer must be an alphabet and merges of two pieces each")


def load_model(name: str, folder: Path | None = None) -> Model:
    """Load a model that was trained here, after checking its checksum.

    Args:
        name: a folder of `data/artifacts`, for example `"icons"`.
        folder: the folder to read instead of `data/artifacts/<name>`.

    Returns:
        A `DualEncoder`, `LateInteraction`, `CrossEncoder`, `SketchEncoder` or `ContourEncoder`, as
        stored.
    """
    config, _, arrays = read_artifact(name, folder)
    try:
        _check_config(config)
        model, state = class_of(config.get("kind", "dual_encoder"))(config), _state(arrays)
        if "shared" in config:
            shared = load_model(config["shared"]).network.state_dict()
            state |= {SHARED + key: value for key, value in shared.items()}
        model.network.load_state_dict(state)
    # Constructors raise any of these for a config with a missing key, an unknown tower...
    except (RuntimeError, LookupError, TypeError, ValueError, AssertionError) as error:
        raise DamagedFileError(
            f"{name!r} does not fit its own config: {error}. {rebuild_advice(name)}"
        ) from error
    return model


def card_text(name: str, card: dict) -> str:
    """Format a card as Markdown: one bullet per field, one table of metrics, no history."""
    lines = [f"# {name}", ""]
    for key, value in card.items():
        if key in ("metrics", "history"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{name} {entry}" for name, entry in value.items())
        lines.append(f"- **{key}**: {value}")
    if card.get("metrics"):
        columns = list(card["metrics"][0])
        lines += ["", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        for row in card["metrics"]:
            cells = [f"{row[c]:.4f}" if isinstance(row[c], float) else str(row[c]) for c in columns]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
