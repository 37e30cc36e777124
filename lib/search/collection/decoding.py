"""Decode the pictures of a collection ahead of the encoder, each with its thumbnail."""

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from lib.datasets.media.pictures import on_page, open_picture

THUMBNAIL = 256  # longer side, pixels
JPEG_QUALITY = 82
DECODERS = 2  # threads that read and decode while the network encodes


@dataclass(frozen=True)
class Decoded:
    """A picture that is ready to be encoded: upright, RGB; with its thumbnail, a JPEG file."""

    picture: Image.Image
    format: str
    thumbnail: bytes

    @property
    def n_pixels(self) -> int:
        return self.picture.width * self.picture.height


def decode(content: bytes, max_pixels: int, name: str) -> Decoded:
    """Decode the file of a picture; `name` is for errors."""
    opened = open_picture(content, max_pixels, name=name, mode="RGBA")
    picture = on_page(opened)
    return Decoded(picture, opened.format, thumbnail_of(picture))


def ahead(work: Callable, inputs: Iterable) -> Iterator[tuple[object, object]]:
    """Yield `(input, work(input))` in order while threads work on the next inputs."""
    with ThreadPoolExecutor(DECODERS) as pool:
        pending: list = []
        try:
            for one in inputs:
                pending.append((one, pool.submit(work, one)))
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
