"""Annotation files of caption benchmarks: read whole or refused, and turned into captioned
media.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError, reading
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count, check_counts, check_media
from lib.datasets.media.files import MediaFiles


@dataclass(frozen=True)
class Record:
    """One item of an annotation file with its texts.

    Args:
        file: its media file, relative to the root.
        item_id: what the corpus calls it.
        texts: `(text id, text)` of each description, in file order.
    """

    file: str
    item_id: str
    texts: tuple[tuple[str, str], ...]


def find(root: str | Path, names: Sequence[str]) -> Path | None:
    """The first of some files that is under `root`, or None."""
    return next((path for name in names if (path := Path(root) / name).is_file()), None)


def read_json(path: str | Path):
    """The content of a JSON file.

    Raises:
        MissingFileError: it is not there.
        DamagedFileError: it is no JSON, most often because a download ended early.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing")
    with reading(path, "no JSON file", "Fetch it again"):
        return json.loads(
            path.read_bytes()
        )  # bytes: json takes UTF-8 with and without a BOM, and UTF-16


def field_of(entry, name: str, kind: type | tuple[type, ...], where: str):
    """`entry[name]` when it is of that kind; otherwise an error that says where the entry
    stands.
    """
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        shown = (
            repr(value) if isinstance(entry, Mapping) else f"no field, the entry is {entry!r:.60}"
        )
        raise RetrievalInputError(f"{where}: {name!r} must be {names}, found {shown:.80}")
    return value


def captioned(
    records: Sequence[Record],
    root: str | Path,
    files: Callable[[Path, Sequence[str]], MediaFiles],
    *,
    name: str,
    split: str,
    modality: str,
    what: str,
    published: Mapping[str, int],
    captions: str,
    choose: Callable[[Sequence[Record]], tuple[Sequence[str], Sequence[str], Qrels]],
    allow_partial: bool,
    datasheet: str,
) -> CaptionedMedia:
    """The corpus that records and media files make, checked against what is published.

    Annotations are counted as the file has them; then items whose media are missing are left out
    with their texts, if that is allowed, before the protocol chooses among the texts of the others.

    Args:
        records: in evaluation order.
        root: the folder that all media lie in.
        files: `PictureFiles`, or what else opens the media.
        name: the corpus as shown.
        split: the split as shown.
        modality: of the media.
        what: the media in the plural: `"images"`.
        published: `{what: number}` for the media, `{"captions": number}` for the texts chosen, and
            whatever else the caller has checked.
        captions: the name of the protocol.
        choose: records to texts, text ids and judgements `(n_texts, n_items)`; `every_text` takes
            them all.
        allow_partial: evaluate what there is.
        datasheet: the section of `data/README.md`.

    Raises:
        RetrievalInputError: counts that differ, or media that are missing, unless allowed.
    """
    texts, text_ids, qrels = choose(records)
    counts = [
        Count(what, len(records), published[what]),
        Count("captions", len(texts), published["captions"]),
    ]
    if "judgements" in published:
        counts.append(Count("judgements", qrels.items.size, published["judgements"]))
    check_counts(counts, f"{name}, {split} split", allow_partial)
    media = files(Path(root), [record.file for record in records])
    present = media.present()
    missing = tuple(record.file for record, there in zip(records, present) if not there)
    if missing:
        check_media(Count(what, int(present.sum()), published[what]), missing, name, allow_partial)
        records = [record for record, there in zip(records, present) if there]
        media = media.take(np.flatnonzero(present))
        texts, text_ids, qrels = choose(records)
        found = {what: len(records), "captions": len(texts), "judgements": qrels.items.size}
        counts = [Count(count.what, found[count.what], count.published) for count in counts]
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
        counts=tuple(counts),
        missing=missing,
        datasheet=datasheet,
    )


def every_text(
    records: Sequence[Record], first: int | None = None
) -> tuple[list[str], list[str], Qrels]:
    """All texts, or the first few of each item, each judged to describe its own item."""
    pairs = [(at, *text) for at, record in enumerate(records) for text in record.texts[:first]]
    owner = np.array([at for at, _, _ in pairs], dtype=np.int64)
    qrels = Qrels.from_owner(owner, len(records)).T
    return [text for _, _, text in pairs], [text_id for _, text_id, _ in pairs], qrels
