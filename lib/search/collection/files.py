"""The folder of a collection: one sealed manifest, and the parts that it names.

    collection.json        the manifest, with its own SHA-256; replaced in one step
    parts/000000/          vectors-0.npy, rows-0.arrow, thumbnails.bin
    index-000000/          a saved `VectorSearchIndex` over the rows of that time
    failed-000000.arrow    what could not be read, with reasons

A file that the manifest does not name does not count: it was left by a writer that was stopped, and
the next writer removes it. So a collection is at each moment as the last finished step left it.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.core.writing import atomic_folder, atomic_path, make_folder, only_writer, sha256_of
from lib.search.collection.sources import MANIFEST, Failure, Root

T = TypeVar("T")
FORMAT = 1
AGAIN = "Run `crossmodal index` again with another --out"
OWN_COLUMNS = pa.schema(
    [
        ("id", pa.int64()),  # never used again after a removal
        ("root", pa.int32()),
        ("path", pa.string()),
        ("member", pa.string()),  # of a shard; "" for a file
        ("caption", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sha256", pa.string()),
        ("thumbnail_at", pa.int64()),  # first byte in the thumbnails of the part
        ("thumbnail_bytes", pa.int32()),
    ]
)
FAILED = pa.schema(
    [
        ("root", pa.int32()),
        ("path", pa.string()),
        ("member", pa.string()),
        ("reason", pa.string()),
    ]
)
_OURS = re.compile(r"index-\d{6}|failed-\d{6}\.arrow")
_PART = re.compile(r"\d{6}")
_PART_FILE = re.compile(r"vectors-\d+\.npy|rows-\d+\.arrow|thumbnails\.bin")


@dataclass(frozen=True)
class CollectionPart:
    """Some rows: their vectors, their table and their thumbnails, each with its SHA-256."""

    folder: str
    rows: int
    vectors: str
    table: str
    thumbnails: str
    digests: Mapping[str, str]

    @property
    def files(self) -> tuple[str, str, str]:
        return self.vectors, self.table, self.thumbnails


@dataclass(frozen=True)
class StoredIndex:
    """The index of a collection: the rows with an id below `next_id` that stood then.

    `settings` are the search options; `chosen` says how it was chosen, for `info`.
    """

    folder: str
    index_type: str
    rows: int
    next_id: int
    settings: Mapping[str, object] = field(default_factory=dict)
    chosen: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredRoot:
    """A root, by its place relative to the collection and by its full path."""

    relative: str
    absolute: str
    files: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Manifest:
    """Everything that a collection is, as the last finished step left it.

    Args:
        model: name, `pretrained` and `artifact_sha256` of the encoder, as far as it has them.
        identity: everything that decides an embedding, see `PretrainedEncoder`.
        dim: of the vectors.
        finished: whether the last run came to its end.
        counter: number of the next folder or file.
    """

    model: Mapping[str, str | None]
    identity: Mapping[str, str]
    dim: int
    roots: tuple[StoredRoot, ...] = ()
    parts: tuple[CollectionPart, ...] = ()
    failed: str | None = None
    index: StoredIndex | None = None
    next_id: int = 0
    counter: int = 0
    finished: bool = False

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def check_model(self, identity: Mapping[str, str], where: Path) -> None:
        """Refuse an encoder of another identity: its vectors lie in another space."""
        for name in sorted(self.identity.keys() | identity.keys()):
            ours, theirs = self.identity.get(name), identity.get(name)
            if ours != theirs:
                raise RetrievalInputError(
                    f"{where} was indexed with another encoder: its {name} is {ours!r}, this one's"
                    f" is {theirs!r}. Use the model {self.model.get('name')!r}, or index into"
                    " another folder"
                )


class CollectionFolder:
    """Read and write the files of a collection."""

    def __init__(self, path: str | Path) -> None:
        if is_address(str(path)):
            raise RetrievalInputError(
                f"{path} is the address of a database, and a folder is needed: a database holds no"
                " thumbnails, no sources and no index of ours. Give the folder that was copied"
                ' there; a database is searched: crossmodal search "..." --collection ADDRESS'
            )
        self.path = Path(path)

    @property
    def manifest_path(self) -> Path:
        return self.path / MANIFEST

    # ---- the manifest

    def exists(self) -> bool:
        return self.manifest_path.is_file()

    def read(self) -> Manifest:
        """Read the manifest; a missing or damaged one is an error."""
        if not self.exists():
            there = f"{self.path} is no collection: it has no {MANIFEST}"
            raise MissingFileError(f"{there}. Make one: crossmodal index FOLDER --out {self.path}")
        with reading(self.manifest_path, "no manifest of a collection", AGAIN):
            stored = json.loads(self.manifest_path.read_text(encoding="utf-8"))
            if stored["format"] != FORMAT:
                known = f"this version reads format {FORMAT}"
                raise RetrievalInputError(
                    f"{self.path} is a collection of format {stored['format']!r}; {known}. {AGAIN}"
                )
            body = stored["manifest"]
            if sha256_of(_canonical(body)) != stored["sha256"]:
                raise DamagedFileError(f"{self.manifest_path} is damaged (its SHA-256). {AGAIN}")
            index = body["index"]
            roots = [
                StoredRoot(**root | {"files": _tuple_or_none(root["files"])})
                for root in body["roots"]
            ]
            return Manifest(
                **body
                | {
                    "roots": tuple(roots),
                    "parts": tuple(CollectionPart(**part) for part in body["parts"]),
                    "index": None if index is None else StoredIndex(**index),
                }
            )

    def consistently(self, read: Callable[[Manifest], T]) -> T:
        """Read files that the manifest names; begin again where a writer has replaced it since."""
        while True:
            manifest = self.read()
            try:
                return read(manifest)
            except (DamagedFileError, MissingFileError):
                if self.read() == manifest:
                    raise

    def write(self, manifest: Manifest) -> None:
        """Replace the manifest in one step: from now on the collection is this."""
        body = asdict(manifest)
        stored = {"format": FORMAT, "sha256": sha256_of(_canonical(body)), "manifest": body}
        with atomic_path(self.manifest_path) as temporary:
            temporary.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one process at a time write; the leftovers of a stopped one are removed."""
        if self.path.exists() and not self.path.is_dir():
            raise RetrievalInputError(f"{self.path} is a file; give a folder for the collection")
        if self.path.is_dir() and not self.exists():
            strange = [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
            strange = [name for name in strange if name not in ("parts", f"{MANIFEST}.lock")]
            if strange:
                raise RetrievalInputError(
                    f"{self.path} exists and is no collection (it holds {strange[0]!r}); give a new"
                    " or an empty folder as --out"
                )
        make_folder(self.path)
        with only_writer(self.manifest_path):
            self.remove_leftovers()
            yield

    def remove_leftovers(self) -> None:
        """Remove files of ours that the manifest does not name; others are never touched."""
        manifest = self.read() if self.exists() else None
        parts = {part.folder: part for part in manifest.parts} if manifest else {}
        kept = {manifest.failed, manifest.index and manifest.index.folder} if manifest else set()
        for entry in self.path.iterdir():
            if _OURS.fullmatch(entry.name) and entry.name not in kept:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for folder in (self.path / "parts").glob("*"):
            part = parts.get(f"parts/{folder.name}")
            if part is None and _PART.fullmatch(folder.name):
                shutil.rmtree(folder)
            elif part is not None:
                for file in folder.iterdir():
                    if _PART_FILE.fullmatch(file.name) and file.name not in part.files:
                        file.unlink()

    # ---- parts

    def write_part(
        self, number: int, vectors: np.ndarray, table: pa.Table, thumbnails: list[bytes]
    ) -> CollectionPart:
        """Write a new part; it counts when the manifest names it."""
        folder = f"parts/{number:06d}"
        ends = np.cumsum([len(content) for content in thumbnails], dtype=np.int64)
        sizes = pa.array([len(content) for content in thumbnails], pa.int32())
        starts = pa.array(np.concatenate([[0], ends[:-1]]) if len(ends) else ends, pa.int64())
        for name, column in (("thumbnail_at", starts), ("thumbnail_bytes", sizes)):
            table = table.set_column(table.schema.get_field_index(name), name, column)
        names = "vectors-0.npy", "rows-0.arrow", "thumbnails.bin"
        with atomic_folder(self.path / folder) as temporary:
            np.save(temporary / names[0], np.ascontiguousarray(vectors), allow_pickle=False)
            _write_table(temporary / names[1], table)
            with open(temporary / names[2], "wb") as stream:
                stream.writelines(thumbnails)
            digests = {name: sha256_of(temporary / name) for name in names}
        return CollectionPart(folder, len(table), *names, digests)

    def remove_parts(self, parts: Sequence[CollectionPart]) -> None:
        """Remove parts that the manifest does not name any more."""
        for part in parts:
            shutil.rmtree(
                self.path / part.folder, ignore_errors=True
            )  # the next writer tries again

    def rewrite_part(
        self, part: CollectionPart, kept: np.ndarray | None, table: pa.Table
    ) -> CollectionPart:
        """Write the rows `kept` of a part with a new table, beside the old files; None: all."""
        folder, number = self.path / part.folder, 1 + int(part.table[5:-6])
        vectors, rows = part.vectors, f"rows-{number}.arrow"
        if kept is not None:
            vectors, old = f"vectors-{number}.npy", self.vectors(part)
            with atomic_path(folder / vectors) as temporary, open(temporary, "wb") as stream:
                np.save(stream, np.ascontiguousarray(old[kept]), allow_pickle=False)
        with atomic_path(folder / rows) as temporary:
            _write_table(temporary, table)
        digests = {name: sha256_of(folder / name) for name in (vectors, rows)}
        digests[part.thumbnails] = part.digests[part.thumbnails]
        return replace(part, rows=len(table), vectors=vectors, table=rows, digests=digests)

    def vectors(self, part: CollectionPart) -> np.ndarray:
        """Map the vectors of a part from disk, float32 (rows, dim)."""
        path = self.path / part.folder / part.vectors
        with reading(path, "no vectors of a collection", AGAIN):
            return np.load(path, mmap_mode="r", allow_pickle=False)

    def table(self, part: CollectionPart) -> pa.Table:
        """Map the table of a part from disk."""
        path = self.path / part.folder / part.table
        with reading(path, "no table of a collection", AGAIN), pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()

    def thumbnail(self, part: CollectionPart, start: int, size: int) -> bytes:
        """Read one thumbnail, a JPEG file."""
        path = self.path / part.folder / part.thumbnails
        with reading(path, "no thumbnails of a collection", AGAIN), open(path, "rb") as stream:
            stream.seek(start)
            return stream.read(size)

    def thumbnails(self, part: CollectionPart) -> pa.Buffer:
        """Map all thumbnails of a part from disk: they stay readable when a writer removes them."""
        path = self.path / part.folder / part.thumbnails
        with reading(path, "no thumbnails of a collection", AGAIN):
            if not path.stat().st_size:
                return pa.py_buffer(b"")
            with pa.memory_map(str(path)) as source:
                return source.read_buffer()

    def verify(self, part: CollectionPart) -> None:
        """Check every byte of a part against its SHA-256."""
        for name, digest in part.digests.items():
            path = self.path / part.folder / name
            if not path.is_file():
                raise MissingFileError(f"{path} is missing. {AGAIN}")
            if sha256_of(path) != digest:
                raise DamagedFileError(f"{path} is damaged (its SHA-256). {AGAIN}")

    def verify_the_rest(self, manifest: Manifest) -> None:
        """Check every byte of the index against its SHA-256, and read the list of failures."""
        self.failures(manifest)
        if manifest.index is not None:
            from lib.index import VectorSearchIndex  # imports faiss and torch, which take seconds

            VectorSearchIndex.load(self.path / manifest.index.folder, memory_map=True)

    # ---- failures and roots

    def write_failures(self, number: int, failures: list[Failure]) -> str | None:
        """Write the list of what could not be read; None for an empty list."""
        if not failures:
            return None
        name = f"failed-{number:06d}.arrow"
        with atomic_path(self.path / name) as temporary:
            _write_table(temporary, pa.Table.from_pylist([asdict(f) for f in failures], FAILED))
        return name

    def failures(self, manifest: Manifest) -> list[Failure]:
        """Read the list of what could not be read."""
        if manifest.failed is None:
            return []
        path = self.path / manifest.failed
        with reading(path, "no list of failures", AGAIN), pa.memory_map(str(path)) as source:
            return [Failure(**row) for row in pa.ipc.open_file(source).read_all().to_pylist()]

    def stored_root(self, root: Root) -> StoredRoot:
        """Describe a root so that it is found again when collection and pictures move together."""
        try:
            relative = Path(os.path.relpath(root.folder, self.path.resolve())).as_posix()
        except ValueError:  # another drive
            relative = ""
        return StoredRoot(relative, str(root.folder), root.files)

    def root_folder(self, root: StoredRoot) -> Path:
        """Return where the pictures of a root are: beside the collection, or where they were."""
        beside = (self.path.resolve() / root.relative).resolve()
        return beside if root.relative and beside.is_dir() else Path(root.absolute)


def _tuple_or_none(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def is_address(text: str) -> bool:
    """Return True for the address of a database, False for the folder of a collection."""
    return text.startswith(("lancedb:", "milvus:"))


def _canonical(body: dict) -> bytes:
    return json.dumps(body, sort_keys=True).encode()


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
