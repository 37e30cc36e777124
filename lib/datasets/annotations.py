"""Read annotation files of caption benchmarks completely, and build a corpus from them."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError, collector_paused, reading
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count, MissingMediaError, check_counts, check_media
from lib.datasets.media.files import MediaFiles
from lib.datasets.text_lines import distinct_keys


@dataclass(frozen=True)
class Record:
    """One item of an annotation file: media file, id, and `(text id, text)` of each description."""

    file: str
    item_id: str
    texts: tuple[tuple[str, str], ...]


def find_file(root: str | Path, name: str, folders: Sequence[str] = ()) -> Path | None:
    """Return the path of a file in the root or else in one of its `folders`, or None."""
    paths = (Path(root) / folder / name for folder in ("", *folders))
    return next((path for path in paths if path.is_file()), None)


def require_file(root: Path, name: str, folders: Sequence[str], corpus: str) -> Path:
    """Return the path of an annotation file, as `find_file` does; a missing one is an error."""
    path = find_file(root, name, folders)
    if path is None:
        raise MissingFileError(
            f"{root} does not have {name}, itself or in {' or '.join(folders)}. "
            f"`crossmodal data download {corpus}` shows its source"
        )
    return path


def read_json(
    path: str | Path, hook: Callable[[dict], object] | None = None, *, keyed: bool = False
):
    """Read a JSON file; a truncated one is an error.

    Args:
        path: the file.
        hook: may replace every object at once.
        keyed: refuse an object with the same key twice, of which Python would keep the last. For
            files whose keys are ids; it takes longer.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing")
    with reading(path, "not a JSON file", "Fetch it again"), collector_paused():
        # Bytes: json takes UTF-8 with and without a byte order mark, and UTF-16.
        pairs = partial(distinct_keys, str(path)) if keyed else None
        return json.loads(path.read_bytes(), object_hook=hook, object_pairs_hook=pairs)


def field_of(entry, name: str, kind: type | tuple[type, ...], where: str):
    """Return `entry[name]` after a check of its type; `where` names the entry in the error."""
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(allowed.__name__ for allowed in kinds)
        shown = repr(value) if isinstance(entry, Mapping) else f"the entry {entry!r:.60}"
        raise RetrievalInputError(f"{where}: {name!r} must be {names}, got {shown:.80}")
    return value


def entries_of(data, name: str, noun: str, path: Path) -> Iterator[tuple[str, object]]:
    """Yield `(where, entry)` of the list `data[name]`; `where` is for errors about the entry."""
    for number, entry in enumerate(field_of(data, name, list, str(path))):
        yield f"{path}, {noun} {number}", entry


def every_text(
    records: Sequence[Record], first: int | None = None
) -> tuple[list[str], list[str], Qrels]:
    """Return all texts, or the first few of each item: texts, ids, `(n_texts, n_items)` qrels."""
    pairs = [(at, *text) for at, record in enumerate(records) for text in record.texts[:first]]
    owner = np.array([at for at, _, _ in pairs], dtype=np.int64)
    qrels = Qrels.from_owner(owner, len(records)).T
    return [text for _, _, text in pairs], [text_id for _, text_id, _ in pairs], qrels


def captioned_media(
    records: Sequence[Record],
    root: str | Path,
    open_media: Callable[[Path, Sequence[str]], MediaFiles],
    *,
    name: str,
    split: str,
    modality: str,
    published: Mapping[str, int],
    captions: str,
    datasheet: str,
    choose: Callable[[Sequence[Record]], tuple[list[str], list[str], Qrels]] = every_text,
    allow_partial: bool = False,
    need_media: bool = True,
    source: Path | None = None,
) -> CaptionedMedia:
    """Build a corpus from records and media files, checked against the published counts.

    Annotations are counted as the file has them. With `allow_partial`, items with missing media are
    then left out with their texts, and the protocol chooses among the other texts.

    Args:
        records: in evaluation order.
        root: the folder of all media.
        open_media: `PictureFiles`, or another class that opens files by name.
        modality: of the media.
        published: `{"images": number}` (the modality in the plural; `"sounds"` for audio),
            `{"captions": number}` for the chosen texts, `{"judgements": number}`: those that
            somebody has published.
        captions: the name of the protocol.
        datasheet: the section of `data/README.md`.
        choose: records to texts, text ids and judgements `(n_texts, n_items)`.
        allow_partial: evaluate what exists.
        need_media: False takes the annotations alone, for rows that were encoded elsewhere; no
            media file is looked for.
        source: the annotation file, which errors about a name, an id or a text begin with; None for
            the root.
    """
    items = "sounds" if modality == "audio" else f"{modality}s"

    def counts_of(n_items: int, n_texts: int, n_judgements: int) -> tuple[Count, ...]:
        numbers = {items: n_items, "captions": n_texts, "judgements": n_judgements}
        return tuple(Count(k, n, published[k]) for k, n in numbers.items() if k in published)

    place = str(source or root)
    if not records:
        raise RetrievalInputError(
            f"{place}: {name}, {split} split, has no {modality}; the file may be cut or empty."
            " Fetch it again"
        )
    with placed(place):
        texts, text_ids, qrels = choose(records)
    counts = counts_of(len(records), len(texts), qrels.items.size)
    check_counts(counts, f"{name}, {split} split", allow_partial)
    with placed(place):
        media = open_media(Path(root), [record.file for record in records])
        present = media.present() if need_media else np.ones(len(media), dtype=bool)
    missing = tuple(record.file for record, exists in zip(records, present) if not exists)
    if missing:
        count = Count(items, int(present.sum()), published.get(items, len(records)))
        check_media(count, missing, name, allow_partial)
        records = [record for record, exists in zip(records, present) if exists]
        media = media.take(np.flatnonzero(present))
        texts, text_ids, qrels = choose(records)
        counts = counts_of(len(records), len(texts), qrels.items.size)
    with placed(place):
        return CaptionedMedia(
            name=name,
            split=split,
            modality=modality,
            media=media,
            item_ids=tuple(record.item_id for record in records),
            texts=tuple(texts),
            text_ids=tuple(text_ids),
            qrels=qrels,
            captions=captions,
            counts=counts,
            missing=missing,
            datasheet=datasheet,
        )


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Begin an error with the file, or the folder, in which it is."""
    try:
        yield
    except RetrievalInputError as error:
        if place in str(error) or isinstance(error, MissingMediaError):
            raise
        raise RetrievalInputError(f"{place}: {error}") from error


class Sentence(NamedTuple):
    """One caption of Karpathy's files: its id, and the words as typed, final spaces included."""

    sentid: int
    raw: str


