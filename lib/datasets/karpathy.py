"""The split files of Karpathy and Fei-Fei: `dataset_coco.json`, `dataset_flickr30k.json`."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from lib.core.checks import RetrievalInputError
from lib.datasets.annotations import field_of, read_json


class Sentence(NamedTuple):
    """One caption: its id, and the words as they were typed, spaces at the end included."""

    sentid: int
    raw: str


class KarpathyImage(NamedTuple):
    """One image: `folder` and `cocoid` are those of COCO, empty and None in Flickr30K."""

    filename: str
    folder: str
    cocoid: int | None
    split: str
    sentences: tuple[Sentence, ...]


def read_images(path: str | Path, parts: Collection[str]) -> Iterator[KarpathyImage]:
    """The images of some splits, in file order, which is the order of evaluation and of the 1K
    folds.

    Args:
        path: `{"images": [{"filename", "split", "sentences": [{"raw", "sentid"}, ...], ...},
            ...]}`.

    Raises:
        MissingFileError, DamagedFileError: no file, or no JSON.
        RetrievalInputError: a field that is missing or of another type, with the number of the
            image.

    Reference: Karpathy and Fei-Fei 2015, "Deep visual-semantic alignments for generating image
    descriptions".
    """
    data = read_json(path)
    for number, image in enumerate(field_of(data, "images", list, str(path))):
        where = f"{path}, image {number}"
        split = field_of(image, "split", str, where)
        if split not in parts:
            continue
        sentences = tuple(
            Sentence(
                field_of(sentence, "sentid", int, where), field_of(sentence, "raw", str, where)
            )
            for sentence in field_of(image, "sentences", list, where)
        )
        if not sentences:
            raise RetrievalInputError(f"{where}: it has no sentences, expected at least one")
        yield KarpathyImage(
            filename=field_of(image, "filename", str, where),
            folder=field_of(image, "filepath", str, where) if "filepath" in image else "",
            cocoid=field_of(image, "cocoid", int, where) if "cocoid" in image else None,
            split=split,
            sentences=sentences,
        )
