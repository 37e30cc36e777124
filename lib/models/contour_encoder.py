"""A contour encoder: windows of a melody, written or hummed, as unit vectors of one space.

A small network of one-dimensional convolutions reads the pitch of 80 frames, which divide a window
of any length, and whether a note sounds in them. Hums and tunes go through the same weights.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError, as_array, check_count

KIND = "contour_encoder"
FRAMES = 80
RANGE = 18.0  # semitones from the median; beyond it a pitch counts as at the end of the range
UNIT = 6.0  # semitones that are 1 to the network
CONFIG = {"embed_dim": 64, "channels": 1, "widths": [48, 64, 96, 128], "positions": 32}


def contour_input(pitches: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Turn pitches into what the network reads: no key, and a flag for silence.

        x_0t = clip(p_t - median of p, -18, 18) / 6,   x_1t = 1 where a note sounds, else 0

    Args:
        pitches: `(n, frames)` semitones, finite; a silent frame holds the pitch before it.
        voiced: bool `(n, frames)`.

    Returns:
        float32 `(n, 2, frames)`.
    """
    pitches, voiced = as_array(pitches, "pitches"), as_array(voiced, "voiced")
    if pitches.ndim != 2 or pitches.shape != voiced.shape:
        raise RetrievalInputError(
            f"pitches and voiced must both be (n, frames), got {pitches.shape} and {voiced.shape}"
        )
    if not np.isfinite(pitches).all():
        raise RetrievalInputError("pitches must be finite; hold the pitch before a silent frame")
    relative = pitches - np.median(pitches, axis=1, keepdims=True)
    relative = np.clip(relative, -RANGE, RANGE) / UNIT
    return np.stack([relative, voiced], axis=1).astype(np.float32)


class _Residual(nn.Module):
    """x + norm(conv(gelu(x))): one convolution that keeps the shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 5, padding=2, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(F.gelu(x)))


class ContourNetwork(nn.Module):
    """Convolutions over time, then one linear map of all positions: order is kept.

    80 frames become 40, 20 and 10 positions; each of the 10 is narrowed to `positions` numbers.

    Args:
        config: `embed_dim`, `widths` of the four convolutions, `positions`.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        widths = config["widths"]
        layers: list[nn.Module] = []
        sizes = ((7, 2), (5, 1), (5, 2), (3, 2))  # length and stride of each filter
        for before, width, (size, stride) in zip([2, *widths], widths, sizes, strict=False):
            layers += [
                nn.Conv1d(before, width, size, stride, padding=size // 2, bias=False),
                nn.BatchNorm1d(width),
            ]
            layers.append(_Residual(width) if (size, stride) == (5, 2) else nn.Identity())
            layers.append(nn.GELU())
        self.layers = nn.Sequential(*layers)
        self.narrow = nn.Conv1d(widths[-1], config["positions"], 1)
        self.head = nn.Linear(config["positions"] * (FRAMES // 8), config["embed_dim"])
        self.logit_scale = nn.Parameter(torch.tensor(math.log(20.0)))

    def forward(self, contours: Tensor) -> Tensor:
        """Encode `(n, 2, 80)` as `(n, embed_dim)`, not normalised."""
        return self.head(F.gelu(self.narrow(self.layers(contours))).flatten(1))


class ContourEncoder:
    """Encode contours as unit vectors; config and network, as `save_model` stores them.

    Args:
        config: `name`, `kind` "contour_encoder", and the sizes of `ContourNetwork`.
        network: a network with these sizes; an untrained one by default.
    """

    def __init__(self, config: dict, network: ContourNetwork | None = None) -> None:
        check_count(config["embed_dim"], "embed_dim")
        self.config = config
        self.network = ContourNetwork(config) if network is None else network

    @property
    def dim(self) -> int:
        return self.config["embed_dim"]

    @torch.inference_mode()
    def encode(
        self, pitches: np.ndarray, voiced: np.ndarray, *, batch_size: int = 1024
    ) -> np.ndarray:
        """Encode contours of 80 frames.

        Args:
            pitches, voiced: `(n, 80)`, see `contour_input`.
            batch_size: contours at a time.

        Returns:
            float32 `(n, dim)`, rows of length 1.
        """
        check_count(batch_size, "batch_size")
        contours = contour_input(pitches, voiced)
        if contours.shape[2] != FRAMES:
            raise RetrievalInputError(
                f"contours must have {FRAMES} frames, got {contours.shape[2]}"
            )
        self.network.eval()
        device = next(self.network.parameters()).device
        result = np.empty((len(contours), self.dim), np.float32)
        for start in range(0, len(contours), batch_size):
            chunk = torch.from_numpy(contours[start : start + batch_size])
            vectors = self.network(chunk.to(device))
            result[start : start + batch_size] = F.normalize(vectors, dim=1).cpu().numpy()
        return result
