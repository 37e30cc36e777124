"""MS-COCO captions in Karpathy's split: 5,000 test images under three galleries, and the 1K
folds.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.datasets.annotations import Record, captioned, every_text, field_of, find, read_json
from lib.datasets.captioned import CaptionedMedia, equal_texts_once
from lib.datasets.coco_alignment import folds, judgement_counts, judgements
from lib.datasets.completeness import published_counts
from lib.datasets.karpathy import read_images
from lib.datasets.media.files import PictureFiles

__all__ = [
    "CAPTIONS", "NAME", "PUBLISHED", "SPLITS", "folds", "judgement_counts", "judgements", "load_coco", "tidy",
    "unique_texts",
]  # fmt: skip

NAME = "coco"
CAPTIONS = ("all", "first 5", "unique")
N_FIRST = 5
# Split: the splits of Karpathy's file that it stands for. Papers train on 113,287 images: train and
# restval.
SPLITS = {
    "test": ("test",),
    "val": ("val",),
    "train": ("train", "restval"),
    "train_only": ("train",),
    "restval": ("restval",),
}
_SIZES = {  # images, captions
    "test": (5_000, 25_010),
    "val": (5_000, 25_010),
    "train": (113_287, 566_747),
    "train_only": (82_783, 414_113),
    "restval": (30_504, 152_634),
}
PUBLISHED = {
    split: {"images": images, "captions, all": texts, "captions, first 5": N_FIRST * images}
    for split, (images, texts) in _SIZES.items()
}
PUBLISHED["test"] |= {"captions, unique": 24_809, "judgements, unique": 24_989}
KARPATHY = ("dataset_coco.json", "annotations/dataset_coco.json")
# CLIP_benchmark's files hold the splits that lie in one of COCO's folders.
_CLIP_BENCHMARK = {
    "test": ("test", "val2014"),
    "val": ("val", "val2014"),
    "train_only": ("train", "train2014"),
}


def load_coco(
    root: str | Path, split: str = "test", *, captions: str = "all", allow_partial: bool = False
) -> CaptionedMedia:
    """MS-COCO captions: the images of one of Karpathy's splits and the texts of one of three
    galleries.

    Papers that all say "COCO 5K" search three different galleries:

    | captions | texts (test) | who uses it |
    | --- | --- | --- |
    | `"all"` | 25,010 | CLIP_benchmark, OpenCLIP, BLIP: ten images have a sixth or seventh caption
    |
    | `"first 5"` | 25,000 | VSE++, ECCV Caption: the first five of each image |
    | `"unique"` | 24,809, of 24,989 judgements | MTEB, M-BEIR: the first five, tidied by `tidy`,
    distinct |

    Args:
        root: holds `dataset_coco.json` (or `annotations/dataset_coco.json`), or CLIP_benchmark's
            `coco_<split>_karpathy.json`, and the folders `val2014/` and `train2014/` (or both in
            `images/`).
        split: `"test"`, `"val"`, `"train"` (train and restval, as papers do), `"train_only"`,
            `"restval"`.
        captions: the gallery. `"unique"` is published for the test split only; its texts are the
            tidied ones, the texts of the others are as they were typed, spaces at the end included.
        allow_partial: evaluate what there is, and say so.

    Returns:
        Ids are COCO's: image ids and caption ids as strings. The order is that of Karpathy's file;
        from a file of CLIP_benchmark it is that of ascending image ids, as CLIP_benchmark reads it.

    Raises:
        MissingFileError: no annotation file.
        DamagedFileError: one that is not whole.
        RetrievalInputError: counts that differ from the published ones, images that are missing, a
            name that leads out of the root.

    Relations: `folds` makes the five 1K test sets; `judgements` gives extended positives.

    Reference: Lin et al. 2014, "Microsoft COCO"; Chen et al. 2015, "Microsoft COCO captions".
    """
    check_choice(split, SPLITS, "split")
    check_choice(captions, CAPTIONS, "captions")
    label, published = published_counts(root, NAME, split, PUBLISHED)
    if f"captions, {captions}" not in published:
        raise RetrievalInputError(
            f"captions={captions!r} is published for the test split only, not {split!r}"
        )
    chosen = {"images": published["images"], "captions": published[f"captions, {captions}"]}
    if captions == "unique":
        chosen["judgements"] = published["judgements, unique"]
    choices = {
        "all": every_text,
        "first 5": partial(every_text, first=N_FIRST),
        "unique": unique_texts,
    }
    return captioned(
        _records(Path(root), split),
        root,
        PictureFiles,
        name=label,
        split=split,
        modality="image",
        what="images",
        published=chosen,
        captions=captions,
        choose=choices[captions],
        allow_partial=allow_partial,
        datasheet="coco",
    )


def _records(root: Path, split: str) -> list[Record]:
    path = find(root, KARPATHY)
    if path is not None:
        return _karpathy_records(path, root, SPLITS[split])
    if split in _CLIP_BENCHMARK:
        part, folder = _CLIP_BENCHMARK[split]
        name = f"coco_{part}_karpathy.json"
        path = find(root, (name, f"annotations/{name}"))
        if path is not None:
            return _coco_records(path, root, folder)
    raise MissingFileError(
        f"{root} has no dataset_coco.json (nor has {root}/annotations). "
        f"`crossmodal data download {NAME}` says where it comes from"
    )


def _folder(root: Path, folder: str) -> str:
    return f"images/{folder}" if (root / "images" / folder).is_dir() else folder


def _karpathy_records(path: Path, root: Path, parts: Sequence[str]) -> list[Record]:
    folders = {folder: _folder(root, folder) for folder in ("train2014", "val2014")}
    records = []
    for image in read_images(path, parts):
        if image.cocoid is None or not image.folder:
            raise RetrievalInputError(
                f"{path}, image {image.filename!r}: it has no cocoid or no filepath. Is it the file"
                " of another corpus? dataset_coco.json has both"
            )
        texts = tuple((str(sentence.sentid), sentence.raw) for sentence in image.sentences)
        folder = folders.get(image.folder, image.folder)
        records.append(Record(f"{folder}/{image.filename}", str(image.cocoid), texts))
    return records


def _coco_records(path: Path, root: Path, folder: str) -> list[Record]:
    """Images and annotations as COCO has them; captions by id, which is the order of Karpathy's
    file.
    """
    data, folder = read_json(path), _folder(root, folder)
    texts: dict[int, list[tuple[int, str]]] = {}
    names: dict[int, str] = {}
    for number, image in enumerate(field_of(data, "images", list, str(path))):
        where = f"{path}, image {number}"
        names[field_of(image, "id", int, where)] = field_of(image, "file_name", str, where)
    for number, note in enumerate(field_of(data, "annotations", list, str(path))):
        where = f"{path}, annotation {number}"
        image_id = field_of(note, "image_id", int, where)
        if image_id not in names:
            raise RetrievalInputError(
                f"{where}: image_id {image_id} is not among the {len(names):,} images"
            )
        pair = (field_of(note, "id", int, where), field_of(note, "caption", str, where))
        texts.setdefault(image_id, []).append(pair)
    return [
        Record(
            f"{folder}/{names[image_id]}",
            str(image_id),
            tuple((str(text_id), text) for text_id, text in sorted(texts.get(image_id, []))),
        )
        for image_id in sorted(names)
    ]


def tidy(text: str) -> str:
    """A caption as M-BEIR and MTEB have it: without spaces and double quotes around it, with a
    capital letter at the start and, where it ends in none of `.?!`, a full stop.

    Reference: Wei et al. 2024, "UniIR: training and benchmarking universal multimodal information
    retrievers", whose authors' code prepares COCO so.
    """
    text = text.replace("\r", "").strip().strip('"')
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")


def unique_texts(records: Sequence[Record]) -> tuple[list[str], list[str], Qrels]:
    """The first five captions of each image, tidied, each string once: it may describe several
    images.

    The id of a text is that of the first caption that reads so.
    """
    texts, text_ids, own = every_text(records, N_FIRST)
    tidied = [tidy(text) for text in texts]
    first, qrels = equal_texts_once(tidied, own)
    return [tidied[at] for at in first], [text_ids[at] for at in first], qrels
