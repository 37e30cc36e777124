"""Captions to choose from: examples of one or two images with captions that are nearly alike.

`ChoiceCorpus` holds such a benchmark, as `CaptionedMedia` holds one of retrieval. An example has

    one image and several captions: the first is right, the others are wrong (SugarCrepe);
    two images and two captions: caption j describes image j, not the other one (Winoground).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lib.core.checks import RetrievalInputError, check_distinct, is_unicode, whole_numbers
from lib.core.task import entries_at
from lib.datasets.annotations import field_of
from lib.datasets.completeness import Count, check_counts, check_media, wrong_counts
from lib.datasets.media.files import MediaFiles

OF = "examples of "  # a count of this name and a subset


class Example(NamedTuple):
    """One example of an annotation file: `images` are ids, `captions` are `(text id, text)`."""

    example_id: str
    subset: str
    images: tuple[str, ...]
    captions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False, repr=False)
class ChoiceCorpus:
    """Hold images, captions, and the positions of both in each example, in file order.

    Args:
        name, split: as of `CaptionedMedia`.
        media: the images, decoded on access; an image of several examples is here once.
        item_ids: their ids.
        texts, text_ids: the captions of all examples, each with an id.
        example_ids: ids of the examples.
        images: `(n, 1)` or `(n, 2)` positions of the images of each example.
        captions: `(n, m)` positions of its captions. With one image, column 0 is right; with two,
            m is 2 and caption j describes image j.
        subsets: `(n,)` name of the kind of each example, such as "swap_obj".
        by_subset: whether papers report the mean over the subsets; the examples of a subset are
            then consecutive.
        counts: numbers found here beside the published ones.
        missing: image files that do not exist; their examples were left out.
        datasheet: the section of `data/README.md`.
    """

    name: str
    split: str
    media: Sequence
    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    text_ids: tuple[str, ...]
    example_ids: tuple[str, ...]
    images: np.ndarray
    captions: np.ndarray
    subsets: tuple[str, ...]
    by_subset: bool
    counts: tuple[Count, ...]
    missing: tuple[str, ...] = ()
    datasheet: str = ""

    modality = "image"
    query_modality = "text"
    directions = ("text_to_image", "image_to_text")
    relevance = "right and wrong"  # stands where other corpora name their captions

    def __post_init__(self) -> None:
        n = len(self.example_ids)
        sides = (
            ("images", self.images, len(self.item_ids)),
            ("captions", self.captions, len(self.texts)),
        )
        for what, positions, size in sides:
            at = whole_numbers(positions, f"{self.name}: {what}", ndim=2)
            object.__setattr__(self, what, at)
            if not n or len(at) != n or at.min() < 0 or at.max() >= size:
                raise RetrievalInputError(
                    f"{self.name}: {what} must be positions among {size}, for at least one example,"
                    f" got {n} examples and shape {at.shape}"
                )
        shape = self.images.shape[1], self.captions.shape[1]
        if not (shape == (2, 2) or (shape[0] == 1 and shape[1] > 1)):
            raise RetrievalInputError(
                f"{self.name}: an example has one image and several captions, or two and two; got"
                f" {shape[0]} and {shape[1]}"
            )
        for sizes in (
            (len(self.media), len(self.item_ids)),
            (len(self.texts), len(self.text_ids)),
            (n, len(self.subsets)),
        ):
            if sizes[0] != sizes[1]:
                raise RetrievalInputError(f"{self.name}: {sizes[0]} entries have {sizes[1]} names")
        ids = ("item", self.item_ids), ("text", self.text_ids), ("example", self.example_ids)
        for kind, names in ids:
            check_distinct(names, kind, self.name)

    @property
    def subset_names(self) -> tuple[str, ...]:
        """Return the different subsets, in the order of the examples."""
        return tuple(dict.fromkeys(self.subsets))

    @property
    def clusters(self) -> np.ndarray:
        """`(n,)` label of each example: those that share an image, also by a third, have one."""
        labels = np.arange(len(self.example_ids))
        while True:
            least = np.full(len(self.item_ids), len(labels))
            np.minimum.at(least, self.images, labels[:, None])
            joined = least[self.images].min(axis=1)
            if (joined == labels).all():
                return labels
            labels = joined

    def without_items(self, positions: Sequence[int]) -> ChoiceCorpus:
        """Leave out images without usable media or rows, with the examples that show them."""
        lost = sorted(set(positions))
        kept = np.flatnonzero(~np.isin(self.images, lost).any(axis=1))
        if not kept.size:
            raise RetrievalInputError(f"{self.name}: without these images no example is left")
        items, images = np.unique(self.images[kept], return_inverse=True)
        texts, captions = np.unique(self.captions[kept], return_inverse=True)
        subsets = tuple(self.subsets[at] for at in kept)
        found = _sizes(subsets, len(items), len(texts))
        files = getattr(self.media, "names", self.item_ids)
        return replace(
            self,
            media=entries_at(self.media, items),
            item_ids=tuple(self.item_ids[at] for at in items),
            texts=tuple(self.texts[at] for at in texts),
            text_ids=tuple(self.text_ids[at] for at in texts),
            example_ids=tuple(self.example_ids[at] for at in kept),
            images=images.reshape(kept.size, -1),
            captions=captions.reshape(kept.size, -1),
            subsets=subsets,
            counts=tuple(replace(count, found=found.get(count.what, 0)) for count in self.counts),
            missing=(*self.missing, *(files[at] for at in lost)),
        )

    def checksum(self, *, media: bool = True) -> str:
        """Return the SHA-256 of everything that a score, and, with media, an embedding needs."""
        facts = [self.name, self.split, self.item_ids, self.texts, self.text_ids]
        facts += [self.example_ids, self.subsets, self.images.tolist(), self.captions.tolist()]
        digest = hashlib.sha256(json.dumps(facts).encode())
        if media:
            digest.update(self.media.fingerprint().encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """Describe the corpus in one line."""
        n_images, n_captions = self.images.shape[1], self.captions.shape[1]
        pictures = "one image" if n_images == 1 else f"{n_images} images"
        line = (
            f"{self.name}, {self.split} split: {len(self.example_ids):,} examples of {pictures} and"
            f" {n_captions} captions, {len(self.item_ids):,} images"
        )
        wrong = wrong_counts(self.counts)
        return f"{line} ({wrong})" if wrong else line

    def __repr__(self) -> str:
        return f"ChoiceCorpus({self.describe()})"


def choice_corpus(
    examples: Sequence[Example],
    image_ids: Sequence[str],
    media: Sequence,
    *,
    name: str,
    split: str,
    published: Mapping[str, int | None],
    by_subset: bool,
    datasheet: str,
    allow_partial: bool = False,
    need_media: bool = True,
) -> ChoiceCorpus:
    """Build a corpus from examples and images, checked against the published counts.

    Args:
        examples: in the order of the files.
        image_ids, media: the images, such as `PictureFiles`, each once.
        name, split, by_subset, datasheet: of the corpus.
        published: `{"examples": number}`, and possibly "images", "captions", and
            "examples of <subset>".
        allow_partial: leave out examples with missing images.
        need_media: False looks for no image file.
    """
    if not examples:
        raise RetrievalInputError(
            f"{name}, {split} split: its files have no example. Check the root"
        )
    image_at = {image: at for at, image in enumerate(image_ids)}
    texts = [caption for example in examples for caption in example.captions]
    subsets = tuple(example.subset for example in examples)
    found = _sizes(subsets, len(image_ids), len(texts))
    counts = tuple(Count(what, found.get(what, 0), number) for what, number in published.items())
    check_counts(counts, f"{name}, {split} split", allow_partial)
    corpus = ChoiceCorpus(
        name=name,
        split=split,
        media=media,
        item_ids=tuple(image_ids),
        texts=tuple(text for _, text in texts),
        text_ids=tuple(text_id for text_id, _ in texts),
        example_ids=tuple(example.example_id for example in examples),
        images=np.array([[image_at[image] for image in example.images] for example in examples]),
        captions=np.arange(len(texts)).reshape(len(examples), -1),
        subsets=subsets,
        by_subset=by_subset,
        counts=counts,
        datasheet=datasheet,
    )
    if not (need_media and isinstance(media, MediaFiles)):
        return corpus
    present = media.present()
    lost = np.flatnonzero(~present)
    if lost.size:
        missing = [media.names[at] for at in lost]
        count = Count("images", int(present.sum()), len(present))
        check_media(count, missing, name, allow_partial)
        corpus = corpus.without_items(lost.tolist())
    return corpus


def caption_of(entry, name: str, where: str) -> str:
    """Return the caption `entry[name]` as typed; a blank one is an error."""
    text = field_of(entry, name, str, where)
    if not text.strip() or not is_unicode(text):
        raise RetrievalInputError(f"{where}: {name!r} must be words, got {text!r:.80}")
    return text


def _sizes(subsets: Sequence[str], n_images: int, n_captions: int) -> dict[str, int]:
    sizes = {"examples": len(subsets), "images": n_images, "captions": n_captions}
    return sizes | {OF + subset: n for subset, n in Counter(subsets).items()}
