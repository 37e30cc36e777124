"""MS-COCO captions in Karpathy's split: three galleries, 1K folds, extended positives."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.datasets import coco_judgements
from lib.datasets.annotations import (
    Record,
    captioned_media,
    entries_of,
    every_text,
    field_of,
    find_file,
    read_blip,
    read_json,
    read_karpathy,
)
from lib.datasets.captioned import CaptionedMedia, equal_texts_once
from lib.datasets.completeness import Count, published_counts
from lib.datasets.media.files import PictureFiles

NAME = "coco"
CAPTIONS = ("all", "first 5", "unique")
N_FIRST = 5
# Split: its parts in Karpathy's file. Papers train on 113,287 images: train and restval.
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
_BLIP = {"test": "test", "val": "val", "train": "train"}  # coco_karpathy_<name>.json
_COCO_ID = re.compile(r"(?:.*_)?(\d{12})\.\w+")  # the name of one of COCO's files
# CLIP_benchmark's files exist for the splits that lie in one of COCO's folders.
_CLIP_BENCHMARK = {
    "test": ("test", "val2014"),
    "val": ("val", "val2014"),
    "train_only": ("train", "train2014"),
}


def load_coco(
    root: str | Path,
    split: str = "test",
    *,
    captions: str = "all",
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the images of one of Karpathy's splits and the captions of one of three galleries.

    Papers that all say "COCO 5K" search three different galleries:

    | captions | texts (test) | used by |
    | --- | --- | --- |
    | `"all"` | 25,010; ten images have six or seven | CLIP_benchmark, OpenCLIP, BLIP |
    | `"first 5"` | 25,000; the first five of each image | VSE++, ECCV Caption |
    | `"unique"` | 24,809; the first five, distinct after `tidy`; 24,989 judgements | MTEB, M-BEIR |

    Args:
        root: holds `dataset_coco.json` (or `annotations/dataset_coco.json`), or CLIP_benchmark's
            `coco_<split>_karpathy.json`, or BLIP's `coco_karpathy_<split>.json`, and the folders
            `val2014/` and `train2014/` (or both in `images/`).
        split: `"test"`, `"val"`, `"train"` (train and restval, as papers do), `"train_only"`,
            `"restval"`.
        captions: the gallery. `"unique"` has tidied texts, for the test split only; the texts of
            the others are as typed, with spaces at the end.
        allow_partial: evaluate what exists.
        need_media: False reads the annotations alone.

    Returns:
        Ids are COCO's, as strings; BLIP's file has none for captions, which are `"391895#0"`. The
        order is that of Karpathy's file; from a file of
        CLIP_benchmark it is that of ascending image ids, as there.

    Reference: Lin et al. 2014, "Microsoft COCO"; Chen et al. 2015, "Microsoft COCO captions".
    """
    check_choice(split, SPLITS, "split")
    check_choice(captions, CAPTIONS, "captions")
    label, published = published_counts(root, NAME, split, PUBLISHED)
    if f"captions, {captions}" not in published:
        raise RetrievalInputError(f"split must be 'test' for captions {captions!r}, got {split!r}")
    expected = {"images": published["images"], "captions": published[f"captions, {captions}"]}
    if captions == "unique":
        expected["judgements"] = published["judgements, unique"]
    choose = {
        "all": every_text,
        "first 5": partial(every_text, first=N_FIRST),
        "unique": unique_texts,
    }
    return captioned_media(
        _records(Path(root), split),
        root,
        PictureFiles,
        name=label,
        split=split,
        modality="image",
        published=expected,
        captions=captions,
        datasheet=NAME,
        choose=choose[captions],
        allow_partial=allow_partial,
        need_media=need_media,
    )


def _records(root: Path, split: str) -> list[Record]:
    path = find_file(root, "dataset_coco.json", ("annotations",))
    if path is not None:
        return _karpathy_records(path, root, SPLITS[split])
    if split in _CLIP_BENCHMARK:
        part, folder = _CLIP_BENCHMARK[split]
        name = f"coco_{part}_karpathy.json"
        path = find_file(root, name, ("annotations",))
        if path is not None:
            return _coco_records(path, root, folder)
    path = split in _BLIP and find_file(
        root, f"coco_karpathy_{_BLIP[split]}.json", ("annotations",)
    )
    if path:
        return _blip_records(path, root)
    raise MissingFileError(
        f"{root} does not have dataset_coco.json, itself or in annotations. "
        f"`crossmodal data download {NAME}` shows its source"
    )


