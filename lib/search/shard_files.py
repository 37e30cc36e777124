"""The files in which the embeddings of a shard are kept, and the record that says that they are
whole.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lib.core.checks import RetrievalInputError
from lib.core.reading import verify
from lib.core.writing import atomic_path, sha256_of, write_checksum

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
