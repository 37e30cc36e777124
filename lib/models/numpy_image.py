"""Encode pictures with numpy alone: the image tower of `pictures` without torch.

As `lib.models.numpy_text` for queries of words: importing torch and open_clip takes seconds and
hundreds of megabytes. The result is that of `DualEncoder.encode_image` up to float rounding.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit

from lib.core.checks import RetrievalInputError, unit_rows
from lib.core.reading import DamagedFileError
from lib.models.artifact_files import read_artifact, read_tower, rebuild_advice, unpacked
from lib.models.numpy_text import ADVICE, Weights, gelu

TOWER = "visual."  # prefix of the image tower's weights in an artifact
OWN = "own."  # prefix of the weights that a sketch tower trained again
KIND = "cm_resnet_on_white"  # of `lib.models.image_towers`
EPSILON = np.float32(1e-5)  # of batch normalisation
GRID, ORIENTATIONS = 8, 8  # as in `lib.models.gradients`, which imports torch


def load_image_encoder(name: str, folder: Path | None = None) -> "NumpyImageEncoder":
    """Load the image side of a trained dual encoder; its text tower is not read.

    Args:
        name: a folder of `data/artifacts`.
        folder: the folder to read instead.
    """
    return NumpyImageEncoder(*read_tower(name, TOWER, folder))


def load_sketch_tower(
    name: str, folder: Path | None = None, shared: Path | None = None
) -> "NumpyImageEncoder":
    """Load a sketch tower: the image tower of another model with some of its weights replaced.

    Args:
        name: a folder of `data/artifacts`; its config names the other model as `shared`.
        folder: the folder to read instead.
        shared: the folder of the other model to read instead.
    """
    config, _, arrays = read_artifact(name, folder)
    tower, state = read_tower(config.get("shared", ""), TOWER, shared)
    for key, value in unpacked(arrays).items():
        weight = key.removeprefix(OWN).replace("/", ".")  # torch's ParameterDict has no dots
        if not key.startswith(OWN) or weight not in state or value.shape != state[weight].shape:
            raise DamagedFileError(
                f"the sketch tower {name!r} does not fit the model {config['shared']!r}: its weight"
                f" {key} {value.shape} has no place there. {rebuild_advice(name)}"
            )
        state[weight] = value
    return NumpyImageEncoder(tower, state)


class NumpyImageEncoder:
    """Encode pictures as unit vectors: a residual network, gradient features and a projection.

    Args:
        config: that of a `DualEncoder` with the tower `KIND`.
        state: float32 weights of the tower, by the names of torch.

    Attributes:
        dim: dimension of the embeddings.
    """

    def __init__(self, config: dict, state: Weights) -> None:
        kind = config["vision"].get("timm_model_name")
        if kind != KIND:
            raise RetrievalInputError(
                f"the image tower of {config['name']!r} must be {KIND}, got {kind!r}. {ADVICE}"
            )
        self.dim, self.size, self._state = config["embed_dim"], config["image_size"], state
        names = (name.split(".")[2:4] for name in state if name.startswith("trunk.stages."))
        self._blocks = sorted({(int(stage), int(block)) for stage, block in names})

    def encode_image(self, images: Sequence | np.ndarray) -> np.ndarray:
        """Encode uint8 pictures (n, size, size, 3) on white; float32 (n, dim), rows of length 1."""
        images = np.asarray(images)
        expected = self.size, self.size, 3
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            raise RetrievalInputError(
                f"images must be uint8 (n, {', '.join(map(str, expected))}),"
                f" got {images.dtype} {images.shape}"
            )
        rows = np.empty((len(images), self.dim), np.float32)
        for i, image in enumerate(images):
            pixels = image.astype(np.float32) / 255
            features = np.concatenate([self._filtered(pixels), self._gradients(pixels)])
            rows[i] = self._state["head.proj.weight"] @ features
        return unit_rows(rows, "images") if len(rows) else rows

    def _filtered(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the mean of the last map of the residual network."""
        w = self._state
        x = silu(convolve(1 - pixels, w, "trunk.stem.1", stride=2))  # white is 0, as the padding
        for stage, block in self._blocks:
            at, stride = f"trunk.stages.{stage}.{block}.", 1 if block else 2
            inner = silu(convolve(x, w, f"{at}conv1_kxk", stride))
            through = convolve(x, w, f"{at}shortcut", stride) if stride > 1 else x
            x = silu(convolve(inner, w, f"{at}conv2_kxk") + through)
        return x.mean(axis=(0, 1))

    def _gradients(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the features of the trained layer on the gradients."""
        w, at = self._state, "trunk.gradients."
        scaled = (image_gradients(pixels) - w[f"{at}mean"]) / w[f"{at}spread"]
        return gelu(w[f"{at}layers.1.weight"] @ scaled + w[f"{at}layers.1.bias"])


# ---- the parts of the tower


def convolve(x: np.ndarray, weights: Weights, name: str, stride: int = 1) -> np.ndarray:
    """Compute a convolution with zeros around x, and the batch normalisation behind it.

    Args:
        x: (height, width, inputs).
        weights: `<name>.conv.weight` (outputs, inputs, k, k) and four arrays `<name>.bn...`.
        name: of the layer.
        stride: step between the places of the filters.

    Returns:
        (height / stride, width / stride, outputs).
    """
    filters = weights[f"{name}.conv.weight"]
    k = filters.shape[2]
    x = np.pad(x, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(0, 1))
    windows = windows[::stride, ::stride]  # (height, width, inputs, k, k)
    x = np.tensordot(windows, filters, axes=((2, 3, 4), (1, 2, 3)))
    mean, variance, gain, bias = (
        weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(variance + EPSILON) * gain + bias


def silu(x: np.ndarray) -> np.ndarray:
    """Compute x times the logistic function of x."""
    return x * expit(x)


def image_gradients(pixels: np.ndarray) -> np.ndarray:
    """Compute mean colours and gradients (704,) of one picture; see `lib.models.gradients`."""
    gray = np.pad(pixels.mean(axis=2), 1, mode="edge")
    across = gray[1:-1, 2:] - gray[1:-1, :-2]
    down = gray[2:, 1:-1] - gray[:-2, 1:-1]
    angles = (2 * np.pi / ORIENTATIONS * np.arange(ORIENTATIONS)).astype(np.float32)
    along = across[..., None] * np.cos(angles) + down[..., None] * np.sin(angles)
    outside = np.hypot(across, down) * np.cos(angles[1])
    votes = np.maximum(along - outside[..., None], 0)
    return np.concatenate([_cell_means(pixels), np.sqrt(_cell_means(votes))])


def _cell_means(maps: np.ndarray) -> np.ndarray:
    """Compute the means of (height, width, n) maps in an 8 x 8 grid of cells, (n * 8 * 8,)."""
    height, width, n = maps.shape
    cells = maps.reshape(GRID, height // GRID, GRID, width // GRID, n).mean(axis=(1, 3))
    return cells.transpose(2, 0, 1).ravel()