def _folder(root: Path, folder: str) -> str:
    return f"images/{folder}" if (root / "images" / folder).is_dir() else folder


def _karpathy_records(path: Path, root: Path, parts: Sequence[str]) -> list[Record]:
    folders = {folder: _folder(root, folder) for folder in ("train2014", "val2014")}
    records = []
    for image in read_karpathy(path, parts):
        if image.cocoid is None or not image.folder:
            raise RetrievalInputError(
                f"{path}, image {image.filename!r}: cocoid or filepath is missing. Pass COCO's"
                " dataset_coco.json, which has both"
            )
        texts = tuple((str(sentence.sentid), sentence.raw) for sentence in image.sentences)
        folder = folders.get(image.folder, image.folder)
        records.append(Record(f"{folder}/{image.filename}", str(image.cocoid), texts))
    return records


def _blip_records(path: Path, root: Path) -> list[Record]:
    """Records of a file of BLIP. It numbers no captions: they get the image's id and a number."""
    folders = {folder: _folder(root, folder) for folder in ("train2014", "val2014")}
    records = []
    for where, image, captions in read_blip(path):
        folder, _, name = image.rpartition("/")
        match = _COCO_ID.fullmatch(name)
        if match is None:
            raise RetrievalInputError(
                f"{where}: image must end in COCO's name with its 12 digits, got {image!r:.80}"
            )
        image_id = str(int(match[1]))
        texts = tuple((f"{image_id}#{number}", text) for number, text in enumerate(captions))
        records.append(Record(f"{folders.get(folder, folder)}/{name}", image_id, texts))
    return records


def _coco_records(path: Path, root: Path, folder: str) -> list[Record]:
    """Records of a file in COCO's format; captions by id, which is the order of Karpathy's file."""
    data, folder = read_json(path), _folder(root, folder)
    names: dict[int, str] = {}
    for where, image in entries_of(data, "images", "image", path):
        names[field_of(image, "id", int, where)] = field_of(image, "file_name", str, where)
    texts: dict[int, list[tuple[int, str]]] = {}
    for where, note in entries_of(data, "annotations", "annotation", path):
        image_id = field_of(note, "image_id", int, where)
        if image_id not in names:
            n = len(names)
            raise RetrievalInputError(f"{where}: image_id {image_id} is not in the {n:,} images")
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
    """Tidy a caption as M-BEIR and MTEB do: no outer spaces and quotes, a capital, a full stop.

    A caption that ends in `?` or `!` gets no full stop.

    Reference: Wei et al. 2024, "UniIR: training and benchmarking universal multimodal information
    retrievers", in the authors' code.
    """
    text = text.replace("\r", "").strip().strip('"')
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")


def unique_texts(records: Sequence[Record]) -> tuple[list[str], list[str], Qrels]:
    """Return the first five captions of each image, tidied, each string once with its first id."""
    texts, text_ids, qrels = every_text(records, N_FIRST)
    tidied = [tidy(text) for text in texts]
    first, merged = equal_texts_once(tidied, qrels)
    return [tidied[at] for at in first], [text_ids[at] for at in first], merged


# ---- 1K folds and extended positives


def folds(corpus: CaptionedMedia) -> list[CaptionedMedia]:
    """Split the test split into the five 1K test sets: contiguous blocks in Karpathy's order.

    A metric is computed on each and averaged. The first block alone gives a higher number.

    Args:
        corpus: the whole test split with captions `"all"` or `"first 5"`.

    Reference: Faghri et al. 2018, "VSE++".
    """
    if corpus.missing:
        n = len(corpus.missing)
        raise RetrievalInputError(
            f"{corpus.name}: folds need all images, got {n:,} missing; later folds would move"
        )
    n_folds = coco_judgements.N_FOLDS
    size, remainder = divmod(len(corpus.item_ids), n_folds)
    if corpus.split != "test" or corpus.captions == "unique" or remainder or not size:
        raise RetrievalInputError(
            "the corpus must be the whole test split with captions 'all' or 'first 5', got"
            f" {corpus.describe()}"
        )
    _check_order(corpus)
    return [
        corpus.take_items(fold * size + np.arange(size), f"fold {fold + 1} of {n_folds}")
        for fold in range(n_folds)
    ]


