"""Pictures inside Parquet files, as data sets on Hugging Face have them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

import pyarrow.parquet as pq
from PIL import Image

from lib.core.reading import DamagedFileError, reading
from lib.datasets.media.files import content_digest
from lib.datasets.media.pictures import open_picture

ADVICE = "Get the file again"


class ParquetPictures(Sequence):
    """Pictures in columns of Parquet files: `[i]` decodes one and keeps its group of rows.

    `places` has `(file, group of rows, row in it, id, column)` of each picture.
    """

    kind = "pictures"

    def __init__(self, places: Sequence[tuple[Path, int, int, str, str]]) -> None:
        self.places = tuple(places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position) -> Image.Image | Self:
        if isinstance(position, slice):
            return self.take(range(len(self))[position])
        path, group, row, id_, column = self.places[position]
        content = _pictures_of_group(path, group, column)[row]
        if not content:
            raise DamagedFileError(f"{path}: the picture of {id_!r} is empty. {ADVICE}")
        return open_picture(content, name=f"the picture of {id_!r} in {path.name}")

    def take(self, positions) -> Self:
        """Return the pictures at some positions, in the order given; none is read."""
        return type(self)([self.places[position] for position in positions])

    def fingerprint(self) -> str:
        """Return the SHA-256 of the places and of the bytes of the files."""
        files = sorted({place[0] for place in self.places})
        facts = [list(place[1:]) for place in self.places]
        facts.append([content_digest(path) for path in files])
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@lru_cache(maxsize=2)
def _pictures_of_group(path: Path, group: int, column: str) -> list[bytes | None]:
    with reading(path, "no Parquet file", ADVICE):
        read = pq.ParquetFile(path).read_row_group(group, columns=[column]).column(column)
        return [_picture_bytes(value) for value in read.to_pylist()]


def _picture_bytes(value) -> bytes | None:
    content = value.get("bytes") if isinstance(value, Mapping) else value
    return content if isinstance(content, bytes) else None  # a text is no path to open
