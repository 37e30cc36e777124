"""Features made by hand: what pixels and letters give before anything is learnt."""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError, check_count
from lib.models.tokenizer import words_of

ORIENTATIONS = 8
GRID = 8


def gradient_features(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients on an 8 x 8 grid, beside the mean colour of each cell.

    Each pixel votes for the two of eight directions that are nearest to its gradient g, by

        [ |g| cos(angle between them) - |g| cos 45 ]_+

    and a cell's entry is the root of its mean vote, so that one bold edge does not drown the thin
    ones.

    Args:
        images: uint8 (n, height, width), or (n, height, width, channels); sides that 8 divides.

    Returns:
        float32 (n, 64 * (8 + channels)).

    Raises:
        RetrievalInputError: another dtype or number of axes, or sides that 8 does not divide.

    Reference: N. Dalal, B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise RetrievalInputError(
            "images must be uint8 (n, height, width) or (n, height, width, channels), got"
            f" {images.dtype} {images.shape}"
        )
    if images.shape[1] % GRID or images.shape[2] % GRID:
        raise RetrievalInputError(
            f"images of {images.shape[1:3]} do not divide into {GRID} x {GRID} cells"
        )
    out = [_gradients(images[start : start + 256]) for start in range(0, len(images), 256)]
    channels = 1 if images.ndim == 3 else images.shape[3]
    return (
        np.concatenate(out)
        if out
        else np.empty((0, GRID**2 * (ORIENTATIONS + channels)), np.float32)
    )


def _gradients(images: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(np.require(images, requirements=["C", "W"])).float() / 255
    pixels = (
        pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    )  # (n, channels, H, W)
    gray = F.pad(pixels.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = gray[..., 1:-1, 2:] - gray[..., 1:-1, :-2]
    down = gray[..., 2:, 1:-1] - gray[..., :-2, 1:-1]
    outside = torch.hypot(across, down) * math.cos(2 * math.pi / ORIENTATIONS)
    cells = [F.adaptive_avg_pool2d(pixels, GRID)]
    for k in range(ORIENTATIONS):
        angle = 2 * math.pi * k / ORIENTATIONS
        votes = (across * math.cos(angle) + down * math.sin(angle)).sub_(outside).relu_()
        cells.append(F.adaptive_avg_pool2d(votes, GRID).sqrt())
    return torch.cat(cells, dim=1).flatten(1).numpy()


def hashed_text_features(texts: Sequence[str], dim: int = 2048) -> np.ndarray:
    """Words, pairs of neighbouring words and letter triples of each text, hashed into a fixed
    width.

    Every piece goes to one coordinate with one sign, both decided by its CRC-32, and rows have
    length 1. Letter triples make `clocks` similar to `clock`; pairs tell `left of` from `of left`.

    Args:
        texts: strings.
        dim: coordinates.

    Returns:
        float32 (len(texts), dim), unit rows; zero where a text has no letter or digit.

    Reference: K. Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML 2009.
    """
    dim = check_count(dim, "dim")
    _check_texts(texts)
    rows = np.zeros((len(texts), dim), np.float32)
    known: dict[str, list[tuple[int, int]]] = {}
    for row, text in zip(rows, texts, strict=True):
        words = words_of(text)
        for piece in (*words, *(f"{a} {b}" for a, b in zip(words, words[1:], strict=False))):
            if piece not in known:
                known[piece] = [_place(part, dim) for part in _parts(piece)]
            for at, sign in known[piece]:
                row[at] += sign
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def hashed_parts(texts: Sequence[str], dim: int, *, words: int = 8, parts: int = 40) -> np.ndarray:
    """Coordinates of the pieces that `hashed_text_features` counts, for each text and for each of
    its words.

    Args:
        texts: strings.
        dim: coordinates.
        words: most words of a text that get a row of their own; the whole has all of them.
        parts: most pieces of a row; what is longer is cut.

    Returns:
        int64 (len(texts), 1 + words, parts): row 0 the whole text with its pairs of neighbouring
        words, row i its word i; 1 + coordinate, and 0 where there is no piece. Unlike in
        `hashed_text_features` there is no sign: a learnt vector per coordinate has one.

    Raises:
        RetrievalInputError: not a list of strings, or a text without a letter or digit.
    """
    check_count(dim, "dim")
    _check_texts(texts)
    ids = np.zeros((len(texts), 1 + words, parts), np.int64)
    known: dict[str, list[int]] = {}
    for text, (whole, *single) in zip(texts, ids, strict=True):
        found = words_of(text)
        if not found:
            raise RetrievalInputError(f"{text!r} holds no letter or digit. Type at least one word")
        pairs = [f"{a} {b}" for a, b in zip(found, found[1:], strict=False)]
        for piece in (*found, *pairs):
            if piece not in known:
                known[piece] = [1 + _place(part, dim)[0] for part in _parts(piece)]
        every = [at for piece in (*found, *pairs) for at in known[piece]][:parts]
        whole[: len(every)] = every
        for row, word in zip(single, found, strict=False):
            row[: len(known[word][:parts])] = known[word][:parts]
    return ids


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise RetrievalInputError("texts must be a list of strings")


def _parts(piece: str) -> list[str]:
    if " " in piece:
        return [piece]
    bounded = f"<{piece}>"
    return [
        piece,
        *(bounded[i : i + 3] for i in range(len(bounded) - 2) if bounded[i : i + 3] != piece),
    ]


def _place(part: str, dim: int) -> tuple[int, int]:
    code = zlib.crc32(part.encode())
    return code % dim, 1 if code >> 31 else -1
