"""Winoground: two images and two captions of the same words in another order."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq

from lib.core.checks import RetrievalInputError, check_choice, check_distinct
from lib.core.reading import reading
from lib.datasets.annotations import field_of, find_file, require_file
from lib.datasets.choices import ChoiceCorpus, Example, caption_of, choice_corpus
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import PictureFiles, find_names
from lib.datasets.media.parquet_pictures import ParquetPictures

NAME = "winoground"
SPLITS = ("test",)
TAGS = ("Object", "Relation", "Both")  # `collapsed_tag`: what the order of the words exchanges
# The authors' page: "400 examples, with 800 unique captions and images"; MTEB counts the same.
PUBLISHED = {"test": {"examples": 400, "images": 800, "captions": 800}}
EXAMPLES = "examples.jsonl"
ANNOTATIONS = ("data",)
FOLDERS = ("images", "data/images")
SUFFIXES = (".png", ".jpg")
TABLES = "test-*.parquet"
COLUMNS = ("id", "caption_0", "caption_1", "collapsed_tag")
IMAGES = ("image_0", "image_1")


def load_winoground(
    root: str | Path, split: str = "test", *, allow_partial: bool = False, need_media: bool = True
) -> ChoiceCorpus:
    """Load Winoground: two images and two captions an example, caption j describes image j.

    Args:
        root: holds `examples.jsonl`, itself or in `data/`, and the pictures of `images.zip` in
            `images/` or `data/images/`, such as `ex_0_img_0.png`; or else the `test-*.parquet` of
            today's release, with the pictures inside, itself or in `data/`.
        split: there is one.
        allow_partial: leave out examples with an image that does not exist, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Image ids are as in the file ("ex_0_img_0"), example ids are numbers ("0"), text ids name
        example and caption ("0/caption_0"). The subsets are the tags Object, Relation and Both.

    Reference: Thrush et al. 2022, "Winoground: probing vision and language models for
    visio-linguistic compositionality" (CVPR).
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    tables = [] if find_file(root, EXAMPLES, ANNOTATIONS) else _tables(root)
    media: Sequence
    if tables:
        where = str(tables[0])
        examples, media = _examples_of_tables(tables)
    else:
        path = require_file(root, EXAMPLES, ANNOTATIONS, NAME)
        where, examples = str(path), [_example(row, place) for place, row in _lines(path)]
    check_distinct([example.example_id for example in examples], "example", where)
    images = [image for example in examples for image in example.images]
    check_distinct(images, "image", where)
    if not tables:
        media = PictureFiles(root, find_names(root, images, FOLDERS, SUFFIXES))
    return choice_corpus(
        examples,
        images,
        media,
        name=label,
        split=split,
        published=published,
        by_subset=False,
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def _lines(path: Path) -> Iterator[tuple[str, object]]:
    """Yield place and content of each line of JSON."""
    with reading(path, "no UTF-8 text", "Get it again"):
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            with reading(where, "no JSON", "Get the file again"):
                entry = json.loads(line)
            yield where, entry


def _example(entry, where: str, images: tuple[str, str] | None = None) -> Example:
    """Make an example of an entry `{"id", "caption_0", "caption_1", "collapsed_tag"}`.

    `images` are the ids of the images; by default the entry names them, `{"image_0", "image_1"}`.
    """
    example_id = str(field_of(entry, "id", (int, str), where))
    tag = check_choice(field_of(entry, "collapsed_tag", str, where), TAGS, f"{where}: its tag")
    captions = tuple(
        (f"{example_id}/{side}", caption_of(entry, side, where))
        for side in ("caption_0", "caption_1")
    )
    named = images or tuple(_image(entry, side, where) for side in IMAGES)
    return Example(example_id, tag, named, captions)


def _image(entry, side: str, where: str) -> str:
    name = field_of(entry, side, str, where)
    if not name or PurePosixPath(name).name != name:
        raise RetrievalInputError(f"{where}: {side!r} must name an image, got {name!r:.80}")
    return name


# ---- the release of today: Parquet with the pictures inside


def _tables(root: Path) -> list[Path]:
    return next(filter(None, (sorted((root / f).glob(TABLES)) for f in ("", *ANNOTATIONS))), [])


def _examples_of_tables(paths: Sequence[Path]) -> tuple[list[Example], ParquetPictures]:
    """Read the examples of Parquet files; their images get the names of the older release."""
    examples, places = [], []
    for path in paths:
        with reading(path, "no Parquet file", "Get it again"):
            file = pq.ParquetFile(path)
            missing = {*COLUMNS, *IMAGES} - set(file.schema_arrow.names)
            if missing:
                raise RetrievalInputError(f"{path} must have the columns {', '.join(missing)}")
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=list(COLUMNS)).to_pylist()
                for at, row in enumerate(rows):
                    ids = tuple(f"ex_{row['id']}_img_{side}" for side in range(2))
                    examples.append(_example(row, f"{path}, id {row['id']}", ids))
                    places += [(path, group, at, *named) for named in zip(ids, IMAGES)]
    return examples, ParquetPictures(places)
