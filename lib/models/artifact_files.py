"""Read and write the files of a trained model with numpy alone: weights, card, embeddings."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.reading import DamagedFileError, load_arrays, verify
from lib.core.writing import save_arrays

SCALE = ".scale"  # suffix for the row scales of an int8 matrix; no parameter has this name
WEIGHTS = "model.safetensors"
CARD = "card.md"
EMBEDDINGS = "embeddings.npz"


def rebuild_advice(name: str) -> str:
    """Say how to get the files of a model again."""
    return f"Restore it with git, or train it again with: crossmodal train {name}"


def read_artifact(
    name: str, folder: Path | None = None
) -> tuple[dict, dict, dict[str, np.ndarray]]:
    """Read config, card and packed weights (`unpacked`) after checking their checksum.

    Args:
        name: a folder of `data/artifacts`, for example `"icons"`.
        folder: the folder to read instead.
    """
    advice = rebuild_advice(name)
    path = verify((folder or artifacts_dir() / name) / WEIGHTS, rebuild=advice)
    try:
        with safe_open(path, framework="np") as stream:
            metadata = stream.metadata()
            keys = stream.keys()
            arrays = {key: stream.get_tensor(key) for key in keys}
        config, card = json.loads(metadata["config"]), json.loads(metadata["card"])
        stored_name = config["name"]
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise DamagedFileError(f"{path} is no model of ours ({error!r}). {advice}") from error
    if stored_name != name:
        raise DamagedFileError(
            f"{path} holds the model {stored_name!r} instead of {name!r}. {advice}"
        )
    return config, card, arrays


def unpacked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return float32 weights of stored float16, or of int8 rows and their scales."""
    state = {}
    for key, value in arrays.items():
        if key.endswith(SCALE):
            continue
        is_number = value.dtype.kind == "f" or key + SCALE in arrays
        value = value.astype(np.float32) if is_number else value
        if key + SCALE in arrays:
            scale = arrays[key + SCALE]
            if scale.shape != value.shape[:1]:
                raise RetrievalInputError(f"{key + SCALE} must have one number per row of {key}")
            value *= scale.astype(np.float32).reshape(-1, *(1,) * (value.ndim - 1))
        state[key] = value
    return state


def read_tower(
    name: str, prefix: str, folder: Path | None = None
) -> tuple[dict, dict[str, np.ndarray]]:
    """Read the config of a dual encoder and the float32 weights of one tower.

    Args:
        name, folder: see `read_artifact`.
        prefix: of the names of the tower's weights, "text." or "visual."; it is removed.
    """
    config, _, arrays = read_artifact(name, folder)
    own = {
        key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)
    }
    return config, unpacked(own)


def load_card(name: str, folder: Path | None = None) -> dict:
    """Load a model card: data, loss, steps, seed, time, metrics."""
    return read_artifact(name, folder)[1]


def save_embeddings(name: str, folder: Path | None = None, **arrays) -> None:
    """Store named arrays, usually from `to_int8`, beside their model, with a checksum."""
    save_arrays((folder or artifacts_dir() / name) / EMBEDDINGS, compressed=True, **arrays)


def load_embeddings(name: str, folder: Path | None = None) -> dict:
    """Load int8 embeddings by name, for example `test_text` (n, d) and `test_image` (m, d).

    A dot product of two int8 rows is an exact integer in float32 (d <= 1024): every machine gets
    the same ranking, bit for bit.
    """
    path = (folder or artifacts_dir() / name) / EMBEDDINGS
    advice = rebuild_advice(name)
    arrays = load_arrays(path, rebuild=advice)
    kinds = {(value.dtype.name, *value.shape[1:]) for value in arrays.values()}
    if len(kinds) != 1 or len(kind := kinds.pop()) != 2 or kind[0] != "int8" or not kind[1]:
        shapes = ", ".join(f"{key} {value.dtype} {value.shape}" for key, value in arrays.items())
        raise DamagedFileError(
            f"{path} holds {shapes or 'nothing'}, expected int8 (rows, dim) of one dim. {advice}"
        )
    return arrays
