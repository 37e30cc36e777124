"""Measure the streaming of shards of pictures through the small scenes model."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lib.core.checks import check_count
from lib.datasets import scenes
from lib.datasets.laion.shards import Shard
from lib.datasets.miniatures.laion import cut, write_shard
from lib.search.shard_encoding import Encoder, encode_shards
from lib.studies.peers.harness import Arrays, Job, highest_resident, measure_alone

MODEL = "scenes"
SHOWN = (
    "shards links:, pairs:, lost:, damaged encoded_again seconds:.1f pictures_per_s:,.0f"
    " memory_mb:,.0f peak_mb:,.0f"
)


def write_shards(folder: str | Path, n_shards: int = 10, per_shard: int = 1_000) -> list[Path]:
    """Write shards of test scenes with their full captions; the middle one ends halfway."""
    n_shards, per_shard = check_count(n_shards, "n_shards"), check_count(per_shard, "per_shard")
    chunks = scenes.iter_chunks("test", n_shards * per_shard, chunk=per_shard)
    paths = [
        write_shard(folder, number, pictures, [five[0] for five in scenes.captions(batch)])
        for number, (pictures, batch) in enumerate(chunks)
    ]
    middle = paths[n_shards // 2]
    cut(middle, middle.stat().st_size // 2)
    return paths


def shard_throughput_table(
    n_shards: int = 10,
    per_shard: int = 1_000,
    *,
    progress: Callable[[str], None] = lambda step: None,
) -> list[dict]:
    """Measure the embedding of shards, one of them cut, in a new process with one thread.

    Returns:
        One row: shards, links, pairs (encoded), lost (links of the cut shard without a whole
        sample), damaged (shards), encoded_again (shards that a second pass over the finished ones
        encodes; 0 is right), seconds (processor time, decoding included), pictures_per_s, memory_mb
        (10^6 bytes above the process with the model loaded and warm) and peak_mb (of the whole
        process).
    """
    with tempfile.TemporaryDirectory() as folder:
        progress("writing shards")
        paths = write_shards(folder, n_shards, per_shard)
        links = sum(Shard(path).successes for path in paths)
        progress("streaming them in a process of its own, one thread")
        arrays = {"paths": np.array([str(path) for path in paths])}
        cost = measure_alone(__name__, "stream", arrays, repeats=1)
    pairs, damaged, encoded_again, peak = (
        round(cost.values[name]) for name in ("pairs", "damaged", "encoded_again", "peak_bytes")
    )
    row = {"shards": len(paths), "links": links, "pairs": pairs, "lost": links - pairs}
    row |= {"damaged": damaged, "encoded_again": encoded_again, "seconds": cost.run[0]}
    row |= {"pictures_per_s": pairs / cost.run[0]}
    return [row | {"memory_mb": cost.memory / 1e6, "peak_mb": peak / 1e6}]


def _load(arrays: Arrays) -> tuple[Encoder, list[Path]]:
    from lib.models.encoder import load_encoder  # torch, in the process that measures alone

    return load_encoder(MODEL), [Path(str(path)) for path in arrays["paths"]]


def _stream(prepared: tuple[Encoder, list[Path]]) -> dict[str, float]:
    encoder, paths = prepared
    with tempfile.TemporaryDirectory() as out:
        report = encode_shards(encoder, paths, out)
        again = encode_shards(encoder, paths, out)
    return {
        "pairs": report.rows,
        "damaged": sum(bool(result.problems) for result in report.shards),
        "encoded_again": len(again.encoded_now),
        "peak_bytes": highest_resident(),
    }


JOBS = {"stream": Job(_load, _stream, lambda arrays: {"paths": arrays["paths"][:1]}, ("paths",))}
