"""Media and the texts that describe them: the form into which every caption benchmark is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_distinct, is_unicode
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask, entries_at
from lib.datasets.completeness import Count, wrong_counts

MODALITIES = ("image", "video", "audio")


@dataclass(frozen=True, eq=False, repr=False)
class CaptionedMedia:
    """Hold media of one modality and the texts that describe them, in evaluation order.

    Args:
        name: `"coco"`, `"msrvtt"`; a miniature adds `" (miniature)"`.
        split: `"test"`, `"val_1"`; a part of a split adds its name.
        modality: `"image"`, `"video"` or `"audio"`.
        media: one entry per item, decoded on access (`PictureFiles`, `ClipFiles`).
        item_ids: distinct ids of the items.
        texts: the captions or paragraphs, as the files have them.
        text_ids: distinct ids of the texts. An item and a text may have the same id.
        qrels: `(n_texts, n_items)`: texts are the queries; `.T` is the other direction.
        captions: the protocol that chose the texts: `"all"`, `"first 5"`, `"paragraph"`.
        counts: numbers found here beside the published ones.
        missing: media files that do not exist, relative to the root; their items and texts were
            left out.
        datasheet: the section of `data/README.md` that describes the corpus.
    """

    name: str
    split: str
    modality: str
    media: Sequence
    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    text_ids: tuple[str, ...]
    qrels: Qrels
    captions: str
    counts: tuple[Count, ...]
    missing: tuple[str, ...] = ()
    datasheet: str = ""

    query_modality = "text"  # of the queries, as in `JudgedCorpus`

    def __post_init__(self) -> None:
        check_choice(self.modality, MODALITIES, "modality")
        for field in ("item_ids", "texts", "text_ids", "counts", "missing"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        n_items, n_texts = len(self.item_ids), len(self.texts)
        if len(self.media) != n_items or len(self.text_ids) != n_texts:
            raise RetrievalInputError(
                f"{self.name}: {len(self.media)} media have {n_items} ids, "
                f"{n_texts} texts have {len(self.text_ids)}"
            )
        if self.qrels.shape != (n_texts, n_items):
            shapes = f"{(n_texts, n_items)} (texts, items), got {self.qrels.shape}"
            raise RetrievalInputError(f"{self.name}: qrels must have shape {shapes}")
        for kind, ids in (("item", self.item_ids), ("text", self.text_ids)):
            check_distinct(ids, kind, self.name)
        for position, text in enumerate(self.texts):
            if not isinstance(text, str) or not text.strip() or not is_unicode(text):
                raise RetrievalInputError(
                    f"{self.name}: text {position} (id {self.text_ids[position]}) must be words,"
                    f" got {text!r}. Correct the file or leave the text out"
                )

    @property
    def directions(self) -> tuple[str, str]:
        return f"text_to_{self.modality}", f"{self.modality}_to_text"

    @property
    def owners(self) -> np.ndarray:
        """`(n_texts,)` position of the first item that each text describes, -1 for none."""
        owners = np.full(len(self.texts), -1)
        described = np.flatnonzero(self.qrels.counts)
        owners[described] = self.qrels.items[self.qrels.indptr[described]]
        return owners

    def positions(self, kind: str, ids: Sequence[str]) -> np.ndarray:
        """Return `(n,)` positions of ids among those of `"item"` or `"text"`, -1 if unknown."""
        check_choice(kind, ("item", "text"), "kind")
        corpus_ids = self.item_ids if kind == "item" else self.text_ids
        position_of = {known: position for position, known in enumerate(corpus_ids)}
        return np.array([position_of.get(id_, -1) for id_ in ids], dtype=np.int64)

    def task(self, direction: str) -> RetrievalTask:
        """Return queries, gallery and judgements of one of `directions`; no file is decoded.

        Texts as queries are grouped by the first item that they describe, because intervals
        resample items; a text that describes none is a group by itself.
        """
        check_choice(direction, self.directions, "direction")
        single = len(self.item_ids) + np.arange(len(self.texts))
        by_text = RetrievalTask(
            name=self.name,
            split=self.split,
            direction=self.directions[0],
            queries=self.texts,
            gallery=self.media,
            qrels=self.qrels,
            query_groups=np.where(self.owners < 0, single, self.owners),
            datasheet=self.datasheet,
        )
        return by_text if direction == self.directions[0] else by_text.turned()

    def take_items(self, index, name_of_part: str = "") -> CaptionedMedia:
        """Return some of the items, with the texts that describe these and no others.

        A text that also describes an item outside is left out, since its judgements would be
        incomplete, and so is one that describes nothing. Texts keep their order.

        Args:
            index: item positions in the new order, or a boolean per item.
            name_of_part: added to the split: `"fold 1 of 5"`.
        """
        if not np.size(index):
            raise RetrievalInputError(f"{self.name}: a part must have at least one item, got none")
        by_item = self.qrels.T.take_queries(index)  # refuses positions that are none
        items = np.arange(len(self.item_ids))[np.asarray(index)]
        inside = np.bincount(by_item.items, minlength=len(self.texts))
        texts = np.flatnonzero((inside > 0) & (inside == self.qrels.counts))
        item_ids = tuple(self.item_ids[item] for item in items)
        check_distinct(item_ids, "item", self.name)
        return replace(
            self,
            split=f"{self.split} ({name_of_part})" if name_of_part else self.split,
            media=entries_at(self.media, items),
            item_ids=item_ids,
            texts=tuple(self.texts[text] for text in texts),
            text_ids=tuple(self.text_ids[text] for text in texts),
            qrels=by_item.T.take_queries(texts),
        )

    def without_items(self, positions: Sequence[int]) -> CaptionedMedia:
        """Leave out items without usable media or rows, with their texts."""
        lost = set(positions)
        part = self.take_items([at for at in range(len(self.item_ids)) if at not in lost])
        numbers = {"captions": len(part.texts), "judgements": part.qrels.items.size}
        counts = []
        for count in self.counts:
            if count.what in numbers:
                count = replace(count, found=numbers[count.what])
            elif count.found == len(self.item_ids):
                count = replace(count, found=count.found - len(lost))
            counts.append(count)
        files = getattr(self.media, "names", self.item_ids)
        missing = (*self.missing, *(files[at] for at in sorted(lost)))
        return replace(part, counts=tuple(counts), missing=missing)

    def checksum(self, *, media: bool = True) -> str:
        """Return the SHA-256 of everything that a score, and, with media, an embedding needs."""
        digest = hashlib.sha256()
        facts = (self.name, self.split, self.modality, self.captions)
        for part in (*facts, self.item_ids, self.text_ids, self.texts):
            for text in [part] if isinstance(part, str) else [str(len(part)), *part]:
                encoded = text.encode("utf-8", "surrogatepass")
                # With lengths, no two lists run together.
                digest.update(f"{len(encoded)}:".encode() + encoded)
        for array in (self.qrels.indptr, self.qrels.items, self.qrels.grades):
            digest.update(array.astype("<i8").tobytes())
        if media:
            digest.update(self._media_fingerprint().encode())
        return digest.hexdigest()

    def _media_fingerprint(self) -> str:
        if hasattr(self.media, "fingerprint"):
            return self.media.fingerprint()
        digest = hashlib.sha256()
        for entry in self.media:  # already decoded: arrays, or pictures
            array = np.ascontiguousarray(entry)
            digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """Describe the corpus in one line: name, split, protocol, sizes, and what is missing."""
        n_items, n_texts, n_judgements = *self.qrels.shape[::-1], self.qrels.items.size
        sizes = f"{n_items:,} {self.modality} items, {n_texts:,} texts, {n_judgements:,} judgements"
        line = f"{self.name}, {self.split} split, captions: {self.captions}: {sizes}"
        wrong = wrong_counts(self.counts)
        return f"{line} ({wrong})" if wrong else line

    def __repr__(self) -> str:
        return f"CaptionedMedia({self.describe()})"


def equal_texts_once(keys: Sequence[str], qrels: Qrels) -> tuple[np.ndarray, Qrels]:
    """Merge equal texts into one that is relevant to the items of all of them.

    Args:
        keys: one string per text; texts with equal keys are merged.
        qrels: `(n_texts, n_items)`.

    Returns:
        `(n,)` positions of the first text of each key, and `Qrels` `(n, n_items)` of grade 1.
    """
    row_of_key: dict[str, int] = {}
    rows = np.array([row_of_key.setdefault(key, len(row_of_key)) for key in keys], dtype=np.int64)
    _, first = np.unique(rows, return_index=True)
    # The same words twice for one item are one judgement.
    pairs = np.unique(np.stack([rows[qrels.query_index], qrels.items], axis=1), axis=0)
    return first, Qrels.from_pairs(*pairs.T, shape=(len(row_of_key), qrels.n_items))
