"""Embeddings that are computed once, kept a chunk at a time, and taken up again where a run was
stopped.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_count
from lib.core.paths import cache_dir
from lib.core.reading import cached_arrays, reading
from lib.core.writing import atomic_path, optional_write, sha256_of

MANIFEST = "manifest.json"
FORMAT = 2
Progress = Callable[[int], None]


class Encoder(Protocol):
    """What is asked of an encoder: its identity, and a method `encode_<modality>(inputs) -> (n,
    dim)`.
    """

    identity: dict[str, str]


def embed(
    encoder: Encoder,
    inputs: Sequence,
    modality: str,
    *,
    corpus_checksum: str,
    side: str,
    folder: str | Path | None = None,
    chunk: int = 1024,
    progress: Progress | None = None,
) -> np.ndarray:
    """The embeddings of a sequence, from the cache as far as they are there.

        key = SHA-256(identity, corpus checksum, side, modality, n, chunk)

    Each chunk is one sealed file that holds its key and place. A stopped run goes on at the first
    chunk that is missing; a damaged one, or one that lies in the place of another, is made again;
    inputs of a chunk that is there are not opened.

    Args:
        encoder: gives `identity` and `encode_image`, `encode_text` or `encode_video`.
        inputs: `n` pictures, texts or clips, sliced a chunk at a time.
        modality: `"image"`, `"text"`, `"video"`: which of its methods is asked.
        corpus_checksum: of the corpus that the inputs come from (`CaptionedMedia.checksum`).
        side: which of the corpus's sequences they are, for example `"media"` or `"texts"`.
        folder: where to keep them; `data/cache/embeddings` by default.
        chunk: inputs per file: what a stopped run loses at most.
        progress: called with the number of rows that are ready: those that were there, then each
            chunk.

    Returns:
        float32 `(n, dim)`. Kept as float32, since results from the cache must equal those without
        it to the last digit; int8 (`lib.metrics.geometry.to_int8`) would be a quarter of that, and
        is what artifacts store.

    Raises:
        RetrievalInputError: an encoder without that modality, no inputs, or rows that are not one
            finite vector for each input.

    Relations: `stored` lists what is there. Everything in `folder` can be deleted at any time.
    """
    encode = getattr(encoder, f"encode_{modality}", None)
    if encode is None:
        known = sorted(
            name.removeprefix("encode_") for name in dir(encoder) if name.startswith("encode_")
        )
        raise RetrievalInputError(
            f"the encoder has no modality {modality!r}; it has {', '.join(known)}"
        )
    chunk, n = check_count(chunk, "chunk"), len(inputs)
    if not n:
        raise RetrievalInputError(f"there are no inputs on side {side!r} to encode")
    facts = {
        "format": FORMAT,
        "identity": dict(encoder.identity),
        "corpus_checksum": corpus_checksum,
        "side": side,
        "modality": modality,
        "n": n,
        "chunk": chunk,
    }
    room = _room(facts, folder)

    told = 0

    def tell(ready: int) -> None:
        nonlocal told
        if progress is not None and ready > told:
            progress(ready - told)
        told = ready

    def made(start: int, stop: int) -> Callable[[], dict[str, np.ndarray]]:
        def make() -> dict[str, np.ndarray]:
            tell(
                start
            )  # chunks that were there count at once, or they would shorten the time that is left
            rows = _checked(encode(inputs[start:stop]), start, stop)
            tell(stop)
            return {"rows": rows}

        return make

    parts = []
    for start, stop in _spans(n, chunk):
        name = _name(start, stop)
        parts.append(cached_arrays(room / name, made(start, stop), f"{room.name}/{name}")["rows"])
    tell(n)
    return np.concatenate(parts)


def stored(folder: str | Path | None = None) -> list[dict]:
    """What the cache holds: of each sequence its facts, `rows` that are ready, `bytes`, and its
    `folder`.
    """
    found = []
    for path in sorted(_root(folder).glob(f"*/{MANIFEST}")):
        with reading(path, "no manifest of embeddings", "Delete its folder"):
            facts = json.loads(path.read_text(encoding="utf-8"))
            n, chunk = facts["n"], facts["chunk"]
            if not (
                isinstance(n, int)
                and isinstance(chunk, int)
                and chunk > 0
                and 0 < n <= 10**7 * chunk
            ):
                raise ValueError(f"n and chunk are {n!r:.40} and {chunk!r:.40}")
        spans = _spans(n, chunk)
        ready = [span for span in spans if (path.parent / _name(*span)).is_file()]
        size = sum((path.parent / _name(*span)).stat().st_size for span in ready)
        rows = sum(stop - start for start, stop in ready)
        found.append({**facts, "rows": rows, "bytes": size, "folder": path.parent})
    return found


def _room(facts: dict, folder: str | Path | None) -> Path:
    """The folder of one sequence, with a manifest that says in words what its files hold."""
    text = json.dumps(facts, sort_keys=True)
    room = _root(folder) / sha256_of(text.encode())[:32]
    path = room / MANIFEST
    about = f"float32 embeddings of {facts['n']} inputs: {facts['modality']}, side {facts['side']}"
    content = (json.dumps({"about": about, **facts}, indent=1) + "\n").encode()
    if not path.is_file() or path.read_bytes() != content:
        with optional_write(), atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return room


def _root(folder: str | Path | None) -> Path:
    return cache_dir() / "embeddings" if folder is None else Path(folder)


def _spans(n: int, chunk: int) -> list[tuple[int, int]]:
    return [(start, min(start + chunk, n)) for start in range(0, n, chunk)]


def _name(start: int, stop: int) -> str:
    return f"{start:09d}-{stop:09d}.npz"


def _checked(rows, start: int, stop: int) -> np.ndarray:
    rows = as_embeddings(rows, f"the embeddings of inputs {start} to {stop - 1}")
    if len(rows) != stop - start:
        raise RetrievalInputError(
            f"the encoder gave {len(rows)} rows for inputs {start} to {stop - 1}"
        )
    return rows
