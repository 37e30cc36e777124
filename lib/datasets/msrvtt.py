"""MSR-VTT: short clips with twenty sentences each; the 1k-A test set, and the full one."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.datasets.annotations import Record, captioned, every_text, field_of, find, read_json
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count, check_counts, published_counts
from lib.datasets.csv_files import read_table
from lib.datasets.media.files import VIDEO_SUFFIXES, ClipFiles, find_names

NAME = "msrvtt"
SPLITS = ("1k-A", "full", "full_val", "full_train", "train_9k", "train_7k")
CAPTIONS = ("own video", "same words")
PUBLISHED = {  # 10,000 videos, 200,000 sentences
    "1k-A": {"videos": 1_000, "captions": 1_000, "distinct sentences": 995},
    "full": {"videos": 2_990, "captions": 59_800},
    "full_val": {"videos": 497, "captions": 9_940},
    "full_train": {"videos": 6_513, "captions": 130_260},
    "train_9k": {"videos": 9_000, "captions": 180_000},
    "train_7k": {"videos": 7_010, "captions": 140_200},
}
FOLDERS = ("videos/all", "videos", "TrainValVideo", "TestVideo")
TEST_1K = "MSRVTT_JSFUSION_test.csv"
TEST_1K_HEADER = ("key", "vid_key", "video_id", "sentence")
ALL_IN_ONE = "MSRVTT_data.json"
OFFICIAL = ("train_val_videodatainfo.json", "test_videodatainfo.json")
_PARTS = {
    "full": "test",
    "full_val": "validate",
    "full_train": "train",
}  # split: what the file calls it
_WHERE = ("", "msrvtt_data/", "annotation/", "annotations/")


def load_msrvtt(
    root: str | Path,
    split: str = "1k-A",
    *,
    captions: str = "own video",
    n_frames: int = 12,
    allow_partial: bool = False,
) -> CaptionedMedia:
    """MSR-VTT: the clips of one split and their sentences.

    Args:
        root: holds the annotations, or has them in `msrvtt_data/`, `annotation/` or `annotations/`,
            and the clips in `videos/all/`, `videos/`, or `TrainValVideo/` and `TestVideo/`.
        split: `"1k-A"` (JSFusion; one sentence a clip), `"full"`, `"full_val"`, `"full_train"` (the
            official splits; twenty sentences a clip), `"train_9k"` and `"train_7k"` (what models
            for 1k-A train on).
        captions: what a sentence is relevant to. `"own video"` is the published protocol; `"same
            words"` counts every clip of the split that bears the same sentence.
        n_frames: frames of each clip.
        allow_partial: evaluate what there is, and say so.

    Returns:
        Item ids are the file's (`"video9770"`). Text ids are its keys in 1k-A (`"ret0"`), elsewhere
        the clip's id and the number of the sentence (`"video7010#3"`). From clip to text every
        sentence is in the gallery and the best of a clip's own counts;
        `lib.metrics.ranks_by_best_text` is the other protocol.

    Raises:
        MissingFileError: no annotation file.
        DamagedFileError: one that is not whole.
        RetrievalInputError: counts that differ from the published ones, clips that are missing, a
            clip that is in a training list and in the 1k-A test set.

    Relations: `ceiling` is the best R@1 that `"own video"` allows.

    Reference: Xu et al. 2016, "MSR-VTT"; Yu et al. 2018, "A joint sequence fusion model" (1k-A);
    Luo et al. 2022, "CLIP4Clip".
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
    return captioned(
        [Record(name, record.item_id, record.texts) for name, record in zip(names, records)],
        root,
        partial(ClipFiles, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        what="videos",
        published=published,
        captions=captions,
        choose=every_text if captions == "own video" else same_words,
        allow_partial=allow_partial,
        datasheet="msrvtt",
    )


def same_words(records: Sequence[Record]) -> tuple[list[str], list[str], Qrels]:
    """Every sentence as a query of its own, relevant to all items that bear it, letter for
    letter.
    """
    texts, text_ids, own = every_text(records)
    places: dict[str, int] = {}
    of_text = np.array([places.setdefault(text, len(places)) for text in texts], dtype=np.int64)
    pairs = np.unique(np.stack([of_text, own.items], axis=1), axis=0)  # (distinct text, item)
    bearers = Qrels.from_pairs(*pairs.T, shape=(len(places), len(records)))
    return texts, text_ids, bearers.take_queries(of_text)


def ceiling(corpus: CaptionedMedia) -> float:
    """The highest R@1 from text to clip of a model that gives equal texts equal vectors.

        ceiling = sum_t max_v |{queries with text t whose relevant clip is v}| / n_texts

    Of queries that read the same and want different clips only those of one clip can be right at
    rank 1.

    Returns:
        A share of 1: 0.995 for 1k-A with captions `"own video"`.
    """
    places: dict[str, int] = {}
    of_text = np.array(
        [places.setdefault(text, len(places)) for text in corpus.texts], dtype=np.int64
    )
    qrels = corpus.qrels
    cells, hits = np.unique(
        np.stack([of_text[qrels.query_index], qrels.items], axis=1), axis=0, return_counts=True
    )
    best = np.zeros(len(places), dtype=np.int64)
    np.maximum.at(best, cells[:, 0], hits)
    return float(best.sum() / len(corpus.texts))


def _find(root: Path, name: str) -> Path:
    path = find(root, [folder + name for folder in _WHERE])
    if path is None:
        raise MissingFileError(
            f"{root} has no {name} (nor have its folders {', '.join(_WHERE[1:])}). "
            f"`crossmodal data download {NAME}` says where it comes from"
        )
    return path


def _test_1k(root: Path) -> list[Record]:
    rows = read_table(_find(root, TEST_1K), TEST_1K_HEADER)
    return [Record("", row["video_id"], ((row["key"], row["sentence"]),)) for _, row in rows]


def _described(root: Path, split: str) -> list[Record]:
    """The clips of an official split, or of a list, with their sentences in file order."""
    videos, sentences = _read(root)
    if split in _PARTS:
        wanted = [video for video, part in videos.items() if part == _PARTS[split]]
    else:
        path = _find(root, f"MSRVTT_train.{split.removeprefix('train_')}.csv")
        wanted = [row["video_id"] for _, row in read_table(path, ("video_id",))]
        _check_known(wanted, videos, path)
        _check_apart(wanted, root, path)
    return [
        Record(
            "",
            video,
            tuple((f"{video}#{number}", text) for number, text in enumerate(sentences[video])),
        )
        for video in wanted
    ]


def _read(root: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """`{video: part}` and `{video: sentences}` from the file that holds all, or the two official
    ones.
    """
    whole = find(root, [folder + ALL_IN_ONE for folder in _WHERE])
    if whole is None and find(root, [folder + OFFICIAL[0] for folder in _WHERE]) is None:
        _find(root, ALL_IN_ONE)  # raises, with the name that most projects use
    paths = [whole] if whole else [_find(root, name) for name in OFFICIAL]
    videos: dict[str, str] = {}
    sentences: dict[str, list[str]] = {}
    for path in paths:
        data = read_json(path)
        for number, entry in enumerate(field_of(data, "videos", list, str(path))):
            where = f"{path}, video {number}"
            video = field_of(entry, "video_id", str, where)
            if video in videos:
                raise RetrievalInputError(f"{where}: {video!r} is there twice")
            videos[video], sentences[video] = field_of(entry, "split", str, where), []
        for number, entry in enumerate(field_of(data, "sentences", list, str(path))):
            where = f"{path}, sentence {number}"
            video = field_of(entry, "video_id", str, where)
            if video not in videos:
                raise RetrievalInputError(
                    f"{where}: video_id {video!r} is not among the {len(videos):,} videos"
                )
            sentences[video].append(field_of(entry, "caption", str, where))
    return videos, sentences


def _check_known(wanted: Iterable[str], videos: dict[str, str], path: Path) -> None:
    unknown = [video for video in wanted if video not in videos]
    if unknown:
        raise RetrievalInputError(
            f"{path}: {len(unknown):,} of its videos have no annotation, the first is"
            f" {unknown[0]!r}. The list needs {ALL_IN_ONE}, or both of {' and '.join(OFFICIAL)}"
        )


def _check_apart(wanted: Iterable[str], root: Path, path: Path) -> None:
    if find(root, [folder + TEST_1K for folder in _WHERE]) is None:
        return
    shared = sorted({record.item_id for record in _test_1k(root)} & set(wanted))
    if shared:
        raise RetrievalInputError(
            f"{path}: {len(shared):,} of its videos are in the 1k-A test set, the first is"
            f" {shared[0]!r}; a model trained on them has seen the answers"
        )
