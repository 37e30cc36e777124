"""Read and encode pictures: two functions that run in this process or on a worker elsewhere.

`look_at` reads the contents of pictures, so that known ones are told from new ones; `encode_step`
decodes and encodes the new ones. Both take plain data and change nothing: the collection is written
by the process that asks (`lib.search.collection.building`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError, as_embeddings
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import sha256_of
from lib.search.collection.decoding import Decoded, ahead, decode
from lib.search.collection.sources import Caption, Item
from lib.search.shard_encoding import Encoder

BATCH_PIXELS = 1 << 26  # of a batch: 201 MB as RGB


@dataclass(frozen=True)
class Unusable:
    """The reason why a picture cannot be used; `unread`: its file could not be read at all."""

    reason: str
    unread: bool = False


@dataclass(frozen=True)
class Content:
    """The content of a picture, by its SHA-256 and bytes, and its caption."""

    sha256: str
    n_bytes: int
    caption: Caption


@dataclass(frozen=True)
class EncodedPicture:
    """A picture with its vector (dim,) and its thumbnail, a JPEG file."""

    width: int
    height: int
    format: str
    vector: np.ndarray
    thumbnail: bytes


@dataclass(frozen=True)
class Step:
    """Pictures that are written together, and those of them that must be encoded."""

    pictures: Sequence[tuple[Item, Content]]
    new: Sequence[tuple[Item, Content]]


@dataclass(frozen=True)
class Encoding:
    """Settings of the encoding of pictures.

    Args:
        encoder: pictures to vectors. For a worker it is pickled; see `PretrainedEncoder`.
        identity: that the encoder must have, where the files of its model are others.
        max_pixels: a larger picture is refused.
        batch_size: pictures in a forward pass.
    """

    encoder: Encoder
    identity: Mapping[str, str]
    max_pixels: int
    batch_size: int


def look_at(items: Sequence[Item]) -> list[Content | Unusable]:
    """Read the contents and the captions of pictures."""
    return [result for _, result in ahead(_look_at_one, items)]


def encode_step(step: Step, encoding: Encoding) -> list[EncodedPicture | Unusable]:
    """Decode and encode the new pictures of a step, a batch at a time.

    A batch has at most `batch_size` pictures, and ends with the one that fills `BATCH_PIXELS`.
    """
    _check_identity(encoding)
    results: dict[int, EncodedPicture | Unusable] = {}
    batch: dict[int, Decoded] = {}

    def encode_batch() -> None:
        vectors = _encode([decoded.picture for decoded in batch.values()], encoding.encoder)
        for (at, decoded), vector in zip(batch.items(), vectors, strict=True):
            results[at] = vector if isinstance(vector, Unusable) else _with_vector(decoded, vector)
        batch.clear()

    def decode_new(at: int) -> Decoded | Unusable:
        return _decode(*step.new[at], encoding.max_pixels)

    n_pixels = 0
    for at, decoded in ahead(decode_new, range(len(step.new))):
        if isinstance(decoded, Unusable):
            results[at] = decoded
            continue
        batch[at] = decoded
        n_pixels += decoded.n_pixels
        if len(batch) == encoding.batch_size or n_pixels >= BATCH_PIXELS:
            encode_batch()
            n_pixels = 0
    if batch:
        encode_batch()
    return [results[at] for at in range(len(step.new))]


def _with_vector(decoded: Decoded, vector: np.ndarray) -> EncodedPicture:
    return EncodedPicture(*decoded.picture.size, decoded.format, vector, decoded.thumbnail)


def _look_at_one(item: Item) -> Content | Unusable:
    def look(content: bytes) -> Content:
        return Content(sha256_of(content), len(content), item.read_caption())

    return _read(item, look)


def _decode(item: Item, known: Content, max_pixels: int) -> Decoded | Unusable:
    def decode_known(content: bytes) -> Decoded | Unusable:
        if sha256_of(content) != known.sha256:
            return Unusable(f"{item.name} changed while it was read; index again")
        return decode(content, max_pixels, item.name)

    return _read(item, decode_known)


def _read(item: Item, use: Callable[[bytes], object]) -> object:
    """Read a picture and use its content; what goes wrong becomes a reason."""
    try:
        return use(item.read())
    except (DamagedFileError, RetrievalInputError, MissingFileError, MemoryError) as error:
        return Unusable(str(error))
    except OSError as error:
        return Unusable(f"{item.name} cannot be read: {error.strerror or error}", unread=True)


def _encode(pictures: list[Image.Image], encoder: Encoder) -> list[np.ndarray | Unusable]:
    """Encode pictures; if the encoder refuses one, the others are encoded without it."""
    try:
        rows = encoder.encode_image(pictures)
        return list(as_embeddings(rows, "the encoder's rows", dim=encoder.dim))
    except RetrievalInputError as error:
        if len(pictures) == 1:
            return [Unusable(str(error))]
        return [_encode([picture], encoder)[0] for picture in pictures]


def _check_identity(encoding: Encoding) -> None:
    """Refuse an encoder that was loaded from other files than that of the process that asks."""
    for name, expected in encoding.identity.items():
        found = encoding.encoder.identity.get(name)
        if found != expected:
            raise RetrievalInputError(
                f"the encoder must have the {name} {expected!r}, got {found!r}; the model's files"
                " differ between the machines. Copy them, or install the same version"
            )
