"""Decode the pictures of a collection ahead of the encoder, each with its thumbnail."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lib.datasets.media.pictures import on_page, open_picture
from lib.search.collection.sources import Item

THUMBNAIL = 256  # longer side, pixels
JPEG_QUALITY = 82
DECODERS = 2  # threads that read and decode while the network encodes


@dataclass
class Decoded:
    """A picture on its way into the collection: its row, its thumbnail, and the rest of it.

    Args:
        row: cells of its table.
        thumbnail: a JPEG file.
        picture: upright, RGB; None once it is encoded.
        vector: (dim,), once it is encoded, or copied from an equal picture.
    """

    row: dict
    thumbnail: bytes
    picture: Image.Image | None = None
    vector: np.ndarray | None = None

    @property
    def n_pixels(self) -> int:
        return 0 if self.picture is None else self.picture.width * self.picture.height


def decode(content: bytes, row: dict, max_pixels: int, name: str) -> Decoded:
    """Decode the file of a picture; `name` is for errors."""
    opened = open_picture(content, max_pixels, name=name, mode="RGBA")
    picture = on_page(opened)
    width, height = picture.size
    row = row | {"width": width, "height": height, "format": opened.format}
    return Decoded(row, thumbnail_of(picture), picture)


def ahead(work: Callable, items: Iterator[Item]) -> Iterator[tuple[Item, object]]:
    """Yield `(item, work(item))` in order while threads work on the next items."""
    with ThreadPoolExecutor(DECODERS) as pool:
        pending: list = []
        try:
            for item in items:
                pending.append((item, pool.submit(work, item)))
                if len(pending) > 4 * DECODERS:
                    first, future = pending.pop(0)
                    yield first, future.result()
            while pending:
                first, future = pending.pop(0)
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


def thumbnail_of(picture: Image.Image) -> bytes:
    """Return a JPEG of at most `THUMBNAIL` pixels a side."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=2.0)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
