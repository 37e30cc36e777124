"""Pictures in a table of text, one a line: the id, a tab, and the file in base64."""

import base64
import binascii
import codecs
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.paths import path_inside
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import sha256_of
from lib.datasets.media.files import MediaFiles, content_digest
from lib.datasets.media.pictures import open_picture

MAX_LINE = 1 << 27  # bytes; a photograph of 20 MB has 27 MB in base64
MAX_ID = 200  # bytes


class Base64Pictures(MediaFiles):
    """Sequence of pictures in one table: `[i]` is one RGB `PIL.Image`, see `open_picture`.

    The table is read once for the places of its lines. A picture is decoded when its position is
    read.

    Args:
        root: the folder.
        names: ids of pictures, as the first column has them.
        table: name of the table, relative to `root`: Chinese-CLIP's `test_imgs.tsv`.
    """

    kind = "pictures"

    def __init__(
        self,
        root: str | Path,
        names: Sequence[str],
        table: str,
        places: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(root, names)
        self.table = table
        self._places = places_of_lines(self.path(0)) if places is None else places

    def path(self, position: int) -> Path:
        """Return the path of the table, in which all pictures are."""
        return path_inside(self.root, self.table)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return self.take(range(len(self))[position])
        return self.read(position)

    def read(self, position: int) -> Image.Image:
        """Decode one picture."""
        name, path = self.names[position], self.path(position)
        shown = f"{path}, picture {name}"
        start, length = self._places.get(name, (0, 0))
        if not length:
            raise MissingFileError(f"{shown} is missing")
        with open(path, "rb") as stream:
            stream.seek(start)
            text = stream.read(length)
        try:
            content = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            start = text[:12].decode("ascii", "replace")
            raise DamagedFileError(
                f"{shown} must be base64, got {start!r}: {error}. Fetch the file again"
            ) from error
        return open_picture(content, name=shown)

    def take(self, positions) -> Self:
        names = [self.names[position] for position in positions]
        return type(self)(self.root, names, self.table, self._places)

    def present(self) -> np.ndarray:
        """Return `(n,)` bool: True for each picture that the table has."""
        return np.array([self._places.get(name, (0, 0))[1] > 0 for name in self.names], dtype=bool)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the ids and of the whole table."""
        digests = [content_digest(self.path(0)), *(sha256_of(n.encode()) for n in self.names)]
        return sha256_of("".join(digests).encode())


def places_of_lines(path: Path) -> dict[str, tuple[int, int]]:
    """Return `{id: (start, length)}` of the second column, in bytes of the file."""
    if not path.is_file():
        raise MissingFileError(f"{path} is missing")
    places: dict[str, tuple[int, int]] = {}
    with open(path, "rb") as stream:
        number, start = 0, 0
        while line := stream.readline(MAX_LINE + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > MAX_LINE:
                raise DamagedFileError(f"{where} has more than {MAX_LINE:,} bytes. Fetch it again")
            if not start and line.startswith(codecs.BOM_UTF8):
                start, line = len(codecs.BOM_UTF8), line.removeprefix(codecs.BOM_UTF8)
            name, tab, text = line.rstrip(b"\r\n").partition(b"\t")
            if line.strip():
                if not tab or not name.strip() or len(name) > MAX_ID or not name.isascii():
                    raise RetrievalInputError(
                        f"{where}: expected an id, a tab and base64, got {line[:40]!r}"
                    )
                key = name.decode("ascii")
                if key in places:
                    raise RetrievalInputError(f"{where}: ids must be distinct, got {key!r} twice")
                places[key] = (start + len(name) + 1, len(text))
            start += len(line)
    return places
