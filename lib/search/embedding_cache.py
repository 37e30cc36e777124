"""Cache embeddings one chunk at a time, and continue a stopped run at the first missing chunk."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_count
from lib.core.paths import cache_dir
from lib.core.reading import cached_arrays
from lib.core.writing import atomic_path, optional_write, sha256_of

MANIFEST = "manifest.json"
FORMAT = 2
Progress = Callable[[int], None]


class HasIdentity(Protocol):
    """An encoder with an identity and methods `encode_<modality>(inputs) -> (n, dim)`."""

    identity: dict[str, str]


def embed(
    encoder: HasIdentity,
    inputs: Sequence,
    modality: str,
    *,
    corpus_checksum: str,
    side: str,
    folder: str | Path | None = None,
    chunk: int = 1024,
    progress: Progress | None = None,
) -> np.ndarray:
    """Encode a sequence, and reuse cached embeddings.

        key = SHA-256(identity, corpus checksum, side, modality, n, chunk)

    Each chunk is one sealed file that holds its key and position. A damaged chunk, or one in the
    place of another, is computed again; inputs of a cached chunk are not opened.

    Args:
        encoder: gives `identity` and `encode_image`, `encode_text` or `encode_video`.
        inputs: `n` images, texts or clips, sliced one chunk at a time.
        modality: `"image"`, `"text"` or `"video"`, the method of the encoder.
        corpus_checksum: checksum of the corpus of the inputs (`CaptionedMedia.checksum`).
        side: the sequence of the corpus, for example `"media"` or `"texts"`.
        folder: cache folder, `data/cache/embeddings` by default. It can be deleted at any time.
        chunk: inputs per file, and the largest loss of a stopped run.
        progress: called with the number of finished rows: cached ones first, then each chunk.

    Returns:
        float32 `(n, dim)`: results from the cache equal those without it to the last digit.
    """
    encode = getattr(encoder, f"encode_{modality}", None)
    if encode is None:
        methods = sorted(name for name in dir(encoder) if name.startswith("encode_"))
        raise RetrievalInputError(
            f"the encoder has no modality {modality!r}; it has"
            f" {', '.join(name.removeprefix('encode_') for name in methods)}"
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
    target = _prepared_folder(facts, folder)
    reported = 0

    def report(ready: int) -> None:
        nonlocal reported
        if progress is not None and ready > reported:
            progress(ready - reported)
        reported = ready

    def encode_rows(start: int, stop: int) -> dict[str, np.ndarray]:
        report(start)  # cached chunks count at once, or the estimate of the time left is too short
        name = f"the embeddings of inputs {start} to {stop - 1}"
        rows = as_embeddings(encode(inputs[start:stop]), name)
        if len(rows) != stop - start:
            raise RetrievalInputError(
                f"the encoder gave {len(rows)} rows for inputs {start} to {stop - 1}"
            )
        report(stop)
        return {"rows": rows}

    parts = []
    for start in range(0, n, chunk):
        stop = min(start + chunk, n)
        name = f"{start:09d}-{stop:09d}.npz"
        arrays = cached_arrays(
            target / name,
            lambda start=start, stop=stop: encode_rows(start, stop),
            f"{target.name}/{name}",
        )
        parts.append(arrays["rows"])
    report(n)
    return np.concatenate(parts)


def _prepared_folder(facts: dict, folder: str | Path | None) -> Path:
    """Make the folder of one sequence, with a manifest that describes its files."""
    root = cache_dir() / "embeddings" if folder is None else Path(folder)
    target = root / sha256_of(json.dumps(facts, sort_keys=True).encode())[:32]
    path = target / MANIFEST
    about = f"float32 embeddings of {facts['n']} inputs: {facts['modality']}, side {facts['side']}"
    content = (json.dumps({"about": about, **facts}, indent=1) + "\n").encode()
    if not path.is_file() or path.read_bytes() != content:
        with optional_write(), atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return target