def _check_order(corpus: CaptionedMedia) -> None:
    image_ids = coco_judgements.load_judgements().image_ids.tolist()
    position_of = {str(image): at for at, image in enumerate(image_ids)}
    positions = np.array([position_of.get(image, -1) for image in corpus.item_ids])
    if (positions < 0).any():
        image = corpus.item_ids[int(np.argmax(positions < 0))]
        raise RetrievalInputError(f"image {image} is not in the test split of COCO")
    if (np.diff(positions) < 0).any():
        raise RetrievalInputError(
            "images must be in the order of Karpathy's file, because the 1K folds are blocks of it;"
            " load the corpus from dataset_coco.json"
        )


def judgements(
    corpus: CaptionedMedia, name: str, direction: str, *, as_published: bool = False
) -> Qrels:
    """Return the positives of one set of judgements, aligned to a corpus by image and caption ids.

    Args:
        corpus: the test split or a part of it, with captions `"all"` or `"first 5"`; a text of
            `"unique"` stands for several ids.
        name: `"original"` (the corpus's own), `"cxc"` or `"eccv"`.
        direction: `"text_to_image"` or `"image_to_text"`.
        as_published: keep the two captions of ECCV that lie in no gallery, as items behind those of
            the corpus, so that R is the divisor of the authors' code.

    Returns:
        `Qrels` of grade 1. Queries that the set does not judge have empty rows: evaluate with
        `no_relevant="skip"`. No set judges the ten captions of `"all"` beyond the first five.
    """
    return _aligned(corpus, name, direction, as_published)[0]


def judgement_counts(
    corpus: CaptionedMedia, name: str, direction: str, *, as_published: bool = False
) -> tuple[Count, ...]:
    """Count the judged queries and positives of a set that lie in the corpus."""
    return _aligned(corpus, name, direction, as_published)[1]


def _aligned(
    corpus: CaptionedMedia, name: str, direction: str, as_published: bool = False
) -> tuple[Qrels, tuple[Count, ...]]:
    check_choice(name, coco_judgements.JUDGEMENTS, "judgements")
    to_text = check_choice(direction, corpus.directions, "direction") == "image_to_text"
    original = corpus.qrels.T if to_text else corpus.qrels
    if name == "original":
        n_queries = int((original.counts > 0).sum())
        return original, _judged(name, original, n_queries, original.items.size)
    if corpus.captions == "unique":
        raise RetrievalInputError("captions must be 'all' or 'first 5' (with ids), got 'unique'")
    if any("#" in text_id for text_id in corpus.text_ids):
        raise RetrievalInputError(
            f"judgements {name!r} are by COCO's caption ids, which BLIP's file does not have; load"
            " dataset_coco.json"
        )
    known = coco_judgements.load_judgements()
    published = known.qrels(name, direction, as_published=True)
    caption_ids = [*known.caption_ids.tolist(), *coco_judgements.UNFINDABLE_CAPTIONS]
    text_at = corpus.positions("text", [str(caption) for caption in caption_ids])
    item_at = corpus.positions("item", [str(image) for image in known.image_ids.tolist()])
    query_at, answer_at = (item_at, text_at) if to_text else (text_at, item_at)
    n_queries, n_items = original.shape
    if as_published and to_text:
        n_beyond = len(coco_judgements.UNFINDABLE_CAPTIONS)
        answer_at = answer_at.copy()
        answer_at[-n_beyond:] = n_items + np.arange(n_beyond)
        n_items += n_beyond
    query, answer = query_at[published.query_index], answer_at[published.items]
    inside = (query >= 0) & (answer >= 0)
    qrels = Qrels.from_pairs(query[inside], answer[inside], shape=(n_queries, n_items))
    judged_queries = query_at[np.flatnonzero(published.counts)]
    return qrels, _judged(name, qrels, int((judged_queries >= 0).sum()), int((query >= 0).sum()))


def _judged(name: str, qrels: Qrels, n_queries: int, n_positives: int) -> tuple[Count, ...]:
    """Judged queries and positives with both sides in the corpus, of those with a query in it."""
    return (
        Count(f"{name} queries", int((qrels.counts > 0).sum()), n_queries),
        Count(f"{name} positives", qrels.items.size, n_positives),
    )
