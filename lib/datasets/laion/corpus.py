"""Load shards of downloaded LAION pictures as a corpus: a lesson on formats, not a benchmark."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import path_inside
from lib.core.qrels import Qrels
from lib.core.reading import DamagedFileError
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count, check_counts, check_media, published_counts
from lib.datasets.laion.shards import Shard, shard_paths
from lib.datasets.media.files import content_digest
from lib.datasets.media.pictures import open_picture

NAME = "laion"
SPLITS = ("shards",)
MAX_JUDGEMENTS = 10**8  # 10,000 pictures with one caption; building them takes 3 GB


class ShardPictures(Sequence):
    """Sequence of pictures inside tar files, read from their offsets; nothing is unpacked.

    `places` has `(shard, offset of the file, bytes, name)` of each picture.
    """

    kind = "pictures"

    def __init__(self, root: str | Path, places: Sequence[tuple[str, int, int, str]]) -> None:
        self.root, self.places = Path(root), tuple(places)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{shard}/{name}" for shard, _, _, name in self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position) -> Image.Image | Self:
        if isinstance(position, slice):
            return self.take(range(len(self))[position])
        shard, start, size, name = self.places[position]
        with path_inside(self.root, shard).open("rb") as stream:
            stream.seek(start)
            return open_picture(stream.read(size), name=f"{name} in {shard}")

    def take(self, positions) -> Self:
        """Return the pictures at some positions, in the order given; none is read."""
        return type(self)(self.root, [self.places[position] for position in positions])

    def fingerprint(self) -> str:
        """Return the SHA-256 of the places of the pictures and the bytes of the shards."""
        shards = sorted({shard for shard, *_ in self.places})
        digests = [content_digest(path_inside(self.root, shard)) for shard in shards]
        return hashlib.sha256(repr((self.places, shards, digests)).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"ShardPictures({len(self):,} {self.kind} under {self.root})"


def load_laion(
    root: str | Path,
    split: str = "shards",
    *,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load pictures and captions from all shards of a folder.

    LAION is a training corpus without a test split and published retrieval scores. A score here
    depends on the links that worked on the day of the download. A caption is relevant to its own
    picture and to those with the same caption.

    Args:
        root: output folder of img2dataset (`00000.tar`, `00000.parquet`, ...), or a folder that
            has these files in `shards/`.
        split: `"shards"`, all of them.
        allow_partial: leave out unusable samples, and list them in `missing`.
        need_media: changes nothing: captions and pictures lie in the same shards.

    Returns:
        `CaptionedMedia`; its pictures stay in the shards. Each was decoded once as a check.
    """
    check_choice(split, SPLITS, "split")
    folder = Path(root) / "shards"
    folder = folder if folder.is_dir() else Path(root)
    places, texts, keys, missing, n_listed = [], [], [], [], 0
    for path in shard_paths(folder):
        shard = Shard(path)
        for sample, _ in shard:
            try:
                text = sample.caption()
                sample.picture()
            except (DamagedFileError, RetrievalInputError) as error:
                missing.append(f"{path.name}/{sample.key} ({error})")
                continue
            suffix = sample.picture_suffix
            places.append((path.name, *sample.places[suffix], f"{sample.key}.{suffix}"))
            texts.append(text)
            keys.append(sample.key)
        report = shard.report
        missing += [f"{path.name}/{key} (not in the tar)" for key in report.without_sample]
        missing += [f"{path.name} ({report.damage})"] if report.damage else []
        missing += [f"{path.name}, member {name!r} ({why})" for name, why in report.refused]
        missing += [f"{path.name} ({problem})" for problem in report.problems]
        n_listed += shard.successes or report.samples  # without a table, only the tar counts
    label, stated = published_counts(root, NAME, split, {split: {"samples": n_listed}})
    count = Count("samples", len(keys), stated["samples"])
    check_media(count, missing, label, allow_partial)
    check_counts([count], label, allow_partial)
    return CaptionedMedia(
        name=label,
        split=split,
        modality="image",
        media=ShardPictures(folder, places),
        item_ids=tuple(keys),
        texts=tuple(texts),
        text_ids=tuple(keys),
        qrels=same_captions(texts),
        captions="one per picture",
        counts=(count,),
        missing=tuple(missing),
        datasheet=NAME,
    )


def same_captions(texts: Sequence[str]) -> Qrels:
    """Judge pairs of equal captions relevant, at grade 1: `(n, n)` from n captions."""
    _, group = np.unique(np.array(texts, dtype=object), return_inverse=True)  # (n,)
    members = np.argsort(group, kind="stable")  # pictures by group, ascending inside each
    sizes = np.bincount(group)
    n_judgements = (sizes**2).sum()
    if n_judgements > MAX_JUDGEMENTS:
        largest = int(sizes.argmax())
        caption = texts[int(np.argmax(group == largest))]
        raise RetrievalInputError(
            f"equal captions must give at most {MAX_JUDGEMENTS:,} judgements, got"
            f" {n_judgements:,}; {sizes[largest]:,} pictures have the caption {caption!r:.80}."
            " Leave such pictures out of the shards"
        )
    starts = np.cumsum(sizes) - sizes
    indptr = np.concatenate([[0], np.cumsum(sizes[group])])
    within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], sizes[group])
    items = members[np.repeat(starts[group], sizes[group]) + within]
    return Qrels(indptr, items, np.ones(items.size, np.int64), len(texts))
