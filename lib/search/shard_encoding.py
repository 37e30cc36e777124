"""Encode the shards of a large corpus, a batch at a time, and resume after a stop."""

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
from lib.datasets.laion.shards import SHOWN, Shard
from lib.datasets.media.pictures import MAX_PIXELS

METADATA = pa.schema([("key", pa.string()), ("caption", pa.string()), ("url", pa.string())])


def source_of(path: Path) -> dict:
    """What tells a shard from another: name, size, time, SHA-256."""
    stat = path.stat()
    return {
        "shard": path.name,
        "bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "sha256": sha256_of(path),
    }


class FileSet:
    """The four files of one shard in the folder of results; the record is written last and
    sealed.
    """

    def __init__(self, out: Path, stem: str) -> None:
        self.images, self.texts = out / f"img_emb_{stem}.npy", out / f"text_emb_{stem}.npy"
        self.metadata, self.record = out / f"metadata_{stem}.parquet", out / f"record_{stem}.json"

    def write(self, images: np.ndarray, texts: np.ndarray, rows: list[dict], record: dict) -> None:
        """Writes arrays, rows and record, each whole or not at all."""
        for path, array in ((self.images, images), (self.texts, texts)):
            with atomic_path(path) as temporary:
                np.save(temporary, array, allow_pickle=False)
        with atomic_path(self.metadata) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, METADATA), temporary)
        digests = {path.name: sha256_of(path) for path in (self.images, self.texts, self.metadata)}
        with atomic_path(self.record) as temporary:
            temporary.write_text(
                json.dumps(record | {"files": digests}, indent=1) + "\n", encoding="utf-8"
            )
        write_checksum(self.record)

    def _read(self) -> dict:
        verify(self.record, rebuild="The shard is encoded again.")
        return json.loads(self.record.read_text(encoding="utf-8"))

    def check_encoder(self, identity: Mapping[str, str]) -> None:
        """Refuses a record that was made by another encoder."""
        try:
            theirs = self._read()["encoder"]
        except (OSError, ValueError, LookupError, TypeError):
            return
        ours = dict(identity)
        for field in sorted(ours.keys() | theirs.keys()):
            if ours.get(field) != theirs.get(field):
                raise RetrievalInputError(
                    f"{self.record} is of another encoder: its {field} is {theirs.get(field)!r},"
                    f" this one's is {ours.get(field)!r}. Choose another folder, or delete that one"
                )

    def finished(self, path: Path) -> tuple[dict | None, str]:
        """The record if everything it names is as it says; otherwise None, and why if there was
        one.
        """
        if not self.record.exists():
            return None, ""
        try:
            record = self._read()
            for name, digest in record["files"].items():
                if sha256_of(self.record.with_name(name)) != digest:
                    return None, f"{name} is damaged"
            stat = path.stat()
            same = (record["bytes"], record["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
            if not (same or record["sha256"] == sha256_of(path)):
                return None, "the shard changed"
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:  # a record of other contents, too
            return None, f"{self.record.name} cannot be used: {error}"
        return record, ""


class Encoder(Protocol):
    """What is needed of a model; `lib.models.encoder.load_encoder` gives such."""

    dim: int
    identity: Mapping[str, str]  # what decides an embedding

    def encode_image(self, pictures: Sequence[Image.Image]) -> np.ndarray: ...

    def encode_text(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class ShardResult:
    """What became of one shard.

    Args:
        shard: file name of the tar.
        rows: samples that have an embedding of picture and of text.
        left_out: (key, why) of samples that were read but could not be used.
        problems: what is wrong with the shard's files, in words; empty if nothing is.
        encoded_now: False when an earlier run had finished it.
    """

    shard: str
    rows: int
    left_out: tuple[tuple[str, str], ...]
    problems: str
    encoded_now: bool

    def text(self) -> str:
        """A line, and one more for everything that is wrong."""
        state = "encoded" if self.encoded_now else "finished before"
        lines = [f"{self.shard}: {state}, {self.rows:,} pairs, {len(self.left_out):,} left out"]
        lines += [f"  left out {key}: {why}" for key, why in self.left_out[:SHOWN]]
        if len(self.left_out) > SHOWN:
            lines.append(f"  left out {len(self.left_out) - SHOWN:,} more; the record names them")
        return "\n".join([*lines, *([f"  {self.problems}"] if self.problems else [])])


@dataclass(frozen=True)
class EncodingReport:
    """The results of all shards, in the order given."""

    shards: tuple[ShardResult, ...]

    @property
    def rows(self) -> int:
        return sum(result.rows for result in self.shards)

    @property
    def encoded_now(self) -> tuple[str, ...]:
        """Names of the shards that this run encoded; the others were finished."""
        return tuple(result.shard for result in self.shards if result.encoded_now)

    def text(self) -> str:
        """One line."""
        left_out = sum(len(result.left_out) for result in self.shards)
        damaged = sum(bool(result.problems) for result in self.shards)
        return (
            f"{self.rows:,} pairs in {len(self.shards):,} shards, {len(self.encoded_now):,} encoded"
            f" now; {left_out:,} samples left out, {damaged:,} shards with problems"
        )


def encode_shards(
    encoder: Encoder,
    shards: Sequence[str | Path],
    out: str | Path,
    *,
    batch_size: int = 64,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int], None] = lambda n: None,
    shards_done: Callable[[int, int], None] = lambda done, of: None,
    log: Callable[[str], None] = lambda line: None,
) -> EncodingReport:
    """Embeds pictures and captions of shards, in the files that clip-retrieval writes, one set per
    shard.

        out/img_emb_00000.npy        float16 (n, dim)
        out/text_emb_00000.npy       float16 (n, dim), in step
        out/metadata_00000.parquet   key, caption, url, in step
        out/record_00000.json        what was encoded with what; written last, sealed

    A shard is finished when its record is there. A run that was killed goes on with the first shard
    that has none. Memory: a batch of pictures, the table of a shard, and its embeddings in float16.

    A finished shard is encoded again when it changed (another size or time, and another SHA-256),
    or when a file of its set is damaged or missing. Records of another encoder are refused: rows of
    two spaces in one folder would be compared with each other.

    Args:
        encoder: gives unit rows for pictures and for texts.
        shards: tar files with different names.
        out: folder of the results.
        batch_size: samples read, decoded and encoded together.
        max_pixels: a larger picture is left out, and reported.
        progress: called with the number of samples encoded after each batch.
        shards_done: called with how many of how many shards are done, before the first that is
            encoded and after each.
        log: takes the lines of each shard when it is done.

    Returns:
        `EncodingReport`. Damaged shards give their whole samples, and say what is wrong.

    Raises:
        MissingFileError: a shard is not there.
        RetrievalInputError: two shards of one name, records of another encoder, a batch that the
            encoder refuses (the message names shard and keys).

    Relations: `Shard` says which samples there are. `embedding_cache.embed` keeps embeddings of a
    corpus that is evaluated; this is for corpora of which not even the list of samples fits.
    """
    check_count(batch_size, "batch_size")
    paths = [Path(path) for path in shards]
    for path in paths:
        if not path.is_file():
            raise MissingFileError(f"the shard {path} is missing")
    remove_leftovers(
        Path(out)
    )  # where all is done nothing is written, and no writer would clean up behind a killed one
    sets = {path.stem: FileSet(Path(out), path.stem) for path in paths}
    if len(sets) < len(paths):
        raise RetrievalInputError(
            "two shards have one file name; encode their folders to different places"
        )
    for files in sets.values():  # before hours of work, not after
        files.check_encoder(encoder.identity)
    results = []
    for number, path in enumerate(paths):
        files = sets[path.stem]
        record, reason = files.finished(path)
        if record is None:
            if reason:
                log(f"{path.name}: encoding again, {reason}")
            shards_done(number, len(paths))
            record = _encode(encoder, path, files, batch_size, max_pixels, progress)
            results.append(_result(record, encoded_now=True))
        else:
            results.append(_result(record, encoded_now=False))
        log(results[-1].text())
    shards_done(len(paths), len(paths))
    return EncodingReport(tuple(results))


def _result(record: dict, encoded_now: bool) -> ShardResult:
    left_out = tuple((key, why) for key, why in record["left_out"])
    return ShardResult(record["shard"], record["rows"], left_out, record["problems"], encoded_now)


def _encode(
    encoder: Encoder,
    path: Path,
    files: FileSet,
    batch_size: int,
    max_pixels: int,
    progress: Callable[[int], None],
) -> dict:
    shard = Shard(path)
    images, texts, rows, left_out = [], [], [], []
    source = source_of(
        path
    )  # before it is read: a file that changes meanwhile is seen to have changed
    for batch in _batches(shard, batch_size, max_pixels, left_out):
        pictures, described = [picture for _, picture in batch], [row for row, _ in batch]
        try:
            images.append(_half(encoder.encode_image(pictures), encoder.dim, len(batch)))
            captions = [row["caption"] for row in described]
            texts.append(_half(encoder.encode_text(captions), encoder.dim, len(batch)))
        except RetrievalInputError as error:
            first, last = described[0]["key"], described[-1]["key"]
            raise RetrievalInputError(f"{path.name}, samples {first} to {last}: {error}") from error
        rows += described
        progress(len(batch))
    nothing = np.empty((0, encoder.dim), np.float16)
    record = source | {
        "encoder": dict(encoder.identity),
        "rows": len(rows),
        "left_out": left_out,
        "problems": "" if shard.report.ok else shard.report.text(),
    }
    files.write(np.concatenate([nothing, *images]), np.concatenate([nothing, *texts]), rows, record)
    return record


def _batches(
    shard: Shard, batch_size: int, max_pixels: int, left_out: list[tuple[str, str]]
) -> Iterator[list[tuple[dict, Image.Image]]]:
    """Rows of the metadata with their pictures; what cannot be used goes to `left_out`."""
    batch = []
    for sample, row in shard:
        try:
            url = sample.url() if row is None else row.url
            described = {"key": sample.key, "caption": sample.caption(), "url": url}
            batch.append((described, sample.picture(max_pixels)))
        except (DamagedFileError, RetrievalInputError) as error:
            left_out.append((sample.key, str(error)))
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _half(rows: np.ndarray, dim: int, n: int) -> np.ndarray:
    rows = as_embeddings(rows, "the encoder's rows", dim=dim)
    if len(rows) != n:
        raise RetrievalInputError(f"the encoder gave {len(rows)} rows for {n} inputs")
    return rows.astype(np.float16)
