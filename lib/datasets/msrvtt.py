"""MSR-VTT: short clips with twenty sentences each; the test sets 1k-A, 1k-B, and the full one."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.datasets.annotations import (
    Record,
    captioned_media,
    entries_of,
    every_text,
    field_of,
    find_file,
    read_json,
    require_file,
)
from lib.datasets.captioned import CaptionedMedia, equal_texts_once
from lib.datasets.completeness import Count, check_counts, published_counts
from lib.datasets.csv_files import read_table
from lib.datasets.media.files import VIDEO_SUFFIXES, ClipFiles, find_names
from lib.datasets.text_lists import check_disjoint, read_ids

NAME = "msrvtt"
SPLITS = ("1k-A", "1k-B", "full", "full_val", "full_train", "train_9k", "train_7k", "train_1k-B")
CAPTIONS = ("own video", "same words")
PUBLISHED = {  # 10,000 videos, 200,000 sentences
    "1k-A": {"videos": 1_000, "captions": 1_000, "distinct sentences": 995},
    "1k-B": {"videos": 1_000, "captions": 1_000},
    "full": {"videos": 2_990, "captions": 59_800},
    "full_val": {"videos": 497, "captions": 9_940},
    "full_train": {"videos": 6_513, "captions": 130_260},
    "train_9k": {"videos": 9_000, "captions": 180_000},
    "train_7k": {"videos": 7_010, "captions": 140_200},
    # albanie/collaborative-experts, misc/datasets/msrvtt/README.md, as for 1k-B
    "train_1k-B": {"videos": 6_656, "captions": 133_120},
}
FOLDERS = ("videos/all", "videos", "TrainValVideo", "TestVideo")
TEST_1K = "MSRVTT_JSFUSION_test.csv"
# The lists of 1k-B: names of collaborative-experts, and of the authors' archive.
LISTS_1K_B = {
    "1k-B": ("test_list_miech.txt", "test_list.txt"),
    "train_1k-B": ("train_list_miech.txt", "train_list.txt"),
}
TEST_1K_HEADER = ("key", "vid_key", "video_id", "sentence")
ALL_IN_ONE = "MSRVTT_data.json"
OFFICIAL = ("train_val_videodatainfo.json", "test_videodatainfo.json")
# Split: its name in the annotation file.
_PARTS = {"full": "test", "full_val": "validate", "full_train": "train"}
_ANNOTATIONS = ("msrvtt_data", "annotation", "annotations")


def load_msrvtt(
    root: str | Path,
    split: str = "1k-A",
    *,
    captions: str = "own video",
    n_frames: int = 12,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the MSR-VTT clips of one split and their sentences.

    Args:
        root: holds the annotations, or has them in `msrvtt_data/`, `annotation/` or `annotations/`,
            and the clips in `videos/all/`, `videos/`, or `TrainValVideo/` and `TestVideo/`.
        split: `"1k-A"` (JSFusion; one sentence a clip), `"1k-B"` (Miech et al.; the first sentence
            of each clip), `"full"`, `"full_val"`, `"full_train"` (the official splits; twenty
            sentences a clip), `"train_9k"` and `"train_7k"` (training lists of models for 1k-A),
            `"train_1k-B"`.
        captions: the clips that a sentence is relevant to. `"own video"` is the published protocol;
            `"same words"` counts every clip of the split with the same sentence.
        n_frames: frames of each clip.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file's (`"video9770"`). Text ids are its keys in 1k-A (`"ret0"`), elsewhere
        the clip's id and the number of the sentence (`"video7010#3"`). From clip to text every
        sentence is in the gallery and the best of a clip's own counts;
        `lib.metrics.evaluate_by_best_text` is the other protocol.

    Reference: Xu et al. 2016, "MSR-VTT"; Yu et al. 2018, "A joint sequence fusion model" (1k-A);
    Miech et al. 2018, "Learning a text-video embedding from incomplete and heterogeneous data"
    (1k-B); Luo et al. 2022, "CLIP4Clip".
    """
    check_choice(split, SPLITS, "split")
    check_choice(captions, CAPTIONS, "captions")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    records = _test_1k(root) if split == "1k-A" else _described(root, split)
    if "distinct sentences" in published:
        distinct = len({text for record in records for _, text in record.texts})
        count = Count("distinct sentences", distinct, published["distinct sentences"])
        check_counts([count], f"{label}, {split} split", allow_partial)
    names = find_names(root, [record.item_id for record in records], FOLDERS, VIDEO_SUFFIXES)
    return captioned_media(
        [Record(name, record.item_id, record.texts) for name, record in zip(names, records)],
        root,
        partial(ClipFiles, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        published=published,
        captions=captions,
        datasheet=NAME,
        choose=every_text if captions == "own video" else same_words,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def same_words(records: Sequence[Record]) -> tuple[list[str], list[str], Qrels]:
    """Return every sentence as a query, relevant to all clips with exactly the same sentence."""
    texts, text_ids, qrels = every_text(records)
    first, merged = equal_texts_once(texts, qrels)
    row_of = {texts[at]: row for row, at in enumerate(first)}
    rows = np.array([row_of[text] for text in texts], dtype=np.int64)
    return texts, text_ids, merged.take_queries(rows)


def _test_1k(root: Path) -> list[Record]:
    rows = read_table(require_file(root, TEST_1K, _ANNOTATIONS, NAME), TEST_1K_HEADER)
    return [Record("", row["video_id"], ((row["key"], row["sentence"]),)) for _, row in rows]


def _described(root: Path, split: str) -> list[Record]:
    """The clips of an official split, or of a training list, with their sentences in file order."""
    videos, sentences = _read(root)
    if split in _PARTS:
        chosen = [video for video, part in videos.items() if part == _PARTS[split]]
    elif split in LISTS_1K_B:
        chosen, path = _list_of_1k_b(root, split)
        _check_known(chosen, videos, path)
        if split != "1k-B" and any(find_file(root, n, _ANNOTATIONS) for n in LISTS_1K_B["1k-B"]):
            check_disjoint(chosen, _list_of_1k_b(root, "1k-B")[0], path, "the 1k-B test set")
    else:
        name = f"MSRVTT_train.{split.removeprefix('train_')}.csv"
        path = require_file(root, name, _ANNOTATIONS, NAME)
        chosen = [row["video_id"] for _, row in read_table(path, ("video_id",))]
        _check_known(chosen, videos, path)
        if find_file(root, TEST_1K, _ANNOTATIONS) is not None:
            test = [record.item_id for record in _test_1k(root)]
            check_disjoint(chosen, test, path, "the 1k-A test set")
    if split == "1k-B":
        sentences = {video: sentences[video][:1] for video in chosen}
    texts = {v: tuple((f"{v}#{at}", text) for at, text in enumerate(sentences[v])) for v in chosen}
    return [Record("", video, texts[video]) for video in chosen]


def _list_of_1k_b(root: Path, split: str) -> tuple[list[str], Path]:
    ours, theirs = LISTS_1K_B[split]
    path = find_file(root, theirs, _ANNOTATIONS)
    if path is None or find_file(root, ours, _ANNOTATIONS):
        path = require_file(root, ours, _ANNOTATIONS, NAME)
    return read_ids(path), path


def _read(root: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """`{video: part}` and `{video: sentences}`, from one file of all or the two official ones."""
    whole = find_file(root, ALL_IN_ONE, _ANNOTATIONS)
    official = not whole and find_file(root, OFFICIAL[0], _ANNOTATIONS)
    videos: dict[str, str] = {}
    sentences: dict[str, list[str]] = {}
    for name in OFFICIAL if official else (ALL_IN_ONE,):
        path = require_file(root, name, _ANNOTATIONS, NAME)
        data = read_json(path)
        for where, entry in entries_of(data, "videos", "video", path):
            video = field_of(entry, "video_id", str, where)
            if video in videos:
                raise RetrievalInputError(f"{where}: ids must be distinct, got {video!r} twice")
            videos[video], sentences[video] = field_of(entry, "split", str, where), []
        for where, entry in entries_of(data, "sentences", "sentence", path):
            video = field_of(entry, "video_id", str, where)
            if video not in videos:
                n = len(videos)
                raise RetrievalInputError(f"{where}: {video!r} is not one of the {n:,} videos")
            sentences[video].append(field_of(entry, "caption", str, where))
    return videos, sentences


def _check_known(chosen: Iterable[str], videos: dict[str, str], path: Path) -> None:
    unknown = [video for video in chosen if video not in videos]
    if unknown:
        raise RetrievalInputError(
            f"{path}: {len(unknown):,} of its videos lack an annotation, the first is"
            f" {unknown[0]!r}. Provide {ALL_IN_ONE}, or both of {' and '.join(OFFICIAL)}"
        )
