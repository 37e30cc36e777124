"""Encode the shards of a large corpus, one batch at a time, and continue after a stop."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lib.core.checks import RetrievalInputError, as_embeddings, check_count
from lib.core.reading import DamagedFileError, MissingFileError, verify
from lib.core.writing import atomic_path, remove_leftovers, sha256_of, write_checksum
from lib.datasets.laion.shards import SHOWN, Sample, Shard
from lib.datasets.media.pictures import MAX_PIXELS

IMAGES_ONLY = "images_only"  # in a record; older ones are of pairs
METADATA = pa.schema([("key", pa.string()), ("caption", pa.string()), ("url", pa.string())])


class Encoder(Protocol):
    """An encoder of images and texts, as `lib.models.encoder.load_encoder` returns."""

    dim: int
    identity: Mapping[str, str]  # everything that decides an embedding

    def encode_image(self, pictures: Sequence[Image.Image]) -> np.ndarray: ...

    def encode_text(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class ShardResult:
    """The result of one shard.

    Args:
        shard: file name of the tar.
        rows: samples with an embedding of image and text, or of the image alone.
        left_out: (key, reason) of samples that could not be used.
        problems: problems of the shard's files, in words; empty if there are none.
        encoded_now: False when an earlier run had finished it.
        images_only: whether the captions were left aside.
    """

    shard: str
    rows: int
    left_out: tuple[tuple[str, str], ...]
    problems: str
    encoded_now: bool
    images_only: bool = False

    @classmethod
    def of_record(cls, record: dict, encoded_now: bool) -> "ShardResult":
        left_out = tuple((key, reason) for key, reason in record["left_out"])
        facts = record["shard"], record["rows"], left_out, record["problems"]
        return cls(*facts, encoded_now, record.get(IMAGES_ONLY, False))

    def describe(self) -> str:
        """Describe the shard in one line, and each problem in one more."""
        state = "encoded" if self.encoded_now else "finished before"
        kind = "images" if self.images_only else "pairs"
        lines = [f"{self.shard}: {state}, {self.rows:,} {kind}, {len(self.left_out):,} left out"]
        lines += [f"  left out {key}: {reason}" for key, reason in self.left_out[:SHOWN]]
        if len(self.left_out) > SHOWN:
            lines.append(f"  left out {len(self.left_out) - SHOWN:,} more; the record names them")
        if self.problems:
            lines.append(f"  {self.problems}")
        return "\n".join(lines)


@dataclass(frozen=True)
class EncodingReport:
    """The results of all shards, in their order."""

    shards: tuple[ShardResult, ...]

    @property
    def rows(self) -> int:
        return sum(result.rows for result in self.shards)

    @property
    def encoded_now(self) -> tuple[str, ...]:
        """Names of the shards that this run encoded; the others were finished before."""
        return tuple(result.shard for result in self.shards if result.encoded_now)

    @property
    def without_caption(self) -> int:
        """Number of samples that were left out because they have no caption."""
        reasons = [reason for result in self.shards for _, reason in result.left_out]
        return sum("lacks a caption" in reason or "is blank" in reason for reason in reasons)

    def describe(self) -> str:
        """Describe all shards in one line."""
        left_out = sum(len(result.left_out) for result in self.shards)
        damaged = sum(bool(result.problems) for result in self.shards)
        kind = "images" if any(result.images_only for result in self.shards) else "pairs"
        return (
            f"{self.rows:,} {kind} in {len(self.shards):,} shards, {len(self.encoded_now):,}"
            f" encoded now; {left_out:,} samples left out, {damaged:,} shards with problems"
        )


def encode_shards(
    encoder: Encoder,
    shards: Sequence[str | Path],
    out: str | Path,
    *,
    batch_size: int = 64,
    max_pixels: int = MAX_PIXELS,
    images_only: bool = False,
    progress: Callable[[int], None] = lambda n: None,
    shards_done: Callable[[int, int], None] = lambda done, total: None,
    log: Callable[[str], None] = lambda line: None,
) -> EncodingReport:
    """Encode images and captions of shards into the files that clip-retrieval writes.

        out/img_emb_00000.npy        float16 (n, dim)
        out/text_emb_00000.npy       float16 (n, dim), in the same order
        out/metadata_00000.parquet   key, caption, url, in the same order
        out/record_00000.json        shard and encoder; written last, sealed

    A shard with a record is finished; a stopped run continues with the first shard without one. A
    finished shard is encoded again if it changed (another size or time, and another SHA-256), or if
    one of its files is damaged or missing. Records of another encoder are an error: rows of two
    spaces in one folder would be compared with each other.

    Memory: a batch of images, the table of a shard, and its embeddings in float16. For a corpus
    that is evaluated, `embedding_cache.embed` is simpler.

    Args:
        encoder: gives unit rows for images and for texts.
        shards: tar files with different names.
        out: folder of the results.
        batch_size: samples to read, decode and encode together.
        max_pixels: a larger image is left out, and reported.
        images_only: encode all images, with or without a caption, and no text: there are no
            `text_emb` files, and the metadata has the captions that exist. False encodes pairs, and
            leaves out and reports an image without a caption.
        progress: called with the number of samples after each batch.
        shards_done: called with the numbers of finished and of all shards, before the first that is
            encoded and after each.
        log: receives the lines of each finished shard.

    Returns:
        `EncodingReport`. Damaged shards give their undamaged samples, and report the problems.
    """
    check_count(batch_size, "batch_size")
    paths = [Path(path) for path in shards]
    for path in paths:
        if not path.is_file():
            raise MissingFileError(f"the shard {path} is missing")
    # If all shards are finished, no writer would remove the leftovers of a killed one.
    remove_leftovers(Path(out))
    sets = {path.stem: ShardFiles(Path(out), path.stem) for path in paths}
    if len(sets) < len(paths):
        raise RetrievalInputError(
            "two shards have one file name; encode their folders to different places"
        )
    for files in sets.values():  # before hours of work, not after
        files.check_record(encoder.identity, images_only)
    results = []
    for number, path in enumerate(paths):
        files = sets[path.stem]
        record, reason = files.finished_record(path, images_only)
        encoded_now = record is None
        if encoded_now:
            if reason:
                log(f"{path.name}: encoding again, {reason}")
            shards_done(number, len(paths))
            options = batch_size, max_pixels, images_only, progress
            record = _encode_shard(encoder, path, files, *options)
        results.append(ShardResult.of_record(record, encoded_now))
        log(results[-1].describe())
    shards_done(len(paths), len(paths))
    return EncodingReport(tuple(results))


def _encode_shard(
    encoder: Encoder,
    path: Path,
    files: "ShardFiles",
    batch_size: int,
    max_pixels: int,
    images_only: bool,
    progress: Callable[[int], None],
) -> dict:
    source = shard_source(path)  # before reading, to notice a file that changes meanwhile
    shard = Shard(path)
    empty = np.empty((0, encoder.dim), np.float16)
    images, texts, rows, left_out = [empty], [empty], [], []
    for batch in _batches(shard, batch_size, max_pixels, images_only, left_out):
        pictures, described = [picture for _, picture in batch], [row for row, _ in batch]
        try:
            images.append(_half_rows(encoder.encode_image(pictures), encoder.dim, len(batch)))
            if not images_only:
                captions = [row["caption"] for row in described]
                texts.append(_half_rows(encoder.encode_text(captions), encoder.dim, len(batch)))
        except RetrievalInputError as error:
            first, last = described[0]["key"], described[-1]["key"]
            raise RetrievalInputError(f"{path.name}, samples {first} to {last}: {error}") from error
        rows += described
        progress(len(batch))
    record = source | {
        "encoder": dict(encoder.identity),
        "rows": len(rows),
        "left_out": left_out,
        "problems": "" if shard.report.ok else shard.report.text(),
        IMAGES_ONLY: images_only,
    }
    all_texts = None if images_only else np.concatenate(texts)
    files.write(np.concatenate(images), all_texts, rows, record)
    return record


def _batches(
    shard: Shard,
    batch_size: int,
    max_pixels: int,
    images_only: bool,
    left_out: list[tuple[str, str]],
) -> Iterator[list[tuple[dict, Image.Image]]]:
    """Yield rows of the metadata with their images; unusable samples go to `left_out`."""
    batch = []
    for sample, row in shard:
        try:
            url = sample.url() if row is None else row.url
            caption = _caption_if_any(sample) if images_only else sample.caption()
            described = {"key": sample.key, "caption": caption, "url": url}
            batch.append((described, sample.picture(max_pixels)))
        except (DamagedFileError, RetrievalInputError) as error:
            left_out.append((sample.key, str(error)))
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _caption_if_any(sample: Sample) -> str | None:
    try:
        return sample.caption()
    except DamagedFileError:
        return None


def _half_rows(rows: np.ndarray, dim: int, n: int) -> np.ndarray:
    rows = as_embeddings(rows, "the encoder's rows", dim=dim)
    if len(rows) != n:
        raise RetrievalInputError(f"the encoder gave {len(rows)} rows for {n} inputs")
    return rows.astype(np.float16)


def shard_source(path: Path) -> dict:
    """Return what identifies a shard: name, size, time, SHA-256."""
    stat = path.stat()
    return {
        "shard": path.name,
        "bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "sha256": sha256_of(path),
    }


class ShardFiles:
    """Write and check the four files of one shard; the record comes last and is sealed."""

    def __init__(self, out: Path, stem: str) -> None:
        self.images, self.texts = out / f"img_emb_{stem}.npy", out / f"text_emb_{stem}.npy"
        self.metadata, self.record = out / f"metadata_{stem}.parquet", out / f"record_{stem}.json"

    def write(
        self, images: np.ndarray, texts: np.ndarray | None, rows: list[dict], record: dict
    ) -> None:
        """Write arrays, rows and record, each whole or not at all."""
        arrays = (
            {self.images: images} if texts is None else {self.images: images, self.texts: texts}
        )
        for path, array in arrays.items():
            with atomic_path(path) as temporary:
                np.save(temporary, array, allow_pickle=False)
        with atomic_path(self.metadata) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, METADATA), temporary)
        digests = {path.name: sha256_of(path) for path in (*arrays, self.metadata)}
        text = json.dumps(record | {"files": digests}, indent=1) + "\n"
        with atomic_path(self.record) as temporary:
            temporary.write_text(text, encoding="utf-8")
        write_checksum(self.record)

    def _read_record(self) -> dict:
        verify(self.record, rebuild="The shard is encoded again.")
        return json.loads(self.record.read_text(encoding="utf-8"))

    def check_record(self, identity: Mapping[str, str], images_only: bool = False) -> None:
        """Refuse a record of another encoder, or of pairs where images alone are encoded."""
        try:
            record = self._read_record()
            recorded, n_rows = record["encoder"], record["rows"]
            was_images_only = record.get(IMAGES_ONLY, False)
        except (OSError, ValueError, LookupError, TypeError):
            return
        for field in sorted(identity.keys() | recorded.keys()):
            if identity.get(field) != recorded.get(field):
                raise RetrievalInputError(
                    f"{self.record} is of another encoder: its {field} is {recorded.get(field)!r},"
                    f" this one's is {identity.get(field)!r}. Choose another folder, or delete that"
                    " one"
                )
        if n_rows and was_images_only != images_only:
            kinds = ("images alone", "pairs")[:: 1 if was_images_only else -1]
            raise RetrievalInputError(
                f"{self.record} is of {kinds[0]}, this run encodes {kinds[1]}. Choose another"
                " folder, or delete that one"
            )

    def finished_record(self, path: Path, images_only: bool = False) -> tuple[dict | None, str]:
        """Return the record if all its files are intact; otherwise None and the reason, if any."""
        if not self.record.exists():
            return None, ""
        try:
            record = self._read_record()
            for name, digest in record["files"].items():
                if sha256_of(self.record.with_name(name)) != digest:
                    return None, f"{name} is damaged"
            if record.get(IMAGES_ONLY, False) != images_only:  # it has no rows, see check_record
                return None, "it was empty"
            stat = path.stat()
            same = (record["bytes"], record["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
            if not (same or record["sha256"] == sha256_of(path)):
                return None, "the shard changed"
        # A record of other contents raises any of these.
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            return None, f"{self.record.name} cannot be used: {error}"
        return record, ""