class KarpathyImage(NamedTuple):
    """One image of Karpathy's files; in Flickr30K, `folder` is empty and `cocoid` is None."""

    filename: str
    folder: str
    cocoid: int | None
    sentences: tuple[Sentence, ...]


def read_karpathy(path: str | Path, parts: Collection[str]) -> Iterator[KarpathyImage]:
    """Read the images of some splits in file order, the order of evaluation and of the 1K folds.

    Args:
        path: `dataset_coco.json` or `dataset_flickr30k.json`: `{"images": [{"filename", "split",
            "sentences": [{"raw", "sentid"}, ...], ...}, ...]}`.
        parts: names of splits.

    Reference: Karpathy and Fei-Fei 2015, "Deep visual-semantic alignments for generating image
    descriptions".
    """
    data = read_json(path, _used_parts(parts))
    for where, image in entries_of(data, "images", "image", Path(path)):
        if image is _OTHER_SPLIT or field_of(image, "split", str, where) not in parts:
            continue
        entries = field_of(image, "sentences", list, where)
        sentences = tuple(
            Sentence(field_of(entry, "sentid", int, where), field_of(entry, "raw", str, where))
            for entry in entries
        )
        if not sentences:
            raise RetrievalInputError(f"{where}: it must have at least one sentence, got none")
        yield KarpathyImage(
            filename=field_of(image, "filename", str, where),
            folder=field_of(image, "filepath", str, where) if "filepath" in image else "",
            cocoid=field_of(image, "cocoid", int, where) if "cocoid" in image else None,
            sentences=sentences,
        )


_OTHER_SPLIT = object()


def _used_parts(parts: Collection[str]) -> Callable[[dict], object]:
    """Return a hook that frees images of other splits, and all tokens, while the file is read.

    COCO's file would take a gigabyte, and the time to fill it.
    """

    def hook(entry: dict) -> object:
        if "tokens" in entry:
            del entry["tokens"]
        elif "sentences" in entry:
            split = entry.get("split")
            if isinstance(split, str) and split not in parts:
                return _OTHER_SPLIT
        return entry

    return hook


def read_blip(path: str | Path, key: str = "image") -> Iterator[tuple[str, str, list[str]]]:
    """Read the pictures of an annotation file of BLIP, ALBEF or LAVIS, in its order.

    Args:
        path: a list of `{"image": "val2014/...jpg", "caption": ["...", ...]}`, or, in training
            files, one entry a caption: `"caption"` is one text, and `"image"` occurs again.
        key: `"video"` for the same form of films, as VindLU and UMT have it.

    Yields:
        `(where, picture, captions)`, each picture once; captions as typed. `where` is for errors.
    """
    data, noun = read_json(path), "picture" if key == "image" else key
    if not isinstance(data, list):
        raise RetrievalInputError(f"{path} must be a list of {noun}s, got {type(data).__name__}")
    found: dict[str, tuple[str, list[str]]] = {}
    for number, entry in enumerate(data):
        where = f"{path}, {noun} {number}"
        image = field_of(entry, key, str, where)
        caption = field_of(entry, "caption", (str, list), where)
        if isinstance(caption, list):
            if image in found:
                raise RetrievalInputError(f"{where}: {image!r} occurs twice, each with a list")
            if not caption or not all(isinstance(text, str) for text in caption):
                raise RetrievalInputError(f"{where}: caption must hold texts, got {caption!r:.80}")
            found[image] = where, list(caption)
        else:
            found.setdefault(image, (where, []))[1].append(caption)
    for image, (where, captions) in found.items():
        yield where, image, captions
